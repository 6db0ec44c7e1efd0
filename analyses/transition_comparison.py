"""The record of a comparison of transitions between two groups, and its sentences."""

# pyright: strict
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses import wording
from analyses.bootstrap import Contrast
from analyses.cell_permutation import CellPermutation
from analyses.resampling import Units
from analyses.transition_scales import IN_POINTS, PreparedMatrices
from toolkit.errors import DataError
from toolkit.results import read_only

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TransitionComparison:
    """Outcome of `compare_transitions`; every array is from x into, shape (S, S), in the units of the input.

    Attributes:
        states: names, in the order of rows and columns.
        difference: mean where the group is True minus mean where it is False.
        low, high: interval of each difference on its own.
        low_simultaneous, high_simultaneous: studentised max-T intervals for all cells together.
        pvalue: inverts the single interval; pvalue_fdr: Benjamini-Hochberg. NaN in cells without variance (not tested).
        mean_true, mean_false: group means. n_cell_true, n_cell_false: persons with a value in the cell.
        n_true, n_false: persons per group. n_units: units resampled. unit_name: what they are called.
        pvalue_holm: Holm's correction. pvalue_permutation, pvalue_permutation_max: permutation of the group labels over
            whole units, per cell and corrected for all cells (max-T); NaN unless `permutations` was given.
        standard_error: of each difference, linearised over units.
        method: "percentile", "bca", "bootstrap-t" or "symmetric-t", as used. group_names: names of (True, False).
        scale: "probability" (sentences speak of percentage points), "score", "logit" (log odds ratios) or "excess"
            (shares of all transitions beyond base rates, in percentage points as well).
        notes: what the reader should know, as sentences.
    """

    states: tuple[str, ...]
    difference: np.ndarray
    low: np.ndarray
    high: np.ndarray
    low_simultaneous: np.ndarray
    high_simultaneous: np.ndarray
    pvalue: np.ndarray
    pvalue_fdr: np.ndarray
    pvalue_holm: np.ndarray
    pvalue_permutation: np.ndarray
    pvalue_permutation_max: np.ndarray
    standard_error: np.ndarray
    mean_true: np.ndarray
    mean_false: np.ndarray
    n_cell_true: np.ndarray
    n_cell_false: np.ndarray
    n_true: int
    n_false: int
    n_units: int
    unit_name: str
    method: str
    resamples: int
    level: float
    group_names: tuple[str, str]
    scale: str
    permutations: int
    notes: tuple[str, ...]

    def to_frame(self, *, every: bool = False) -> pd.DataFrame:
        """One row per cell: from_state, to_state, difference, the two intervals, p and FDR-adjusted p.

        Args:
            every: also Holm's p, the permutation p-values, the standard error and the persons per cell.
        """
        import pandas as pd

        names = [(a, b) for a in self.states for b in self.states]
        columns = {"from_state": [a for a, _ in names], "to_state": [b for _, b in names]}
        wanted = (*CELL_COLUMNS, *MORE_COLUMNS) if every else CELL_COLUMNS
        return pd.DataFrame(columns | {name: getattr(self, name).ravel() for name in wanted})

    def summary(self) -> dict[str, Any]:
        """The headline numbers as plain Python values, cells as nested lists."""
        arrays = {
            name: getattr(self, name).tolist() for name in (*CELL_COLUMNS, "pvalue_holm", "mean_true", "mean_false")
        }
        if self.permutations:
            arrays |= {name: getattr(self, name).tolist() for name in ("pvalue_permutation", "pvalue_permutation_max")}
        plain = ("n_true", "n_false", "n_units", "unit_name", "method", "resamples", "level", "scale")
        return {
            "states": list(self.states),
            "group_names": list(self.group_names),
            **{name: getattr(self, name) for name in plain},
            **{name: int(found.sum()) for name, found in self.flagged().items()},
            **arrays,
            "notes": list(self.notes),
        }

    def text(self) -> str:
        """How many cells differ, in plain words, and the one that differs most clearly."""
        counts = {name: int(found.sum()) for name, found in self.flagged().items()}
        tested = int(np.isfinite(self.pvalue).sum())
        if tested == 0:
            return "No transition varies between persons, so the groups cannot be compared."
        together, single = counts["cells_simultaneous"], counts["cells_single"]
        first = (
            f"Looking at all {tested} transitions together, {_count(together)} "
            f"between the {self.group_names[0]} and the {self.group_names[1]} group "
            f"(simultaneous {wording.percent(self.level)} intervals that leave out zero). "
            f"Taken one by one it would be {single}, of which {_chance(tested, self.level)} by chance alone."
        )
        row, column = np.unravel_index(np.nanargmin(self.pvalue), self.pvalue.shape)
        clearest = self.cell_text(self.states[row], self.states[column])
        return f"{first} The clearest one: {clearest[:1].lower()}{clearest[1:]}"

    def apa(self) -> str:
        """The comparison as a sentence for the results section."""
        counts = {name: int(found.sum()) for name, found in self.flagged().items()}
        tested = int(np.isfinite(self.pvalue).sum())
        return (
            f"Of {tested} transition {_MANY[self.scale]}, "
            f"{counts['cells_simultaneous']} differed between the {self.group_names[0]} (n = {self.n_true}) and the "
            f"{self.group_names[1]} group (n = {self.n_false}) by simultaneous {wording.percent(self.level)} CIs "
            f"({self._how()}; studentised max-T), {counts['cells_fdr']} with false discovery rate control at .05 and "
            f"{counts['cells_single']} by single intervals."
        )

    def cell_text(self, from_state: str, to_state: str) -> str:
        """One cell as a sentence with both intervals.

        Raises:
            DataError: E120 for a state that is not part of the comparison.
        """
        cell = (self._index(from_state), self._index(to_state))
        difference = float(self.difference[cell])
        start = STARTS[self.scale].format(from_state, to_state)
        if np.isnan(self.pvalue[cell]):
            return (
                f"{start} does not vary between {self.unit_name}, or has no data; the groups were not compared in it."
            )
        size, size_signed = self._size(abs(difference)), self._size(difference)
        unit = " percentage points" if self.scale in IN_POINTS else ""
        direction = "higher" if difference >= 0 else "lower"
        sign = "" if difference >= 0 else f" (difference {size_signed})"
        single = wording.ci_text(self._size(self.low[cell]), self._size(self.high[cell]), self.level)
        ends = self._size(self.low_simultaneous[cell]), self._size(self.high_simultaneous[cell])
        return (
            f"{start} was {size}{unit} {direction} in the {self.group_names[0]} group{sign}, {single} ({self._how()}); "
            f"simultaneous {wording.ci_text(*ends, self.level)}."
        )

    def flagged(self) -> dict[str, np.ndarray]:
        """Cells that differ by simultaneous intervals, with FDR control, and by single intervals, shape (S, S)."""
        tested = np.isfinite(self.pvalue)
        with np.errstate(invalid="ignore"):
            return {
                "cells_simultaneous": tested & ((self.low_simultaneous > 0) | (self.high_simultaneous < 0)),
                "cells_fdr": tested & (self.pvalue_fdr < 0.05),
                "cells_single": tested & ((self.low > 0) | (self.high < 0)),
            }

    def _how(self) -> str:
        return f"{wording.METHODS[self.method]}, {wording.thousands(self.resamples)} resamples of {self.unit_name}"

    def _size(self, value: float) -> str:
        return wording.points(value) if self.scale in IN_POINTS else wording.number(value)

    def _index(self, state: str) -> int:
        if state not in self.states:
            raise DataError(
                "this state is not part of the comparison",
                code="E120",
                column="state",
                remedy=f"Choose one of {', '.join(self.states)}",
            )
        return self.states.index(state)


