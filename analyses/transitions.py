"""Which transitions differ between two groups, by how many percentage points, and how sure are we?"""

# pyright: strict
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from analyses import wording
from analyses.bootstrap import bootstrap_contrast
from analyses.cell_permutation import permute_cells
from analyses.matrices import boolean_group, checked_matrices
from analyses.matrices import observed_transitions as observed_transitions
from analyses.matrices import transition_matrices as transition_matrices
from analyses.resampling import make_units
from analyses.transition_scales import (
    SCALES,
    check_probabilities,
    logit_transitions,
    structural_zeros,
    without_structural_zeros,
    zero_note,
)
from toolkit.errors import ConfigError, DataError
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
        scale: "probability" (sentences speak of percentage points), "score" or "logit" (log odds ratios).
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
        wanted = (*_CELL_COLUMNS, *_MORE_COLUMNS) if every else _CELL_COLUMNS
        return pd.DataFrame(columns | {name: getattr(self, name).ravel() for name in wanted})

    def summary(self) -> dict[str, Any]:
        """The headline numbers as plain Python values, cells as nested lists."""
        arrays = {
            name: getattr(self, name).tolist() for name in (*_CELL_COLUMNS, "pvalue_holm", "mean_true", "mean_false")
        }
        if self.permutations:
            arrays |= {name: getattr(self, name).tolist() for name in ("pvalue_permutation", "pvalue_permutation_max")}
        plain = ("n_true", "n_false", "n_units", "unit_name", "method", "resamples", "level", "scale")
        return {
            "states": list(self.states),
            "group_names": list(self.group_names),
            **{name: getattr(self, name) for name in plain},
            **{name: int(found.sum()) for name, found in self._flagged().items()},
            **arrays,
            "notes": list(self.notes),
        }

    def text(self) -> str:
        """How many cells differ, in plain words, and the one that differs most clearly."""
        counts = {name: int(found.sum()) for name, found in self._flagged().items()}
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
        counts = {name: int(found.sum()) for name, found in self._flagged().items()}
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
        what = _WORDS[self.scale]
        start = f"The {what} of moving from {from_state} to {to_state}"
        if np.isnan(self.pvalue[cell]):
            return (
                f"{start} does not vary between {self.unit_name}, or has no data; the groups were not compared in it."
            )
        size, size_signed = self._size(abs(difference)), self._size(difference)
        unit = " percentage points" if self.scale == "probability" else ""
        direction = "higher" if difference >= 0 else "lower"
        sign = "" if difference >= 0 else f" (difference {size_signed})"
        single = wording.ci_text(self._size(self.low[cell]), self._size(self.high[cell]), self.level)
        ends = self._size(self.low_simultaneous[cell]), self._size(self.high_simultaneous[cell])
        return (
            f"{start} was {size}{unit} {direction} in the {self.group_names[0]} group{sign}, {single} ({self._how()}); "
            f"simultaneous {wording.ci_text(*ends, self.level)}."
        )

    def _flagged(self) -> dict[str, np.ndarray]:
        """Cells that differ by each criterion."""
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
        return wording.points(value) if self.scale == "probability" else wording.number(value)

    def _index(self, state: str) -> int:
        if state not in self.states:
            raise DataError(
                "this state is not part of the comparison",
                code="E120",
                column="state",
                remedy=f"Choose one of {', '.join(self.states)}",
            )
        return self.states.index(state)


_CELL_COLUMNS = ("difference", "low", "high", "low_simultaneous", "high_simultaneous", "pvalue", "pvalue_fdr")
_MORE_COLUMNS = (
    "pvalue_holm",
    "pvalue_permutation",
    "pvalue_permutation_max",
    "standard_error",
    "n_cell_true",
    "n_cell_false",
)
_MANY = {"probability": "probabilities", "score": "scores", "logit": "log odds"}
_WORDS = {"probability": "probability", "score": "score", "logit": "log odds"}


