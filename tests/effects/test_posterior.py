"""The posterior of the person effects against Hessians by autograd and dense normal algebra."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch.func import hessian

from tests.effects.problems import random_problem
from toolkit.effects.posterior import loss_curvature, newton_step, posterior, posterior_covariance
from toolkit.effects.random_effects import RandomEffects

CASES = [
    ("regression", "last"),
    ("binary", "last"),
    ("multiclass", "last"),
    ("ordinal", "last"),
    ("count", "last"),
    ("sequence", "last"),
    ("sequence", "T"),
    ("sequence", "last+T"),
]


def effects_of(layout, persons: int, seed: int = 3, scale: float = 0.5) -> RandomEffects:
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn((layout.size, layout.size + 3), generator=generator, dtype=torch.float64)
    eta = scale * torch.randn((persons, layout.size), generator=generator, dtype=torch.float64)
    return RandomEffects(layout=layout, eta=eta, covariance=root @ root.T / layout.size)


@pytest.mark.parametrize(("task", "effects"), CASES)
@pytest.mark.parametrize("hidden", [(), (3,)])
def test_curvature_is_the_hessian_where_effects_enter_linearly(task, effects, hidden):
    problem, shared, layout, persons = random_problem(task, effects, hidden=hidden)
    at = effects_of(layout, persons)
    lines = problem.lines_of(at.eta)
    found = loss_curvature(problem, shared, layout, lines)
    whole = hessian(lambda values: problem.losses(shared, layout, values).sum())(lines)
    for line in range(lines.shape[0]):
        torch.testing.assert_close(found[line], whole[line, :, line], rtol=1e-8, atol=1e-8)
    others = ~torch.eye(lines.shape[0], dtype=torch.bool)
    assert not whole.transpose(1, 2)[others].any()  # a person's loss knows no other person's effects


@pytest.mark.parametrize("task", ["regression", "binary", "multiclass", "ordinal", "count", "sequence"])
def test_curvature_of_deep_effects_is_positive_semidefinite(task):
    problem, shared, layout, persons = random_problem(task, "all", hidden=(3,))
    found = loss_curvature(problem, shared, layout, problem.lines_of(effects_of(layout, persons).eta))
    torch.testing.assert_close(found, found.transpose(1, 2), rtol=1e-9, atol=1e-9)
    assert torch.linalg.eigvalsh(found).min() > -1e-8


def test_posterior_covariance_is_the_dense_inverse():
    problem, shared, layout, persons = random_problem("sequence", "last+T")
    at = effects_of(layout, persons)
    found = posterior(problem, shared, at, weight=0.7)
    precision = torch.linalg.inv(at.covariance)
    expected = torch.linalg.inv(0.7 * found.curvature + precision)
    torch.testing.assert_close(found.covariance, expected, rtol=1e-8, atol=1e-8)


def test_a_person_without_rows_keeps_the_prior():
    problem, shared, layout, persons = random_problem("regression", "last")
    at = effects_of(layout, persons + 1)  # the last person has no line
    eta, found = newton_step(problem, shared, at, weight=1.0)
    assert not found.curvature[-1].any()
    torch.testing.assert_close(found.covariance[-1], at.covariance)
    torch.testing.assert_close(eta[-1], torch.zeros_like(eta[-1]), rtol=0, atol=1e-10)


def test_a_vanishing_prior_does_no_harm():
    curvature = torch.eye(3, dtype=torch.float64)[None] * 1e6
    tiny = 1e-12 * torch.eye(3, dtype=torch.float64)
    found = posterior_covariance(curvature, tiny, 1.0)[0]
    torch.testing.assert_close(found, tiny / (1 + 1e-6), rtol=1e-9, atol=0)


@pytest.mark.parametrize("seed", range(3))
def test_one_newton_step_is_blup_in_a_linear_model(seed):
    problem, shared, layout, persons = random_problem("regression", "last", hidden=(), seed=seed)
    sigma2 = 0.6
    start = effects_of(layout, persons, seed)
    eta, found = newton_step(problem, shared, start, weight=0.5 / sigma2)
    weight, bias = shared["layers.0.weight"].numpy(), shared["layers.0.bias"].numpy()
    prior = start.covariance.numpy()
    for line, (features, target) in enumerate(problem.known_rows):
        person = int(problem.persons[line])
        design = np.column_stack([features, np.ones(len(features))])  # the network's order: weight, then bias
        residual = target - features @ weight[0] - bias[0]
        dense = design @ prior @ design.T + sigma2 * np.eye(len(design))
        blup = prior @ design.T @ np.linalg.solve(dense, residual)
        spread = prior - prior @ design.T @ np.linalg.solve(dense, design @ prior)
        np.testing.assert_allclose(eta[person].numpy(), blup, rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(found.covariance[person].numpy(), spread, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(
    ("task", "effects"),
    [case if case in CASES[1:4] else pytest.param(*case, marks=pytest.mark.slow) for case in CASES[1:]],
)
def test_newton_steps_end_where_the_gradient_is_zero(task, effects):
    problem, shared, layout, persons = random_problem(task, effects)
    at = effects_of(layout, persons, scale=2.0)
    precision = torch.linalg.inv(at.covariance)

    def objective(eta):
        return problem.losses(shared, layout, problem.lines_of(eta)).sum() + 0.5 * ((eta @ precision) * eta).sum()

    values = [float(objective(at.eta))]
    for _ in range(20):
        eta, _ = newton_step(problem, shared, at, weight=1.0)
        at = RandomEffects(layout=layout, eta=eta, covariance=at.covariance)
        values.append(float(objective(eta)))
    assert all(after <= before + 1e-9 for before, after in itertools.pairwise(values))
    eta = at.eta.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(objective(eta), eta)
    assert slope.abs().max() < 1e-7
