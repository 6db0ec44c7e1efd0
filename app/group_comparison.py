"""The group test of the dashboard: matrices from the open run, the kernel test, the intervals; kept for the session."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st

from analyses.hsic import HsicResult, hsic_test
from analyses.matrices import observed_transitions, transition_matrices
from analyses.report.sentences import plural
from analyses.transitions import TransitionComparison, compare_transitions
from app import views
from app.inputs import PERSONS, TestSettings
from app.state import OpenRun
from toolkit.errors import DataError, ToolkitWarning
from toolkit.runs.kept import Recipe

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroupTest:
    """One finished group test: the test: all transitions at once, each transition, and p without regard to clusters."""

    hsic: HsicResult
    naive_p: float | None
    differences: TransitionComparison
    smallest: int

    def to_frame(self) -> pd.DataFrame:
        """One row per transition."""
        return self.differences.to_frame()

    def summary(self) -> dict[str, Any]:
        """Both results as plain values."""
        return {"hsic": self.hsic.summary(), "naive_p": self.naive_p, "differences": self.differences.summary()}

    def text(self) -> str:
        """Both plain sentences."""
        return f"{self.hsic.text()}\n\n{self.differences.text()}"

    def apa(self) -> str:
        """Both sentences for a paper."""
        return f"{self.hsic.apa()} {self.differences.apa()}"


def available_values(opened: OpenRun) -> list[str]:
    """What can be compared: model values need person effects, observed transitions only counts."""
    columns = ["probability", "score", "expected"] if opened.is_personal else []
    usable = [name for name in columns if opened.transitions[name].notna().any()]
    return [*usable, "observed"]


def group_names(opened: OpenRun) -> dict[str, str]:
    """The groups in the run, label to written-out name, sorted by label."""
    labels = sorted(opened.persons["group"].dropna().astype(str).unique())
    return {label: opened.group_of(label) for label in labels}


def group_labels(opened: OpenRun, persons: list[str]) -> pd.Series:
    """The group of each person, as labelled in the run; missing where unknown."""
    return opened.persons.set_index("person")["group"].reindex(persons)


def run_test(opened: OpenRun, settings: TestSettings) -> GroupTest:
    """Both tests for one setting.

    Raises:
        DataError: E124 when there are not exactly two groups, and what the analyses raise.
    """
    persons, states, matrices = _matrices(opened, settings.value)
    labels = group_labels(opened, persons)
    # in a test of whole matrices, a person with an undefined row cannot take part
    kept = labels.notna().to_numpy() & np.isfinite(matrices).all(axis=(1, 2))
    first, second = _order(sorted(labels[kept].astype(str).unique()), settings.first)
    chosen = [person for person, keep in zip(persons, kept, strict=True) if keep]
    unit = views.unit_labels(opened, chosen, settings.unit)
    return _computed(
        matrices[kept],
        labels[kept].astype(str).to_numpy(),
        None if unit is None else np.asarray(unit),
        tuple(states),
        (opened.group_of(first), opened.group_of(second)),
        first,
        settings,
        clustered=opened.cluster_name is not None,
    )


def _order(names: list[str], first: str) -> tuple[str, str]:
    """The group that differences are taken of, and the one that is subtracted."""
    if len(names) != 2:
        raise DataError(
            f"a comparison needs two groups, this run has {len(names)}",
            code="E124",
            remedy="Choose a run of a study with two groups",
        )
    chosen = first if first in names else names[1]
    return chosen, next(name for name in names if name != chosen)


def recipe(opened: OpenRun, settings: TestSettings) -> Recipe:
    """What a group test was made with, for the code beside it and for running it again."""
    first, second = _order(sorted(group_names(opened)), settings.first)
    unit = "person" if settings.unit == PERSONS or opened.cluster_name is None else "cluster"
    return Recipe(
        command="group-test",
        options={
            "value": settings.value,
            "groups": [first, second],
            "group_names": [opened.group_of(first), opened.group_of(second)],
            "unit": unit,
            "unit_name": plural(settings.unit),
            "permutations": settings.permutations,
            "level": settings.level,
            "seed": settings.seed,
        },
    )


def _matrices(opened: OpenRun, value: str) -> tuple[list[str], list[str], NDArray[np.float64]]:
    column = "observed" if value == "observed" else value
    persons, states, matrices = transition_matrices(opened.transitions, column)
    if value == "observed":
        matrices = observed_transitions(matrices)
    return [str(person) for person in persons], [str(state) for state in states], matrices


@st.cache_data(scope="session", show_spinner=False, max_entries=32)
def _computed(
    matrices: NDArray[np.float64],
    labels: NDArray[Any],
    unit: NDArray[Any] | None,
    states: tuple[str, ...],
    group_names: tuple[str, str],
    first: str,
    settings: TestSettings,
    *,
    clustered: bool,
) -> GroupTest:
    streams = np.random.default_rng(settings.seed).spawn(3)
    named = None if unit is None else plural(settings.unit)
    hsic = hsic_test(matrices, labels, unit=unit, permutations=settings.permutations, rng=streams[0], unit_name=named)
    naive = None
    if clustered and unit is not None:
        naive = hsic_test(matrices, labels, permutations=settings.permutations, rng=streams[1]).pvalue
    with warnings.catch_warnings():
        # a warning about few persons is among the notes of the result, and shown with it
        warnings.simplefilter("ignore", ToolkitWarning)
        differences = compare_transitions(
            matrices, labels == first, unit=unit, resamples=settings.permutations, level=settings.level, rng=streams[2],
            states=states, unit_name=named, group_names=group_names,
        )  # fmt: skip
    sizes = [int(np.sum(labels == label)) for label in np.unique(labels)]
    return GroupTest(hsic=hsic, naive_p=naive, differences=differences, smallest=min(sizes))
