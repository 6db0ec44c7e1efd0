"""New persons beside several grouping factors: chains, a single row, families and items nobody has seen."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from tests.analysed_runs import nme
from tests.family_study import family_frame, write_family_study
from toolkit import fit
from toolkit.data.grouped import GroupedDataset
from toolkit.data.sequences import SequenceBatch
from toolkit.models import NmeCrf, NmeMlp
from toolkit.runs.adapting import adapt
from toolkit.runs.folder import load_run

FAMILIES = {"families": 8, "rows": 15}


def new_rows(rows: int = 12):
    """Rows of three new persons: of a known family, of a new one, and one with a single row of a new family."""
    frame = family_frame(**FAMILIES).head(2 * rows + 1).copy()
    frame["who"] = ["new-a"] * rows + ["new-b"] * rows + ["new-c"]
    frame["family"] = ["Smith-0"] * rows + ["Doe"] * rows + ["Roe"]
    frame["t"] = [*range(rows), *range(rows), 0]
    frame["day"] = 0
    return frame


def test_one_row_and_unknown_levels_stay_near_the_population():
    roles = {"target": "mood", "features": ["x"], "groups": ["who", "family", "item"]}
    bias = "layers.0.bias"
    config = NmeMlp(hidden=(), effects={"who": bias, "family": bias, "item": bias}, epochs=30)
    run = fit(config, GroupedDataset.from_frame(family_frame(**FAMILIES), **roles), seed=1, split=None)
    frame = new_rows().assign(item=lambda f: np.where(f["who"] == "new-c", "never asked", f["item"]))
    data = GroupedDataset.from_frame(frame, **roles)
    found = adapt(run, data, seed=1)
    effects = found.random_effects().set_index("level")
    variances = run.variance_components().set_index("term")["variance"]
    assert effects.loc["new-c", "sd"] > effects.loc["new-a", "sd"]
    assert effects.loc["new-c", "sd"] ** 2 < variances["who"] * (1 + 1e-6)
    last = frame.index[-1]
    residual = frame.loc[last, "mood"] - run.predict(data, "population")[-1]
    total = variances.sum()  # of one row: every new level takes its share of the residual
    for term, level in (("who", "new-c"), ("family", "Roe"), ("item", "never asked")):
        estimate = found.random_effects(term).set_index("level").loc[level, "estimate"]
        assert estimate == pytest.approx(residual * variances[term] / total, rel=1e-4)
    assert np.isfinite(found.predict(data)).all()


@pytest.mark.slow
def test_a_chain_meets_new_persons_of_known_and_new_families():
    roles = {"target": "state", "features": ["x"], "time": "t", "sequence": "day"}
    rows = SequenceBatch.from_frame(family_frame(**FAMILIES), groups=["who", "family"], **roles)
    run = fit(NmeCrf(hidden=(), effects={"who": "T", "family": "last"}, epochs=15), rows, seed=1, split=None)
    data = SequenceBatch.from_frame(new_rows(), groups=["who", "family"], **roles)
    found = adapt(run, data, seed=1)
    own, families = found.random_effects(), found.random_effects("family")
    assert set(own["level"]) == {"new-a", "new-b", "new-c"}
    assert np.isfinite(own[["estimate", "sd"]].to_numpy()).all()
    # one state says nothing about transitions
    assert own.loc[own["level"] == "new-c", "estimate"].abs().max() == pytest.approx(0.0, abs=1e-6)
    known = run.random_effects("family").set_index(["level", "parameter"])["estimate"]
    kept = families[families["level"] == "Smith-0"].set_index(["level", "parameter"])
    np.testing.assert_allclose(kept["estimate"], known.loc[kept.index], atol=1e-10)
    assert kept["sd"].isna().all()
    assert families.loc[families["level"] == "Doe", "sd"].notna().all()
    assert len(found.transitions()) == 27
    np.testing.assert_allclose(found.predict(data).sum(axis=1), 1.0, atol=1e-9)


@pytest.mark.slow
def test_the_curve_of_new_persons_from_the_command_line(tmp_path, capsys):
    file = write_family_study(tmp_path, frame=family_frame(families=12, rows=20))
    run = tmp_path / "runs" / "nme-crf"
    words = ["--model", "nme-crf", "--groupings", "family", "--set", "hidden=()", "--epochs", "15", "--split=persons"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert nme("fit", file, *words, "--out", run) == 0
        capsys.readouterr()
        asked = ["--study", file, "--metric", "accuracy", "--resamples", "99", "--json"]
        assert nme("analyze", "adaptation", run, *asked) == 0
        said = json.loads(capsys.readouterr().out)
        assert said
        small = ["--format", "png", "--dpi", "300", "--preset", "89mm", "--out", tmp_path / "figures"]
        assert nme("figure", "adaptation", run, *small) == 0
        assert nme("report", run, "--audience", "internal", "--format", "html", "--out", tmp_path / "report") == 0
    assert load_run(run).groupings == ("family",)
    assert "New persons, by the rows adapted to" in (tmp_path / "report" / "report.html").read_text()
