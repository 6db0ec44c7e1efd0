"""What the block sampler keeps of a chain: the draw, the logits it gives, and the frozen references."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from toolkit.sampling.groups import Group, output_groups
from toolkit.sampling.local_rows import LocalRows, exponentials, local_rows, span, takes_exponentials
from toolkit.sampling.moves import Shared, shared_columns
from toolkit.sampling.pieces import Piece, pieces
from toolkit.sampling.protocol import State
from toolkit.sampling.reference import Reference, apply, joint_modes, with_prior
from toolkit.sampling.target import Draw, Target

RENEW_AFTER = 200
WARM_ROUNDS = 2


@dataclass(slots=True, kw_only=True, eq=False)
class Position:
    """Belongs to one call of `advance`, which changes it in place.

    Attributes:
        target: the posterior.
        rows: its rows in pieces.
        groups: outputs that are proposed together.
        draw: effects of each factor.
        anchors: the effects that `logits` were made of: the draw, or for a softmax the draw up to null directions.
        logits: fixed logits plus what the anchors add, by piece; their exponentials where there is an `origin`.
        sums: potential of every row, by piece (groups, rows); with several groups the log-sum of each group's, or the
            sum of its exponentials.
        origin: the anchors when exponentials were last taken; None where logits are kept. See `local_rows`.
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
    origin: Draw | None
    references: tuple[tuple[Reference, ...], ...]
    modes: Draw
    shared: tuple[Shared, ...]
    frozen: bool = False
    centres: dict[int, Tensor] = field(default_factory=dict)
    accepted: list[float] = field(default_factory=list)
    passes: float = 0.0
    age: int = 0
    _averages: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    _views: tuple[int, list[LocalRows]] | None = None

    def members(self, place: int, group: Group) -> Tensor | slice:
        """Where the effects of a group are among those of the factor."""
        return group.members(self.target.clusters[place].effects, self.target.outputs, self.target.fixed.device)

    def average_away(self, place: int, effects: slice) -> Float[Tensor, " effects"]:
        """Mean over rows of some of a factor's anchors less their frozen modes."""
        anchors, shares = self.anchors[place], self.target.clusters[place].shares.to(self.target.fixed)
        if not self.groups[0].whole:
            return (anchors[effects] - self.modes[place][effects]) @ shares
        kept = self._averages.get(place)
        if kept is None or kept[0] is not anchors:  # of all outputs together anchors are replaced, never changed
            kept = self._averages[place] = (anchors, (anchors - self.modes[place]) @ shares)
        return kept[1][effects]

    def local(self, group: Group, shift: Float[Tensor, "stacked levels"]) -> list[LocalRows]:
        """The rows by piece as a group sees them, good for this shift of effects and until the next `settle`."""
        if self.origin is not None and float(shift.abs().max()) > span(shift):
            self._keep_logits()
        if self._views is None or self._views[0] != group.place:
            exponential = self.origin is not None
            each = zip(self.rows, self.logits, self.sums, strict=True)
            views = [local_rows(group, piece.density, *kept, exponential=exponential) for piece, *kept in each]
            self._views = group.place, views
        return self._views[1]

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
        step = torch.where(accept, proposal - self.anchors[place][members], 0.0)
        taken = accept.to(step.dtype)
        for piece, view, change in zip(self.rows, self.local(group, step), changes, strict=True):
            view.move(piece.clusters[place], step, taken, change)
        self._views = None
        self.draw[place] = _replaced(self.draw[place], group, members, accept, proposal)
        self.anchors[place] = _replaced(self.anchors[place], group, members, accept, proposal)
        clusters = self.target.clusters[place]
        share = float((accept & clusters.occupied).sum()) / max(1, clusters.n_occupied)
        self.accepted[place] += share / len(self.groups)

    def stay_in_range(self) -> None:
        """Take exponentials anew when the anchors or the sums have gone far, or rounding has had time to add up."""
        if self.origin is None:
            return
        # what was too small to keep rises by twice `far` at most beside other classes, and stays too small to matter
        far = sum(float((now - then).abs().max()) for now, then in zip(self.anchors, self.origin, strict=True))
        logs = max(float(sums.sum(0).log_().abs_().max()) for sums in self.sums)
        limit = span(self.target.fixed)
        if self.age >= RENEW_AFTER or not far < 0.8 * limit or not logs < limit:
            self.logits, self.sums, self.origin = _kept(self.target, self.rows, self.groups, tuple(self.anchors))
            self.age = 0

    def _keep_logits(self) -> None:
        """Logits for exponentials from now on."""
        self.logits = [piece.logits(tuple(self.anchors)) for piece in self.rows]
        self.sums = [_sums(piece, self.groups, here) for piece, here in zip(self.rows, self.logits, strict=True)]
        self.origin = self._views = None


