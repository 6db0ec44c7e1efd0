"""The likelihood of a batch against the dense normal density, and its derivatives against autograd through it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal
from torch import Tensor

from toolkit.numerics.batch_likelihood import BatchDesign, BatchFactor, batch_nll, intercept_nll


def dense_nll(
    residual: Tensor, sigma2: Tensor, factors: list[BatchFactor], designs: tuple[BatchDesign, ...] = ()
) -> Tensor:
    """The oracle: the whole covariance, and autograd through its Cholesky factor."""
    rows = len(residual)
    covariance = sigma2 * torch.eye(rows, dtype=residual.dtype)
    for factor in factors:
        design = torch.ones(rows, 1, dtype=residual.dtype) if factor.design is None else factor.design
        same = (factor.codes[:, None] == factor.codes[None]).to(residual.dtype)
        covariance = covariance + same * (design @ factor.relative @ factor.relative.T @ design.T)
    for design in designs:
        covariance = covariance + design.sd**2 * design.columns @ design.columns.T
    normal = torch.distributions.MultivariateNormal(torch.zeros_like(residual), covariance)
    return -normal.log_prob(residual)


def a_factor(rng: np.random.Generator, rows: int, levels: int, effects: int) -> BatchFactor:
    """A factor with random codes, design and covariance."""
    lower = np.tril(rng.normal(size=(effects, effects))) + 0.5 * np.eye(effects)
    return BatchFactor(
        codes=torch.as_tensor(rng.integers(0, levels, rows)) * 7 + 3,
        design=None if effects == 1 else torch.as_tensor(rng.normal(size=(rows, effects))),
        relative=torch.as_tensor(lower).requires_grad_(True),
    )


def gradients_of(value: Tensor, inputs: list[Tensor]) -> list[np.ndarray]:
    """Derivatives by each input; of lower triangles only what is in them."""
    found = torch.autograd.grad(value, inputs)
    return [
        (torch.tril(part) if part.dim() == 2 and part.shape[0] == part.shape[1] else part).numpy() for part in found
    ]


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(1, 25),
    shape=st.lists(st.tuples(st.integers(1, 12), st.integers(1, 3)), min_size=1, max_size=3),
    columns=st.lists(st.integers(1, 30), max_size=2),
)
def test_any_structure_is_the_dense_normal(
    seed: int, rows: int, shape: list[tuple[int, int]], columns: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    residual = torch.as_tensor(rng.normal(size=rows)).requires_grad_(True)
    sigma2 = torch.tensor(float(rng.uniform(0.2, 2.0)), dtype=torch.float64, requires_grad=True)
    factors = [a_factor(rng, rows, levels, effects) for levels, effects in shape]
    designs = tuple(
        BatchDesign(
            columns=torch.as_tensor(rng.normal(size=(rows, width))).requires_grad_(True),
            sd=torch.tensor(float(rng.uniform(0.1, 1.5)), dtype=torch.float64, requires_grad=True),
        )
        for width in columns
    )
    inputs = [residual, sigma2, *(factor.relative for factor in factors)]
    inputs += [part for design in designs for part in (design.columns, design.sd)]
    value, oracle = batch_nll(residual, sigma2, factors, designs), dense_nll(residual, sigma2, factors, designs)
    assert value.item() == pytest.approx(oracle.item(), rel=1e-9, abs=1e-9)
    for mine, theirs in zip(gradients_of(value, inputs), gradients_of(oracle, inputs), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-7)


def test_it_is_scipys_density() -> None:
    rng = np.random.default_rng(3)
    codes, residual = rng.integers(0, 4, 12), rng.normal(size=12)
    covariance = 0.7 * np.eye(12) + 1.3 * (codes[:, None] == codes[None])
    factor = BatchFactor(
        codes=torch.as_tensor(codes), design=None, relative=torch.tensor([[1.3**0.5]], dtype=torch.float64)
    )
    found = batch_nll(torch.as_tensor(residual), torch.tensor(0.7, dtype=torch.float64), [factor])
    assert -float(found) == pytest.approx(multivariate_normal(cov=covariance).logpdf(residual), rel=1e-12)


def test_without_variance_rows_are_independent() -> None:
    residual = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)
    factor = BatchFactor(codes=torch.tensor([0, 0, 1]), design=None, relative=torch.zeros((1, 1), dtype=torch.float64))
    found = batch_nll(residual, torch.tensor(2.0, dtype=torch.float64), [factor, factor])
    alone = -torch.distributions.Normal(torch.zeros_like(residual), 2.0**0.5).log_prob(residual).sum()
    assert float(found) == pytest.approx(float(alone), rel=1e-12)
    assert float(batch_nll(residual, torch.tensor(2.0, dtype=torch.float64), [factor])) == pytest.approx(float(alone))


@pytest.mark.parametrize("factors", [1, 2])
def test_single_precision_is_close(factors: int) -> None:
    rng = np.random.default_rng(0)
    residual, sigma2 = torch.as_tensor(rng.normal(size=256)), torch.tensor(0.05, dtype=torch.float64)
    exact = [
        BatchFactor(
            codes=torch.as_tensor(rng.integers(0, 40, 256)), design=None,
            relative=torch.tensor([[3.0]], dtype=torch.float64),
        )
        for _ in range(factors)
    ]  # fmt: skip
    single = [BatchFactor(codes=own.codes, design=None, relative=own.relative.float()) for own in exact]
    found = batch_nll(residual.float(), sigma2.float(), single)
    assert float(found) == pytest.approx(float(batch_nll(residual, sigma2, exact)), rel=1e-4)


@pytest.mark.parametrize("levels", [7, 500])
def test_the_quick_way_for_intercepts_is_the_same_per_row(levels: int) -> None:
    rng = np.random.default_rng(levels)
    residual = torch.as_tensor(rng.normal(size=30)).requires_grad_(True)
    codes = torch.as_tensor(rng.integers(0, levels, 30))
    log_sigma2 = torch.tensor(-0.3, dtype=torch.float64, requires_grad=True)
    log_sd = torch.tensor([0.2], dtype=torch.float64, requires_grad=True)
    quick = intercept_nll(residual, log_sigma2, log_sd, codes, levels)
    factor = BatchFactor(codes=codes, design=None, relative=torch.exp(log_sd).reshape(1, 1))
    slow = dense_nll(residual, torch.exp(log_sigma2), [factor]) / 30
    assert quick.item() == pytest.approx(slow.item(), rel=1e-12)
    inputs = [residual, log_sigma2, log_sd]
    for mine, theirs in zip(torch.autograd.grad(quick, inputs), torch.autograd.grad(slow, inputs), strict=True):
        torch.testing.assert_close(mine, theirs)
