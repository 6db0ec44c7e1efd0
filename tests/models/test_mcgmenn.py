"""Networks with random effects fitted by Monte Carlo EM: against exact likelihoods, by hand, and on the disk."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit, logit, softmax

from tests.models.mcgmenn_study import CLASSES, KINDS, SMALL, fitted, study
from toolkit import GroupedDataset, fit, load_run
from toolkit.errors import ConfigError, DataError, ToolkitWarning
from toolkit.models import McGmenn
from toolkit.numerics.binary_effects.level_rows import level_rows
from toolkit.numerics.binary_effects.one_factor import maximise as maximise_one
from toolkit.numerics.mixed.design import Design, Factor
from toolkit.numerics.mixed.maximise import maximise
from toolkit.numerics.mixed.moments import moments
from toolkit.numerics.mixed.posterior import blups
from toolkit.runs import checkpoint
from toolkit.runs.run import Run


def test_variances_of_numbers_are_those_of_maximum_likelihood():
    run, data = fitted("regression"), study("regression")
    left = np.asarray(data.target) - run.predict(data, "population")
    ones = np.ones((data.n_rows, 1))
    factors = [
        Factor(codes=np.asarray(own.codes), levels=len(own.levels), design=ones, blocks=(1,)) for own in data.groupings
    ]
    sums = moments(Design(outcome=left, fixed=ones, factors=tuple(factors)))
    best = maximise(sums, reml=False)
    exact = {sums.order[place]: best.solution.sigma2 * float(own[0, 0]) ** 2
             for place, own in enumerate(best.solution.relative)}  # fmt: skip
    found = run.variance_components().set_index("term")["variance"]
    assert found["residual"] == pytest.approx(best.solution.sigma2, rel=0.02)
    assert found["person"] == pytest.approx(exact[0], rel=0.08)
    assert found["item"] == pytest.approx(exact[1], rel=0.1)
    means = dict(zip(sums.order, blups(sums, best.solution), strict=True))
    own = run.random_effects("person")["estimate"].to_numpy()
    assert np.abs(own - means[0][:, 0]).max() < 0.1
    assert best.solution.beta[0] == pytest.approx(0.0, abs=0.03)  # what effects have in common is the network's


def test_variance_of_two_classes_is_that_of_maximum_likelihood():
    run, data = fitted("binary", ("person",)), study("binary")
    logits = logit(run.predict(data, "population")[:, 1])
    rows = level_rows(np.asarray(data.target), np.asarray(data.person), data.n_persons)
    best = maximise_one(rows, logits, np.ones((data.n_rows, 1)), nodes=25)
    assert run.variance_components()["sd"].iloc[0] == pytest.approx(best.theta, rel=0.08)
    effects = run.random_effects("person")
    assert np.abs(effects["estimate"] - best.evaluation.mean).max() < 0.15
    np.testing.assert_allclose(effects["sd"], best.evaluation.sd, rtol=0.35)


def added_by_hand(run: Run, data: GroupedDataset, outputs: list[str]) -> np.ndarray:
    """What the tables say that the effects of each row add to each output."""
    added, z = np.zeros((data.n_rows, len(outputs))), np.asarray(data.features)[:, 1]
    for own in data.groupings:
        effects = run.random_effects(own.name).set_index(["level", "parameter"])["estimate"].unstack()
        part = effects.loc[np.array(own.levels)[np.asarray(own.codes)]]
        for column, name in enumerate(outputs):
            added[:, column] += part[f"output.bias[{name}]" if name else "output.bias"].to_numpy()
            if own.name == "person":
                added[:, column] += z * part[f"slopes[z,{name}]" if name else "slopes[z]"].to_numpy()
    return added


# from predictions to the scale on which effects are added, and back
LINKS = {
    "regression": (lambda y: y[:, None], lambda f: f[:, 0]),
    "count": (lambda y: np.log(y)[:, None], lambda f: np.exp(f[:, 0])),
    "binary": (lambda p: logit(p[:, 1:]), lambda f: np.column_stack([1.0 - expit(f), expit(f)])),
    "multiclass": (np.log, lambda f: softmax(f, axis=1)),
}


@pytest.mark.slow
def test_the_variance_of_levels_with_few_rows_is_that_of_maximum_likelihood():
    rng = np.random.default_rng(7)
    person = np.repeat(np.arange(3_000), 6)
    y = rng.random(len(person)) < expit(rng.normal(size=3_000)[person])
    frame = pd.DataFrame({"x": rng.normal(size=len(y)), "y": y.astype(int), "person": person.astype(str)})
    data = GroupedDataset.from_frame(frame, target="y", features=["x"], groups=["person"]).as_classes(("0", "1"))
    run = fit(McGmenn(task="binary", hidden=(), epochs=5), data, seed=1, split=None)
    logits = logit(run.predict(data, "population")[:, 1])
    rows = level_rows(np.asarray(data.target), np.asarray(data.person), data.n_persons)
    best = maximise_one(rows, logits, np.ones((len(y), 1)), nodes=25)
    assert run.variance_components()["variance"].iloc[0] == pytest.approx(best.theta**2, rel=0.08)


@pytest.mark.parametrize("task", LINKS)
def test_predictions_are_the_network_and_the_effects(task):
    run, data = fitted(task, "(1 + z | person) + (1 | item)"), study(task)
    there, back = LINKS[task]
    added = added_by_hand(run, data, list(CLASSES) if task == "multiclass" else [""])
    np.testing.assert_allclose(run.predict(data), back(there(run.predict(data, "population")) + added), atol=1e-8)


def test_effects_on_ordered_classes_move_every_threshold():
    run, data = fitted("ordinal", "(1 + z | person) + (1 | item)"), study("ordinal")
    added = added_by_hand(run, data, [""])[:, 0]
    for below in (1, 2):
        own, population = (run.predict(data, level)[:, :below].sum(axis=1) for level in ("person", "population"))
        np.testing.assert_allclose(logit(own), logit(population) - added, atol=1e-6)


@pytest.mark.parametrize("task", KINDS)
def test_a_saved_run_predicts_the_same(task, tmp_path):
    few: dict[str, Any] = SMALL | {"epochs": 2, "draws": 20}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToolkitWarning)
        run = fit(McGmenn(task=task, random=("person", "item"), **few), study(task),
                  seed=2, split="within-person-time", out=tmp_path / task)  # fmt: skip
    saved = load_run(tmp_path / task)
    np.testing.assert_allclose(saved.predict(study(task)), run.predict(study(task)), atol=1e-12)
    assert set(saved.variance_components()["term"]) >= {"person", "item"}
    assert "Monte Carlo EM" in saved.manifest["status"]["method"]


def test_levels_without_training_rows_have_no_effect_and_the_prior():
    data = study("multiclass")
    labels = np.where(np.asarray(data.person) < 5, "test", "train")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToolkitWarning)
        run = fit(McGmenn(task="multiclass", random=("person", "item"), **SMALL), data, seed=1, split=labels)
    effects = run.random_effects("person")
    unseen = effects[effects["level"].isin(data.persons[:5])]
    assert len(unseen) == 15
    assert (unseen["estimate"] == 0.0).all()
    sd = run.variance_components().query("term == 'person'").set_index("parameter")["sd"]
    np.testing.assert_allclose(unseen["sd"], sd[unseen["parameter"]], rtol=1e-6)
    assert (unseen["reliability"] < 1e-6).all()


def test_correlations_between_classes_are_estimated_on_request():
    run = fitted("multiclass", ("person",), covariance="full")
    components = run.variance_components()
    assert components["correlation"].notna().sum() == 2
    assert fitted("multiclass", ("person",)).variance_components()["correlation"].isna().all()


@pytest.mark.parametrize("name", ["classes", "plateau"])
def test_an_interrupted_fit_ends_at_the_same_weights(name, tmp_path, monkeypatch):
    from safetensors.torch import load_file

    monkeypatch.setattr(checkpoint, "SHARE", float("inf"))
    monkeypatch.setattr(checkpoint, "EVERY", 1)
    chosen = {"classes": {"task": "multiclass"}, "plateau": {"task": "binary", "schedule": "plateau", "dropout": 0.1}}
    settings: dict[str, Any] = SMALL | {"epochs": 6, "draws": 10} | chosen[name]
    config = McGmenn(random=("person", "item"), **settings)
    data = study(config.task)

    class Crash(Exception):
        pass

    def crash(epoch: int, *_: object) -> None:
        if epoch == 4:
            raise Crash

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToolkitWarning)
        fit(config, data, seed=1, out=tmp_path / "whole")
        with pytest.raises(Crash):
            fit(config, data, seed=1, out=tmp_path / "broken", progress=crash)
        assert fit(config, data, seed=1, out=tmp_path / "broken", resume=True).manifest["resume_count"] == 1
    for file in ("generic.safetensors", "persons.safetensors"):
        mine, theirs = load_file(tmp_path / "whole" / file), load_file(tmp_path / "broken" / file)
        assert all(torch.equal(value, theirs[key]) for key, value in mine.items())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kept": 3}, "no more draws can be kept"),
        ({"patience": 4}, "patience does not apply"),
        ({"batch_by": "persons"}, "batch_by"),
        ({"random": "(1 | nobody)"}, "no grouping factor"),
    ],
)
def test_settings_that_do_not_apply_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        fit(McGmenn(**settings), study("regression"), seed=1)


def test_a_factor_with_as_many_levels_as_rows_is_refused():
    frame = pd.DataFrame({"x": np.arange(40.0), "y": np.tile([0, 1], 20), "case": [str(n) for n in range(40)]})
    frame["person"] = [str(n % 8) for n in range(40)]
    data = GroupedDataset.from_frame(frame, target="y", features=["x"], groups=["person", "case"])
    config = McGmenn(task="binary", random=("person", "case"))
    with pytest.raises(DataError) as caught:
        fit(config, data.as_classes(("0", "1")), seed=1, split=None)
    assert caught.value.code in ("E118", "E138")


@pytest.mark.parametrize("sampler", ["nuts", "hmc", "mala"])
def test_other_samplers_lead_to_effects_that_go_along(sampler):
    run = fitted("binary", ("person",), sampler=sampler, transitions=4, draws=150)
    exact = fitted("binary", ("person",)).random_effects("person")["estimate"]
    found = run.random_effects("person")["estimate"]
    assert np.corrcoef(exact, found)[0, 1] > 0.9
    assert run.manifest["status"]["acceptance"][0] > 0.3


def test_as_published_every_setting_is_the_papers():
    config = McGmenn(as_published=True, random=("person",), task="binary")
    assert (config.sampler, config.transitions, config.kept, config.variance_update) == ("nuts", 2, 1, "published")
    assert (config.population_weight, config.batch, config.patience, config.dropout) == (1.0, 100, 5, 0.25)
    assert McGmenn(as_published=True, batch=64).batch == 64
    run = fitted("binary", ("person",), as_published=True, **{name: getattr(config, name) for name in ("batch",)})
    assert run.variance_components()["variance"].iloc[0] > 0.1
