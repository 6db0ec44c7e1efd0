"""No hidden count follows from the shown ones and the totals: checked by the bounds of linear programs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from analyses.report.suppression import Hidden, hidden_counts

MANY = 10**6


class Published:
    """What a reader sees: shown values, labels of hidden ones, and the sums that hold."""

    def __init__(
        self, counts: np.ndarray, hidden: Hidden, smallest: int, row_totals: bool, column_totals: bool
    ) -> None:
        self.smallest = smallest
        rows, columns = counts.shape
        self.place: dict[tuple[int, int], int] = {}
        self.values: list[int] = []
        self.hidden: list[bool] = []
        for i in range(rows):
            for j in range(columns):
                self._add((i, j), counts[i, j], hidden.cells[i, j])
            if row_totals:
                self._add((i, columns), counts[i].sum(), hidden.rows[i])
        if column_totals:
            for j in range(columns):
                self._add((rows, j), counts[:, j].sum(), hidden.columns[j])
            if row_totals:
                self._add((rows, columns), counts.sum(), hidden.total)
        self.sums = self._sums(rows, columns, row_totals, column_totals)

    def _add(self, key: tuple[int, int], value: int, hidden: bool) -> None:
        self.place[key] = len(self.values)
        self.values.append(int(value))
        self.hidden.append(bool(hidden))

    def _sums(self, rows: int, columns: int, row_totals: bool, column_totals: bool) -> list[np.ndarray]:
        lines = []
        if row_totals:
            for i in range(rows + column_totals):
                lines.append(([(i, j) for j in range(columns)], (i, columns)))
        if column_totals:
            for j in range(columns + row_totals):
                lines.append(([(i, j) for i in range(rows)], (rows, j)))
        return [self._equation(parts, total) for parts, total in lines]

    def _equation(self, parts: list[tuple[int, int]], total: tuple[int, int]) -> np.ndarray:
        line = np.zeros(len(self.values))
        for part in parts:
            line[self.place[part]] = 1
        line[self.place[total]] = -1
        return line

    def range_of(self, place: int) -> tuple[float, float]:
        """Least and most that a count may be, for all the reader knows; sums of networks have whole-number extremes."""
        bounds = [self._known(value, hide) for value, hide in zip(self.values, self.hidden, strict=True)]
        ends = []
        for sign in (1, -1):
            goal = np.zeros(len(self.values))
            goal[place] = sign
            sums = np.array(self.sums) if self.sums else None
            zeros = np.zeros(len(self.sums)) if self.sums else None
            ends.append(sign * linprog(goal, A_eq=sums, b_eq=zeros, bounds=bounds).fun)
        return ends[0], ends[1]

    def _known(self, value: int, hide: bool) -> tuple[int, int]:
        if not hide:
            return value, value
        return (1, self.smallest - 1) if value < self.smallest else (self.smallest, MANY)


@st.composite
def tables(draw: st.DrawFn) -> tuple[np.ndarray, int, bool, bool]:
    smallest = draw(st.integers(5, 21))
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    near = st.sampled_from([0, 1, 2, smallest - 1, smallest, smallest + 1])
    cell = st.one_of(near, st.integers(0, 60))
    cells = draw(st.lists(cell, min_size=rows * columns, max_size=rows * columns))
    return np.array(cells, dtype=np.int64).reshape(rows, columns), smallest, draw(st.booleans()), draw(st.booleans())


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(tables())
def test_no_hidden_count_can_be_recovered(table: tuple[np.ndarray, int, bool, bool]) -> None:
    counts, smallest, row_totals, column_totals = table
    hidden = hidden_counts(counts, smallest=smallest, row_totals=row_totals, column_totals=column_totals)
    seen = Published(counts, hidden, smallest, row_totals, column_totals)
    for place, (value, hide) in enumerate(zip(seen.values, seen.hidden, strict=True)):
        assert hide or not 0 < value < smallest  # every small count and small total is hidden
        assert not (hide and value == 0)  # zero describes nobody
        if hide:
            low, high = seen.range_of(place)
            assert high - low > 0.5


def test_nothing_is_hidden_without_a_small_count() -> None:
    hidden = hidden_counts(np.array([[11, 20], [0, 30]]), smallest=11)
    assert not any(part.any() for part in (hidden.cells, hidden.rows, hidden.columns))
    assert not hidden.total


def test_a_small_cell_takes_the_cheapest_rectangle_with_it() -> None:
    hidden = hidden_counts(np.array([[3, 12, 90], [15, 40, 80], [70, 13, 60]]), smallest=11)
    assert hidden.cells.tolist() == [[True, True, False], [True, True, False], [False, False, False]]
    assert not any(part.any() for part in (hidden.rows, hidden.columns))
    assert not hidden.total


def test_totals_go_only_where_cells_do_not_help() -> None:
    hidden = hidden_counts(np.array([[4], [30]]), smallest=11)
    assert hidden.cells.tolist() == [[True], [True]]
    assert hidden.rows.tolist() == [True, True]
    assert not hidden.columns.any()
    assert not hidden.total


@pytest.mark.parametrize("shape", [(40, 3), (2, 40)])
def test_forty_states_are_no_trouble(shape: tuple[int, int]) -> None:
    counts = np.random.default_rng(1).integers(0, 40, size=shape)
    hidden = hidden_counts(counts, smallest=11)
    assert hidden.cells[(counts > 0) & (counts < 11)].all()
