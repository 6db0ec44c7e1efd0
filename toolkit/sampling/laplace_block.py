"""Proposals of all levels of one factor around their Laplace approximation with Student-t tails."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from toolkit.sampling.groups import Group
from toolkit.sampling.position import Position
from toolkit.sampling.reference import apply

# how much rows may say about any effect (see `Reference`) for their slope not to be worth a pass
LITTLE = 0.67


class Tails(NamedTuple):
    """Degrees of freedom ν of the proposals, and ρ, the correlation of a proposal with the current effect."""

    degrees: int
    correlation: float


def laplace_update(position: Position, place: int, group: Group, tails: Tails, generator: torch.Generator) -> None:
    """Metropolis–Hastings of every level with a move that leaves t_ν(m, H⁻¹) invariant, m = mode + H⁻¹∇(mode | others).

        w ~ (ν + |u|²) / χ²_{ν+E},  u′ = ρ u + √(1 − ρ²) √w z,  u = H^½ (b − m),
        α = [p(y | b′) p(b′) / t(b′)] / [p(y | b) p(b) / t(b)],   t(b) ∝ (1 + |u|² / ν)^(−(ν + E) / 2).

    The scale w is drawn given the current effect (t is a scale mixture of normals), then an autoregressive step with a
    negative ρ goes over to the other side of m: means of draws get more exact than those of independent draws (Adler,
    1981). Levels without rows have their prior as posterior, and levels of a density that is quadratic in the logits a
    normal: w = 1, and every proposal is accepted, unless the reference is that of an earlier target.
    """
    current = position.draw[place][position.members(place, group)]
    reference = position.references[place][group.place]
    centre = _centre(position, place, group)
    away = apply(reference.whitening, current - centre)
    behind = away.square().sum(0)
    exact = ~position.target.clusters[place].occupied | position.target.density.quadratic
    normal = torch.zeros_like(exact) if position.frozen else exact
    squares = chi_square(tails.degrees + len(current), behind, generator)
    stretch = torch.where(normal, 1.0, ((tails.degrees + behind) / squares).sqrt_())
    noise = torch.randn(current.shape, generator=generator, dtype=current.dtype, device=current.device)
    onward = tails.correlation * away + math.sqrt(1 - tails.correlation**2) * stretch * noise
    proposal = centre + apply(reference.root, onward)
    gain, changes = posterior_gain(position, place, group, proposal)
    ahead = onward.square().sum(0)
    gain += 0.5 * (tails.degrees + len(current)) * torch.log((tails.degrees + ahead) / (tails.degrees + behind))
    position.settle(place, group, accepts(gain, generator) | normal, proposal, changes)


def posterior_gain(
    position: Position, place: int, group: Group, proposal: Float[Tensor, "stacked levels"]
) -> tuple[Float[Tensor, " levels"], list[Tensor]]:
    """The gain log p(y | b′) p(b′) − log p(y | b) p(b) of every level, with the changes of the potential by piece."""
    target, members = position.target, position.members(place, group)
    current, anchor = position.draw[place][members], position.anchors[place][members]
    precision = target.precisions[place][members]
    shift, step = proposal - anchor, proposal - current
    within = precision if group.whole else precision[:, members]
    pull = precision @ position.draw[place] + 0.5 * (within @ step)  # ½ (b′ᵀPb′ − bᵀPb) = stepᵀ (P b + ½ P step)
    gain = (target.statistics[place][members] * shift).sum(0) - (step * pull).sum(0)
    changes = []
    for piece, rows in zip(position.rows, position.local(group, shift), strict=True):
        clusters = piece.clusters[place]
        change = rows.change(clusters, shift)
        gain.index_add_(0, clusters.codes, change, alpha=-1)
        changes.append(change)
    return gain, changes


def conditional_gradient(
    position: Position, place: int, group: Group, effects: Float[Tensor, "stacked levels"]
) -> Float[Tensor, "stacked levels"]:
    """∂ log p(b | y, everything else) at some effects of a group of outputs of one factor."""
    target, members = position.target, position.members(place, group)
    precision = target.precisions[place][members]
    within = precision if group.whole else precision[:, members]
    others = 0.0 if group.whole else precision @ position.draw[place] - within @ position.draw[place][members]
    pull = target.statistics[place][members] - within @ effects - others
    slope = torch.zeros_like(pull)
    shift = effects - position.anchors[place][members]
    for piece, rows in zip(position.rows, position.local(group, shift), strict=True):
        clusters = piece.clusters[place]
        clusters.gather_into(slope, rows.slope(clusters, shift))
    return pull - slope


def _centre(position: Position, place: int, group: Group) -> Float[Tensor, "stacked levels"]:
    """Newton's step from the frozen mode, given everything else: m of the proposal.

    Where rows say little about every level, the other factors hardly matter, and the mode does without a step.
    """
    if place in position.centres:
        return position.centres[place]
    reference = position.references[place][group.place]
    alone = group.whole and len(position.draw) == 1
    if reference.told < LITTLE and not alone:
        return reference.mode
    origin = reference.mode - _drift(position, place, group)[:, None]
    position.passes += 1 / len(position.groups)
    centre = origin + apply(reference.covariance, conditional_gradient(position, place, group, origin))
    if alone:
        position.centres[place] = centre
    return centre


def chi_square(degrees: int, like: Float[Tensor, " levels"], generator: torch.Generator) -> Float[Tensor, " levels"]:
    """χ²_ν = −2 log(U₁ ⋯ U_{ν/2}), plus a squared normal for odd ν, of every level."""
    uniform = torch.rand((degrees // 2, *like.shape), generator=generator, dtype=like.dtype, device=like.device)
    squares = uniform.neg_().log1p_().sum(0).mul_(-2)
    if degrees % 2:
        squares += torch.randn(like.shape, generator=generator, dtype=like.dtype, device=like.device).square_()
    return squares.clamp_min_(torch.finfo(like.dtype).eps)


def _drift(position: Position, place: int, group: Group) -> Float[Tensor, " stacked"]:
    """How far the other factors are from their modes along the columns they share with this one, averaged over rows.

    The likelihood sees the sum only, so that this factor's mode lies about as far on the other side: a better place for
    Newton's step than the frozen mode itself, and a function of the other factors alone.
    """
    first, size = group.outputs.start, group.size
    drift = position.target.fixed.new_zeros((position.target.clusters[place].effects * size,))
    for shared in position.shared:
        if place in shared.factors:
            mine = shared.effects[shared.factors.index(place)] * size
            for factor, effect in zip(shared.factors, shared.effects, strict=True):
                if factor != place:
                    begin = effect * position.target.outputs + first
                    drift[mine : mine + size] += position.average_away(factor, slice(begin, begin + size))
    return drift


def accepts(gain: Float[Tensor, " levels"], generator: torch.Generator) -> Tensor:
    """Metropolis–Hastings decision of every level."""
    uniform = torch.rand(gain.shape, generator=generator, dtype=gain.dtype, device=gain.device)
    return uniform.log_() < gain
