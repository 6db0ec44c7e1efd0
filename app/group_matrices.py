"""Average transitions of the open run by group: what the Transitions page draws without resampling anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from analyses.group_means import GroupMean, group_means
from analyses.matrices import observed_transitions, transition_matrices
from app.run_key import run_key
from app.state import OpenRun

if TYPE_CHECKING:
    import pandas as pd

EVERYBODY = "All persons"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Averages:
    """Averages of the groups that are shown.

    Attributes:
        states: names. means: by the label of the group, one entry under the empty label for everybody.
        pair: labels of the two groups compared, the one whose difference is positive first; None without two.
        names: how groups are called.
    """

    states: tuple[str, ...]
    means: dict[str, GroupMean]
    pair: tuple[str, str] | None
    names: dict[str, str]

    @property
    def smallest(self) -> int:
        """Persons of the smallest group shown."""
        return min(mean.persons for mean in self.means.values())

    @property
    def difference(self) -> np.ndarray | None:
        """First group minus second, shape (S, S)."""
        return None if self.pair is None else self.means[self.pair[0]].mean - self.means[self.pair[1]].mean

    def panels(self) -> dict[str, np.ndarray]:
        """Average matrices by the title of their panel."""
        return {f"{self.names[label]} (n = {found.persons})": found.mean for label, found in self.means.items()}

    def minus(self) -> str:
        """Which difference is shown, in words."""
        return "" if self.pair is None else f"{self.names[self.pair[0]]} minus {self.names[self.pair[1]]}"


def averages(opened: OpenRun, value: str, pair: tuple[str, str] | None) -> Averages:
    """Average matrices of two groups, or of everybody where no pair is given.

    Args:
        opened: the run.
        value: "probability", "expected", "score" or "observed" (shares of each person's own steps).
        pair: labels of the groups.
    """
    states = tuple(str(state) for state in opened.run.states or ())
    means = _means(opened.transitions, opened.persons, value, states, pair, run_key(opened))
    names = {"": EVERYBODY} | {label: opened.group_of(label) for label in means if label}
    return Averages(states=states, means=means, pair=pair, names=names)


@st.cache_data(scope="session", show_spinner=False, max_entries=32)
def _means(
    _transitions: pd.DataFrame,
    _persons: pd.DataFrame,
    value: str,
    states: tuple[str, ...],
    pair: tuple[str, str] | None,
    key: str,
) -> dict[str, GroupMean]:
    persons, _, matrices = transition_matrices(_transitions, value, states=states)
    if value == "observed":
        matrices = observed_transitions(matrices, smoothing=0)
    if pair is None:
        return group_means(matrices)
    labels = _persons.set_index("person")["group"].reindex(list(persons))
    found = group_means(matrices, labels.to_numpy(dtype=object))
    return {label: found[label] for label in pair}
