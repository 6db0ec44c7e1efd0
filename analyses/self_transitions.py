"""How often a state is followed by itself; where none ever is, states were coded by their onset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from analyses import wording
from analyses.resampling import check_length

if TYPE_CHECKING:
    import pandas as pd

ONSET_STEPS = 30  # with fewer steps, the absence of a repeated state says nothing


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SelfTransitions:
    """Outcome of `self_transitions`.

    Attributes:
        states: their labels. left: steps out of each state, stayed: of these into the same state, both (states,).
        steps, repeated: their sums.
    """

    states: tuple[str, ...]
    left: np.ndarray
    stayed: np.ndarray
    steps: int
    repeated: int

    @property
    def onset_coded(self) -> bool:
        """Whether enough steps were seen and none of them repeats its state."""
        return self.steps >= ONSET_STEPS and self.repeated == 0

    def to_frame(self) -> pd.DataFrame:
        """One row per state: state, left, stayed, share (NaN for a state that was never left)."""
        import pandas as pd

        share = np.divide(self.stayed, self.left, out=np.full(len(self.left), np.nan), where=self.left > 0)
        return pd.DataFrame({"state": list(self.states), "left": self.left, "stayed": self.stayed, "share": share})

    def text(self) -> str:
        """What was found, in plain words."""
        if not self.steps:
            return "No two states follow each other, so nothing can be said about how states follow."
        share = f"{100 * self.repeated / self.steps:.0f} %"
        said = (
            f"Of {wording.thousands(self.steps)} steps from one state to the next, {wording.thousands(self.repeated)} "
            f"({share}) stay in the same state."
        )
        if self.onset_coded:
            return f"{said} No state follows itself: states were coded by their onset, and the diagonal is empty."
        return f"{said} States can follow themselves, so the diagonal of a transition matrix has a meaning."

    def apa(self) -> str:
        """The same for a paper."""
        if not self.steps:
            return "There were no transitions between states."
        coded = "; states were coded by their onset" if self.onset_coded else ""
        return (
            f"Of {wording.thousands(self.steps)} transitions, {wording.thousands(self.repeated)} "
            f"({100 * self.repeated / self.steps:.1f}%) were to the same state{coded}."
        )


def self_transitions(
    state: ArrayLike, person: ArrayLike, sequence: ArrayLike, *, states: tuple[str, ...]
) -> SelfTransitions:
    """Count steps within sequences, and those that stay in their state.

    Args:
        state: label per row in order of person, sequence and time; missing ones part a step.
        person: label per row; a step never goes from one to another.
        sequence: the same, such as the day.
        states: labels in their order.

    Raises:
        DataError: E127 lengths that differ.
    """
    import pandas as pd

    codes = np.asarray(pd.Categorical(np.asarray(state, dtype=object), categories=list(states)).codes)
    who, part = np.asarray(person, dtype=object), np.asarray(sequence)
    check_length(who, codes.size, "person")
    check_length(part, codes.size, "sequence")
    follows = (who[1:] == who[:-1]) & (part[1:] == part[:-1]) & (codes[1:] >= 0) & (codes[:-1] >= 0)
    before, after = codes[:-1][follows], codes[1:][follows]
    left = np.bincount(before, minlength=len(states))
    stayed = np.bincount(before[before == after], minlength=len(states))
    return SelfTransitions(
        states=tuple(states), left=left, stayed=stayed, steps=int(left.sum()), repeated=int(stayed.sum())
    )
