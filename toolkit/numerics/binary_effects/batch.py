"""The marginal likelihood of a mini-batch, for gradient descent on the network that gives the logits.

Value and derivatives come from `quadrature` in float64, whatever the network computes in, so that no level can
underflow; what autograd sees is one function. The rows of a level that are in the batch are treated as a level of
their own, as batches that hold whole levels have it exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from toolkit.numerics.binary_effects.laplace import approximate
from toolkit.numerics.binary_effects.level_rows import level_rows
from toolkit.numerics.binary_effects.quadrature import evaluate
from toolkit.numerics.binary_effects.weighted import Structure, structure_of
from toolkit.numerics.mixed.design import Factor

# Newton steps of the modes in a batch may end here: nodes slightly off are as good
TOLERANCE = 1e-2


class _Marginal(torch.autograd.Function):
    """Minus the log-likelihood; its derivatives are at hand once it is known."""

    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, logits: Tensor, sd: Tensor, target: np.ndarray, codes: np.ndarray, extra: tuple[Any, int]
    ) -> Tensor:
        """Value, and what the derivatives will be."""
        design, nodes = extra
        rows = level_rows(target, codes, int(codes.max()) + 1, design)
        own = logits.detach().cpu().numpy().astype(np.float64)
        found = evaluate(rows, own, float(sd), nodes=nodes, tolerance=TOLERANCE)
        ctx.by_logit = torch.as_tensor(-found.by_logit).to(logits)
        ctx.by_sd = -found.by_theta
        ctx.like = sd
        return logits.new_tensor(-found.value)

    @staticmethod
    def backward(ctx: Any, *outputs: Any) -> tuple[Any, ...]:
        """Derivatives times what follows."""
        (above,) = outputs
        by_sd = above.to(ctx.like) * torch.full_like(ctx.like, ctx.by_sd)
        return above * ctx.by_logit, by_sd, None, None, None


def batch_loss(
    logits: Float[Tensor, " rows"],
    sd: Float[Tensor, ""],
    target: Float[np.ndarray, " rows"],
    codes: Int[np.ndarray, " rows"],
    *,
    nodes: int,
    design: Float[np.ndarray, " rows"] | None = None,
) -> Float[Tensor, ""]:
    """Minus the marginal log-likelihood of the rows of a batch, their sum.

    Args:
        logits: the network's.
        sd: SD of the effects, above zero; a variance in logarithms goes through ``exp(0.5 log_variance)``.
        target: zeros and ones.
        codes: level of each row, from 0.
        nodes: of the quadrature.
        design: what a level's effect is multiplied with; ones where not given.
    """
    marginal = cast(Any, _Marginal)
    return cast(Tensor, marginal.apply(logits, sd, target, codes, (design, nodes)))


class _MarginalOfSeveral(torch.autograd.Function):
    """Minus the log-likelihood of several effects by Laplace's approximation."""

    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, logits: Tensor, target: np.ndarray, structure: Structure, *relative: Tensor
    ) -> Tensor:
        """Value, and what the derivatives will be."""
        own = logits.detach().cpu().numpy().astype(np.float64)
        factors = [part.detach().cpu().numpy().astype(np.float64) for part in relative]
        found = approximate(structure, target, own, [factors[k] for k in structure.order])
        ctx.by_logit = torch.as_tensor(-found.by_logit).to(logits)
        place = [structure.order.index(k) for k in range(len(relative))]
        ctx.by_factor = [torch.as_tensor(-found.by_factor[k]).to(part) for k, part in zip(place, relative, strict=True)]
        return logits.new_tensor(-found.value)

    @staticmethod
    def backward(ctx: Any, *outputs: Any) -> tuple[Any, ...]:
        """Derivatives times what follows."""
        (above,) = outputs
        return above * ctx.by_logit, None, None, *(above.to(part) * part for part in ctx.by_factor)


def batch_loss_of_several(
    logits: Float[Tensor, " rows"],
    relative: Sequence[Tensor],
    target: Float[np.ndarray, " rows"],
    factors: Sequence[Factor],
) -> Float[Tensor, ""]:
    """The same for several factors or effects, by Laplace's approximation.

    Args:
        logits: the network's.
        relative: lower triangular factor of each grouping factor's covariance (effects, effects).
        target: zeros and ones.
        factors: of the rows of the batch; their codes may be any numbers.
    """
    present = [np.unique(factor.codes, return_inverse=True) for factor in factors]
    own = [
        Factor(codes=codes, levels=len(levels), design=factor.design, blocks=factor.blocks)
        for factor, (levels, codes) in zip(factors, present, strict=True)
    ]
    marginal = cast(Any, _MarginalOfSeveral)
    return cast(Tensor, marginal.apply(logits, target, structure_of(own), *relative))
