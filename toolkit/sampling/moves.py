"""Exact moves along directions that the likelihood does not see.

Translation: c_l added to every level of factor l, with Σ_l c_l = 0 over factors that multiply the same column of the
design, leaves all logits as they are. Null direction: the same number added to all classes of a level leaves a softmax
as it is. Along both the posterior is the prior, and a normal: drawn exactly (Gibbs).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from toolkit.sampling.target import Clusters, Draw, Target


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shared:
    """Factors whose effects multiply one and the same column, and which effect of each it is."""

    factors: tuple[int, ...]
    effects: tuple[int, ...]


def shared_columns(clusters: tuple[Clusters, ...]) -> tuple[Shared, ...]:
    """Columns of the designs that two or more factors have in common; an intercept counts as a column of ones."""
    groups: list[tuple[Tensor | None, list[int], list[int]]] = []
    for factor, part in enumerate(clusters):
        columns = [None] if part.design is None else [_none_for_ones(column) for column in part.design]
        for effect, column in enumerate(columns):
            _join(groups, column, factor, effect)
    return tuple(Shared(factors=tuple(f), effects=tuple(e)) for _, f, e in groups if len(f) > 1)


def _none_for_ones(column: Tensor) -> Tensor | None:
    return None if bool((column == 1).all()) else column


def _join(groups: list[tuple[Tensor | None, list[int], list[int]]], column: Tensor | None, f: int, e: int) -> None:
    for known, factors, effects in groups:
        same = known is column or (known is not None and column is not None and torch.equal(known, column))
        if same and f not in factors:
            factors.append(f)
            effects.append(e)
            return
    groups.append((column, [f], [e]))


def translate(
    target: Target, draw: Draw, shared: Shared, generator: torch.Generator
) -> tuple[Float[Tensor, " outputs"], ...]:
    """One exact draw of the shifts c_l with Σ_l c_l = 0, given everything else.

    Free shifts would be c_l ~ N(V_l h_l, V_l) with V_l⁻¹ = Q_l P_l (rows and columns of this effect) and
    h_l = −(P_l Σ_q b_lq); the sum is taken off by conditioning: c_l − V_l (Σ V)⁻¹ Σ c.
    """
    means, spreads = zip(*(_free_shift(target, draw, f, e) for f, e in zip(*_pairs(shared), strict=True)), strict=True)
    noise = torch.randn(
        (len(means), target.outputs), generator=generator, dtype=torch.float64, device=target.fixed.device
    )
    free = [m + torch.linalg.cholesky(v) @ z for m, v, z in zip(means, spreads, noise, strict=True)]
    excess = torch.linalg.solve(torch.stack(spreads).sum(0), torch.stack(free).sum(0))
    return tuple((c - v @ excess).to(target.fixed) for c, v in zip(free, spreads, strict=True))


def _pairs(shared: Shared) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return shared.factors, shared.effects


def _free_shift(target: Target, draw: Draw, factor: int, effect: int) -> tuple[Tensor, Tensor]:
    """Mean and covariance of the shift of one factor's effect, were it free."""
    outputs = target.outputs
    part = slice(effect * outputs, (effect + 1) * outputs)
    precision = target.precisions[factor].double()
    spread = torch.linalg.inv(target.clusters[factor].levels * precision[part, part])
    pull = precision[part] @ draw[factor].sum(1, dtype=torch.float64)
    return -(spread @ pull), spread


def null_shift(
    target: Target, factor: int, effects: Float[Tensor, "stacked levels"], generator: torch.Generator
) -> Float[Tensor, "effects levels"]:
    """One exact draw of what to add to all classes of each effect of each level.

    With N = I_effects ⊗ 1_classes: a | b ~ N(−(NᵀPN)⁻¹ NᵀP b, (NᵀPN)⁻¹).
    """
    onto, root = target.null_direction(factor)
    mean = onto @ effects
    noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
    return mean + root @ noise
