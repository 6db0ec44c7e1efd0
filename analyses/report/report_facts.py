"""What a report takes from a run folder, and what it was asked to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from analyses.figures.labels import listed
from analyses.grouping_factors import Factor, factors_of
from analyses.report import sentences
from analyses.report.guard import SMALLEST_SHOWN, checked_smallest, small_groups, total_gives_away
from analyses.variance_shares import person_components
from toolkit.errors import ConfigError, DataError
from toolkit.runs.kept import KeptAnalysis, kept_analyses

if TYPE_CHECKING:
    from toolkit.data.description import Description
    from toolkit.runs.folder import SavedRun

AUDIENCES = ("paper", "clinician", "internal")
# analyses whose results describe the groups; those that name single persons
OF_GROUPS = {"hsic", "differences", "differences-pairs", "plausible", "base-rates", "group-test", "multiverse"}
OF_PERSONS = {"drivers", "contributions"}
_BY_NAME = ("hsic", "differences", "base-rates", "plausible", "slopes", "baseline", "variance", "stability",
            "multiverse", "power", "comparison", "less-data", "drivers", "group-test", "effects",
            "class-effects", "contributions")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReportOptions:
    """What was asked for.

    Attributes:
        audience: ``paper``, ``clinician`` or ``internal``.
        smallest: the smallest number of persons a group may have to be shown, 5 to 21.
        sample: description of the study, for Table 1 with its measures.
        places: how each run folder is written in code and commands, by the run's position.
    """

    audience: str = "paper"
    smallest: int = SMALLEST_SHOWN
    sample: Description | None = None
    places: Sequence[str] = field(default_factory=tuple)

    def place(self, number: int) -> str:
        """How the run folder at a position is written."""
        return self.places[number] if number < len(self.places) else "RUN"

    @property
    def guarded(self) -> bool:
        """Whether small groups and single persons are left out."""
        return self.audience != "internal"


class RunFacts:
    """One run of a report: its tables, read once, and what they say about groups and persons."""

    def __init__(self, run: SavedRun, place: str, smallest: int) -> None:
        self.run, self.place, self.smallest = run, place, smallest
        self.manifest: Mapping[str, Any] = run.manifest
        self.study: Mapping[str, Any] = run.manifest["study"]

    @cached_property
    def persons(self) -> pd.DataFrame:
        """One row per person."""
        return self.run.persons()

    @cached_property
    def effects(self) -> pd.DataFrame:
        """Person effects; empty for a shared model."""
        return self.run.random_effects()

    @cached_property
    def components(self) -> pd.DataFrame:
        """Variance components."""
        return person_components(self.run.variance_components())

    @cached_property
    def factors(self) -> tuple[Factor, ...]:
        """Whose effects the model has: of the persons, and of families or items."""
        return factors_of(self.run.variance_components())

    def of_factor(self, factor: Factor) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Effects and variance components of a grouping factor."""
        components = self.run.variance_components()
        return self.run.random_effects(factor.term), components[components["term"] == factor.term]

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """Metrics per person, pooled and averaged."""
        return self.run.metrics()

    @cached_property
    def kept(self) -> list[KeptAnalysis]:
        """Analyses kept with the run."""
        return kept_analyses(self.run)

    @cached_property
    def groups(self) -> dict[str, int]:
        """Persons per group, by the written-out label."""
        return sentences.group_counts(self.persons, self.manifest)

    @property
    def small(self) -> list[str]:
        """Groups too small to show."""
        return small_groups(self.groups, smallest=self.smallest)

    @property
    def groups_hidden(self) -> bool:
        """Whether what describes the groups cannot be shown."""
        return bool(self.small) or (bool(self.groups) and total_gives_away(self.groups, smallest=self.smallest))

    @property
    def outcome(self) -> str:
        """What is predicted."""
        return str(self.study.get("target") or self.manifest.get("target") or "outcome")

    @property
    def outcomes(self) -> str:
        """What is predicted, all of it."""
        return listed([str(name) for name in self.run.targets]) if len(self.run.targets) > 1 else self.outcome

    @property
    def row(self) -> str:
        """What one row is called."""
        return str(self.study.get("unit") or "row")

    @property
    def personal(self) -> bool:
        """Whether persons have parameters of their own."""
        return not self.effects.empty

    @property
    def title(self) -> str:
        """Model and outcome in a heading."""
        name = sentences.MODEL_NAMES.get(self.run.model, self.run.model)
        return f"{name}, {self.outcomes} ({self.run.name})"

    @property
    def counts(self) -> tuple[int, int]:
        """Rows and persons."""
        return int(self.manifest["data"]["rows"]), int(self.manifest["data"]["persons"])


def kind_of(kept: KeptAnalysis) -> str:
    """Which kind of analysis was kept; by its name where it does not say."""
    if kept.recipe is not None:
        return "baseline" if kept.recipe.command == "bias-baseline" else kept.recipe.command
    return next((kind for kind in _BY_NAME if kept.name == kind or kept.name.startswith(f"{kind}-")), "other")


def gather(runs: Sequence[SavedRun], options: ReportOptions) -> list[RunFacts]:
    """The facts of every run, after checking that something may be shown of them.

    Raises:
        ConfigError: E302 for an unknown audience or a smallest group outside 5 to 21, or without a run.
        DataError: E124 for a study with fewer persons than may be shown.
    """
    if options.audience not in AUDIENCES:
        raise ConfigError(
            "this audience is not known", code="E302", column="audience", remedy=f"use {', '.join(AUDIENCES)}"
        )
    checked_smallest(options.smallest)
    if not runs:
        raise ConfigError("a report needs a run", code="E302", column="RUN", remedy="name a run folder")
    found = [RunFacts(run, options.place(place), options.smallest) for place, run in enumerate(runs)]
    if options.guarded and min(facts.counts[1] for facts in found) < options.smallest:
        raise DataError(
            f"the study has fewer than {options.smallest} persons, so nothing about them may be shown",
            code="E124",
            column="audience",
            remedy="use --audience internal for your own files, or a smaller --min-group (5 at least)",
        )
    return found
