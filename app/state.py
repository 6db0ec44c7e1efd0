"""Which runs and studies there are, which are open, and their tables, read once per session.

Pages read ``st.session_state["opened"]`` (`OpenRun` or None), ``st.session_state["opened_study"]`` (`app.studies`,
`OpenStudy` or None) and ``st.session_state["settings"]``. Further runs beside the open one: `other_runs` lists them,
`open_others` opens those that were chosen.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from analyses.grouping_factors import Factor, FactorShare, factor_shares, factors_of, levels_of
from analyses.report import sentences
from analyses.stability_marks import unstable_parameters
from analyses.variance_shares import person_components
from toolkit.errors import RunFolderError, ToolkitError
from toolkit.runs.folder import MANIFEST, SavedRun, load_run
from toolkit.runs.folder import find_runs as run_folders

if TYPE_CHECKING:
    import pandas as pd
RUNS_VARIABLE = "NME_RUNS"
REPORT = "report.html"


@dataclass(frozen=True, slots=True)
class FoundRun:
    """A run folder, its name in lists, and name and title of its study (empty where the manifest is damaged)."""

    path: Path
    label: str
    study: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class FactorTables:
    """Tables of one grouping factor.

    Attributes:
        factor: whose effects.
        effects: one row per level and parameter.
        components: its variance components.
        levels: one row per level: person (its label), group, rows_train.
    """

    factor: Factor
    effects: pd.DataFrame
    components: pd.DataFrame
    levels: pd.DataFrame


class OpenRun:
    """A saved run whose tables are read at first use and kept for the session."""

    def __init__(self, run: SavedRun) -> None:
        self.run = run
        self.manifest: dict[str, Any] = dict(run.manifest)
        self.study: dict[str, Any] = run.manifest.get("study") or {}
        self.group_names = sentences.group_labels(run.manifest)
        self._of_factor: dict[str, FactorTables] = {}

    @cached_property
    def persons(self) -> pd.DataFrame:
        """One row per person."""
        return self.run.persons()

    @cached_property
    def effects(self) -> pd.DataFrame:
        """One row per person and parameter; empty for a model without person effects."""
        return self.run.random_effects()

    @cached_property
    def components(self) -> pd.DataFrame:
        """Variance components of the persons, and the residual."""
        return person_components(self.all_components)

    @cached_property
    def all_components(self) -> pd.DataFrame:
        """Variance components of every grouping factor, and the residual."""
        return self.run.variance_components()

    @cached_property
    def factors(self) -> tuple[Factor, ...]:
        """Whose effects the model has: the persons' first, then those of families or items."""
        return factors_of(self.all_components)

    @cached_property
    def shares(self) -> tuple[FactorShare, ...]:
        """What share of the differences each grouping factor holds; empty for persons alone."""
        return factor_shares(self.all_components, (self.manifest.get("data") or {}).get("groupings", ()))

    def of_factor(self, factor: Factor) -> FactorTables:
        """Effects, variance components and levels of a grouping factor."""
        if factor.term not in self._of_factor:
            own = self.all_components["term"] == factor.term
            effects = self.effects if factor.is_person else self.run.random_effects(factor.term)
            components = self.components if factor.is_person else self.all_components[own].reset_index(drop=True)
            levels = self.persons if factor.is_person else levels_of(self.run, factor)
            self._of_factor[factor.term] = FactorTables(factor, effects, components, levels)
        return self._of_factor[factor.term]

    @cached_property
    def transitions(self) -> pd.DataFrame:
        """One row per person and transition; empty for a model without states."""
        return self.run.transitions() if self.has_states else self.effects.iloc[:0]

    @cached_property
    def unstable(self) -> frozenset[str]:
        """Parameters that a stability analysis found unstable."""
        return unstable_parameters(self.run)

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """One row per prompt."""
        return self.run.predictions()

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """Metrics per person, pooled and averaged."""
        return self.run.metrics()

    @cached_property
    def trace(self) -> pd.DataFrame:
        """One row per epoch."""
        return self.run.trace()

    @property
    def path(self) -> Path:
        """The run folder."""
        return Path(self.run.path)

    @property
    def has_states(self) -> bool:
        """Whether this is a sequence model of states."""
        return self.run.states is not None

    @property
    def is_personal(self) -> bool:
        """Whether persons have parameters of their own."""
        return not self.effects.empty

    @property
    def outcome(self) -> str:
        """Name of what is predicted."""
        return str(self.manifest.get("target") or self.study.get("target") or "outcome")

    @property
    def observation(self) -> str:
        """What one row is called, plural."""
        return sentences.plural(str(self.study.get("unit") or "row"))

    @property
    def group_name(self) -> str | None:
        """Name of the comparison variable, if persons have one."""
        return str(self.study.get("group_name") or "group") if self.persons["group"].notna().any() else None

    @property
    def cluster_name(self) -> str | None:
        """Name of what persons are nested in (family, site), if anything."""
        return str(self.study.get("cluster_name") or "cluster") if self.persons["cluster"].notna().any() else None

    def group_of(self, label: object) -> str:
        """A group label, written out."""
        return self.group_names.get(str(label), str(label))


