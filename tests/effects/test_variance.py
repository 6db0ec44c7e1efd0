"""The variance updates against dense linear mixed model algebra."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from toolkit.effects import variance
from toolkit.effects.posterior import posterior_covariance

PERSONS, SIZE, SIGMA2 = 12, 2, 0.5


class LinearMixedModel:
    """Random intercept and slope with known variances; everything by dense matrices."""

    def __init__(self, prior: np.ndarray, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.prior = prior
        self.designs = [
            np.column_stack([rng.standard_normal(count), np.ones(count)]) for count in rng.integers(3, 9, PERSONS)
        ]
        true = np.diag([0.4, 1.5])
        self.targets = [
            design @ (np.array([0.3, 2.0]) + np.sqrt(np.diag(true)) * rng.standard_normal(2))
            + np.sqrt(SIGMA2) * rng.standard_normal(len(design))
            for design in self.designs
        ]
        self.dense = [design @ prior @ design.T + SIGMA2 * np.eye(len(design)) for design in self.designs]

    def blup(self, mean: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Posterior means and covariances of the effects around ``mean``."""
        eta = [
            self.prior @ z.T @ np.linalg.solve(v, y - z @ mean)
            for z, y, v in zip(self.designs, self.targets, self.dense, strict=True)
        ]
        spread = [
            self.prior - self.prior @ z.T @ np.linalg.solve(v, z @ self.prior)
            for z, v in zip(self.designs, self.dense, strict=True)
        ]
        return torch.tensor(np.array(eta)), torch.tensor(np.array(spread))

    def gls(self) -> np.ndarray:
        """Generalised least squares estimate of the mean."""
        left = sum(z.T @ np.linalg.solve(v, z) for z, v in zip(self.designs, self.dense, strict=True))
        right = sum(z.T @ np.linalg.solve(v, y) for z, y, v in zip(self.designs, self.targets, self.dense, strict=True))
        return np.linalg.solve(left, right)

    def deviance(self, variances: np.ndarray, mean: np.ndarray) -> float:
        """-2 log-likelihood at given variances and mean."""
        total = 0.0
        for z, y in zip(self.designs, self.targets, strict=True):
            v = z @ np.diag(variances) @ z.T + SIGMA2 * np.eye(len(z))
            residual = y - z @ mean
            total += np.linalg.slogdet(2 * np.pi * v)[1] + residual @ np.linalg.solve(v, residual)
        return total


FULL = np.array([[0.5, 0.2], [0.2, 1.2]])


