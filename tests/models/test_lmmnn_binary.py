"""Networks with random effects for two classes."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit, logit

from toolkit import GroupedDataset, fit, load_run
from toolkit.errors import ConfigError, DataError, ToolkitWarning
from toolkit.models import Glmm, Lmm, Lmmnn
from toolkit.numerics.binary_effects.batch import batch_loss_of_several
from toolkit.numerics.binary_effects.laplace import approximate
from toolkit.numerics.binary_effects.level_rows import level_rows
from toolkit.numerics.binary_effects.one_factor import maximise
from toolkit.numerics.binary_effects.weighted import structure_of
from toolkit.numerics.mixed.design import Factor
from toolkit.runs.adapting import adapt
from toolkit.runs.run import Run

SEVERAL = ("(1 + z | person)", "(1 | person) + (1 | item)")
SMALL = {"hidden": (8,), "epochs": 8, "batch": 64, "precision": "float64"}


@cache
def study(rows: int = 1_500) -> GroupedDataset:
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(rng.normal(size=(rows, 2)), columns=["x", "z"])
    person, item = rng.integers(0, 60, rows), rng.integers(0, 12, rows)
    effects = 1.2 * rng.normal(size=60)[person] + 0.7 * rng.normal(size=12)[item]
    slope = 0.8 * rng.normal(size=60)[person]
    logits = np.sin(2 * frame["x"]) + (0.5 + slope) * frame["z"] + effects
    frame = frame.assign(person=person.astype(str), item=item.astype(str))
    frame["y"] = (rng.random(rows) < expit(logits)).astype(int)
    data = GroupedDataset.from_frame(frame, target="y", features=["x", "z"], groups=["person", "item"])
    return data.as_classes(("0", "1"))


@cache
def fitted(random: str | None = "(1 | person)", **settings: object) -> Run:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToolkitWarning)
        return fit(Lmmnn(task="binary", random=random, **(SMALL | settings)), study(), seed=1, split=None)


@pytest.mark.slow
def test_variance_and_effects_are_at_the_maximum_given_the_network():
    run, data = fitted(), study()
    population = run.predict(data, "population")[:, 1]
    logits = np.log(population / (1.0 - population))
    rows = level_rows(np.asarray(data.target), np.asarray(data.person), data.n_persons)
    best = maximise(rows, logits, np.ones((data.n_rows, 1)), nodes=15)
    assert best.beta[0] == pytest.approx(0.0, abs=1e-4)  # the level of the network has moved there
    assert run.variance_components()["sd"].iloc[0] == pytest.approx(best.theta, rel=1e-4)
    effects = run.random_effects("person")
    np.testing.assert_allclose(effects["estimate"], best.evaluation.mean, atol=1e-4)
    np.testing.assert_allclose(effects["sd"], best.evaluation.sd, rtol=1e-3)
    assert run.likelihood()["log_likelihood"].iloc[0] == pytest.approx(best.value, abs=1e-5)
    own = expit(logits + best.evaluation.mean[np.asarray(data.person)])
    np.testing.assert_allclose(run.predict(data)[:, 1], own, atol=1e-4)


@pytest.mark.parametrize(
    "random",
    ["(1 | person)", *(pytest.param(own, marks=pytest.mark.slow) for own in SEVERAL)],
)
def test_a_linear_network_ends_near_the_linear_model(random):
    run = fitted(random, hidden=(), epochs=16, lr=0.05, weight_decay=0.0)
    linear = fit(Glmm(random=random), study(), seed=1, split=None)
    mine, theirs = run.variance_components(), linear.variance_components()
    np.testing.assert_allclose(mine["sd"], theirs["sd"], rtol=0.03)
    found, expected = run.likelihood().iloc[0], linear.likelihood().iloc[0]
    assert found["log_likelihood"] == pytest.approx(expected["log_likelihood"], abs=1.0)
    assert found["log_likelihood"] <= expected["log_likelihood"] + 1e-6
    assert found["parameters"] == expected["parameters"]


@pytest.mark.slow
def test_a_run_folder_predicts_and_adapts_like_the_run(tmp_path):
    data = study()
    config = Lmmnn(task="binary", random="(1 + z | person) + (1 | item)", **(SMALL | {"epochs": 2}))
    part = np.where(np.arange(data.n_rows) % 5 == 0, "validation", "train")
    run = fit(config, data, seed=1, split=part, out=tmp_path / "run")
    saved = load_run(tmp_path / "run")
    assert saved.manifest["status"]["method"].startswith("maximum likelihood of the variances by Laplace")
    np.testing.assert_allclose(saved.predict(data), run.predict(data), atol=1e-12)
    assert {"accuracy", "krippendorff_alpha"} <= set(run.metrics()["metric"])
    assert set(run.draw_effects(2, rng=np.random.default_rng(0))["term"]) == {"person", "item"}


def test_new_persons_with_the_same_rows_have_the_same_effects():
    run, data = fitted(), study()
    frame = pd.DataFrame(np.asarray(data.features), columns=list(data.feature_names))
    frame = frame.assign(y=np.asarray(data.target).astype(int), person=[f"new {code}" for code in data.person])
    new = GroupedDataset.from_frame(frame, target="y", features=["x", "z"], groups="person").as_classes(("0", "1"))
    found = adapt(run, new, seed=1).random_effects().set_index("level")
    known = run.random_effects("person")
    codes = {name: f"new {code}" for code, name in enumerate(data.persons)}
    own = found.loc[[codes[name] for name in known["level"]]]
    np.testing.assert_allclose(own["estimate"], known["estimate"], atol=1e-3)
    np.testing.assert_allclose(own["sd"], known["sd"], rtol=1e-3)


@pytest.mark.parametrize("settings", [{"polish": False}, {"batch_by": "persons"}, {"nodes": 1}, {"as_published": True}])
def test_settings(settings):
    run = fitted(**settings, epochs=2)
    details = run.trained.status_details
    assert np.isfinite(run.likelihood()["log_likelihood"].iloc[0])
    if not settings.get("polish", True):
        assert details["method"] == "mini-batches"
        assert run.variance_components()["variance"].iloc[0] == pytest.approx(run.trained.batch_variances[0], rel=1e-6)
    if settings.get("nodes") == 1:
        assert "Laplace" in details["method"]


def test_probabilities_are_averaged_over_the_posterior():
    run, data = fitted("(1 + z | person) + (1 | item)", epochs=1), study()
    plain, averaged = run.predict(data)[:, 1], run.predict_averaged(data)[:, 1]
    assert (np.abs(averaged - 0.5) <= np.abs(plain - 0.5) + 1e-9).all()
    frame = pd.DataFrame({"x": [0.3], "z": [1.5], "person": ["nobody"], "item": ["none"]})
    new = GroupedDataset.from_frame(frame, features=["x", "z"], groups=["person", "item"])
    components = run.variance_components()
    variance = components["variance"].to_numpy()
    assert components["parameter"].tolist() == ["output.bias", "slopes[z]", "output.bias"]
    covariance = components["correlation"].iloc[1] * np.sqrt(variance[0] * variance[1])
    own = variance[0] + 1.5**2 * variance[1] + 2 * 1.5 * covariance + variance[2]
    level, grid = logit(run.predict(new)[0, 1]), np.linspace(-8, 8, 4001)
    mass = np.exp(-0.5 * grid**2)
    expected = (mass * expit(level + np.sqrt(own) * grid)).sum() / mass.sum()
    assert run.predict_averaged(new)[0, 1] == pytest.approx(expected, abs=1e-5)


def test_numbers_are_not_averaged():
    frame = pd.DataFrame({"y": np.arange(20.0) + 50.0 * (np.arange(20) % 2), "who": ["a", "b"] * 10})
    data = GroupedDataset.from_frame(frame, target="y", features=[], groups="who")
    run = fit(Lmm(), data, seed=1, split=None)
    with pytest.raises(DataError, match="only mixed models of two classes"):
        run.predict_averaged(data)


def test_a_batch_of_several_factors_has_the_likelihood_of_its_rows():
    rng = np.random.default_rng(0)
    factors = (
        Factor(codes=rng.integers(0, 5, 80) * 10, levels=50, design=np.ones((80, 1)), blocks=(1,)),
        Factor(codes=rng.integers(0, 9, 80) * 3, levels=30, design=rng.normal(size=(80, 2)), blocks=(2,)),
    )
    target, values = (rng.random(80) < 0.5).astype(float), rng.normal(size=80)
    logits = torch.tensor(values, requires_grad=True)
    relative = [torch.tensor([[0.9]], requires_grad=True), torch.tensor([[0.7, 0.0], [0.2, 0.5]], requires_grad=True)]
    relative = [own.detach().double().requires_grad_(True) for own in relative]
    (2.0 * batch_loss_of_several(logits, relative, target, factors)).backward()
    structure = structure_of(factors)
    arrays = [own.detach().numpy() for own in relative]
    found = approximate(structure, target, values, [arrays[k] for k in structure.order])
    np.testing.assert_allclose(logits.grad.numpy(), -2.0 * found.by_logit, atol=1e-8)
    for place, k in enumerate(structure.order):
        np.testing.assert_allclose(relative[k].grad.numpy(), -2.0 * found.by_factor[place], atol=1e-8)


def test_what_does_not_apply_is_refused():
    with pytest.raises(ConfigError, match="nodes: it is a setting of task 'binary'"):
        Lmmnn(nodes=5)
    for settings in ({"spatial": ("x", "z")}, {"level_map": "linear"}):
        with pytest.raises(ConfigError):
            Lmmnn(task="binary", **settings)
    with pytest.raises(ConfigError, match="quadrature is for one grouping factor with a single effect"):
        fit(Lmmnn(task="binary", random="(1 + z | person)", nodes=5, **SMALL), study(), seed=1, split=None)
    data = study()
    part = np.where(np.asarray(data.target) == 0, "test", "train")
    with pytest.raises(DataError, match="one class only"):
        fit(Lmmnn(task="binary", **SMALL), data, seed=1, split=part)