CELL_COLUMNS = ("difference", "low", "high", "low_simultaneous", "high_simultaneous", "pvalue", "pvalue_fdr")
MORE_COLUMNS = (
    "pvalue_holm",
    "pvalue_permutation",
    "pvalue_permutation_max",
    "standard_error",
    "n_cell_true",
    "n_cell_false",
)
_MANY = {"probability": "probabilities", "score": "scores", "logit": "log odds", "excess": "excesses over base rates"}
STARTS = {
    "probability": "The probability of moving from {} to {}",
    "score": "The score of moving from {} to {}",
    "logit": "The log odds of moving from {} to {}",
    "excess": "The share of transitions from {} to {} beyond base rates",
}


def comparison_of(
    contrast: Contrast,
    dealt: CellPermutation | None,
    given: PreparedMatrices,
    units: Units,
    *,
    sizes: tuple[int, int],
    resamples: int,
    level: float,
    group_names: tuple[str, str],
) -> TransitionComparison:
    """The record from a bootstrapped contrast of the flattened matrices `given` and, if drawn, permutation p-values."""
    found, size = contrast.intervals, len(given.states)
    nothing = np.full(size * size, np.nan)
    rows = np.broadcast_to(contrast.rows, (2, size * size))
    cells = {name: getattr(found, name) for name in CELL_COLUMNS if name != "difference"}
    cells |= {"difference": contrast.point, "mean_true": contrast.means[0], "mean_false": contrast.means[1]}
    cells |= {"pvalue_holm": found.pvalue_holm, "standard_error": contrast.error}
    cells |= {"pvalue_permutation": dealt.pvalue if dealt else nothing}
    cells |= {"pvalue_permutation_max": dealt.pvalue_max if dealt else nothing}
    cells |= {"n_cell_true": rows[0], "n_cell_false": rows[1]}
    return TransitionComparison(
        states=given.states,
        **{name: read_only(values.reshape(size, size)) for name, values in cells.items()},
        n_true=sizes[0],
        n_false=sizes[1],
        n_units=units.n_units,
        unit_name=units.name,
        method=contrast.method,
        resamples=resamples,
        level=level,
        group_names=group_names,
        scale=given.scale,
        permutations=dealt.permutations if dealt else 0,
        notes=(*contrast.notes, *given.notes),
    )


def _count(cells: int) -> str:
    return {0: "none differs clearly", 1: "1 differs clearly"}.get(cells, f"{cells} differ clearly")


def _chance(tested: int, level: float) -> str:
    return f"about {wording.number(tested * (1 - level), 1)} would be expected"
