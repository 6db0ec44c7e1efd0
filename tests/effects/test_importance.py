"""Moments of posteriors by importance sampling, against numerical integration and NUTS."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.effects.problems import random_problem
from toolkit.effects.importance import corrected_moments
from toolkit.effects.posterior import newton_step, posterior
from toolkit.effects.random_effects import RandomEffects

NUTS = Path(__file__).parents[1] / "golden" / "chain_posterior_nuts.csv"


@pytest.mark.slow
def test_moments_of_a_skewed_posterior_are_those_of_integration():
    problem, shared, layout, persons = random_problem("binary", "layers.0.bias", persons=3, rows=5)
    effects = RandomEffects(
        layout=layout, eta=torch.zeros((persons, 1), dtype=torch.float64), covariance=4.0 * torch.eye(1).double()
    )
    for _ in range(15):
        effects = replace(effects, eta=newton_step(problem, shared, effects, 1.0)[0])
    at = posterior(problem, shared, effects, 1.0)
    found = corrected_moments(problem, shared, effects, at, 1.0, draws=20_000, rng=np.random.default_rng(0))
    grid = torch.linspace(-15, 15, 3001, dtype=torch.float64)
    weights = np.empty((len(grid), persons))
    for place, value in enumerate(grid):
        lines = problem.lines_of(torch.full((persons, 1), float(value), dtype=torch.float64))
        losses = torch.zeros(persons, dtype=torch.float64)
        losses[problem.persons] = problem.losses(shared, layout, lines)
        weights[place] = torch.exp(-losses - 0.5 * value**2 / 4.0).numpy()
    weights /= weights.sum(axis=0)
    mean = (weights * grid.numpy()[:, None]).sum(axis=0)
    sd = np.sqrt((weights * (grid.numpy()[:, None] - mean) ** 2).sum(axis=0))
    assert (found.effective > 5_000).all()
    assert np.abs(effects.eta[:, 0].numpy() - mean).max() > 0.02  # the mode is not the mean
    np.testing.assert_allclose(found.mean[:, 0], mean, atol=0.02)
    np.testing.assert_allclose(found.sd[:, 0], sd, rtol=0.02)


@pytest.mark.slow
def test_transition_effects_agree_with_nuts():
    """Corrected moments within Monte Carlo error of NUTS; Laplace's within what docs/mixed-effects.md says."""
    pytest.importorskip("benchmarks.peers.chain_posterior_nuts")
    from benchmarks.peers.chain_posterior_nuts import compare

    assert NUTS.exists()
    for values in compare().values():
        assert values["corrected_mean_off"] < 5 * values["nuts_mean_error"] + 0.03
        assert values["corrected_sd_off"] < 5 * values["nuts_sd_error"] + 0.03
        assert values["mode_off"] < 0.3
        assert values["laplace_sd_off"] < 0.08
