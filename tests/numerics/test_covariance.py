"""Covariances in log-Cholesky form: there and back, the floor, gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from toolkit.numerics.covariance import VARIANCE_FLOOR, from_log_cholesky, to_log_cholesky, with_floor


def random_covariance(size: int, seed: int) -> Tensor:
    root = torch.randn((size, size + 2), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return root @ root.T


@given(size=st.integers(1, 6), seed=st.integers(0, 1000), diagonal=st.booleans())
@settings(max_examples=40, deadline=None)
def test_there_and_back(size, seed, diagonal):
    covariance = random_covariance(size, seed)
    covariance = torch.diag(torch.diagonal(covariance)) if diagonal else covariance
    parameters = to_log_cholesky(covariance, diagonal=diagonal)
    assert parameters.shape == (size if diagonal else size * (size + 1) // 2,)
    torch.testing.assert_close(from_log_cholesky(parameters, size, diagonal=diagonal), covariance, rtol=1e-9, atol=1e-9)


@given(size=st.integers(1, 5), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_every_parameter_vector_is_a_covariance(size, seed):
    generator = torch.Generator().manual_seed(seed)
    parameters = torch.randn(size * (size + 1) // 2, generator=generator, dtype=torch.float64)
    covariance = from_log_cholesky(parameters, size, diagonal=False)
    torch.testing.assert_close(covariance, covariance.T, rtol=1e-14, atol=1e-14)
    assert torch.linalg.eigvalsh(covariance).min() > 0
    torch.testing.assert_close(to_log_cholesky(covariance, diagonal=False), parameters, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("diagonal", [True, False])
def test_is_differentiable(diagonal):
    parameters = torch.linspace(-0.5, 0.7, 3 if diagonal else 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda values: from_log_cholesky(values, 3, diagonal=diagonal), parameters)


def test_the_floor_leaves_what_is_above_it():
    covariance = random_covariance(4, 1)
    torch.testing.assert_close(with_floor(covariance, diagonal=False), covariance, rtol=1e-10, atol=1e-10)
    variances = torch.diag(torch.tensor([2.0, 0.1], dtype=torch.float64))
    assert torch.equal(with_floor(variances, diagonal=True), variances)


def test_the_floor_lifts_collapsed_variances():
    flat = torch.diag(torch.tensor([0.5, 0.0, -1e-12], dtype=torch.float64))
    assert torch.diagonal(with_floor(flat, diagonal=True)).tolist() == [0.5, VARIANCE_FLOOR, VARIANCE_FLOOR]
    direction = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    lifted = with_floor(direction @ direction.T, diagonal=False)  # rank one
    torch.testing.assert_close(
        torch.linalg.eigvalsh(lifted), torch.tensor([VARIANCE_FLOOR, 5.0], dtype=torch.float64), rtol=1e-8, atol=1e-12
    )
    assert torch.isfinite(to_log_cholesky(lifted, diagonal=False)).all()


def test_a_diagonal_fit_ignores_covariances():
    floored = with_floor(random_covariance(3, 2), diagonal=True)
    assert torch.equal(floored, torch.diag(torch.diagonal(floored)))
