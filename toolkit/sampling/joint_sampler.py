"""What Hmc, Mala and Nuts share: one chain over all effects at once, identity mass, a step of .1 that is halved."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from toolkit.sampling.joint import Joint, Point, joint
from toolkit.sampling.protocol import Diagnostics, Keep, State, starting_draw
from toolkit.sampling.step_size import StepSize
from toolkit.sampling.target import Draw, Target


class Move(NamedTuple):
    """Outcome of one transition: where to, mean acceptance on the way, divergences, gradients taken."""

    point: Point
    acceptance: float
    diverged: bool
    gradients: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JointMemory:
    """What a joint sampler keeps between calls."""

    point: Point | None
    step: StepSize
    acceptance: float | None


@dataclass(frozen=True, kw_only=True)
class JointSampler:
    """Base of the samplers that move every effect together.

    Attributes:
        step: first length of a step; halved before a call when the one before accepted less than one in a thousand.
        adapt: dual averaging of the step over the first transitions instead.
        adaptation: how many transitions adapt the step.
        wanted: acceptance that dual averaging aims at.
    """

    step: float = 0.1
    adapt: bool = False
    adaptation: int = 500
    wanted: float = 0.8

    def transition(self, joint: Joint, point: Point, step: float, generator: torch.Generator) -> Move:
        """One transition from `point`."""
        raise NotImplementedError

    def begin(self, target: Target, *, start: Draw | None = None, generator: torch.Generator) -> State:
        """A state at `start`, or at a draw from the prior."""
        draw = target.prior_draw(generator) if start is None else starting_draw(target, start)
        memory = JointMemory(point=None, step=StepSize(now=self.step), acceptance=None)
        found = Diagnostics(acceptance=(1.0,) * len(draw), step=self.step)
        return State(draw=draw, target=target, diagnostics=found, memory=memory)

    def advance(
        self, target: Target, state: State, *, transitions: int, generator: torch.Generator, keep: Keep | None = None
    ) -> State:
        """The state after `transitions`; a new target renews log posterior and gradient at the draw."""
        whole = joint(target)
        memory: JointMemory = state.memory
        step = replace(memory.step)
        if not self.adapt:
            step.halve_if_stopped(memory.acceptance)
        known = memory.point if state.target is target else None
        point = known or whole.point(whole.flat(state.draw))
        moves = []
        for _ in range(transitions):
            move = self.transition(whole, point, step.now, generator)
            point = move.point
            moves.append(move._replace(point=point._replace(gradient=point.gradient[:0])))
            if self.adapt:
                step.learn(move.acceptance, self.wanted, self.adaptation)
            if keep is not None:
                keep(whole.draw(point.flat))
        return _state(whole, point, step, moves, known is not None)


def _state(whole: Joint, point: Point, step: StepSize, moves: list[Move], known: bool) -> State:
    """The new state with the diagnostics of these moves."""
    mean = sum(move.acceptance for move in moves) / max(1, len(moves))
    found = Diagnostics(
        acceptance=(mean,) * len(whole.target.clusters),
        transitions=len(moves),
        divergences=sum(move.diverged for move in moves),
        gradients=float(sum(move.gradients for move in moves) + (not known)),
        step=step.now,
    )
    memory = JointMemory(point=point, step=step, acceptance=mean if moves else None)
    return State(draw=whole.draw(point.flat), target=whole.target, diagnostics=found, memory=memory)