def test_sample_covariance_is_numpys():
    eta = torch.randn((9, 3), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    np.testing.assert_allclose(variance.sample_covariance(eta).numpy(), np.cov(eta.numpy(), rowvar=False), rtol=1e-12)
    assert not variance.sample_covariance(eta[:1]).any()  # one person says nothing about differences


def test_the_em_update_adds_the_posterior_covariance():
    model = LinearMixedModel(FULL)
    eta, spread = model.blup(model.gls())
    expected = np.mean([np.outer(e, e) + c for e, c in zip(eta.numpy(), spread.numpy(), strict=True)], axis=0)
    np.testing.assert_allclose(variance.expected_covariance(eta, spread).numpy(), expected, rtol=1e-12)


def test_the_residual_update_adds_the_uncertainty_of_the_predictions():
    model = LinearMixedModel(FULL)
    mean = model.gls()
    eta, spread = model.blup(mean)
    total = squared = 0.0
    for z, y, e, c in zip(model.designs, model.targets, eta.numpy(), spread.numpy(), strict=True):
        squared += np.sum((y - z @ (mean + e)) ** 2)
        total += np.sum((y - z @ (mean + e)) ** 2) + sum(row @ c @ row for row in z)
    curvature = torch.tensor(np.array([z.T @ z for z in model.designs]))
    rows = sum(len(z) for z in model.designs)
    found = variance.expected_loss(torch.tensor(squared), 2.0 * curvature, spread) / rows
    assert float(found) == pytest.approx(total / rows, rel=1e-12)


def test_marginal_information_is_that_of_the_dense_model():
    model = LinearMixedModel(FULL)
    _, spread = model.blup(np.zeros(2))
    expected = [z.T @ np.linalg.solve(v, z) for z, v in zip(model.designs, model.dense, strict=True)]
    found = variance.marginal_information(torch.tensor(FULL), spread)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize("mean", [[0.0, 0.0], [5.0, -3.0]])
def test_the_mean_shift_is_generalised_least_squares(mean):
    model = LinearMixedModel(FULL)
    eta, spread = model.blup(np.array(mean))
    delta, moved = variance.mean_shift(torch.tensor(FULL), eta, spread)
    np.testing.assert_allclose(np.array(mean) + delta.numpy(), model.gls(), rtol=1e-9)
    np.testing.assert_allclose(moved.numpy(), model.blup(model.gls())[0].numpy(), rtol=1e-8, atol=1e-10)


def test_the_mean_stays_in_directions_without_information():
    """A softmax does not see a constant added to all of its scores."""
    centring = torch.eye(3, dtype=torch.float64) - 1 / 3
    covariance = torch.eye(3, dtype=torch.float64)
    curvature = torch.stack([centring * size for size in (1.0, 2.0, 5.0)])
    spread = posterior_covariance(curvature, covariance, 1.0)
    eta = torch.randn((3, 3), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    eta = eta - eta.mean(dim=1, keepdim=True)
    delta, moved = variance.mean_shift(covariance, eta, spread)
    assert abs(float(delta.sum())) < 1e-10
    assert delta.abs().max() > 0.05
    assert torch.isfinite(moved).all()


def settle(update, model: LinearMixedModel, rounds: int) -> tuple[np.ndarray, LinearMixedModel]:
    variances = np.array([1.0, 1.0])
    for _ in range(rounds):
        here = LinearMixedModel(np.diag(variances))
        eta, spread = here.blup(here.gls())
        variances = update(torch.tensor(variances), eta, spread).numpy()
    return variances, LinearMixedModel(np.diag(variances))


@pytest.mark.slow
def test_scoring_lands_on_the_fixed_point_of_em():
    model = LinearMixedModel(FULL)
    slow, _ = settle(
        lambda _, eta, spread: torch.diagonal(variance.expected_covariance(eta, spread)), model, rounds=1500
    )
    fast, there = settle(variance.scored_variances, model, rounds=25)
    np.testing.assert_allclose(fast, slow, rtol=1e-5)
    eta, spread = there.blup(there.gls())
    np.testing.assert_allclose(variance.scored_variances(torch.tensor(fast), eta, spread).numpy(), fast, rtol=1e-7)


def test_the_fixed_point_is_the_maximum_of_the_likelihood():
    variances, there = settle(variance.scored_variances, LinearMixedModel(FULL), rounds=25)
    mean = there.gls()
    best = there.deviance(variances, mean)
    for factor in ([1.02, 1.0], [0.98, 1.0], [1.0, 1.02], [1.0, 0.98]):
        assert there.deviance(variances * factor, mean) > best


def test_reliability_is_one_minus_the_share_that_is_unknown():
    model = LinearMixedModel(FULL)
    _, spread = model.blup(np.zeros(2))
    expected = np.mean([1 - np.diag(c) / np.diag(FULL) for c in spread.numpy()], axis=0)
    np.testing.assert_allclose(variance.mean_reliability(torch.tensor(FULL), spread).numpy(), expected, rtol=1e-12)


@pytest.mark.slow
def test_scoring_of_a_whole_covariance_lands_on_the_fixed_point_of_em():
    def rounds(update, count: int) -> np.ndarray:
        covariance = torch.eye(2, dtype=torch.float64)
        for _ in range(count):
            here = LinearMixedModel(covariance.numpy())
            eta, spread = here.blup(here.gls())
            covariance = update(covariance, eta, spread)
        return covariance.numpy()

    slow = rounds(lambda _, eta, spread: variance.expected_covariance(eta, spread), 3000)
    np.testing.assert_allclose(rounds(variance.scored_covariance, 30), slow, rtol=1e-5)


def test_a_variance_at_the_floor_does_not_draw_the_others_along():
    floor = torch.tensor([1e-6, 0.5], dtype=torch.float64)
    assert variance.free_to_move(floor, torch.tensor([-1.0, -1.0])).tolist() == [False, True]
    assert variance.free_to_move(floor, torch.tensor([1.0, -1.0])).tolist() == [True, True]
    model = LinearMixedModel(np.diag([1e-6, 0.5]))
    eta, spread = model.blup(model.gls())
    eta = eta * torch.tensor([0.0, 1.0])  # nobody differs in the first
    alone = variance.scored_variances(floor[1:], eta[:, 1:], spread[:, 1:, 1:])
    both = variance.scored_variances(floor, eta, spread)
    assert float(both[1]) == pytest.approx(float(alone[0]), rel=1e-6)