def _replaced(effects: Tensor, group: Group, members: Tensor | slice, accept: Tensor, proposal: Tensor) -> Tensor:
    """New effects with the proposal where it was accepted; the first group copies, later ones change its copy."""
    if group.whole:
        return torch.where(accept, proposal, effects)
    effects = effects.clone() if group.place == 0 else effects
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
        rows, groups, centres = *_cut(target), {}
    if old is not None and old.target is target and old.age < RENEW_AFTER:
        anchors, age = list(old.anchors), old.age
        logits, sums, origin = [part.clone() for part in old.logits], [part.clone() for part in old.sums], old.origin
    else:
        anchors, age = list(state.draw), 0
        logits, sums, origin = _kept(target, rows, groups, state.draw)
    references = old.references if old is not None and (old.target is target or rounds == 0) else None
    frozen = references is not None and old is not None and (old.frozen or old.target is not target)
    if references is not None and old is not None and old.target is not target and state.modes is not None:
        references = _moved(target, groups, references, state.modes)
    references = references or _found(target, rows, groups, state.modes, rounds)
    return Position(
        target=target, rows=rows, groups=groups, draw=list(state.draw), anchors=anchors, logits=logits, sums=sums,
        origin=origin, references=references, modes=_joined_modes(target, groups, references),
        shared=shared_columns(target.clusters) if old is None else old.shared, frozen=frozen,
        centres=centres, accepted=[0.0] * len(state.draw), age=age,
    )  # fmt: skip


def _moved(
    target: Target, groups: tuple[Group, ...], found: tuple[tuple[Reference, ...], ...], modes: Draw
) -> tuple[tuple[Reference, ...], ...]:
    """What the rows told, around these modes, with the present prior."""
    return tuple(
        tuple(
            with_prior(reference, effects[members], precision[members][:, members])
            for group, reference in zip(groups, references, strict=True)
            for members in [group.members(clusters.effects, target.outputs, effects.device)]
        )
        for effects, precision, clusters, references in zip(
            modes, target.precisions, target.clusters, found, strict=True
        )
    )


def _cut(target: Target) -> tuple[tuple[Piece, ...], tuple[Group, ...]]:
    """Rows in pieces and outputs in groups."""
    groups = output_groups(target)
    return pieces(target, groups[0].size), groups


def _kept(
    target: Target, rows: tuple[Piece, ...], groups: tuple[Group, ...], anchors: Draw
) -> tuple[list[Tensor], list[Tensor], Draw | None]:
    """Logits of the anchors, or their exponentials, with the sums and, for exponentials, the anchors."""
    logits = [piece.logits(anchors) for piece in rows]
    if takes_exponentials(target, groups):
        return logits, [exponentials(groups, here) for here in logits], anchors
    return logits, [_sums(piece, groups, here) for piece, here in zip(rows, logits, strict=True)], None


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
    rows, groups = _cut(target)
    found = _found(target, rows, groups, None, WARM_ROUNDS)
    modes = _joined_modes(target, groups, found)
    draw = tuple(mode.clone() for mode in modes)
    for effects, clusters, references in zip(draw, target.clusters, found, strict=True):
        for group, reference in zip(groups, references, strict=True):
            noise = torch.randn(reference.mode.shape, generator=generator, dtype=effects.dtype, device=effects.device)
            members = group.members(clusters.effects, target.outputs, effects.device)
            effects[members] += apply(reference.root, noise)
    return draw, modes
