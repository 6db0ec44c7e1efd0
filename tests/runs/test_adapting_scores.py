"""Scores for the adaptation curve: by hand for one share, on the same rows for everybody."""

from __future__ import annotations

import numpy as np
import pytest

from analyses.adaptation import adaptation_curve
from tests.models.experts_study import rows_of, study
from toolkit import fit, metrics
from toolkit.data.adaptation_splits import adaptation_split
from toolkit.errors import ConfigError, DataError, ToolkitWarning
from toolkit.models import NmeMlp, Pen, PenShared
from toolkit.runs.adaptation_scores import SHARES, Candidate, adaptation_scores
from toolkit.runs.adapting import AdaptSettings, adapt

QUICK = {"head_epochs": 8, "gate_epochs": 10, "epochs": 8, "lr": 0.02, "batch": 32}
BOTH = ["valence", "arousal"]
FEW = AdaptSettings(epochs=4)
FRESH = AdaptSettings(epochs=4, fresh=True)


@pytest.fixture(scope="module")
def new():
    return rows_of(study(persons=5, rows=12, seed=9, prefix="Zoe-"), target=BOTH)


@pytest.fixture(scope="module")
def candidates():
    data = rows_of(study(), target=BOTH)
    pen, shared = fit(Pen(**QUICK), data, seed=1), fit(PenShared(head_epochs=8, lr=0.02), data, seed=1)
    return [
        Candidate(name="s-PEN", run=pen, settings=FEW),
        Candidate(name="s-SN", run=shared, settings=FEW),
        Candidate(name="t-PEN", run=pen, settings=FRESH),
        Candidate(name="as it is", run=pen, adapts=False),
    ]


@pytest.fixture(scope="module")
def scores(candidates, new):
    return adaptation_scores(candidates, new, shares=(0.0, 0.25), seed=3)


def test_scores_are_those_of_the_adapted_model_on_the_held_out_rows(candidates, new, scores):
    split = adaptation_split(new, 0.25, rng=np.random.default_rng(3))
    adapted = adapt(candidates[0].run, new, seed=3, split=split, settings=FEW)
    values = adapted.predict(new)
    held = split.labels == "test"
    chosen = scores[(scores["model"] == "s-PEN") & (scores["share"] == 0.25)].set_index(["target", "person", "metric"])
    for place, target in enumerate(BOTH):
        for code, person in enumerate(new.persons):
            rows = held & (np.asarray(new.person) == code)
            truth, found = np.asarray(new.targets)[rows, place], values[rows, place]
            assert chosen["value"][target, person, "ccc"] == pytest.approx(metrics.ccc(truth, found))
            assert chosen["value"][target, person, "rmse"] == pytest.approx(np.sqrt(np.mean((truth - found) ** 2)))
            assert chosen["rows"][target, person, "ccc"] == 6


def test_columns_models_and_shares(scores):
    assert list(scores.columns) == ["model", "target", "metric", "share", "person", "value", "rows"]
    assert set(scores.query("share == 0")["model"]) == {"s-PEN", "s-SN", "as it is"}  # a fresh model has nothing yet
    assert set(scores.query("share == 0.25")["model"]) == {"s-PEN", "s-SN", "t-PEN", "as it is"}
    assert set(scores["target"]) == set(BOTH)
    assert scores.groupby(["model", "target", "metric", "share"])["person"].nunique().eq(5).all()
    assert SHARES == (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)


def test_a_model_that_does_not_adapt_is_the_same_at_every_share(scores):
    still = scores.query("model == 'as it is'").drop(columns="share")
    by_share = [part.reset_index(drop=True) for _, part in scores.query("model == 'as it is'").groupby("share")]
    assert still["value"].notna().all()
    np.testing.assert_array_equal(by_share[0]["value"], by_share[1]["value"])
    unadapted = scores.query("model == 's-PEN' and share == 0").reset_index(drop=True)
    np.testing.assert_allclose(unadapted["value"], by_share[0]["value"], rtol=1e-12)


