"""Logistic models with one random effect a level: against integrals, differences of values, and lme4."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit, gammaln

from toolkit.numerics.binary_effects.batch import batch_loss
from toolkit.numerics.binary_effects.level_rows import level_rows
from toolkit.numerics.binary_effects.one_factor import maximise
from toolkit.numerics.binary_effects.quadrature import evaluate

GOLDEN = Path(__file__).parents[1] / "golden"


def simulated(rows=300, levels=20, sd=1.3, seed=0, slopes=False):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, levels - 2, rows)  # two levels have no rows
    design = rng.normal(size=rows) if slopes else None
    logits = rng.normal(size=rows)
    effects = sd * rng.normal(size=levels)[codes] * (1.0 if design is None else design)
    return (rng.random(rows) < expit(logits + effects)).astype(float), codes, logits, design


def integrals(target, codes, logits, design, levels, sd):
    """Logarithm of each level's integral, its mean and variance, by the trapezoidal rule on a fine grid."""
    grid, found = np.linspace(-20, 20, 4001), np.zeros((levels, 3))
    for level in range(levels):
        own = codes == level
        z = np.ones(own.sum()) if design is None else design[own]
        eta = logits[own, None] + sd * z[:, None] * grid
        logs = (target[own, None] * eta - np.logaddexp(0.0, eta)).sum(axis=0) - 0.5 * grid**2
        mass = np.exp(logs - logs.max())
        mean = (mass * grid).sum() / mass.sum()
        value = np.log(mass.sum() * 0.01 / np.sqrt(2 * np.pi)) + logs.max()
        found[level] = value, sd * mean, sd**2 * (mass * (grid - mean) ** 2).sum() / mass.sum()
    return found


@pytest.mark.parametrize("slopes", [False, True])
def test_value_and_posterior_are_the_integrals(slopes):
    target, codes, logits, design = simulated(slopes=slopes)
    truth = integrals(target, codes, logits, design, 20, 1.3)
    found = evaluate(level_rows(target, codes, 20, design), logits, 1.3, nodes=41)
    assert found.value == pytest.approx(truth[:, 0].sum(), abs=1e-5)
    np.testing.assert_allclose(found.mean, truth[:, 1], atol=1e-4)
    np.testing.assert_allclose(found.sd**2, truth[:, 2], rtol=1e-4)
    assert found.mean[-1] == 0.0
    assert found.sd[-1] == pytest.approx(1.3)


@pytest.mark.parametrize("nodes", [1, 2, 5, 15])
@pytest.mark.parametrize("slopes", [False, True])
def test_derivatives_are_differences_of_the_values(nodes, slopes):
    target, codes, logits, design = simulated(slopes=slopes)
    rows = level_rows(target, codes, 20, design)
    found = evaluate(rows, logits, 1.3, nodes=nodes)

    def value(theta, change=0.0):
        moved = logits.copy()
        moved[7] += change
        return evaluate(rows, moved, theta, nodes=nodes).value

    assert found.by_theta == pytest.approx((value(1.3 + 1e-5) - value(1.3 - 1e-5)) / 2e-5, abs=1e-6)
    assert found.by_logit[7] == pytest.approx((value(1.3, 1e-5) - value(1.3, -1e-5)) / 2e-5, abs=1e-6)


@pytest.mark.slow
def test_large_levels_of_one_kind_do_not_underflow():
    rng = np.random.default_rng(1)
    codes = np.repeat(np.arange(4), 1_500)
    target = np.concatenate([np.zeros(1_500), np.ones(1_500), np.zeros(3_000)])
    target[3_000:4_500] = rng.random(1_500) < 0.4
    logits = rng.normal(size=6_000)
    logits[4_500:] = 30.0  # certain to be one, and none is
    found = evaluate(level_rows(target, codes, 4), logits, 2.0, nodes=25)
    truth = integrals(target, codes, logits, None, 4, 2.0)
    assert found.value == pytest.approx(truth[:, 0].sum(), rel=1e-7)
    np.testing.assert_allclose(found.mean, truth[:, 1], rtol=1e-4)
    np.testing.assert_allclose(found.sd, np.sqrt(truth[:, 2]), rtol=1e-3)


