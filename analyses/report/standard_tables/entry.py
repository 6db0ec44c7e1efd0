"""What a table of the catalogue is, and how it finds the analysis it shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.report.guard import SMALLEST_SHOWN, total_gives_away
from toolkit.errors import DataError
from toolkit.runs.kept import KeptAnalysis, kept_analyses

if TYPE_CHECKING:
    from analyses.report.tables import ReportTable
    from toolkit.data.description import Description
    from toolkit.runs.folder import SavedRun


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TableOptions:
    """What can be asked of a table.

    Attributes:
        smallest: the smallest number of persons a group may have to be shown, 5 to 21.
        analysis: name of the kept analysis, where a run has several of a kind.
        interval: which interval the matrix of differences shows, ``raw`` or ``simultaneous``.
        split: rows that metrics are of: ``train``, ``validation`` or ``test``.
        sample: description of the study, for Table 1 with all its measures; the run's own numbers without it.
    """

    smallest: int = SMALLEST_SHOWN
    analysis: str | None = None
    interval: str = "raw"
    split: str = "test"
    sample: Description | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TableEntry:
    """One table of the catalogue.

    Attributes:
        name: what is typed, such as ``differences``.
        title: what it shows.
        needs: what the run must have, in words.
        build: makes it from a run.
        analysis: start of the name of the kept analysis it shows; empty where the run itself is enough.
    """

    name: str
    title: str
    needs: str
    build: Callable[[SavedRun, TableOptions], ReportTable]
    analysis: str = ""


def found_analyses(run: SavedRun, kind: str) -> list[KeptAnalysis]:
    """The kept analyses of a kind, those with the plainest names first."""
    mine = [kept for kept in kept_analyses(run) if kept.name == kind or kept.name.startswith(f"{kind}-")]
    return sorted(mine, key=lambda kept: (kept.name != f"{kind}-probability", len(kept.name), kept.name))


def found_analysis(run: SavedRun, kind: str, command: str, asked: str | None = None) -> KeptAnalysis:
    """The kept analysis of a kind, or the one asked for by name.

    Raises:
        DataError: E408 if it was not kept.
    """
    mine = found_analyses(run, kind)
    chosen = [kept for kept in mine if asked is None or kept.name == asked]
    if not chosen:
        names = ", ".join(kept.name for kept in mine)
        raise DataError(
            "the run keeps no such analysis" if mine else "the analysis behind this table was not run yet",
            code="E408",
            column="analysis",
            remedy=f"it keeps: {names}" if mine else f"run '{command}' first",
        )
    return chosen[0]


def too_small(sizes: Mapping[str, int], smallest: int) -> bool:
    """Whether a comparison rests on a group of 1 to ``smallest - 1`` persons."""
    return any(0 < size < smallest for size in sizes.values()) or total_gives_away(sizes, smallest=smallest)


def small_note(smallest: int) -> str:
    """Why numbers are missing, for the note of a table."""
    return (
        f"Numbers that describe a group of 1 to {smallest - 1} persons, and those that would give them away, are not "
        "shown."
    )


def numbers(summary: Mapping[str, Any], name: str) -> np.ndarray:
    """A list of a result's summary as an array; what is missing is NaN."""
    return np.array(summary[name], dtype=np.float64)