def test_from_scores_to_a_curve(scores):
    with pytest.warns(ToolkitWarning, match="W301"):
        found = adaptation_curve(scores, "ccc", resamples=199, rng=np.random.default_rng(0))
    shown = found.to_frame().set_index(["target", "share", "model"])["value"]
    by_hand = scores.query("metric == 'ccc'").groupby(["target", "share", "model"])["value"].mean()
    for key, value in by_hand.items():
        assert shown[key] == pytest.approx(value)


@pytest.mark.slow
def test_a_mixed_effects_model_beside_experts():
    source, new = study(), study(persons=4, rows=20, seed=9, prefix="Zoe-")
    runs = [
        fit(NmeMlp(hidden=(), effects="layers.0.bias", epochs=30), rows_of(source), seed=1),
        fit(Pen(**QUICK), rows_of(source), seed=1),
    ]
    found = adaptation_scores(
        [Candidate(name="NME", run=runs[0]), Candidate(name="PEN", run=runs[1], settings=FEW)],
        rows_of(new), shares=(0.0, 0.5), seed=1,
    )  # fmt: skip
    assert set(found["target"]) == {"valence"}
    rmse = found.query("metric == 'rmse' and model == 'NME'").groupby("share")["value"].mean()
    assert rmse[0.5] < rmse[0.0]  # levels differ, and ten rows tell them


def test_classes_are_scored_too():
    source, new = study(), study(persons=4, rows=20, seed=9, prefix="Zoe-")
    run = fit(Pen(task="multiclass", **QUICK), rows_of(source, target="state"), seed=1)
    found = adaptation_scores(
        [Candidate(name="a", run=run, settings=FEW), Candidate(name="b", run=run, adapts=False)],
        rows_of(new, target="state"), shares=(0.5,), seed=1,
    )  # fmt: skip
    assert {"accuracy", "krippendorff_alpha"} <= set(found["metric"])
    assert found.query("metric == 'accuracy'")["value"].between(0, 1).all()


def test_persons_who_adapt_and_persons_who_are_predicted_are_others(candidates, new):
    found = adaptation_scores(candidates[:2], new, shares=(0.5,), design="persons", seed=3)
    split = adaptation_split(new, 0.5, design="persons", rng=np.random.default_rng(3)).labels
    held = {new.persons[code] for code in np.unique(np.asarray(new.person)[split == "test"])}
    assert set(found["person"]) == held
    assert len(held) == 2


def test_progress_counts_the_fits(candidates, new):
    seen = []
    adaptation_scores(candidates, new, shares=(0.0, 0.1), seed=3, progress=lambda *said: seen.append(said))
    assert seen == [(number + 1, 7) for number in range(7)]


def test_what_is_refused(candidates, new):
    with pytest.raises(ConfigError, match="E302: name each model once"):
        adaptation_scores([], new, seed=1)
    with pytest.raises(ConfigError, match="E302: name each model once"):
        adaptation_scores([candidates[0], candidates[0]], new, seed=1)
    for shares in ((), (0.1, 0.1)):
        with pytest.raises(ConfigError, match="E302: name each share once"):
            adaptation_scores(candidates, new, shares=shares, seed=1)
    with pytest.raises(ConfigError, match="E302: the share of rows"):
        adaptation_scores(candidates, new, shares=(0.6,), seed=1)
    with pytest.raises(ConfigError, match="E302: this design"):
        adaptation_scores(candidates, new, design="rows", seed=1)
    with pytest.raises(DataError, match="E133"):
        adaptation_scores(candidates, rows_of(study(), target=BOTH), shares=(0.1,), seed=1)
    short = new.take(np.r_[0, 12:60])  # one row of the first person
    with pytest.raises(DataError, match="E134: 1 of 5 persons"):
        adaptation_scores(candidates, short, shares=(0.1,), seed=1)
    with pytest.raises(DataError, match="E103"):
        adaptation_scores(candidates, rows_of(study(seed=9, prefix="Zoe-"), target=None), shares=(0.1,), seed=1)


def test_a_model_that_does_not_adapt_is_not_judged_by_persons_it_knows(candidates):
    known = rows_of(study(), target=BOTH)
    with pytest.raises(DataError, match="E133"):
        adaptation_scores(candidates[3:], known, shares=(0.1,), seed=1)