def cbpp():
    frame = pd.read_csv(GOLDEN / "cbpp.csv")
    counts = np.column_stack([frame["incidence"], frame["size"] - frame["incidence"]]).ravel()
    long = frame.loc[np.repeat(np.arange(len(frame)), 2)].assign(y=np.tile([1.0, 0.0], len(frame)))
    constant = gammaln(frame["size"] + 1) - gammaln(frame["incidence"] + 1)
    constant -= gammaln(frame["size"] - frame["incidence"] + 1)
    return long.iloc[np.repeat(np.arange(len(long)), counts)], float(constant.sum())


@pytest.mark.parametrize(("case", "nodes"), [("cbpp_nAGQ1", 1), ("cbpp_nAGQ25", 25)])
def test_maximum_is_lme4s(case, nodes):
    expected = pd.read_csv(GOLDEN / "glmm_goldens.csv").set_index(["case", "stat"])["value"].loc[case].astype(float)
    frame, constant = cbpp()
    period = frame["period"].to_numpy()
    fixed = np.column_stack([np.ones(len(frame)), *((period == own).astype(float) for own in (2, 3, 4))])
    codes = np.unique(frame["herd"], return_inverse=True)[1]
    rows = level_rows(frame["y"].to_numpy(), codes, 15)
    found = maximise(rows, np.zeros(len(frame)), fixed, nodes=nodes, curvature=True)
    names = ["(Intercept)", "period2", "period3", "period4"]
    assert found.converged
    assert found.theta == pytest.approx(expected["sdcor[herd:(Intercept)]"], rel=1e-5)
    assert found.beta.tolist() == pytest.approx([expected[f"beta[{name}]"] for name in names], rel=1e-5)
    se = np.sqrt(np.diagonal(np.linalg.inv(found.information)))[1:]
    assert se.tolist() == pytest.approx([expected[f"se[{name}]"] for name in names], rel=2e-5)
    if nodes == 1:  # lme4's quadrature leaves a constant of grouped binomials out
        assert found.value + constant == pytest.approx(expected["logLik"], abs=1e-6)


def test_a_variance_of_zero_is_found():
    rng = np.random.default_rng(3)
    codes, fixed = rng.integers(0, 40, 2_000), np.ones((2_000, 1))
    target = np.zeros(2_000)
    for level in range(40):  # every level has the same share of ones: less spread than chance would give
        own = np.flatnonzero(codes == level)
        target[own[: len(own) // 3]] = 1.0
    found = maximise(level_rows(target, codes, 40), np.zeros(2_000), fixed, nodes=15)
    assert found.theta == pytest.approx(0.0, abs=1e-3)
    assert found.beta[0] == pytest.approx(np.log(target.mean() / (1.0 - target.mean())), abs=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_batch_has_the_likelihood_of_its_rows(dtype):
    target, codes, logits, _ = simulated()
    tensor = torch.tensor(logits, dtype=dtype, requires_grad=True)
    log_variance = torch.tensor(0.5, dtype=dtype, requires_grad=True)
    loss = 3.0 * batch_loss(tensor, torch.exp(0.5 * log_variance), target, codes + 7, nodes=5)
    loss.backward()
    sd = float(torch.exp(0.5 * log_variance).detach())
    whole = evaluate(level_rows(target, codes, 20), logits, sd, nodes=5)
    assert float(loss.detach()) == pytest.approx(-3.0 * whole.value, rel=1e-5)
    np.testing.assert_allclose(tensor.grad.numpy(), -3.0 * whole.by_logit, atol=1e-4)
    assert float(log_variance.grad) == pytest.approx(-3.0 * whole.by_theta * 0.5 * sd, rel=1e-3)
