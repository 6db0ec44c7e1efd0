"""The frozen points that block proposals are built around: joint mode and Fisher information of every level.

Both are functions of the target alone (and of the references of earlier targets), never of the chain, so that
proposals built on them leave the posterior exactly invariant.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from toolkit.sampling.densities.categorical import probability_triangle
from toolkit.sampling.groups import Group
from toolkit.sampling.local_rows import exponentials, takes_exponentials
from toolkit.sampling.pieces import Piece, row_slices
from toolkit.sampling.target import Clusters, Draw, Target

LONGEST_STEP = 3.0
SETTLED = 0.1
ROUNDS = 25
DAMPING = 0.7


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """Laplace approximation of a group of outputs of one factor's levels; matrices have the level last.

    Attributes:
        mode: (stacked, levels).
        information: of the rows about the effects, (stacked, stacked, levels).
        covariance: inverse of prior precision plus information, (stacked, stacked, levels).
        root: a with a aᵀ = covariance.
        whitening: inverse of root.
        told: the largest ``1 - V P`` of any effect, with its variance V here and the prior's precision P: 0 where rows
            say nothing, 1 where they say all.
    """

    mode: Float[Tensor, "stacked levels"]
    information: Float[Tensor, "stacked stacked levels"]
    covariance: Float[Tensor, "stacked stacked levels"]
    root: Float[Tensor, "stacked stacked levels"]
    whitening: Float[Tensor, "stacked stacked levels"]
    told: float


def apply(matrix: Float[Tensor, "stacked stacked levels"], vector: Float[Tensor, "stacked levels"]) -> Tensor:
    """Matrix times vector, of each level."""
    if len(vector) == 1:
        return matrix[0] * vector
    return (matrix * vector).sum(1)


def joint_modes(
    target: Target, rows: tuple[Piece, ...], groups: tuple[Group, ...], start: Draw, *, rounds: int = ROUNDS
) -> tuple[tuple[Reference, ...], ...]:
    """Joint mode by Newton steps, a factor at a time, with the curvature found on the way: by factor and group.

    Args:
        target: the posterior.
        rows: its rows in pieces.
        groups: outputs that are proposed together; with several, steps are damped, since their curvature is taken
            without that between groups.
        start: where to begin; modes of an earlier target need one or two rounds.
        rounds: most sweeps over the factors; stops earlier when no level moves more than a tenth of its posterior SD.
    """
    modes, kept = list(start), [piece.logits(start) for piece in rows]
    exponential = takes_exponentials(target, groups)
    if exponential:
        for here in kept:
            exponentials(groups, here)
    found: dict[int, tuple[Reference, ...]] = {}
    for _ in range(rounds):
        moved = 0.0
        for place in target.order:
            found[place], farthest = _stepped(target, place, rows, groups, (modes, kept), exponential=exponential)
            moved = max(moved, farthest)
        if moved < SETTLED:
            break
    return tuple(found[place] for place in range(len(modes)))


def _stepped(
    target: Target,
    place: int,
    rows: tuple[Piece, ...],
    groups: tuple[Group, ...],
    at: tuple[list[Tensor], list[Tensor]],
    *,
    exponential: bool,
) -> tuple[tuple[Reference, ...], float]:
    """One Newton step of a factor: changes mode and logits `at` in place, gives references and the longest step.

    For logits there may be their exponentials; see `local_rows`.
    """
    modes, kept = at
    clusters, found, farthest = target.clusters[place], [], 0.0
    mean, information = _moments(target, place, rows, groups, kept, exponential=exponential)
    pull = target.statistics[place] - target.precisions[place] @ modes[place] - mean
    step = torch.zeros_like(modes[place])
    for group, own in zip(groups, information, strict=True):
        members = group.members(clusters.effects, target.outputs, step.device)
        prior = target.precisions[place][members][:, members]
        covariance, root, whitening = curvature(own, prior)
        part = (
            apply(covariance, pull[members]).mul_(1.0 if group.whole else DAMPING).clamp_(-LONGEST_STEP, LONGEST_STEP)
        )
        step[members] = part
        farthest = max(farthest, float(apply(whitening, part).abs().max()))
        mode = modes[place][members] + part
        found.append(
            Reference(
                mode=mode, information=own, covariance=covariance, root=root, whitening=whitening,
                told=_told(covariance, prior),
            )
        )  # fmt: skip
    modes[place] = modes[place] + step
    for piece, here in zip(rows, kept, strict=True):
        if exponential:
            here *= piece.clusters[place].spread(step.exp())
        else:
            here += piece.clusters[place].spread(step)
    return tuple(found), farthest


def with_prior(
    reference: Reference, mode: Float[Tensor, "stacked levels"], precision: Float[Tensor, "stacked stacked"]
) -> Reference:
    """The same information with another prior, and the mode, found with the earlier one, as that has it."""
    covariance, root, whitening = curvature(reference.information, precision)
    mode = apply(covariance, apply(reference.whitening.transpose(0, 1), apply(reference.whitening, mode)))
    told = _told(covariance, precision)
    return replace(reference, mode=mode, covariance=covariance, root=root, whitening=whitening, told=told)


def _told(covariance: Float[Tensor, "stacked stacked levels"], prior: Float[Tensor, "stacked stacked"]) -> float:
    known = torch.diagonal(covariance).T * torch.diagonal(prior)[:, None]
    return 1.0 - float(known.min())


def curvature(
    information: Float[Tensor, "stacked stacked levels"], prior: Float[Tensor, "stacked stacked"]
) -> tuple[Tensor, Tensor, Tensor]:
    """Inverse of information plus prior precision, a root of it, and the root's inverse.

    By Cholesky in float64, a column of all levels at a time: matrices are small and many.
    """
    precision = information.double() + prior.double()[:, :, None]
    if len(precision) == 1:
        inverse = precision.reciprocal()
        return inverse.to(information), inverse.sqrt().to(information), precision.sqrt().to(information)
    lower, inverse = torch.zeros_like(precision), torch.zeros_like(precision)
    for k in range(len(precision)):
        column = precision[k:, k] - (lower[k:, :k] * lower[k, :k]).sum(1)
        scale = column[0].rsqrt()
        lower[k:, k] = column * scale
        inverse[k, :k] = (inverse[:k, :k] * lower[k, :k, None]).sum(0).mul_(-scale)
        inverse[k, k] = scale
    inverse, whitening = inverse.to(information), lower.to(information).transpose(0, 1)
    covariance = torch.zeros_like(inverse)
    for row in inverse:
        covariance.addcmul_(row[:, None], row)
    return covariance, inverse.transpose(0, 1), whitening


def _moments(
    target: Target,
    place: int,
    rows: tuple[Piece, ...],
    groups: tuple[Group, ...],
    kept: list[Tensor],
    *,
    exponential: bool,
) -> tuple[Float[Tensor, "stacked levels"], list[Tensor]]:
    """By level, sums over its rows of design · slope, and of design_k design_m · information of each group."""
    clusters = target.clusters[place]
    mean = target.fixed.new_zeros((clusters.effects * target.outputs, clusters.levels))
    totals = [_no_products(group, clusters, mean) for group in groups]
    for piece, here in zip(rows, kept, strict=True):
        own = piece.clusters[place]
        if groups[0].whole and not exponential:
            own.gather_into(mean, piece.density.slope(here))
            for part in row_slices(here.shape[1], totals[0].shape[2]):
                weights = piece.density.rows(part).information_triangle(here[:, part])
                _add_products(totals[0], own.part(part), weights)
            continue
        p = here.div_(here.sum(0)) if exponential else torch.softmax(here, 0)
        own.gather_into(mean, p)
        for group, total in zip(groups, totals, strict=True):
            for part in row_slices(here.shape[1], total.shape[2]):
                _add_products(total, own.part(part), probability_triangle(p[group.outputs, part]))
    return mean, [_square(total, group) for total, group in zip(totals, groups, strict=True)]


def _no_products(group: Group, clusters: Clusters, like: Tensor) -> Float[Tensor, "effects effects pairs levels"]:
    size = group.size
    return like.new_zeros((clusters.effects, clusters.effects, size * (size + 1) // 2, clusters.levels))


def _square(
    total: Float[Tensor, "effects effects pairs levels"], group: Group
) -> Float[Tensor, "stacked stacked levels"]:
    """Both triangles, effects before outputs."""
    size, effects = group.size, len(total)
    first, second = torch.tril_indices(size, size)
    square = total.new_zeros((effects, effects, size, size, total.shape[-1]))
    square[:, :, first, second] = total
    square[:, :, second, first] = total
    return square.permute(0, 2, 1, 3, 4).reshape(effects * size, effects * size, total.shape[-1])


def _add_products(total: Tensor, clusters: Clusters, weights: Float[Tensor, "pairs rows"]) -> None:
    """Adds the sums of some rows to `total` (effects, effects, pairs, levels)."""
    if clusters.design is None:
        total[0, 0].index_add_(1, clusters.codes, weights)
        return
    for k in range(clusters.effects):
        for m in range(clusters.effects):
            total[k, m].index_add_(1, clusters.codes, weights * (clusters.design[k] * clusters.design[m]))
