"""What the block sampler keeps of a chain: the draw, the logits it gives, and the frozen references."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from toolkit.sampling.densities.density import RowDensity
from toolkit.sampling.groups import Group, WithRest, output_groups
from toolkit.sampling.moves import Shared, shared_columns
from toolkit.sampling.pieces import Piece, pieces
from toolkit.sampling.protocol import State
from toolkit.sampling.reference import Reference, apply, joint_modes
from toolkit.sampling.target import Draw, Target

RENEW_AFTER = 200
WARM_ROUNDS = 2
HUGE = 1e30


@dataclass(slots=True, kw_only=True, eq=False)
class Position:
    """Belongs to one call of `advance`, which changes it in place.

    Attributes:
        target: the posterior.
        rows: its rows in pieces.
        groups: outputs that are proposed together.
        draw: effects of each factor.
        anchors: the effects that `logits` were made of: the draw, or for a softmax the draw up to null directions.
        logits: fixed logits plus what the anchors add, by piece.
        sums: potential of every row, by piece (groups, rows); with several groups the log-sum of each group's.
        references: frozen modes and curvatures, by factor and group.
        modes: the modes of each factor, all outputs together.
        shared: columns along which factors can be translated against each other.
        frozen: whether the references are those of an earlier target.
        centres: centres of proposals that never change (a single factor, all outputs together), by factor.
        accepted: share of levels that accepted, summed over proposals, by factor.
        passes: evaluations of the gradient over all rows.
        age: transitions since the logits were last summed up from the anchors.
    """

    target: Target
    rows: tuple[Piece, ...]
    groups: tuple[Group, ...]
    draw: list[Tensor]
    anchors: list[Tensor]
    logits: list[Tensor]
    sums: list[Tensor]
    references: tuple[tuple[Reference, ...], ...]
    modes: Draw
    shared: tuple[Shared, ...]
    frozen: bool = False
    centres: dict[int, Tensor] = field(default_factory=dict)
    accepted: list[float] = field(default_factory=list)
    passes: float = 0.0
    age: int = 0

    def members(self, place: int, group: Group) -> Tensor | slice:
        """Where the effects of a group are among those of the factor."""
        return group.members(self.target.clusters[place].effects, self.target.outputs, self.target.fixed.device)

    def average_away(self, place: int) -> Float[Tensor, " stacked"]:
        """Mean over rows of a factor's anchors less their frozen modes."""
        clusters = self.target.clusters[place]
        return (self.anchors[place] - self.modes[place]) @ clusters.shares.to(self.target.fixed)

    def local(self, number: int, group: Group) -> tuple[RowDensity, Tensor]:
        """Density of a group's logits in one piece given all other logits, with the potential as it stands."""
        sums = self.sums[number]
        if group.whole:
            return self.rows[number].density, sums[0]
        rest = torch.logsumexp(torch.cat([sums[: group.place], sums[group.place + 1 :]]), 0)
        return WithRest(rest), torch.logaddexp(rest, sums[group.place])

    def settle(
        self,
        place: int,
        group: Group,
        accept: Bool[Tensor, " levels"],
        proposal: Float[Tensor, "stacked levels"],
        changes: list[Tensor],
    ) -> None:
        """Move the levels that accepted, and their rows; `changes` of the potential are by piece."""
        members = self.members(place, group)
        before = self.anchors[place][members]
        step = torch.where(accept, proposal - before, 0.0)
        self.draw[place] = _replaced(self.draw[place], members, accept, proposal)
        self.anchors[place] = _replaced(self.anchors[place], members, accept, proposal)
        taken = accept.to(step.dtype)
        for number, piece in enumerate(self.rows):
            clusters = piece.clusters[place]
            self.logits[number][group.outputs] += clusters.spread(step)
            if group.whole:
                change = changes[number].clamp_(max=HUGE)  # an infinite one is never taken, but 0 times it is no number
                self.sums[number][0].addcmul_(taken.index_select(0, clusters.codes), change)
            else:
                self.sums[number][group.place] = torch.logsumexp(self.logits[number][group.outputs], 0)
        clusters = self.target.clusters[place]
        share = float((accept & clusters.occupied).sum()) / max(1, clusters.n_occupied)
        self.accepted[place] += share / len(self.groups)


