"""Moments of the posterior by quadrature, and the step from mode to mean, against a dense grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.effects.problems import random_problem
from toolkit.effects.posterior import mean_from_mode, newton_step, posterior
from toolkit.effects.quadrature import expected_slopes, posterior_moments
from toolkit.effects.random_effects import EffectLayout, RandomEffects
from toolkit.effects.skewness import pulled_back


def at_mode(task: str, names: str):
    problem, shared, layout, persons = random_problem(task, names)
    eta, identity = (torch.zeros((persons, layout.size)).double(), torch.eye(layout.size, dtype=torch.float64))
    effects = RandomEffects(layout=layout, eta=eta, covariance=0.6 * identity)
    for _ in range(30):
        effects = replace(effects, eta=newton_step(problem, shared, effects, 1.0)[0])
    return problem, shared, effects


def on_a_grid(problem, shared, effects) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean, covariance and expected loss by brute force, of one or two effects."""
    size = effects.layout.size
    steps = torch.linspace(-5.0, 5.0, 400 if size == 1 else 61, dtype=torch.float64)
    points = torch.cartesian_prod(*[steps] * size).reshape(-1, size)
    lines = points[:, None].expand(-1, len(effects.eta), -1)
    losses = torch.stack([problem.losses(shared, effects.layout, problem.lines_of(eta)) for eta in lines])
    order = torch.argsort(problem.persons)
    assert len(order) == len(effects.eta)
    losses = losses[:, order]
    mass = torch.softmax(-losses - 0.5 * (points**2).sum(dim=1)[:, None] / 0.6, dim=0)
    mean = mass.T @ points
    away = points[:, None] - mean
    covariance = torch.einsum("kp,kpd,kpe->pde", mass, away, away)
    return mean.numpy(), covariance.numpy(), float((mass * losses).sum())


@pytest.mark.parametrize(
    "task", ["binary", pytest.param("count", marks=pytest.mark.slow), pytest.param("ordinal", marks=pytest.mark.slow)]
)
def test_moments_are_those_of_a_dense_grid(task):
    problem, shared, effects = at_mode(task, "layers.0.bias")
    found = posterior_moments(problem, shared, effects, posterior(problem, shared, effects, 1.0), 1.0)
    mean, covariance, loss = on_a_grid(problem, shared, effects)
    np.testing.assert_allclose(found.mean, mean, atol=1e-5)
    np.testing.assert_allclose(found.covariance, covariance, rtol=1e-4)
    assert found.loss == pytest.approx(loss, rel=1e-5)


@pytest.mark.slow
def test_the_mean_is_near_the_mode_and_its_skew():
    problem, shared, effects = at_mode("binary", "layers.0.bias")
    at = posterior(problem, shared, effects, 1.0)
    mean, _, _ = on_a_grid(problem, shared, effects)
    step = mean_from_mode(problem, shared, effects, at, 1.0).numpy()
    left, before = np.abs(mean - effects.eta.numpy() - step), np.abs(mean - effects.eta.numpy())
    assert left.max() < 0.35 * before.max()


@pytest.mark.slow
@pytest.mark.parametrize(("task", "names"), [("binary", "layers.0.bias"), ("count", "layers.0.bias")])
def test_expected_slopes_are_those_of_the_marginal_likelihood(task, names):
    problem, shared, effects = at_mode(task, names)

    def log_likelihood(values: dict[str, torch.Tensor]) -> float:
        steps = torch.linspace(-5.0, 5.0, 201, dtype=torch.float64)[:, None]
        lines = steps[:, None].expand(-1, len(effects.eta), -1)
        losses = torch.stack([problem.losses(values, effects.layout, problem.lines_of(eta)) for eta in lines])
        return float(torch.logsumexp(-losses - 0.5 * steps**2 / 0.6, dim=0).sum())

    counts = [value.numel() for value in shared.values()]
    everything = EffectLayout(
        names=tuple(shared), shapes=tuple(tuple(value.shape) for value in shared.values()), labels=("",) * sum(counts)
    )
    spread = torch.zeros((1, sum(counts)), dtype=torch.float64)
    spread[0, sum(counts[: list(shared).index(names)])] = 1.0
    moments = posterior_moments(problem, shared, effects, posterior(problem, shared, effects, 1.0), 1.0)
    lines = problem.lines_of(effects.eta) @ spread
    slopes = expected_slopes(problem, shared, everything, spread, moments)
    found = pulled_back(problem, shared, everything, lines, slopes).sum(dim=0)
    expected = []
    for key, place in [(name, place) for name in shared for place in range(shared[name].numel())]:
        sides = []
        for step in (1e-4, -1e-4):
            moved = {own: value.clone() for own, value in shared.items()}
            moved[key].view(-1)[place] += step
            sides.append(log_likelihood(moved))
        expected.append((sides[1] - sides[0]) / 2e-4)
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-4)