def compare_transitions(  # noqa: PLR0913 - each option is one a report has to name
    t: ArrayLike,
    group: ArrayLike,
    *,
    unit: ArrayLike | None = None,
    resamples: int = 10_000,
    method: str = "auto",
    level: float = 0.95,
    rng: np.random.Generator,
    states: Sequence[str] | None = None,
    unit_name: str | None = None,
    group_names: tuple[str, str] = ("True", "False"),
    scale: str = "auto",
    structural: str = "keep",
    permutations: int = 0,
) -> TransitionComparison:
    """Difference of every transition probability between two groups, with bootstrap intervals over whole units.

    ``difference = mean(t[group]) - mean(t[~group])`` per cell: positive means higher where the group is True. Units are
    resampled within each group when each lies in one group, else jointly. A row of a matrix that is NaN (a state that
    the person never visited) is left out of that row's means; the number of persons is kept per cell.

    Args:
        t: one matrix per person, from x into, shape (persons, S, S); probabilities or scores.
        group: True or False (or 1 and 0) per person, shape (persons,).
        unit: label per person of what is resampled as a whole (family); None: persons.
        resamples: at least 99.
        method: "percentile", "bca", "bootstrap-t", "symmetric-t" or "auto": the symmetric bootstrap-t, or the
            equal-tailed one when units have persons in both groups. Simultaneous intervals rest on the studentised
            resamples with every method; below 40 units a group these are smoothed (see `analyses.bootstrap_draws`).
        level: of the intervals.
        rng: source of the resamples.
        states: names of the S states.
        unit_name: plural for sentences; "persons" without `unit`, else "units".
        group_names: what True and False are called in sentences.
        scale: "auto" (probability when all values lie in [0, 1]), "probability" (checked: rows sum to one), "score", or
            "logit" (probabilities are compared as log odds, cut off at .001 and .999).
        structural: what becomes of cells that are zero in everybody: "keep" (shown, not tested), "drop", or
            "renormalise" (dropped, the rest of the row divided by its sum).
        permutations: of the group labels over whole units, for permutation p-values; 0 for none, else at least 99.

    Returns:
        All cells with single, simultaneous (studentised max-T) and FDR-corrected results. Cells that do not vary
        (structural zeros) keep their difference as interval and are not tested. Coverage is simulated in
        benchmarks/calibration/interval_coverage.py.

    Raises:
        DataError: E110 infinite values, E111 a matrix row that is partly NaN, nothing but NaN everywhere, or a
            missing group, E112 missing unit labels, E124 a group with fewer than two units, E127 wrong shapes,
            E128 rows that do not sum to one on a scale that takes probabilities.
        ConfigError: E125 too few resamples, E302 an option out of range.
    """
    matrices = checked_matrices(t)
    n, size, _ = matrices.shape
    names = tuple(str(s) for s in states) if states is not None else tuple(f"state {k + 1}" for k in range(size))
    if len(names) != size or len(set(names)) != size:
        raise DataError(
            f"{len(names)} state names for {size} states", code="E127", column="states", remedy="Name every state once"
        )
    side = boolean_group(group, n)
    units = make_units(unit, n, unit_name)
    matrices, shown, zeros = _on_scale(matrices, scale, structural, names)
    result = bootstrap_contrast(
        matrices.reshape(n, -1), side, units, resamples=resamples, method=method, level=level, rng=rng
    )
    found = result.intervals
    nothing = np.full(size * size, np.nan)
    dealt = (
        permute_cells(matrices.reshape(n, -1), side, units, permutations=permutations, rng=rng)
        if permutations
        else None
    )
    rows = np.broadcast_to(result.rows, (2, size * size))
    cells = {name: getattr(found, name) for name in _CELL_COLUMNS if name != "difference"}
    cells |= {"difference": result.point, "mean_true": result.means[0], "mean_false": result.means[1]}
    cells |= {"pvalue_holm": found.pvalue_holm, "standard_error": result.error}
    cells |= {"pvalue_permutation": dealt.pvalue if dealt else nothing}
    cells |= {"pvalue_permutation_max": dealt.pvalue_max if dealt else nothing}
    cells |= {"n_cell_true": rows[0], "n_cell_false": rows[1]}
    return TransitionComparison(
        states=names,
        **{name: read_only(values.reshape(size, size)) for name, values in cells.items()},
        n_true=int(side.sum()),
        n_false=int((~side).sum()),
        n_units=units.n_units,
        unit_name=units.name,
        method=result.method,
        resamples=resamples,
        level=level,
        group_names=group_names,
        scale=shown,
        permutations=permutations,
        notes=(*result.notes, *_missing_notes(matrices), *zeros),
    )


def _on_scale(
    matrices: np.ndarray, scale: str, structural: str, states: tuple[str, ...]
) -> tuple[np.ndarray, str, tuple[str, ...]]:
    """Matrices as they are compared, the name of their scale, and what was done about structural zeros."""
    if scale not in SCALES or structural not in ("keep", "drop", "renormalise"):
        wrong = "scale" if scale not in SCALES else "structural"
        remedy = f"Use one of {', '.join(SCALES if wrong == 'scale' else ('keep', 'drop', 'renormalise'))}"
        raise ConfigError(f"{wrong} is not known", code="E302", column=wrong, remedy=remedy)
    inside = np.nanmin(matrices) >= 0 and np.nanmax(matrices) <= 1 + 1e-9
    shown = ("probability" if inside else "score") if scale == "auto" else scale
    if shown == "logit" or scale == "probability":
        check_probabilities(matrices)
    elif structural == "renormalise" and shown == "score":
        raise ConfigError(
            "scores cannot be renormalised", code="E302", column="structural", remedy='Use "drop", or probabilities'
        )
    notes: tuple[str, ...] = ()
    zeros = structural_zeros(matrices) if shown != "score" or structural != "keep" else np.zeros((1, 1), dtype=bool)
    if zeros.any():
        notes = (zero_note(zeros, states, structural),)
        if structural != "keep":
            matrices = without_structural_zeros(matrices, zeros, structural)
    if shown == "logit":
        # An impossible transition has no odds, whatever is done about it elsewhere.
        matrices = logit_transitions(np.where(zeros, np.nan, matrices) if zeros.any() else matrices)
    return matrices, shown, notes


def _missing_notes(matrices: np.ndarray) -> tuple[str, ...]:
    absent = np.isnan(matrices).all(axis=2) & ~np.isnan(matrices).all(axis=(0, 2))
    persons = int(np.count_nonzero(absent.sum(axis=1)))
    if persons == 0:
        return ()
    return (
        f"{persons} persons have no matrix row for at least one state (never visited); they are left out of the means "
        "of that row, and the number of persons is kept per cell.",
    )


def _count(cells: int) -> str:
    return {0: "none differs clearly", 1: "1 differs clearly"}.get(cells, f"{cells} differ clearly")


def _chance(tested: int, level: float) -> str:
    return f"about {wording.number(tested * (1 - level), 1)} would be expected"
