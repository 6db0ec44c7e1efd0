"""Effective sample size, R-hat and Monte Carlo error against plain loops and known processes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from toolkit.sampling.diagnostics import ess, mcse, rhat


def autoregression(rho, *, chains=4, draws=4000, seed=1):
    rng = np.random.default_rng(seed)
    x = np.zeros((chains, draws))
    x[:, 0] = rng.standard_normal(chains)
    for t in range(1, draws):
        x[:, t] = rho * x[:, t - 1] + np.sqrt(1 - rho**2) * rng.standard_normal(chains)
    return x


def plain_ess(x):
    """Vehtari et al. (2021), equation 10 to 13, by loops, for chains as they come."""
    m, n = x.shape
    mean, var = x.mean(1), x.var(1, ddof=1)
    w, b = var.mean(), n * mean.var(ddof=1)
    total = (n - 1) / n * w + b / n
    rho = [1.0]
    for lag in range(1, n):
        gamma = np.mean([np.dot(c[: n - lag] - c.mean(), c[lag:] - c.mean()) / (n - 1) for c in x])
        rho.append(1 - (w - gamma) / total)
    tau, least = -1.0, np.inf
    for t in range(0, n - 1, 2):
        pair = rho[t] + rho[t + 1]
        if pair <= 0:
            break
        least = min(least, pair)
        tau += 2 * least
    return m * n / tau


def halves(x):
    half = x.shape[1] // 2
    return np.concatenate([x[:, :half], x[:, -half:]])


def test_ess_is_that_of_plain_loops():
    x = autoregression(0.6, draws=300)
    assert ess(x, kind="mean") == pytest.approx(plain_ess(halves(x)), rel=1e-9)


def test_bulk_ess_ranks_first():
    x = np.exp(3 * autoregression(0.4, draws=200))
    split = halves(x)
    rank = np.argsort(np.argsort(split.ravel())).reshape(split.shape) + 1
    assert ess(x) == pytest.approx(plain_ess(norm.ppf((rank - 0.375) / (split.size + 0.25))), rel=1e-9)


def test_ess_of_an_autoregression_is_known():
    rho = 0.7
    assert ess(autoregression(rho)) == pytest.approx(16_000 * (1 - rho) / (1 + rho), rel=0.15)


def test_rhat_is_one_for_one_process_alone():
    x = autoregression(0.3)
    assert rhat(x) < 1.01
    x[0] += 1.0
    assert rhat(x) > 1.05
    y = autoregression(0.3, seed=2)
    y[0] *= 3.0
    assert rhat(y) > 1.05


def test_rhat_without_ranks_is_the_plain_formula():
    x = norm.ppf((np.arange(1, 401) - 0.375) / 400.25).reshape(4, 100)
    split = halves(x)
    w, b = split.var(1, ddof=1).mean(), 50 * split.mean(1).var(ddof=1)
    assert rhat(x) == pytest.approx(np.sqrt((49 / 50 * w + b / 50) / w), rel=1e-6)


def test_mcse_is_the_spread_of_means():
    found = [autoregression(0.5, chains=1, draws=500, seed=s) for s in range(200)]
    spread = np.std([x.mean() for x in found])
    assert np.mean([mcse(x) for x in found]) == pytest.approx(spread, rel=0.15)


def test_quantities_keep_their_shape():
    x = np.random.default_rng(3).standard_normal((2, 50, 3, 5))
    assert ess(x).shape == rhat(x).shape == mcse(x).shape == (3, 5)
    assert np.isnan(ess(np.ones((2, 50, 1)))).all()
