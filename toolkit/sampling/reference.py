"""The frozen points that block proposals are built around: joint mode and Fisher information of every level.

Both are functions of the target alone (and of the references of earlier targets), never of the chain, so that
proposals built on them leave the posterior exactly invariant.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from toolkit.sampling.densities.categorical import probability_triangle
from toolkit.sampling.groups import Group
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
        covariance: inverse of prior precision plus information, (stacked, stacked, levels).
        root: a with a aᵀ = covariance.
        whitening: inverse of root.
    """

    mode: Float[Tensor, "stacked levels"]
    covariance: Float[Tensor, "stacked stacked levels"]
    root: Float[Tensor, "stacked stacked levels"]
    whitening: Float[Tensor, "stacked stacked levels"]


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
    modes = list(start)
    logits = [piece.logits(start) for piece in rows]
    found: list[tuple[Reference, ...]] = []
    for _ in range(rounds):
        found, moved = [], 0.0
        for place in range(len(modes)):
            at, farthest = _stepped(target, place, rows, groups, (modes, logits))
            found.append(at)
            moved = max(moved, farthest)
        if moved < SETTLED:
            break
    return tuple(found)


def _stepped(
    target: Target,
    place: int,
    rows: tuple[Piece, ...],
    groups: tuple[Group, ...],
    at: tuple[list[Tensor], list[Tensor]],
) -> tuple[tuple[Reference, ...], float]:
    """One Newton step of a factor: changes mode and logits `at` in place, gives references and the longest step."""
    modes, logits = at
    clusters, found, farthest = target.clusters[place], [], 0.0
    pull = target.statistics[place] - target.precisions[place] @ modes[place]
    for piece, here in zip(rows, logits, strict=True):
        piece.clusters[place].gather_into(pull, -piece.density.slope(here))
    step = torch.zeros_like(modes[place])
    for group in groups:
        members = group.members(clusters.effects, target.outputs, step.device)
        covariance, root, whitening = _curvature(target, place, group, rows, logits)
        part = (
            apply(covariance, pull[members]).mul_(1.0 if group.whole else DAMPING).clamp_(-LONGEST_STEP, LONGEST_STEP)
        )
        step[members] = part
        farthest = max(farthest, float(apply(whitening, part).abs().max()))
        mode = modes[place][members] + part
        found.append(Reference(mode=mode, covariance=covariance, root=root, whitening=whitening))
    modes[place] = modes[place] + step
    for piece, here in zip(rows, logits, strict=True):
        here += piece.clusters[place].spread(step)
    return tuple(found), farthest


def _curvature(
    target: Target, place: int, group: Group, rows: tuple[Piece, ...], logits: list[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Covariance, its root and the root's inverse of one group, by Cholesky in float64."""
    clusters = target.clusters[place]
    members = group.members(clusters.effects, target.outputs, target.fixed.device)
    prior = target.precisions[place][members][:, members].double()
    precision = _information(group, clusters, place, rows, logits).double() + prior[:, :, None]
    if len(precision) == 1:
        inverse = precision.reciprocal()
        return inverse.to(target.fixed), inverse.sqrt().to(target.fixed), precision.sqrt().to(target.fixed)
    lower = torch.linalg.cholesky(precision.permute(2, 0, 1))
    unit = torch.eye(lower.shape[1], dtype=lower.dtype, device=lower.device)
    root = torch.linalg.solve_triangular(lower, unit.expand_as(lower), upper=False).mT
    covariance, root, whitening = (
        part.permute(1, 2, 0).contiguous().to(target.fixed) for part in (root @ root.mT, root, lower.mT)
    )
    return covariance, root, whitening


def _information(
    group: Group, clusters: Clusters, place: int, rows: tuple[Piece, ...], logits: list[Tensor]
) -> Float[Tensor, "stacked stacked levels"]:
    """Sums of design_k design_m · information over the rows of each level."""
    size, effects = group.outputs.stop - group.outputs.start, clusters.effects
    pairs = size * (size + 1) // 2
    total = logits[0].new_zeros((effects, effects, pairs, clusters.levels))
    for piece, here in zip(rows, logits, strict=True):
        for part in row_slices(here.shape[1], pairs):
            _add_products(total, piece.clusters[place].part(part), _triangle(group, piece, here, part))
    first, second = torch.tril_indices(size, size)
    square = total.new_zeros((effects, effects, size, size, clusters.levels))
    square[:, :, first, second] = total
    square[:, :, second, first] = total
    return square.permute(0, 2, 1, 3, 4).reshape(effects * size, effects * size, clusters.levels)


def _triangle(group: Group, piece: Piece, logits: Tensor, part: slice) -> Float[Tensor, "pairs rows"]:
    """Lower triangle of the information of a group of outputs, for a part of the rows of a piece."""
    if group.whole:
        return piece.density.rows(part).information_triangle(logits[:, part])
    return probability_triangle(torch.softmax(logits[:, part], 0)[group.outputs])


def _add_products(total: Tensor, clusters: Clusters, weights: Float[Tensor, "pairs rows"]) -> None:
    """Adds the sums of some rows to `total` (effects, effects, pairs, levels)."""
    if clusters.design is None:
        total[0, 0].index_add_(1, clusters.codes, weights)
        return
    for k in range(clusters.effects):
        for m in range(clusters.effects):
            total[k, m].index_add_(1, clusters.codes, weights * (clusters.design[k] * clusters.design[m]))
