"""What every sampler gives: a state that goes from call to call, and a word about how it fares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from toolkit.sampling.target import Draw, Target

STOPPED_BELOW = 0.001
Keep = Callable[[Draw], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Diagnostics:
    """How the transitions of the last call of `advance` went.

    Attributes:
        acceptance: by factor, mean share of its levels (those with rows) that accepted their proposal; a sampler that
            moves all factors together repeats one number.
        transitions: how many there were.
        divergences: transitions whose energy error passed 1,000 (Hmc, Mala, Nuts).
        gradients: evaluations of the gradient over all rows.
        step: length of a step, None where there is none.
    """

    acceptance: tuple[float, ...]
    transitions: int = 0
    divergences: int = 0
    gradients: float = 0.0
    step: float | None = None

    @property
    def stopped(self) -> bool:
        """Whether some factor practically stopped accepting proposals in the last call."""
        return self.transitions > 0 and min(self.acceptance) < STOPPED_BELOW

    @property
    def sentence(self) -> str:
        """Empty, or what is wrong and what to do about it."""
        if not self.stopped:
            return ""
        worst = self.acceptance.index(min(self.acceptance)) + 1
        remedy = "use the sampler 'blocks'" if self.step is not None else "look for extreme logits or variances"
        return f"the sampler stopped accepting proposals for factor {worst}: its draws do not move. {remedy}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """Where a chain stands.

    Attributes:
        draw: effects of each factor, (effects · outputs, levels).
        target: the posterior they were drawn from.
        diagnostics: of the last call of `advance`.
        memory: what the sampler keeps between calls.
        modes: where the search for the posterior's mode begins when the target is a new one (blocks); a state made of
            a draw and modes alone goes on as the one they were taken from.
    """

    draw: Draw
    target: Target
    diagnostics: Diagnostics
    memory: Any = None
    modes: Draw | None = None

    @property
    def added(self) -> Float[Tensor, "outputs rows"]:
        """What the draw adds to the logits."""
        return self.target.added(self.draw)


@runtime_checkable
class Sampler(Protocol):
    """A Markov chain whose stationary distribution is the target's posterior."""

    def begin(self, target: Target, *, start: Draw | None = None, generator: torch.Generator) -> State:
        """A state at `start`, or at a draw from the prior."""
        ...

    def advance(
        self, target: Target, state: State, *, transitions: int, generator: torch.Generator, keep: Keep | None = None
    ) -> State:
        """The state after `transitions`; `keep` sees the draw after each. The target may be another than before."""
        ...


def starting_draw(target: Target, start: Draw) -> Draw:
    """The given draw in the dtype of the target."""
    return tuple(effects.to(target.fixed) for effects in start)