def folders() -> list[Path]:
    """The folders given by the launcher, then those opened on the start page."""
    given = [Path(part) for part in os.environ.get(RUNS_VARIABLE, "").split(os.pathsep) if part]
    return list(dict.fromkeys([*given, *st.session_state.get("opened_folders", [])]))


def open_folder(folder: Path) -> list[FoundRun]:
    """Add a folder to those whose runs are listed; the runs in it."""
    found = find_runs([folder])
    if found:
        st.session_state["opened_folders"] = [*st.session_state.get("opened_folders", []), folder]
    return found


def find_runs(places: Iterable[Path]) -> list[FoundRun]:
    """Run folders among ``places`` and one level below them, by name."""
    paths = [path for place in places for path in run_folders(place)]
    unique = list(dict.fromkeys(path.resolve() for path in paths))
    names = [path.name for path in unique]
    # two studies may both hold a run of the same name
    return [
        FoundRun(path, path.name if names.count(path.name) == 1 else f"{path.parent.name} / {path.name}", *_study(path))
        for path in unique
    ]


def _study(path: Path) -> tuple[str, str]:
    """Name and title of a run's study; empty where that cannot be read."""
    try:
        return _told_study(str(path), (path / MANIFEST).stat().st_mtime_ns)
    except OSError:
        return "", ""


@st.cache_data(scope="session", show_spinner=False, max_entries=512)
def _told_study(path: str, changed: int) -> tuple[str, str]:
    try:
        study = json.loads((Path(path) / MANIFEST).read_text(encoding="utf-8"))["study"]
        return str(study.get("name") or ""), str(study.get("title") or study.get("name") or "")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "", ""


def find_reports(places: Iterable[Path]) -> list[Path]:
    """Reports beside the runs."""
    near = [candidate for place in places for candidate in (place / REPORT, place.parent / REPORT)]
    return [path for path in dict.fromkeys(near) if path.is_file()]


def found_runs() -> list[FoundRun]:
    """Every run the dashboard knows of, in the order of the sidebar."""
    return find_runs(folders())


def other_runs(opened: OpenRun) -> list[FoundRun]:
    """The runs beside the open one, for a choice of further runs to show with it."""
    here = opened.path.resolve()
    return [run for run in found_runs() if run.path != here]


def open_others(opened: OpenRun, chosen: Sequence[Path] | None = None) -> list[OpenRun]:
    """Further runs, opened side by side with ``opened``, which is not among them.

    Args:
        opened: the open run.
        chosen: paths of the runs wanted; by default every other run. Those that cannot be opened are left out; to tell
            why, call `open_run` on one of them.
    """
    wanted = [run.path for run in other_runs(opened)] if chosen is None else list(chosen)
    found = []
    for path in wanted:
        try:
            found.append(open_run(path))
        except ToolkitError:
            continue
    return found


def kept_results(opened: OpenRun) -> dict[str, str]:
    """Sentences of every analysis kept in the run folder, by name."""
    texts = sorted((opened.path / "analyses").glob("*/text.md"))
    return {path.parent.name: path.read_text(encoding="utf-8") for path in texts}


def open_run(path: Path) -> OpenRun:
    """The run in a folder; read again when its manifest changes.

    Raises:
        RunFolderError: E401 and others, as a sentence, when the folder cannot be used.
    """
    try:
        changed = (path / MANIFEST).stat().st_mtime_ns
    except OSError as problem:
        raise RunFolderError(
            "this folder holds no finished run (it has no manifest)",
            code="E401",
            remedy="Choose a folder that a fit has written, or run the fit again",
        ) from problem
    opened = _opened(str(path), changed)
    # read here, where an error can still be told; every page needs it
    _ = opened.persons
    return opened


@st.cache_resource(scope="session", show_spinner=False, max_entries=24)
def _opened(path: str, changed: int) -> OpenRun:
    return OpenRun(load_run(path))
