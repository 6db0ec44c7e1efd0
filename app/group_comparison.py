"""The group test of the dashboard: matrices from the open run, the kernel test, its effect size, the intervals."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses import progress
from analyses.hsic import HsicResult, hsic_test
from analyses.hsic_effect import HsicEffect, hsic_effect_size
from analyses.matrices import observed_transitions, transition_matrices
from analyses.report.sentences import plural
from analyses.transitions import TransitionComparison, compare_transitions
from app import jobs, views
from app.group_test_form import TestSettings
from app.inputs import PERSONS
from app.run_key import run_key
from app.state import OpenRun
from toolkit.errors import DataError, ToolkitWarning

if TYPE_CHECKING:
    from numpy.typing import NDArray

NO_EFFECT_CODES = ("E124", "E126")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroupTest:
    """One finished group test.

    Attributes:
        hsic: all transitions at once. effect: how large the difference is; None with too few units. naive_p: p without
            regard to clusters, for comparison. differences: each transition. within: labels changed places inside
            clusters, because the group varies there. smallest: persons of the smaller group.
    """

    hsic: HsicResult
    effect: HsicEffect | None
    naive_p: float | None
    differences: TransitionComparison
    within: bool
    smallest: int

    def to_frame(self) -> pd.DataFrame:
        """One row per transition."""
        return self.differences.to_frame()

    def summary(self) -> dict[str, Any]:
        """All results as plain values."""
        effect = None if self.effect is None else self.effect.summary()
        whole = {"hsic": self.hsic.summary(), "naive_p": self.naive_p, "differences": self.differences.summary()}
        return whole | {"effect": effect}

    def text(self) -> str:
        """Both plain sentences."""
        return f"{self.hsic.text()}\n\n{self.differences.text()}"

    def apa(self) -> str:
        """Both sentences for a paper."""
        return f"{self.hsic.apa()} {self.differences.apa()}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Given:
    """What is tested: matrices, group labels and units of the persons that take part."""

    matrices: NDArray[np.float64]
    labels: NDArray[Any]
    unit: NDArray[Any] | None
    states: tuple[str, ...]
    names: tuple[str, str]
    clustered: bool

    @property
    def within(self) -> bool:
        """Whether the group varies inside a cluster, so that whole clusters cannot trade places."""
        if self.unit is None:
            return False
        together = pd.DataFrame({"unit": self.unit, "label": self.labels})
        return bool((together.groupby("unit")["label"].nunique() > 1).any())


def available_values(opened: OpenRun) -> list[str]:
    """What can be compared: model values need person effects, observed transitions only counts."""
    columns = ["probability", "score", "expected"] if opened.is_personal else []
    usable = [name for name in columns if opened.transitions[name].notna().any()]
    return [*usable, "observed"]


def group_names(opened: OpenRun) -> dict[str, str]:
    """The groups in the run, label to written-out name, sorted by label."""
    labels = sorted(opened.persons["group"].dropna().astype(str).unique())
    return {label: opened.group_of(label) for label in labels}


def run_test(opened: OpenRun, settings: TestSettings) -> GroupTest | None:
    """The test for one setting, or None while it runs; kept in the run folder and found again there.

    Raises:
        DataError: E124 when a group has too few persons, and what the analyses raise.
    """
    given = _given(opened, settings)
    return jobs.job(
        key(opened, settings), _work(given, settings), label="Shuffling and resampling", keep=keep(opened, settings)
    )


def key(opened: OpenRun, settings: TestSettings) -> tuple[str, ...]:
    """What identifies a test within the session."""
    return ("group test", run_key(opened), json.dumps(settings.recipe(opened).as_data(), sort_keys=True))


def keep(opened: OpenRun, settings: TestSettings) -> jobs.Keep:
    """Where a test is kept."""
    return jobs.Keep(opened, settings.name(opened), settings.recipe(opened))


def _given(opened: OpenRun, settings: TestSettings) -> _Given:
    persons, states, matrices = _matrices(opened, settings.value)
    labels = opened.persons.set_index("person")["group"].reindex(persons)
    # in a test of whole matrices, a person with an undefined row cannot take part
    pair = (settings.first, settings.second)
    kept = labels.astype(str).isin(pair).to_numpy() & labels.notna().to_numpy()
    kept &= np.isfinite(matrices).all(axis=(1, 2))
    chosen = [person for person, there in zip(persons, kept, strict=True) if there]
    unit = views.unit_labels(opened, chosen, settings.unit)
    return _Given(
        matrices=matrices[kept],
        labels=labels[kept].astype(str).to_numpy(),
        unit=None if unit is None else np.asarray(unit, dtype=object),
        states=tuple(states),
        names=(opened.group_of(settings.first), opened.group_of(settings.second)),
        clustered=opened.cluster_name is not None,
    )


def _matrices(opened: OpenRun, value: str) -> tuple[list[str], list[str], NDArray[np.float64]]:
    persons, states, matrices = transition_matrices(opened.transitions, value, states=opened.run.states)
    if value == "observed":
        matrices = observed_transitions(matrices)
    return [str(person) for person in persons], [str(state) for state in states], matrices


def _work(given: _Given, settings: TestSettings) -> Callable[[], GroupTest]:
    def work() -> GroupTest:
        with warnings.catch_warnings():
            # a warning about few persons is among the notes of the result, and shown with it
            warnings.simplefilter("ignore", ToolkitWarning)
            return _computed(given, settings)

    return work


def _computed(given: _Given, settings: TestSettings) -> GroupTest:
    streams = np.random.default_rng(settings.seed).spawn(3)
    whole = None if given.unit is None or settings.unit == PERSONS else plural(settings.unit)
    kernel = {"kernel": settings.kernel, "bandwidth_multiple": settings.multiple}
    shuffled = {"permutations": settings.permutations, **kernel}
    inside = given.within
    unit, named = (None, None) if inside else (given.unit, whole)
    with progress.part(0, 3):
        hsic = hsic_test(
            given.matrices, given.labels, unit=unit, unit_name=named, strata=given.unit if inside else None,
            rng=streams[0], **shuffled,
        )  # fmt: skip
    naive = None
    with progress.part(1, 3):
        if given.clustered and given.unit is not None:
            naive = hsic_test(given.matrices, given.labels, rng=streams[1], **shuffled).pvalue
    with progress.part(2, 3):
        differences = compare_transitions(
            given.matrices, given.labels == settings.first, unit=given.unit, resamples=settings.permutations,
            level=settings.level, rng=streams[2], states=given.states, unit_name=whole, group_names=given.names,
        )  # fmt: skip
    sizes = [int(np.sum(given.labels == label)) for label in (settings.first, settings.second)]
    effect = _effect(given, unit, named, settings)
    return GroupTest(
        hsic=hsic, effect=effect, naive_p=naive, differences=differences, within=inside, smallest=min(sizes)
    )


def _effect(given: _Given, unit: Any, named: str | None, settings: TestSettings) -> HsicEffect | None:
    """Effect sizes with jackknife intervals; None with too few units for any."""
    try:
        return hsic_effect_size(
            given.matrices, given.labels, unit=unit, unit_name=named, kernel=settings.kernel,
            bandwidth_multiple=settings.multiple, level=settings.level,
        )  # fmt: skip
    except DataError as problem:
        if problem.code in NO_EFFECT_CODES:
            return None
        raise
