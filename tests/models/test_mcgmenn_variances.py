"""The M-step of the variances of Monte Carlo EM, piece by piece."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from toolkit.models.mcgmenn_design import STRANDS, free_covariances, interleaved
from toolkit.models.mcgmenn_variances import (
    carried,
    data_share,
    mean_squares,
    next_gain,
    rescaled,
    spread_of_last,
    updated,
    without_shift,
)

GENERATOR = torch.Generator().manual_seed(3)


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=GENERATOR, dtype=torch.float64)


def test_mean_squares_are_those_of_a_loop():
    draws = normal(3, 2, 7)
    loop = sum(np.outer(draws[k, :, q], draws[k, :, q]) for k in range(3) for q in range(7)) / 21
    np.testing.assert_allclose(mean_squares(draws), loop)
    np.testing.assert_allclose(torch.diagonal(spread_of_last(draws)), np.var(draws[-1].numpy(), axis=1))


def test_what_is_common_to_the_classes_is_taken_exactly():
    draws, root = normal(2, 3, 4), torch.linalg.cholesky(torch.tensor([[1.0, 0.3, 0], [0.3, 2.0, 0.2], [0, 0.2, 0.5]]))
    covariance = (root @ root.T).double()
    precision = torch.linalg.inv(covariance)
    weights = precision.sum(0)
    total = float(weights.sum())
    rng, sums = np.random.default_rng(1), np.zeros((3, 3))
    for k in range(2):  # by drawing the shift from its conditional very often
        for q in range(4):
            centre = -float(weights @ draws[k, :, q]) / total
            shifted = draws[k, :, q].numpy() + (centre + rng.normal(size=(40_000, 1)) / np.sqrt(total))
            sums += shifted.T @ shifted / 40_000 / 8
    np.testing.assert_allclose(without_shift(draws, precision), sums, atol=0.02)
    np.testing.assert_allclose(without_shift(draws + 3.0, precision), without_shift(draws, precision))


@pytest.mark.parametrize("share", [None, torch.tensor([0.3, 0.9])])
def test_a_step_ends_where_mean_squares_are_the_variances(share):
    covariance = torch.tensor([[0.5, 0.1], [0.1, 0.2]], dtype=torch.float64)
    free = free_covariances((2,), 1, None)
    np.testing.assert_allclose(updated(covariance, covariance, free, share), covariance)
    apart = updated(covariance, covariance, free_covariances((1, 1), 1, None), share)
    np.testing.assert_allclose(apart, torch.diag(torch.diagonal(covariance)))


def test_a_step_by_information_is_longer_than_that_of_em():
    present, squares = torch.tensor([[0.4]]).double(), torch.tensor([[0.38]]).double()
    free = free_covariances((1,), 1, None)
    em = float(updated(present, squares, free))
    far = float(updated(present, squares, free, torch.tensor([0.25])))
    assert em == pytest.approx(0.38)
    assert far == pytest.approx(0.4 * np.exp(-0.05 / 0.25))
    assert float(data_share(torch.tensor([0.4]), torch.tensor([[0.1, 0.3]]))) == pytest.approx((0.5625 + 0.0625) / 2)


def rounds_until_still(*, learn: bool, rate: float) -> int:
    """Rounds of noisy steps towards zero, each of a share of what is left, until what is left is small."""
    rng, place, gain, run = np.random.default_rng(2), 4.0, torch.ones(1), torch.zeros(1)
    for number in range(1, 500):
        step = float(gain) * (-rate * place + 0.01 * rng.normal())
        place += step
        if learn:
            gain, run = next_gain(gain, run, step=torch.tensor([step]))
        if abs(place) < 0.2:
            return number
    return 500


def test_steps_that_keep_their_direction_grow():
    assert rounds_until_still(learn=True, rate=0.08) < 0.5 * rounds_until_still(learn=False, rate=0.08)
    # steps that go all the way need no growth, and get none
    assert rounds_until_still(learn=True, rate=1.0) == rounds_until_still(learn=False, rate=1.0) == 1
    gain, run = next_gain(
        torch.tensor([4.0, 1.2, 1.0, 2.0]),
        torch.tensor([2.0, -2, 1, -2]),
        step=torch.tensor([-0.1, 0.1, 0.1, -0.1]),
    )
    torch.testing.assert_close(gain, torch.tensor([2.8, 0.84, 1.0, 2.6]))
    torch.testing.assert_close(run, torch.tensor([-1.0, 1.0, 2.0, -3.0]))


def test_steps_of_noise_shrink_and_do_not_linger_where_they_are_small():
    rng, path, gain, run = np.random.default_rng(1), [0.0], torch.ones(1), torch.zeros(1)
    plain = [0.0]
    for _ in range(400):  # of a log variance: the less it is, the more noise has a step
        noise = rng.normal()
        plain.append(plain[-1] - 0.5 * plain[-1] + 0.5 * np.exp(-plain[-1]) * noise)
        step = float(gain) * (-0.5 * path[-1] + 0.5 * np.exp(-path[-1]) * noise)
        path.append(path[-1] + step)
        gain, run = next_gain(gain, run, step=torch.tensor([step]))
    assert np.std(path[100:]) < 0.6 * np.std(plain[100:])
    assert abs(np.mean(path[100:])) < 0.15


def test_draws_go_along_with_the_variance():
    # a level without rows keeps its place in the prior, one that is known its value; between, mean and SD of a normal
    before, after, information = 0.8, 0.2, torch.tensor([[0.0, 1e9, 2.0]]).double()
    variance = 1.0 / (information + 1.0 / before)
    told = torch.tensor([[0.0, 0.7e9, 1.5]]).double()  # information times what the rows say
    draw = torch.tensor([[0.6, 0.7, 1.1]]).double()
    found = carried(draw, variance * told, variance, torch.tensor([1.0 / after - 1.0 / before]))
    then = 1.0 / (information + 1.0 / after)
    expected = then * told + (draw - variance * told) * torch.sqrt(then / variance)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    np.testing.assert_allclose(found[0, :2], [0.3, 0.7], rtol=1e-6)


def test_rescaled_squares_keep_their_correlations():
    squares = torch.tensor([[0.4, 0.1], [0.1, 0.3]]).double()
    found = rescaled(squares, torch.tensor([0.2, 0.5]).double())
    np.testing.assert_allclose(torch.diagonal(found), [0.2, 0.5])
    assert float(found[0, 1] / torch.sqrt(found[0, 0] * found[1, 1])) == pytest.approx(0.1 / np.sqrt(0.12))


def test_which_covariances_are_free():
    by_class = free_covariances((2,), 2, None).int().tolist()
    assert by_class == [[1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1]]
    assert free_covariances((1, 1), 2, None).int().tolist() == torch.eye(4).int().tolist()
    assert bool(free_covariances((2,), 2, "full").all())
    assert free_covariances((2,), 2, "diagonal").int().tolist() == torch.eye(4).int().tolist()


@pytest.mark.parametrize("rows", [1, 63, 64, 1000])
def test_interleaved_rows_are_the_same_rows(rows):
    order = interleaved(np.arange(rows) + 5)
    np.testing.assert_array_equal(np.sort(order), np.arange(rows) + 5)
    if rows > 2 * STRANDS:  # neighbours come from far apart: of rows sorted by level, from different levels
        assert np.abs(np.diff(order)).min() > rows // STRANDS - 2