def _replaced(effects: Tensor, members: Tensor | slice, accept: Tensor, proposal: Tensor) -> Tensor:
    """New effects with the proposal where it was accepted."""
    if isinstance(members, slice):
        return torch.where(accept, proposal, effects)
    effects = effects.clone()
    effects[members] = torch.where(accept, proposal, effects[members])
    return effects


def _joined_modes(target: Target, groups: tuple[Group, ...], found: tuple[tuple[Reference, ...], ...]) -> Draw:
    """Modes of each factor, all outputs together."""
    modes = tuple(
        target.fixed.new_zeros((len(precision), clusters.levels))
        for precision, clusters in zip(target.precisions, target.clusters, strict=True)
    )
    for effects, clusters, references in zip(modes, target.clusters, found, strict=True):
        for group, reference in zip(groups, references, strict=True):
            effects[group.members(clusters.effects, target.outputs, effects.device)] = reference.mode
    return modes


def positioned(target: Target, state: State, rounds: int = WARM_ROUNDS) -> Position:
    """The kept position, renewed when the target is another or rounding has had time to add up."""
    old: Position | None = state.memory
    if old is not None and old.target is target:
        rows, groups, centres = old.rows, old.groups, old.centres
    else:
        rows, groups, centres = pieces(target), output_groups(target), {}
    if old is not None and old.target is target and old.age < RENEW_AFTER:
        anchors, age = list(old.anchors), old.age
        logits, sums = [part.clone() for part in old.logits], [part.clone() for part in old.sums]
    else:
        anchors, age = list(state.draw), 0
        logits = [piece.logits(state.draw) for piece in rows]
        sums = [_sums(piece, groups, here) for piece, here in zip(rows, logits, strict=True)]
    references = old.references if old is not None and (old.target is target or rounds == 0) else None
    frozen = references is not None and old is not None and (old.frozen or old.target is not target)
    if references is not None and old is not None and old.target is not target and state.modes is not None:
        references = _moved(target, groups, references, state.modes)
    references = references or _found(target, rows, groups, state.modes, rounds)
    return Position(
        target=target, rows=rows, groups=groups, draw=list(state.draw), anchors=anchors, logits=logits, sums=sums,
        references=references, modes=_joined_modes(target, groups, references),
        shared=shared_columns(target.clusters) if old is None else old.shared, frozen=frozen,
        centres=centres, accepted=[0.0] * len(state.draw), age=age,
    )  # fmt: skip


def _moved(
    target: Target, groups: tuple[Group, ...], found: tuple[tuple[Reference, ...], ...], modes: Draw
) -> tuple[tuple[Reference, ...], ...]:
    """The same curvatures around other modes."""
    return tuple(
        tuple(
            replace(reference, mode=effects[group.members(clusters.effects, target.outputs, effects.device)])
            for group, reference in zip(groups, references, strict=True)
        )
        for effects, clusters, references in zip(modes, target.clusters, found, strict=True)
    )


def _sums(piece: Piece, groups: tuple[Group, ...], logits: Tensor) -> Float[Tensor, "groups rows"]:
    if groups[0].whole:
        return piece.density.potential(logits)[None]
    return torch.stack([torch.logsumexp(logits[group.outputs], 0) for group in groups])


def _found(
    target: Target, rows: tuple[Piece, ...], groups: tuple[Group, ...], modes: Draw | None, rounds: int
) -> tuple[tuple[Reference, ...], ...]:
    """References of a new target: warm from the modes of an earlier one, or found from zero."""
    if modes is not None:
        return joint_modes(target, rows, groups, modes, rounds=max(1, rounds))
    zero = tuple(
        target.fixed.new_zeros((len(precision), clusters.levels))
        for precision, clusters in zip(target.precisions, target.clusters, strict=True)
    )
    return joint_modes(target, rows, groups, zero)


def laplace_start(target: Target, generator: torch.Generator) -> tuple[Draw, Draw]:
    """A draw from the Laplace approximation of every level, and the modes."""
    rows, groups = pieces(target), output_groups(target)
    found = _found(target, rows, groups, None, WARM_ROUNDS)
    modes = _joined_modes(target, groups, found)
    draw = tuple(mode.clone() for mode in modes)
    for effects, clusters, references in zip(draw, target.clusters, found, strict=True):
        for group, reference in zip(groups, references, strict=True):
            noise = torch.randn(reference.mode.shape, generator=generator, dtype=effects.dtype, device=effects.device)
            members = group.members(clusters.effects, target.outputs, effects.device)
            effects[members] += apply(reference.root, noise)
    return draw, modes
