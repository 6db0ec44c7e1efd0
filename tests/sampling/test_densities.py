"""Derivatives, information and the split of every density."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.sampling.problems import DOUBLE, density, generator
from toolkit.sampling import Clusters, Ordinal

NAMES = ["gaussian", "bernoulli", "poisson", "ordinal", "categorical"]


def example(name, rows=9):
    g = generator(2)
    logits = torch.randn((4 if name == "categorical" else 1, rows), generator=g, dtype=DOUBLE)
    return density(name, logits, g), logits


@pytest.mark.parametrize("name", NAMES)
def test_the_score_is_the_gradient(name):
    found, logits = example(name)
    logits.requires_grad_()
    (expected,) = torch.autograd.grad(found.log_density(logits).sum(), logits)
    torch.testing.assert_close(found.score(logits.detach()), expected)
    assert torch.autograd.gradcheck(found.log_density, (logits,))


@pytest.mark.parametrize("name", NAMES)
def test_potential_with_statistic_is_the_log_density_up_to_a_constant(name):
    found, logits = example(name)
    rows = Clusters(torch.arange(logits.shape[1]), logits.shape[1])
    other = logits + torch.randn(logits.shape, generator=generator(5), dtype=DOUBLE)
    linear = found.statistic(rows.gathered, logits)
    split = (linear * (other - logits)).sum(0) - found.potential(other) + found.potential(logits)
    torch.testing.assert_close(split, found.log_density(other) - found.log_density(logits))
    potential, slope = found.first_order(logits)
    torch.testing.assert_close(potential, found.potential(logits))
    torch.testing.assert_close(linear - slope, found.score(logits))


@pytest.mark.parametrize("name", ["bernoulli", "poisson", "ordinal", "categorical", "gaussian"])
def test_the_information_is_the_expected_outer_product_of_scores(name):
    draws, logits = 40_000, example(name)[1][:, :1]
    found = density(name, logits.repeat(1, draws), generator(7))
    if name == "gaussian":
        found.sigma2 = 0.49
    score = found.score(logits.repeat(1, draws))
    information = found.information(logits.repeat(1, 2))[..., 0] if name == "gaussian" else None
    information = information if information is not None else found.rows(slice(0, 1)).information(logits)[..., 0]
    np.testing.assert_allclose((score @ score.T / draws).numpy(), information.numpy(), atol=0.06 * information.max())


@pytest.mark.parametrize("name", NAMES)
def test_the_triangle_is_that_of_the_information(name):
    found, logits = example(name)
    first, second = torch.tril_indices(len(logits), len(logits))
    torch.testing.assert_close(found.information_triangle(logits), found.information(logits)[first, second])


def test_ordinal_probabilities_sum_to_one():
    logits = torch.tensor([[-2.0, 0.3, 4.0]], dtype=DOUBLE)
    cuts = torch.tensor([-1.0, 0.0, 2.0], dtype=DOUBLE)
    total = sum(Ordinal(torch.full((3,), k), cuts).log_density(logits).exp() for k in range(4))
    torch.testing.assert_close(total, torch.ones(3, dtype=DOUBLE))


@pytest.mark.parametrize("name", NAMES)
def test_cumulants_are_the_derivatives_of_the_potential_in_one_logit(name):
    found, logits = example(name, rows=5)
    shift = torch.randn(logits.shape, generator=generator(8), dtype=DOUBLE)
    for output in range(len(logits)):
        own = (logits[output] + shift[output]).clone().requires_grad_()
        potential = found.potential(torch.cat([logits[:output], own[None], logits[output + 1 :]])).sum()
        derivative = potential
        for order, expected in enumerate(found.cumulants(found.prepared(logits), found.growth(shift))):
            (derivative,) = torch.autograd.grad(derivative.sum(), own, create_graph=True, allow_unused=True)
            zero = torch.zeros_like(own) if derivative is None else derivative
            torch.testing.assert_close(expected[output], zero.detach(), msg=f"derivative {order + 1}")
            if not zero.requires_grad:
                torch.testing.assert_close(
                    found.cumulants(found.prepared(logits), found.growth(shift))[3][output], torch.zeros_like(own)
                )
                break
            derivative = zero
