"""Absolute errors and Huber's loss: against generic optimisers, and against quadrature of their likelihoods."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.stats import norm

from tests.models.simulated import fitted, rows_of
from toolkit import fit
from toolkit.errors import ConfigError
from toolkit.models import GenericMlp, MlpLme, NmeMlp
from toolkit.models.effect_tables import effects_table, variance_table
from toolkit.models.noise import Noise, huber_constant
from toolkit.runs.adapting import adapt
from toolkit.runs.folder import load_run
from toolkit.runs.restore import restore_network

BIAS = "layers.0.bias"
SETTLED = {"hidden": (), "patience": 60}
NODES = np.linspace(-6.0, 6.0, 301)
WEIGHTS = norm.pdf(NODES) * (NODES[1] - NODES[0])


def frame(persons: int = 30, rows: int = 15, seed: int = 0, odd: float = 0.05) -> pd.DataFrame:
    """A numeric outcome with Laplace residuals, some of them very far off."""
    rng = np.random.default_rng(seed)
    code = np.repeat(np.arange(persons), rows)
    x = rng.standard_normal((len(code), 2))
    y = 3.0 + x @ [1.0, -0.5] + rng.standard_normal(persons)[code] + rng.laplace(scale=0.7, size=len(code))
    y += np.where(rng.random(len(code)) < odd, 10.0, 0.0)
    names = [f"p{c:02d}" for c in code]
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": y, "person": names, "t": np.arange(len(code))})


def density(loss: str, residual: np.ndarray, variance: float, delta: float) -> np.ndarray:
    """Logarithm of the density of residuals on the standardised scale."""
    size, weight = np.abs(residual), Noise(density="laplace" if loss == "l1" else "huber", delta=delta).weight(variance)
    if loss == "l1":
        return -weight * size + np.log(weight / 2.0)
    bent = np.where(size <= delta, 0.5 * size**2, delta * size - 0.5 * delta**2)
    return -weight * bent - np.log(huber_constant(weight, delta))


@pytest.mark.parametrize(("loss", "delta"), [("l1", None), ("huber", 0.4)])
def test_without_effects_the_sum_of_losses_is_at_its_minimum(loss, delta):
    given = frame()
    trained = fitted(GenericMlp(loss=loss, huber_delta=delta, lr=0.002, epochs=1500, **SETTLED), rows_of(given))
    unit = trained.network.scaler.target_scale
    design = np.column_stack([given[["a", "b"]].to_numpy(), np.ones(len(given))])

    def total(beta: np.ndarray) -> float:
        size = np.abs(given["y"].to_numpy() - design @ beta) / unit
        if loss == "l1":
            return float(size.sum())
        return float(np.where(size <= delta, 0.5 * size**2, delta * size - 0.5 * delta**2).sum())

    best = minimize(total, [1.0, -0.5, 3.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10}).x
    np.testing.assert_allclose(trained.network.predict(rows_of(given)), design @ best, atol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "delta"), [("l1", None), ("huber", 0.4)])
def test_variances_are_near_the_maximum_of_the_likelihood_by_quadrature(loss, delta):
    given = frame(persons=60, odd=0.0)
    trained = fitted(NmeMlp(loss=loss, huber_delta=delta, effects=BIAS, **SETTLED), rows_of(given))
    network = trained.network
    unit = network.scaler.target_scale
    person = given["person"].to_numpy()
    fixed = given["y"].to_numpy() - network.predict(rows_of(given), "population")

    def minus_loglik(values: np.ndarray) -> float:
        sd, variance = np.exp(values[:2])
        each = density(loss, (fixed[:, None] - values[2]) / unit - sd * NODES, variance, delta or 1.0)
        joint = pd.DataFrame(each).groupby(person).sum().to_numpy()
        top = joint.max(axis=1, keepdims=True)
        return -float((top[:, 0] + np.log(np.exp(joint - top) @ WEIGHTS)).sum())

    best = minimize(minus_loglik, [np.log(0.5), np.log(0.3), 0.0], method="Nelder-Mead", options={"xatol": 1e-5}).x
    table = variance_table(trained).set_index("term")["sd"]
    assert table["person"] == pytest.approx(np.exp(best[0]) * unit, rel=0.04)
    assert table["residual"] == pytest.approx(np.exp(best[1] / 2.0) * unit, rel=0.02)
    sd, variance = np.exp(best[:2])
    each = density(loss, (fixed[:, None] - best[2]) / unit - sd * NODES, variance, delta or 1.0)
    joint = pd.DataFrame(each).groupby(person).sum()
    mass = np.exp(joint.to_numpy() - joint.to_numpy().max(axis=1, keepdims=True)) * WEIGHTS
    mass /= mass.sum(axis=1, keepdims=True)
    mean = mass @ (sd * NODES)
    spread = np.sqrt(mass @ np.square(sd * NODES) - mean**2) * unit
    effects = effects_table(trained).set_index("level").loc[list(joint.index)]
    assert effects["sd"].mean() == pytest.approx(spread.mean(), rel=0.15)
    assert np.corrcoef(effects["estimate"], mean)[0, 1] > 0.99


@pytest.mark.slow
def test_odd_answers_pull_less():
    clean, dirty = frame(odd=0.0), frame()
    away = {}
    for loss in ("mse", "l1", "huber"):
        before, after = (
            fitted(NmeMlp(loss=loss, effects=BIAS, **SETTLED), rows_of(given)).network.predict(rows_of(clean))
            for given in (clean, dirty)
        )
        away[loss] = np.sqrt(np.mean((after - before) ** 2))
    assert away["l1"] < 0.5 * away["mse"]
    assert away["huber"] < 0.8 * away["mse"]


@pytest.mark.slow
def test_a_saved_run_predicts_and_adapts_as_the_run_did(tmp_path):
    given = frame(persons=8)
    run = fit(NmeMlp(loss="l1", hidden=(), effects=BIAS, epochs=20), rows_of(given), seed=1, out=tmp_path / "run")
    saved = load_run(tmp_path / "run")
    np.testing.assert_allclose(saved.predict(rows_of(given)), run.predict(rows_of(given)))
    scale = run.trained.network.criterion.scale
    assert scale == pytest.approx(np.sqrt(run.trained.estimate.sigma2 / 2.0))
    assert restore_network(saved).criterion.scale == pytest.approx(scale)
    new = rows_of(frame(persons=3, seed=5).assign(person=lambda f: "n" + f["person"]))
    both = [adapt(one, new, split=None, seed=1).random_effects()["estimate"].to_numpy() for one in (run, saved)]
    np.testing.assert_allclose(both[0], both[1])


def test_a_loss_has_to_apply():
    with pytest.raises(ConfigError, match="huber_delta"):
        NmeMlp(huber_delta=1.0)
    with pytest.raises(ConfigError, match="does not fit") as caught:
        NmeMlp(task="binary", loss="l1")
    assert caught.value.remedy == "use 'cross_entropy'"
    with pytest.raises(ConfigError, match="normal residuals"):
        MlpLme(loss="huber")
