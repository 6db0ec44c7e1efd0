"""Effects of new persons under a fitted mixed effects network: closed forms, modes, and persons without a row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from tests.models.simulated import chains, classes, numbers, rows_of
from tests.oracles import experts as oracle
from toolkit import SequenceBatch, fit
from toolkit.effects.random_effects import RandomEffects
from toolkit.models import NmeCrf, NmeMlp
from toolkit.models.effect_tables import reported_covariance
from toolkit.models.joint_adaptation import speaking_rows
from toolkit.runs.adapting import adapt

LINEAR = {
    "intercept": NmeMlp(hidden=(), effects="layers.0.bias", epochs=60),
    "independent": NmeMlp(hidden=(), epochs=60),
    "correlated": NmeMlp(hidden=(), covariance="full", epochs=60),
    "published update": NmeMlp(hidden=(), variance_update="paper", epochs=60),
}


def renamed(frame: pd.DataFrame, prefix: str = "new ") -> pd.DataFrame:
    return frame.assign(person=prefix + frame["person"])


@pytest.fixture(scope="module")
def fitted():
    made = {}

    def get(name: str):
        if name not in made:
            made[name] = fit(LINEAR[name], rows_of(numbers()), seed=1)
        return made[name]

    return get


@pytest.mark.parametrize(
    "name",
    [case if case in ("published update",) else pytest.param(case, marks=pytest.mark.slow) for case in LINEAR],
)
def test_effects_of_a_linear_network_are_the_blup(fitted, name):
    run, new = fitted(name), renamed(numbers(persons=4, rows=9, seed=5))
    found = adapt(run, rows_of(new), seed=1).random_effects()
    parameters = found["parameter"].drop_duplicates().tolist()
    prior = reported_covariance(run.trained)
    residual = run.variance_components().set_index("term").loc["residual", "variance"]
    columns = {"layers.0.bias": 1.0, "layers.0.weight[a]": new["a"], "layers.0.weight[b]": new["b"]}
    design = np.column_stack([np.broadcast_to(columns[label], len(new)) for label in parameters])
    left = new["y"].to_numpy() - run.predict(rows_of(new), "population")
    for person in new["person"].unique():
        mine = (new["person"] == person).to_numpy()
        eta, covariance = oracle.blup(design[mine], left[mine], np.zeros(len(parameters)), prior, residual)
        own = found[found["level"] == person]
        np.testing.assert_allclose(own["estimate"], eta, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(own["sd"], np.sqrt(np.diag(covariance)), rtol=1e-8)


@pytest.mark.parametrize(
    "name",
    [
        "intercept",
        pytest.param("independent", marks=pytest.mark.slow),
        pytest.param("correlated", marks=pytest.mark.slow),
    ],
)
def test_the_same_rows_under_other_names_get_the_effects_of_the_fit(fitted, name):
    run = fitted(name)
    again = adapt(run, rows_of(renamed(numbers())), seed=7, split=run.split)
    columns = ["estimate", "sd", "low", "high", "reliability"]
    np.testing.assert_allclose(again.random_effects()[columns], run.random_effects()[columns], rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(again.predictions()["prediction"], run.predictions()["prediction"], rtol=1e-7)
    mine, theirs = again.variance_components(), run.variance_components()
    np.testing.assert_allclose(mine["variance"], theirs["variance"], rtol=1e-12)


def test_a_new_person_with_many_rows_has_the_effect_that_made_them(fitted):
    new = renamed(numbers(persons=6, rows=300, seed=11))
    found = adapt(fitted("intercept"), rows_of(new), seed=1).random_effects()
    truth = new.drop_duplicates("person")["bias"].to_numpy()
    # the shared intercept is a sample mean of eight persons: compare about the mean
    np.testing.assert_allclose(found["estimate"] - found["estimate"].mean(), truth - truth.mean(), atol=0.35)
    assert (found["reliability"] > 0.98).all()


def test_a_person_without_a_row_to_adapt_to_keeps_the_prior(fitted):
    run, new = fitted("independent"), rows_of(renamed(numbers(persons=3, rows=10, seed=2)))
    labels = np.where(np.asarray(new.person) == 1, "test", "train")
    adapted = adapt(run, new, seed=1, split=labels)
    mine = adapted.random_effects().query("level == 'new p1'")
    assert (mine["estimate"] == 0).all()
    np.testing.assert_allclose(mine["sd"], np.sqrt(np.diagonal(reported_covariance(run.trained))), rtol=1e-10)
    np.testing.assert_allclose(mine["reliability"], 0, atol=1e-10)
    rows = np.asarray(new.person) == 1
    np.testing.assert_allclose(adapted.predict(new)[rows], run.predict(new, "population")[rows], rtol=1e-12)
    assert (adapted.random_effects().query("level != 'new p1'")["estimate"] != 0).all()


def test_with_no_row_at_all_everybody_keeps_the_prior(fitted):
    run, new = fitted("intercept"), rows_of(renamed(numbers(persons=3, rows=10, seed=2)))
    adapted = adapt(run, new, seed=1, split=np.full(30, "test"))
    assert (adapted.random_effects()["estimate"] == 0).all()
    np.testing.assert_array_equal(adapted.predict(new), run.predict(new, "population"))
    assert np.isfinite(adapted.metrics()["value"].dropna()).all()


def objective(problem, network, eta: torch.Tensor) -> torch.Tensor:
    precision = torch.linalg.inv(network.effects.covariance)
    losses = problem.losses(network.shared, network.effects.layout, problem.lines_of(eta))
    return losses.sum() + 0.5 * ((eta @ precision) * eta).sum()


CLASSED = {
    "binary": (NmeMlp(task="binary", hidden=(), epochs=60), lambda: rows_of(classes(2)), 2),
    "multiclass": (NmeMlp(task="multiclass", hidden=(3,), epochs=40), lambda: rows_of(classes(3, rows=30)), 3),
    "chain": (
        NmeCrf(hidden=(3,), effects="last+T", epochs=40),
        lambda: SequenceBatch.from_frame(
            chains(days=3)[0], target="y", features=["a", "b"], groups="person", time="t", sequence="day"
        ),
        3,
    ),
}


def new_rows(name: str):
    if name == "chain":
        frame = renamed(chains(persons=4, days=3, steps=8, seed=8)[0])
        return SequenceBatch.from_frame(
            frame, target="y", features=["a", "b"], groups="person", time="t", sequence="day"
        )
    return rows_of(renamed(classes(CLASSED[name][2], persons=4, rows=30, seed=8)))


@pytest.fixture(scope="module")
def of_classes():
    made = {}

    def get(name: str):
        if name not in made:
            config, make, _ = CLASSED[name]
            made[name] = fit(config, make(), seed=1)
        return made[name]

    return get


@pytest.mark.parametrize(
    "name", [case if case == "binary" else pytest.param(case, marks=pytest.mark.slow) for case in CLASSED]
)
def test_effects_of_classes_are_at_their_mode(of_classes, name):
    run, new = of_classes(name), new_rows(name)
    adapted = adapt(run, new, seed=1)
    network = adapted.trained.network
    rows = new.data if isinstance(new, SequenceBatch) else new
    rows = rows.as_classes(network.classes)
    problem = speaking_rows(network, rows, np.full(rows.n_rows, "train"), np.asarray(rows.person))
    eta = network.effects.eta.detach().clone().requires_grad_(True)
    value = objective(problem, network, eta)
    value.backward()
    assert float(eta.grad.abs().max()) < 1e-5
    assert float(network.effects.eta.abs().max()) > 0.05
    assert adapted.status.converged
    rng = np.random.default_rng(0)
    for _ in range(5):  # and it is a minimum
        other = eta.detach() + 0.1 * torch.as_tensor(rng.normal(size=tuple(eta.shape)))
        assert float(objective(problem, network, other)) > value.item()


def test_effects_of_a_logistic_model_are_the_mode_by_its_own_predictions(of_classes):
    run, new = of_classes("binary"), new_rows("binary")
    network = adapt(run, new, seed=1).trained.network
    codes = np.asarray(new.as_classes(network.classes).target).astype(int)
    precision = np.linalg.inv(network.effects.covariance.numpy())

    def of_person(line: np.ndarray) -> float:
        eta = network.effects.eta.clone()
        eta[2] = torch.as_tensor(line)
        other = replace(
            network,
            effects=RandomEffects(layout=network.effects.layout, eta=eta, covariance=network.effects.covariance),
        )
        chosen = np.asarray(new.person) == 2
        return -np.log(other.predict(new)[chosen, codes[chosen]]).sum() + 0.5 * line @ precision @ line

    at = network.effects.eta[2].numpy()
    for direction in np.eye(len(at)):
        slope = (of_person(at + 1e-4 * direction) - of_person(at - 1e-4 * direction)) / 2e-4
        assert slope == pytest.approx(0.0, abs=1e-4)


@pytest.mark.slow
def test_deeper_effects_are_found_too():
    """Where effects do not enter linearly the steps never raise the objective."""
    config = NmeMlp(hidden=(3,), effects="all", epochs=40)
    run, new = fit(config, rows_of(numbers()), seed=1), rows_of(renamed(numbers(persons=3, rows=20, seed=4)))
    adapted = adapt(run, new, seed=1)
    mse = {level: np.mean((adapted.predict(new, level) - new.target) ** 2) for level in ("person", "population")}
    assert mse["person"] < 0.8 * mse["population"]


def test_adapting_leaves_the_run_as_it_is(fitted):
    run = fitted("independent")
    before = {name: value.clone() for name, value in run.trained.network.shared.items()}
    eta, table = run.trained.network.effects.eta.clone(), run.random_effects()
    adapt(run, rows_of(renamed(numbers(seed=3))), seed=1)
    assert all(torch.equal(value, run.trained.network.shared[name]) for name, value in before.items())
    assert torch.equal(eta, run.trained.network.effects.eta)
    pd.testing.assert_frame_equal(table, run.random_effects())
