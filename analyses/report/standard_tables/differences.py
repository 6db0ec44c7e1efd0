"""Differences of transitions between groups: every cell with all its intervals, and the matrix of Table 5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses import wording
from analyses.report.guard import COMPLEMENTARY
from analyses.report.standard_tables.entry import (
    TableEntry,
    TableOptions,
    found_analysis,
    numbers,
    small_note,
    too_small,
)
from analyses.report.tables import (
    ReportTable,
    Spanner,
    interval_column,
    p_cell,
    percent_cell,
    points_cell,
    signed_cell,
    two_cell,
)
from analyses.transition_scales import IN_POINTS
from toolkit.errors import ConfigError, DataError

if TYPE_CHECKING:
    from toolkit.runs.folder import SavedRun

MOST_STATES = 7  # that a printed matrix of intervals has room for
COMMAND = "nme analyze differences RUN"
QUANTITIES = {
    "probability": "Transition Probabilities",
    "score": "Transition Scores",
    "logit": "Log Odds of Transitions",
    "excess": "Transitions Beyond Base Rates",
}
_ENDS = {"raw": ("low", "high"), "simultaneous": ("low_simultaneous", "high_simultaneous")}
_OURS = ("shown", "scale", "raw_bold", "simultaneous_bold", "fdr_bold")  # columns that are not for a reader
_TIDY = ("mean_true", "mean_false", "difference", *_ENDS["raw"], *_ENDS["simultaneous"], "pvalue", "pvalue_fdr")


def difference_list(summary: Mapping[str, Any], *, smallest: int) -> ReportTable:
    """Every cell in a line: both means, difference, raw and simultaneous interval, p and FDR-adjusted p.

    Args:
        summary: of a comparison of transitions, of two groups or of several in pairs.
        smallest: the smallest group that is shown.
    """
    parts = [_cells(pair, smallest) for pair in _pairs(summary)]
    several = len(parts) > 1
    first = _pairs(summary)[0]
    shown = pd.concat([_printed(part, several) for part in parts], ignore_index=True)
    plain = pd.concat(parts, ignore_index=True).drop(columns=list(_OURS))
    bold = pd.concat(parts, ignore_index=True)
    names = ("Mean of the first group", "Mean of the second group") if several else first["group_names"]
    points = first["scale"] in IN_POINTS
    unit = ", in Percentage Points" if points else ""
    return ReportTable(
        frame=shown,
        title=f"Differences in {QUANTITIES[first['scale']]}{unit}" + ("" if several else f", {_minus(first)}"),
        note=_list_note(summary, smallest, several),
        headings={
            "pair": "Groups", "from_state": "From", "to_state": "Into", "mean_true": f"{names[0]}",
            "mean_false": f"{names[1]}", "difference": "Difference", "raw": "One by one",
            "simultaneous": "All together", "pvalue": "p", "pvalue_fdr": "p (FDR)",
        },
        formats={
            "mean_true": percent_cell if points else two_cell, "mean_false": percent_cell if points else two_cell,
            "difference": points_cell if points else signed_cell, "pvalue": p_cell, "pvalue_fdr": p_cell,
        },
        numbers={"mean_true", "mean_false", "difference", "raw", "simultaneous", "pvalue", "pvalue_fdr"},
        spanners=(
            Spanner(label="Mean", columns=("mean_true", "mean_false")),
            Spanner(label=f"{wording.percent(first['level'])} CI", columns=("raw", "simultaneous")),
        ),
        bold=_bold_cells(bold),
        data=plain.rename(columns={"mean_true": "mean_first", "mean_false": "mean_second"}),
    )  # fmt: skip


def difference_matrix(summary: Mapping[str, Any], *, smallest: int, interval: str = "raw") -> ReportTable:
    """The matrix of intervals from x into, significant ones in bold, as Table 5 of Wörtwein et al. (2023).

    Args:
        summary: of a comparison of transitions of two groups.
        smallest: the smallest group that is shown.
        interval: ``raw`` (as in the paper) or ``simultaneous``.

    Raises:
        ConfigError: E302 for another interval.
        DataError: E408 for several pairs of groups, or more states than a page has room for.
    """
    if interval not in _ENDS:
        raise ConfigError(
            "this interval is not known", code="E302", column="interval", remedy="use raw or simultaneous"
        )
    one = _only_pair(summary)
    states = [str(state) for state in one["states"]]
    cells = _cells(one, smallest)
    size = len(states)
    texts = np.array(_intervals(cells, interval), dtype=object).reshape(size, size)
    columns = [f"into {place}" for place in range(size)]
    frame = pd.DataFrame(texts, columns=columns)
    frame.insert(0, "from_state", states)
    flags = {name: cells[f"{name}_bold"].to_numpy().reshape(size, size) for name in ("raw", "simultaneous", "fdr")}
    other = "simultaneous" if interval == "raw" else "raw"
    return ReportTable(
        frame=frame,
        title=f"{wording.percent(one['level'])} Confidence Intervals of Differences in {QUANTITIES[one['scale']]}, "
        f"{_minus(one)}",
        note=f"{_direction(one)}{_group_sizes(summary, smallest)} Rows: state a step starts from; "
        f"columns: state it leads into. {_intervals_note(one, interval)} {_how(one)}{_small(one, smallest)}",
        specific={
            "a": f"The {'simultaneous' if other == 'simultaneous' else 'single'} interval leaves out 0 as well.",
            "b": "Significant with the false discovery rate held at .05.",
        },
        headings={"from_state": "From", **dict(zip(columns, states, strict=True))},
        numbers=set(columns),
        spanners=(Spanner(label="Into", columns=tuple(columns)),),
        bold={(int(row), columns[int(k)]) for row, k in zip(*np.nonzero(flags[interval]), strict=True)},
        marks=_marks(flags[other], flags["fdr"], columns),
        data=cells.drop(columns=list(_OURS)),
    )


def _pairs(summary: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(summary["pairs"]) if "pairs" in summary else [summary]


def _only_pair(summary: Mapping[str, Any]) -> Mapping[str, Any]:
    """The comparison of two groups with few states; E408 for anything else."""
    pairs = _pairs(summary)
    if len(pairs) > 1 or len(pairs[0]["states"]) > MOST_STATES:
        what = "several pairs of groups" if len(pairs) > 1 else f"more than {MOST_STATES} states"
        raise DataError(
            f"a matrix has no room for {what}", code="E408", column="NAME", remedy="use the table 'differences'"
        )
    return pairs[0]


def _cells(pair: Mapping[str, Any], smallest: int) -> pd.DataFrame:
    """One line per cell in the units of the analysis; numbers are emptied if a group is too small to be shown."""
    states = [str(state) for state in pair["states"]]
    frame = pd.DataFrame(
        {
            "first": pair["group_names"][0],
            "second": pair["group_names"][1],
            "from_state": np.repeat(np.array(states, dtype=object), len(states)),
            "to_state": np.tile(np.array(states, dtype=object), len(states)),
            **{name: numbers(pair, name).ravel() for name in _TIDY},
        }
    )
    tested = np.isfinite(frame["pvalue"])
    with np.errstate(invalid="ignore"):
        for name, (low, high) in _ENDS.items():
            frame[f"{name}_bold"] = tested & ((frame[low] > 0) | (frame[high] < 0))
        frame["fdr_bold"] = tested & (frame["pvalue_fdr"] < 0.05)
    shown = not _hidden(pair, smallest)
    if not shown:
        frame = frame.assign(**{name: COMPLEMENTARY for name in _TIDY})
        frame = frame.assign(**{name: False for name in ("raw_bold", "simultaneous_bold", "fdr_bold")})
    return frame.assign(shown=shown, scale=pair["scale"])


def _hidden(pair: Mapping[str, Any], smallest: int) -> bool:
    first, second = pair["group_names"]
    sizes = {f"first: {first}": int(pair["n_true"]), f"second: {second}": int(pair["n_false"])}
    return too_small(sizes, smallest)


def _printed(cells: pd.DataFrame, several: bool) -> pd.DataFrame:
    """The lines as they are printed: intervals as text, each starting state named once."""
    frame = pd.DataFrame({"from_state": cells["from_state"].where(~cells["from_state"].duplicated(), "")})
    if several:
        pair = f"{cells['first'].iloc[0]} − {cells['second'].iloc[0]}"
        frame.insert(0, "pair", [pair, *[""] * (len(cells) - 1)])
    frame = frame.assign(to_state=cells["to_state"])
    frame = frame.assign(**{name: cells[name] for name in ("mean_true", "mean_false", "difference")})
    frame = frame.assign(raw=_intervals(cells, "raw"), simultaneous=_intervals(cells, "simultaneous"))
    return frame.assign(pvalue=cells["pvalue"], pvalue_fdr=cells["pvalue_fdr"])


def _intervals(cells: pd.DataFrame, interval: str) -> list[str]:
    if not cells["shown"].all():
        return [COMPLEMENTARY] * len(cells)
    low, high = _ENDS[interval]
    points = cells["scale"].iloc[0] in IN_POINTS
    return interval_column(cells[low], cells[high], 1 if points else 2, 100.0 if points else 1.0)


def _bold_cells(cells: pd.DataFrame) -> set[tuple[int, str]]:
    shown = {"raw": "raw_bold", "simultaneous": "simultaneous_bold", "pvalue_fdr": "fdr_bold"}
    return {
        (int(row), column) for column, flag in shown.items() for row in np.flatnonzero(cells[flag].to_numpy(dtype=bool))
    }


def _marks(also: np.ndarray, fdr: np.ndarray, columns: Sequence[str]) -> dict[tuple[int, str], str]:
    marks: dict[tuple[int, str], str] = {}
    for letter, flags in (("a", also), ("b", fdr)):
        for row, column in zip(*np.nonzero(flags), strict=True):
            key = (int(row), columns[int(column)])
            marks[key] = marks.get(key, "") + letter
    return {key: ",".join(letters) for key, letters in marks.items()}


def _minus(pair: Mapping[str, Any]) -> str:
    return f"{pair['group_names'][0]} Minus {pair['group_names'][1]}"


def _direction(pair: Mapping[str, Any]) -> str:
    first, second = pair["group_names"]
    what = "In percentage points; positive" if pair["scale"] in IN_POINTS else "Positive"
    return f"{what} values are higher in the group {first} than in the group {second}."


def _how(pair: Mapping[str, Any]) -> str:
    return (
        f"Intervals: {wording.METHODS[pair['method']]}, {wording.thousands(int(pair['resamples']))} resamples of "
        f"{pair['unit_name']}; simultaneous intervals by studentised max-T."
    )


def _intervals_note(pair: Mapping[str, Any], interval: str) -> str:
    together = "" if interval == "raw" else ", all cells taken together"
    return f"Bold: the interval leaves out 0 (before rounding){together}."


def _list_note(summary: Mapping[str, Any], smallest: int, several: bool) -> str:
    pairs = _pairs(summary)
    direction = "Each difference is first group minus second." if several else _direction(pairs[0])
    sizes = _group_sizes(summary, smallest)
    small = next((_small(pair, smallest) for pair in pairs if _hidden(pair, smallest)), "")
    return (
        f"{direction}{sizes} Bold: the interval leaves out 0, or p is below .05 after the false discovery rate was "
        f"controlled (Benjamini-Hochberg). {_how(pairs[0])}{small}"
    )


def _group_sizes(summary: Mapping[str, Any], smallest: int) -> str:
    """Persons per group, unless one of them is too small to be told."""
    if any(_hidden(pair, smallest) for pair in _pairs(summary)):
        return ""
    if "pairs" in summary:
        sizes = dict(summary["groups"])
    else:
        sizes = dict(zip(summary["group_names"], (summary["n_true"], summary["n_false"]), strict=True))
    return f" {'; '.join(f'{name}: n = {size}' for name, size in sizes.items())}."


def _small(pair: Mapping[str, Any], smallest: int) -> str:
    return f" {small_note(smallest)}" if _hidden(pair, smallest) else ""


def _build_list(run: SavedRun, options: TableOptions) -> ReportTable:
    kept = found_analysis(run, "differences", COMMAND, options.analysis)
    return difference_list(kept.summary, smallest=options.smallest)


def _build_matrix(run: SavedRun, options: TableOptions) -> ReportTable:
    kept = found_analysis(run, "differences", COMMAND, options.analysis)
    return difference_matrix(kept.summary, smallest=options.smallest, interval=options.interval)


DIFFERENCE_TABLES = (
    TableEntry(
        name="differences",
        title="Differences of transitions between groups, every cell with raw and simultaneous interval, p and FDR",
        needs="nme analyze differences",
        build=_build_list,
        analysis="differences",
    ),
    TableEntry(
        name="differences-matrix",
        title="The same as a matrix of intervals with significant cells bold (Table 5 of the paper)",
        needs=f"nme analyze differences, two groups, at most {MOST_STATES} states",
        build=_build_matrix,
        analysis="differences",
    ),
)
