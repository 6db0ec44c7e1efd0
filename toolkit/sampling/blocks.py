"""Block sampler: every level of a factor proposed and accepted by itself, all levels of a factor at once.

Given the other factors the levels of one factor are independent, so that one vectorised Metropolis–Hastings update
moves them all, each with a decision of its own. The proposal is the level's Laplace approximation with the tails of a
Student-t: centre m = mode + H⁻¹ ∇(mode | others), scale H⁻¹, where mode and H are frozen when the target comes in.
The centre so depends on the other factors alone, which makes this an exact independence sampler. Exact normal moves
along directions that the likelihood does not see (`moves`) untie the factors from each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from toolkit.errors import ConfigError
from toolkit.sampling.laplace_block import Tails, laplace_update
from toolkit.sampling.leapfrog_block import leapfrog_update
from toolkit.sampling.moves import null_shift, translate
from toolkit.sampling.position import Position, laplace_start, positioned
from toolkit.sampling.protocol import Diagnostics, Keep, State, starting_draw
from toolkit.sampling.target import Draw, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """The default sampler of posterior effects.

    Attributes:
        proposal: "laplace", independence proposals, or "hmc", a few leapfrog steps in the whitened effects.
        degrees: degrees of freedom of the Student-t proposals.
        correlation: of a "laplace" proposal with the current effect, about the centre: negative ones make means more
            exact, positive ones make smaller moves.
        leapfrogs: steps of "hmc".
        step: length of a step of "hmc", in posterior SDs.
        rounds: Newton steps that renew modes and curvatures for each new target; 0 keeps what rows told of the first,
            with the prior of the present one, which is exact for any target, and what a chain that draws the variances
            as well should use.

    Raises:
        ConfigError: E302 for a proposal that does not exist.
    """

    proposal: Literal["laplace", "hmc"] = "laplace"
    degrees: int = 10
    correlation: float = -0.3
    leapfrogs: int = 3
    step: float = 0.5
    rounds: int = 2

    def __post_init__(self) -> None:
        """Refuse proposals that do not exist."""
        if self.proposal not in ("laplace", "hmc"):
            raise ConfigError(
                "the block sampler has no such proposal", code="E302", column="proposal", remedy="use laplace or hmc"
            )

    def begin(self, target: Target, *, start: Draw | None = None, generator: torch.Generator) -> State:
        """A state at `start`, or at a draw from the Laplace approximation of every level."""
        draw, modes = laplace_start(target, generator) if start is None else (starting_draw(target, start), None)
        return State(draw=draw, target=target, diagnostics=Diagnostics(acceptance=(1.0,) * len(draw)), modes=modes)

    def advance(
        self, target: Target, state: State, *, transitions: int, generator: torch.Generator, keep: Keep | None = None
    ) -> State:
        """The state after `transitions` sweeps over all factors; a new target renews references and logits."""
        position = positioned(target, state, self.rounds)
        for _ in range(transitions):
            self._sweep(position, generator)
            if keep is not None:
                keep(tuple(position.draw))
        shares = tuple(share / max(transitions, 1) for share in position.accepted)
        found = Diagnostics(acceptance=shares, transitions=transitions, gradients=position.passes)
        return State(draw=tuple(position.draw), target=target, diagnostics=found, memory=position, modes=position.modes)

    def _sweep(self, position: Position, generator: torch.Generator) -> None:
        """One update of every factor, then the moves that the likelihood does not see."""
        for place in position.target.order:
            for group in position.groups:
                if self.proposal == "hmc":
                    leapfrog_update(position, place, group, (self.leapfrogs, self.step), generator)
                else:
                    laplace_update(position, place, group, Tails(self.degrees, self.correlation), generator)
            if position.target.density.shift_free:
                _shift_classes(position, place, generator)
        for shared in position.shared:
            shifts = translate(position.target, tuple(position.draw), shared, generator)
            for place, effect, shift in zip(shared.factors, shared.effects, shifts, strict=True):
                _add_everywhere(position, place, effect, shift)
        position.age += 1
        position.stay_in_range()


def _shift_classes(position: Position, place: int, generator: torch.Generator) -> None:
    """Redraw the null direction of the softmax of every level.

    All outputs together: the anchors, and with them the kept logits, stay. In groups: both follow, since a group that
    accepts its proposal takes the shift along and the other groups must not stay behind. Exponentials are kept up to a
    factor of each row, and stay.
    """
    effects = position.draw[place]
    shift = null_shift(position.target, place, effects, generator)
    everywhere = shift.repeat_interleave(position.target.outputs, 0)
    position.draw[place] = effects + everywhere
    if not position.groups[0].whole:
        position.anchors[place] = position.anchors[place] + everywhere
    if not position.groups[0].whole and position.origin is None:
        for piece, logits, sums in zip(position.rows, position.logits, position.sums, strict=True):
            rows = piece.clusters[place].spread(shift)
            logits += rows
            sums += rows


def _add_everywhere(position: Position, place: int, effect: int, shift: torch.Tensor) -> None:
    """Add a translation to one effect of every level; the sum over factors, and so the logits, stay."""
    outputs = position.target.outputs
    for kept in (position.draw, position.anchors):
        moved = kept[place].clone()
        moved[effect * outputs : (effect + 1) * outputs] += shift[:, None]
        kept[place] = moved
