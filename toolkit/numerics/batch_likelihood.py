"""Negative log-likelihood of a mini-batch under a Gaussian mixed model, with its derivatives in closed form.

The rows of a batch are jointly normal with the covariance ``V = sigma2 I + sum_k Z_k D_k Z_k' + sum_d s2_d G_d G_d'``
(Simchoni and Rosset, 2023, Eqs. 6 to 8; ``D_k`` one small matrix for every level of factor k in the batch). Nothing of
the size of V is made while it has structure:

- effects of one factor: sums over the rows of each level, and matrices as small as the effects of a level;
- several factors: a level with one row in the batch only makes that row noisier. Levels with more rows and dense
  designs are solved together by Woodbury's identity, and only if those are more than the rows is V made itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

# torch.linalg carries no types
_cholesky = cast(Callable[[Tensor], Tensor], torch.linalg.cholesky)  # pyright: ignore[reportUnknownMemberType]
_inverse = cast(Callable[[Tensor], Tensor], torch.cholesky_inverse)
_unique = cast(Any, torch.unique)  # pyright: ignore[reportUnknownMemberType]
LOG_2_PI = math.log(2.0 * math.pi)
# levels for each row of a batch up to which all have a place in the sums: more are looked up first
SLOTS = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BatchFactor:
    """A grouping factor in a batch.

    Attributes:
        codes: level of each row (rows,), any whole numbers.
        design: what the effects are multiplied with (rows, effects); None for an intercept alone.
        relative: ``L`` with ``D = L L'`` (effects, effects), lower triangular.
    """

    codes: Int[Tensor, " rows"]
    design: Float[Tensor, "rows effects"] | None
    relative: Float[Tensor, "effects effects"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BatchDesign:
    """A dense design whose effects are independent with one variance, such as an embedding of locations.

    Attributes:
        columns: ``G`` (rows, effects).
        sd: standard deviation of the effects, a tensor without dimensions.
    """

    columns: Float[Tensor, "rows effects"]
    sd: Tensor


def batch_nll(
    residual: Float[Tensor, " rows"],
    sigma2: Tensor,
    factors: Sequence[BatchFactor],
    designs: Sequence[BatchDesign] = (),
) -> Tensor:
    """Negative log-likelihood of the residuals of a batch, differentiable by every tensor that goes in.

    ``1/2 (m log 2 pi + log|V| + r' V^-1 r)``, summed over the m rows.

    Args:
        residual: outcome minus the network's output.
        sigma2: residual variance, a tensor without dimensions.
        factors: grouping factors; none leaves independent rows.
        designs: dense designs.

    Raises:
        torch.linalg.LinAlgError: a matrix is not positive definite: numbers are not finite.
    """
    if not designs and len(factors) == 1:
        own = factors[0]
        if own.design is None:
            return _apply(_OneIntercept, residual, sigma2, own.relative, own.codes)
        return _apply(_OneFactor, residual, sigma2, own.relative, own.codes, own.design)
    inputs: list[Any] = [residual, sigma2, len(factors)]
    for own in factors:
        inputs += [own.relative, own.codes, _design(own, residual)]
    for dense in designs:
        inputs += [dense.columns, dense.sd]
    return _apply(_Several, *inputs)


def _apply(kind: Any, *inputs: Any) -> Tensor:
    return kind.apply(*inputs)


def _design(factor: BatchFactor, like: Tensor) -> Tensor:
    return torch.ones_like(like)[:, None] if factor.design is None else factor.design


def _compact(codes: Tensor) -> tuple[Tensor, Tensor]:
    """Codes from 0 without gaps, and the rows of each."""
    _, compact, counts = _unique(codes, return_inverse=True, return_counts=True)
    return compact, counts


class _OneIntercept(torch.autograd.Function):
    """An intercept by level, by variances and in total; see `_intercept_terms`."""

    @staticmethod
    def forward(ctx: Any, residual: Tensor, sigma2: Tensor, relative: Tensor, codes: Tensor) -> Tensor:
        level, counts = _compact(codes)
        own = float(relative)
        value, alpha, by_sigma2, by_variance = _intercept_terms(residual, float(sigma2), own * own, level, counts)
        ctx.save_for_backward(alpha)
        ctx.slopes = by_sigma2, 2.0 * own * by_variance
        return residual.new_tensor(value)

    @staticmethod
    def backward(ctx: Any, *outputs: Any) -> Any:
        (alpha,), own, (by_sigma2, by_relative) = ctx.saved_tensors, outputs[0], ctx.slopes
        return own * alpha, own * by_sigma2, (own * by_relative).reshape(1, 1), None


class _InterceptRows(torch.autograd.Function):
    """The same by logarithms, and per row: what a step of training needs, with as little around it as can be."""

    @staticmethod
    def forward(ctx: Any, residual: Tensor, log_sigma2: Tensor, log_sd: Tensor, codes: Tensor, levels: int) -> Tensor:
        rows = residual.shape[0]
        level, counts = (codes, torch.bincount(codes, minlength=levels)) if levels <= SLOTS * rows else _compact(codes)
        sigma2, variance = math.exp(float(log_sigma2)), math.exp(2.0 * float(log_sd))
        value, alpha, by_sigma2, by_variance = _intercept_terms(residual, sigma2, variance, level, counts)
        ctx.save_for_backward(alpha)
        ctx.slopes = rows, by_sigma2 * sigma2 / rows, 2.0 * variance * by_variance / rows
        return residual.new_tensor(value / rows)

    @staticmethod
    def backward(ctx: Any, *outputs: Any) -> Any:
        (alpha,), own, (rows, by_sigma2, by_sd) = ctx.saved_tensors, outputs[0], ctx.slopes
        return own / rows * alpha, own * by_sigma2, (own * by_sd).reshape(1), None, None


def intercept_nll(
    residual: Float[Tensor, " rows"], log_sigma2: Tensor, log_sd: Float[Tensor, " one"],
    codes: Int[Tensor, " rows"], levels: int,
) -> Tensor:  # fmt: skip
    """Negative log-likelihood per row of a batch whose level differs by one factor.

    The commonest case of `batch_nll`, by the logarithms that are trained.

    Args:
        residual: outcome minus the network's output.
        log_sigma2: logarithm of the residual variance, without dimensions.
        log_sd: logarithm of the levels' SD (1,).
        codes: level of each row, from 0.
        levels: how many there are.
    """
    return _apply(_InterceptRows, residual, log_sigma2, log_sd, codes, levels)


def _intercept_terms(
    residual: Tensor, sigma2: float, variance: float, level: Tensor, counts: Tensor
) -> tuple[float, Tensor, float, float]:
    """Negative log-likelihood, ``V^-1 r``, and its derivatives by the residual variance and that of the levels.

    The share ``n D / (sigma2 + n D)`` of a level's mean is taken from its rows; levels without rows add nothing.
    """
    rows, slots = residual.shape[0], counts.shape[0]
    n = counts.to(residual.dtype)
    total = n * variance + sigma2  # of a level's rows: variance of their sum, over n
    sums = torch.zeros_like(n).index_add_(0, level, residual)
    weighted = sums / total
    alpha = (residual - (variance * weighted)[level]) / sigma2
    share = n / total
    shared = float(share.sum())
    logdet = (rows - slots) * math.log(sigma2) + float(total.log().sum())
    value = 0.5 * (rows * LOG_2_PI + logdet + float(residual @ alpha))
    by_variance = 0.5 * (shared - float(weighted @ weighted))
    by_sigma2 = 0.5 * ((rows - variance * shared) / sigma2 - float(alpha @ alpha))
    return value, alpha, by_sigma2, by_variance


class _OneFactor(torch.autograd.Function):
    """Intercept and slopes by level: ``M_j = sigma2 I + L' Z_j'Z_j L`` of every level."""

    @staticmethod
    def forward(ctx: Any, residual: Tensor, sigma2: Tensor, relative: Tensor, codes: Tensor, design: Tensor) -> Tensor:
        level, counts = _compact(codes)
        size, levels, rows = design.shape[1], len(counts), residual.shape[0]
        squares = design.new_zeros((levels, size, size)).index_add_(0, level, design[:, :, None] * design[:, None])
        sums = design.new_zeros((levels, size)).index_add_(0, level, design * residual[:, None])
        eye = torch.eye(size, dtype=design.dtype, device=design.device)
        lower = _cholesky(relative.T @ squares @ relative + sigma2 * eye)
        solved = torch.cholesky_solve((sums @ relative)[:, :, None], lower)[:, :, 0]  # M^-1 L'Z'r
        alpha = (residual - (design * (solved @ relative.T)[level]).sum(dim=1)) / sigma2
        logdet = (rows - levels * size) * torch.log(sigma2)
        logdet = logdet + 2.0 * torch.log(torch.diagonal(lower, dim1=1, dim2=2)).sum()
        inverse = _inverse(lower)
        left = squares @ relative @ inverse  # Z'V^-1 Z L
        weighted = design.new_zeros((levels, size)).index_add_(0, level, design * alpha[:, None])
        by_relative = left.sum(dim=0) - weighted.T @ (weighted @ relative)
        # tr V^-1 = (m - levels size + sigma2 sum tr M^-1) / sigma2
        trace = (rows - levels * size) / sigma2 + torch.diagonal(inverse, dim1=1, dim2=2).sum()
        ctx.save_for_backward(alpha, 0.5 * (trace - alpha @ alpha), by_relative)
        return 0.5 * (rows * LOG_2_PI + logdet + residual @ alpha)

    @staticmethod
    def backward(ctx: Any, *outputs: Any) -> Any:
        by_residual, by_sigma2, by_relative = ctx.saved_tensors
        own = outputs[0]
        return own * by_residual, own * by_sigma2, own * torch.tril(by_relative), None, None


@dataclass(slots=True, kw_only=True, eq=False)
class _Columns:
    """Columns of one factor in a batch: its levels with several rows side by side, and the rows of all others."""

    relative: Tensor
    design: Tensor
    alone: Tensor
    level: Tensor
    counts: Tensor
    where: Tensor

    @property
    def unscaled(self) -> Tensor:
        """``Z`` of the levels with several rows (rows, levels, effects)."""
        shared = int((self.counts > 1).sum())
        found = self.design.new_zeros((len(self.design), shared, self.design.shape[1]))
        rows = torch.nonzero(~self.alone)[:, 0]
        found[rows, self.where[self.level[rows]]] = self.design[rows]
        return found


class _Several(torch.autograd.Function):
    """Several factors and dense designs: Woodbury's identity around a diagonal."""

    @staticmethod
    def forward(ctx: Any, residual: Tensor, sigma2: Tensor, count: int, *inputs: Any) -> Tensor:
        rows = residual.shape[0]
        parts = [_columns_of(*inputs[3 * place : 3 * place + 3]) for place in range(count)]
        dense = [(inputs[place], inputs[place + 1]) for place in range(3 * count, len(inputs), 2)]
        noise = sigma2.expand(rows).clone()
        for part in parts:
            own = part.design @ part.relative
            noise = noise + torch.where(part.alone, own.square().sum(dim=1), 0.0)
        unscaled = [part.unscaled for part in parts]
        blocks = [(z @ part.relative).flatten(1) for z, part in zip(unscaled, parts, strict=True)]
        blocks += [columns * sd for columns, sd in dense]
        columns = torch.cat(blocks, dim=1)
        if columns.shape[1] > rows:
            alpha, diagonal, turned, logdet = _by_whole(residual, noise, columns)
        else:
            alpha, diagonal, turned, logdet = _by_woodbury(residual, noise, columns)
        ctx.parts, ctx.unscaled, ctx.dense = parts, unscaled, dense
        ctx.save_for_backward(alpha, diagonal, turned)
        return 0.5 * (rows * LOG_2_PI + logdet + residual @ alpha)

    @staticmethod
    def backward(ctx: Any, *outputs: Any) -> Any:
        alpha, diagonal, turned = ctx.saved_tensors
        own = outputs[0]
        excess = diagonal - alpha.square()
        gradients: list[Tensor | None] = [own * alpha, own * 0.5 * excess.sum(), None]
        start = 0
        for part, z in zip(ctx.parts, ctx.unscaled, strict=True):
            end = start + z.shape[1] * z.shape[2]
            solved = turned[:, start:end].reshape(z.shape)
            weighted = torch.einsum("nle,n->le", z, alpha)
            by_relative = torch.einsum("nla,nlb->ab", z, solved) - weighted.T @ (weighted @ part.relative)
            single = torch.where(part.alone, excess, 0.0)[:, None] * part.design
            by_relative = by_relative + part.design.T @ single @ part.relative
            gradients += [own * torch.tril(by_relative), None, None]
            start = end
        for columns, sd in ctx.dense:
            end = start + columns.shape[1]
            inside = turned[:, start:end] - alpha[:, None] * (sd * (alpha @ columns))[None]
            gradients += [own * sd * inside, own * (columns * inside).sum()]
            start = end
        return tuple(gradients)


def _columns_of(relative: Tensor, codes: Tensor, design: Tensor) -> _Columns:
    """The columns of one factor."""
    level, counts = _compact(codes)
    where = torch.cumsum((counts > 1).to(torch.int64), dim=0) - 1
    return _Columns(relative=relative, design=design, alone=counts[level] == 1, level=level, counts=counts, where=where)


def _by_woodbury(residual: Tensor, noise: Tensor, columns: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """``V^-1 r``, the diagonal of ``V^-1``, ``V^-1 C`` and ``log|V|`` for ``V = diag(noise) + C C'``."""
    scaled = columns / noise[:, None]
    inner = columns.T @ scaled
    inner.diagonal().add_(1.0)
    lower = _cholesky(inner)
    turned = scaled @ _inverse(lower)  # quicker than solving for every row
    alpha = residual / noise - turned @ (columns.T @ (residual / noise))
    diagonal = 1.0 / noise - (turned * columns).sum(dim=1) / noise
    return alpha, diagonal, turned, torch.log(noise).sum() + 2.0 * torch.log(torch.diagonal(lower)).sum()


def _by_whole(residual: Tensor, noise: Tensor, columns: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The same by V itself, where there are more columns than rows; in double precision, as it may be near singular."""
    wide = columns.double()
    matrix = wide @ wide.T
    matrix.diagonal().add_(noise.double())
    lower = _cholesky(matrix)
    inverse = _inverse(lower)
    logdet = 2.0 * torch.log(torch.diagonal(lower)).sum()
    found = inverse @ residual.double(), torch.diagonal(inverse), inverse @ wide, logdet
    return found[0].to(columns), found[1].to(columns), found[2].to(columns), found[3].to(columns)
