"""Negative log-likelihood of a mini-batch under a model with a random field, its derivatives in closed form.

The rows of a batch are jointly normal with ``V = sigma2 I + s0 R + sum_k Z_k L_k L_k' Z_k' + sum_d s2_d G_d G_d'``: the
field's covariance between the places of the rows, grouping factors and dense designs (Simchoni and Rosset, 2023,
section 1.2.4). A field alone needs a matrix as large as the places in the batch; with other terms V itself is made.
Matrices are factored in double precision, whatever the network's: those of smooth fields are close to singular.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from toolkit.numerics.batch_likelihood import BatchDesign, BatchFactor
from toolkit.numerics.spatial.kernels import correlation_slope
from toolkit.numerics.spatial.names import KernelName

# torch.linalg carries no types
_cholesky = cast(Callable[[Tensor], Tensor], torch.linalg.cholesky)  # pyright: ignore[reportUnknownMemberType]
_inverse = cast(Callable[[Tensor], Tensor], torch.cholesky_inverse)
_unique = cast(Any, torch.unique)  # pyright: ignore[reportUnknownMemberType]
LOG_2_PI = math.log(2.0 * math.pi)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BatchField:
    """A random field in a batch.

    Attributes:
        codes: place of each row.
        places: coordinates of all places, not only those in the batch.
        kernel: of the field.
        variance, reach: its variance and range, tensors without dimensions.
    """

    codes: Int[Tensor, " rows"]
    places: Float[Tensor, "places axes"]
    kernel: KernelName
    variance: Tensor
    reach: Tensor


def field_batch_nll(
    residual: Float[Tensor, " rows"],
    sigma2: Tensor,
    field: BatchField,
    factors: Sequence[BatchFactor] = (),
    designs: Sequence[BatchDesign] = (),
) -> Tensor:
    """``1/2 (m log 2 pi + log|V| + r' V^-1 r)``, differentiable by residuals, variances, range and dense designs.

    Args:
        residual: outcome minus the network's output.
        sigma2: residual variance, a tensor without dimensions.
        field: the random field.
        factors: grouping factors beside it.
        designs: dense designs beside it.

    Raises:
        torch.linalg.LinAlgError: a matrix is not positive definite: numbers are not finite.
    """
    found, codes = _unique(field.codes, return_inverse=True)
    places = field.places[found].double()
    if not factors and not designs:
        return _apply(_FieldAlone, residual, sigma2, field.variance, field.reach, codes, places, field.kernel)
    inputs: list[Any] = [residual, sigma2, field.variance, field.reach, codes, places, field.kernel, len(factors)]
    for own in factors:
        inputs += [own.relative, own.codes, own.design]
    for dense in designs:
        inputs += [dense.columns, dense.sd]
    return _apply(_Dense, *inputs)


def _apply(kind: Any, *inputs: Any) -> Tensor:
    return kind.apply(*inputs)


def squared_between(places: Float[Tensor, "places axes"]) -> Float[Tensor, "places places"]:
    """Squared distances."""
    centred = places - places.mean(dim=0)
    square = centred.square().sum(dim=1)
    found = square[:, None] + square - 2.0 * (centred @ centred.T)
    return found.fill_diagonal_(0.0).clamp_(min=0.0)


class _FieldAlone(torch.autograd.Function):
    """Rows of a place by their mean and the sum of squares around it."""

    @staticmethod
    def forward(
        ctx: Any, residual: Tensor, sigma2: Tensor, variance: Tensor, reach: Tensor, codes: Tensor, places: Tensor,
        kernel: KernelName,
    ) -> Tensor:  # fmt: skip
        own, noise, scale = residual.double(), sigma2.double(), variance.double()
        rows, count = len(own), len(places)
        n = torch.bincount(codes, minlength=count).to(own)
        means = torch.zeros_like(n).index_add_(0, codes, own) / n
        around = own - means[codes]
        within = around.square().sum()
        values, slopes = correlation_slope(kernel, squared_between(places), reach.double())
        matrix = scale * values
        matrix.diagonal().add_(noise / n)
        lower = _cholesky(matrix)
        inverse = _inverse(lower)
        alpha = inverse @ means
        logdet = 2.0 * torch.log(lower.diagonal()).sum() + (rows - count) * torch.log(noise) + torch.log(n).sum()
        excess = inverse.diagonal() - alpha.square()
        by_sigma2 = 0.5 * ((rows - count) / noise - within / noise**2 + (excess / n).sum())
        by_variance = 0.5 * ((inverse * values).sum() - alpha @ values @ alpha)
        by_reach = 0.5 * scale / reach.double() * ((inverse * slopes).sum() - alpha @ slopes @ alpha)
        ctx.save_for_backward(
            (around / noise + (alpha / n)[codes]).to(residual), by_sigma2.to(sigma2), by_variance.to(variance),
            by_reach.to(reach),
        )  # fmt: skip
        return (0.5 * (rows * LOG_2_PI + logdet + within / noise + means @ alpha)).to(residual)

    @staticmethod
    def backward(ctx: Any, *outputs: Any) -> Any:
        return (*(outputs[0] * gradient for gradient in ctx.saved_tensors), None, None, None)


class _Dense(torch.autograd.Function):
    """V of all rows."""

    @staticmethod
    def forward(
        ctx: Any, residual: Tensor, sigma2: Tensor, variance: Tensor, reach: Tensor, codes: Tensor, places: Tensor,
        kernel: KernelName, count: int, *inputs: Any,
    ) -> Tensor:  # fmt: skip
        own = residual.double()
        values, slopes = correlation_slope(kernel, squared_between(places), reach.double())
        matrix = (variance.double() * values)[codes[:, None], codes]
        parts = [inputs[3 * place : 3 * place + 3] for place in range(count)]
        dense = [inputs[place : place + 2] for place in range(3 * count, len(inputs), 2)]
        for relative, level, design in parts:
            matrix += (level[:, None] == level) * _squared_columns(relative, design)
        for columns, sd in dense:
            scaled = (columns * sd).double()
            matrix += scaled @ scaled.T
        matrix.diagonal().add_(sigma2.double())
        lower = _cholesky(matrix)
        inverse = _inverse(lower)
        alpha = inverse @ own
        excess = inverse - alpha[:, None] * alpha
        # what the rows of a pair of places add up to
        pairs = excess.new_zeros((len(places), len(own))).index_add_(0, codes, excess)
        pairs = excess.new_zeros((len(places), len(places))).index_add_(0, codes, pairs.T.contiguous())
        by_variance = 0.5 * (pairs * values).sum()
        by_reach = 0.5 * variance.double() / reach.double() * (pairs * slopes).sum()
        ctx.own = [alpha.to(residual), (0.5 * excess.diagonal().sum()).to(sigma2), by_variance.to(variance)]
        ctx.own += [by_reach.to(reach), None, None, None, None]
        for relative, level, design in parts:
            ctx.own += [_relative_gradient(excess, relative, level, design), None, None]
        for columns, sd in dense:
            turned = excess.to(columns) @ columns
            ctx.own += [sd.square() * turned, sd * (columns * turned).sum()]
        logdet = 2.0 * torch.log(lower.diagonal()).sum()
        return (0.5 * (len(own) * LOG_2_PI + logdet + own @ alpha)).to(residual)

    @staticmethod
    def backward(ctx: Any, *outputs: Any) -> Any:
        return tuple(None if gradient is None else outputs[0] * gradient for gradient in ctx.own)


def _squared_columns(relative: Tensor, design: Tensor | None) -> Tensor:
    """``Z L L' Z'`` as if all rows were of one level."""
    if design is None:
        return relative.double()[0, 0] ** 2
    turned = design.double() @ relative.double()
    return turned @ turned.T


def _relative_gradient(excess: Tensor, relative: Tensor, level: Tensor, design: Tensor | None) -> Tensor:
    """``Z' (W o S) Z L``, S telling which rows share a level."""
    within = excess * (level[:, None] == level)
    if design is None:
        return (within.sum() * relative.double()).to(relative)
    z = design.double()
    return torch.tril(z.T @ within @ z @ relative.double()).to(relative)
