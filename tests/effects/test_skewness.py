"""What moves with mode and Hessian: third derivatives, and the Laplace approximation of the likelihood."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.effects.problems import random_problem
from tests.effects.test_posterior import effects_of
from toolkit.effects.posterior import loss_curvature, posterior
from toolkit.effects.skewness import pulled_back, skew_slopes, skewed_moments, square_roots
from toolkit.models.climbing import laplace_log_likelihood, to_mode
from toolkit.models.fit_state import State, VarianceRule, start_state
from toolkit.models.noise import Noise

CASES = [("binary", "last"), ("multiclass", "last"), ("sequence", "T"), ("sequence", "last+T")]


@pytest.mark.parametrize(
    ("task", "effects"),
    [case if case[1] != "last+T" else pytest.param(*case, marks=pytest.mark.slow) for case in CASES],
)
def test_slopes_are_those_of_the_log_determinant(task, effects):
    problem, shared, layout, persons = random_problem(task, effects, rows=9)
    at = effects_of(layout, persons)
    spread = posterior(problem, shared, at, 1.0).covariance
    lines = problem.lines_of(at.eta)
    roots = square_roots(spread)[problem.persons]
    found = pulled_back(problem, shared, layout, lines, skew_slopes(problem, shared, layout, lines, roots))
    precision = torch.linalg.inv(at.covariance)

    def half_determinant(values: torch.Tensor) -> torch.Tensor:
        return 0.5 * torch.linalg.slogdet(loss_curvature(problem, shared, layout, values) + precision)[1]

    for place in range(layout.size):
        step = torch.zeros_like(lines)
        step[:, place] = 1e-4
        expected = (half_determinant(lines + step) - half_determinant(lines - step)) / 2e-4
        np.testing.assert_allclose(found[:, place].numpy(), expected.numpy(), rtol=2e-4, atol=1e-6)


def test_squared_errors_have_none():
    problem, shared, layout, persons = random_problem("regression", "last")
    at = effects_of(layout, persons)
    roots = square_roots(posterior(problem, shared, at, 1.0).covariance)[problem.persons]
    slopes = skew_slopes(problem, shared, layout, problem.lines_of(at.eta), roots)
    assert slopes[0].abs().max() < 1e-10


def test_moments_follow_the_formula():
    generator = torch.Generator().manual_seed(0)
    eta, shift = (torch.randn((4, 2), generator=generator, dtype=torch.float64) for _ in range(2))
    spread = torch.eye(2, dtype=torch.float64).expand(4, 2, 2)
    for person, found in enumerate(skewed_moments(eta, spread, shift)):
        e, s = eta[person].numpy(), shift[person].numpy()
        np.testing.assert_allclose(found.numpy(), np.outer(e, e) + np.eye(2) - np.outer(s, e) - np.outer(e, s))


def likelihood(problem, state: State) -> float:
    return laplace_log_likelihood(problem, state, to_mode(problem, state))


def test_the_likelihood_of_numbers_is_exact():
    """Against the dense normal density."""
    problem, shared, layout, persons = random_problem("regression", "last")
    state = start_state(shared, layout, persons, VarianceRule(update="em", noise=Noise()))
    state.sigma2.fill_(0.7)
    total = 0.0
    weight, bias = shared["layers.0.weight"].numpy()[0], float(shared["layers.0.bias"])
    for features, target in problem.known_rows:
        design = np.column_stack([features, np.ones(len(features))])
        covariance = design @ design.T + 0.7 * np.eye(len(features))
        residual = target - features @ weight - bias
        total -= 0.5 * (np.linalg.slogdet(2 * np.pi * covariance)[1] + residual @ np.linalg.solve(covariance, residual))
    assert likelihood(problem, state) == pytest.approx(total, rel=1e-10)


def test_a_person_without_rows_adds_nothing():
    problem, shared, layout, persons = random_problem("binary", "last")
    rule = VarianceRule(update="em")
    state, larger = start_state(shared, layout, persons, rule), start_state(shared, layout, persons + 3, rule)
    assert likelihood(problem, state) == pytest.approx(likelihood(problem, larger), rel=1e-12)


def test_the_root_of_a_covariance_without_room_in_one_direction():
    flat = torch.tensor([[1.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    root = square_roots(flat[None])[0]
    np.testing.assert_allclose((root @ root.T).numpy(), flat.numpy(), atol=1e-10)
