"""Tables as APA 7 sets them: a heading row, words to the left, numbers to the right and already rounded.

A table is described once, as `ReportTable`; web page, Word, LaTeX, csv and spreadsheet are written from `table_cells`,
`table_columns` and `heading_rows`, so that all of them say the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from analyses import wording

Format = Callable[[Any], str]
EMPTY = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spanner:
    """A heading over several neighbouring columns, with a rule of its own below it.

    Attributes:
        label: the heading.
        columns: names of the columns it spans, in the table's order.
    """

    label: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReportTable:
    """A frame with what a reader needs around it.

    Attributes:
        frame: one row per line of the table.
        title: in title case, set in italics above the table.
        note: the general note below the table.
        specific: what each superscript means, below the general note.
        headings: how columns are called, where their own name is not fit to print.
        formats: how the values of a column are written, where the default (see ``cell_text``) is not wanted.
        bold: cells set in bold, as (position of the row, name of the column).
        marks: superscripts of cells, by (position of the row, name of the column).
        spanners: headings over several columns.
        numbers: columns of text that hold numbers, such as intervals; they are set to the right like numbers.
        indented: positions of the rows whose first cell is set in.
        data: the same numbers as a plain table, for csv and for a second sheet; ``frame`` where it is missing.
    """

    frame: pd.DataFrame
    title: str
    note: str = ""
    specific: Mapping[str, str] = field(default_factory=dict)
    headings: Mapping[str, str] = field(default_factory=dict)
    formats: Mapping[str, Format] = field(default_factory=dict)
    bold: Collection[tuple[int, str]] = frozenset()
    marks: Mapping[tuple[int, str], str] = field(default_factory=dict)
    spanners: Sequence[Spanner] = ()
    numbers: Collection[str] = frozenset()
    indented: Collection[int] = frozenset()
    data: pd.DataFrame | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A heading, and whether its values are words (set to the left)."""

    label: str
    words: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell as it is printed: its text, whether it is bold, its superscript, whether it is words or set in."""

    text: str
    bold: bool = False
    mark: str = ""
    words: bool = False
    indented: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """A cell of the heading: its text, how many columns it spans, whether a rule of its own stands below it."""

    text: str
    columns: int = 1
    words: bool = False
    spans: bool = False


def table_columns(table: ReportTable) -> list[Column]:
    """The headings in order."""
    return [
        Column(
            label=str(table.headings.get(name, name)),
            words=name not in table.numbers and not pd.api.types.is_numeric_dtype(table.frame[name]),
        )
        for name in table.frame.columns
    ]


def heading_rows(table: ReportTable) -> list[list[Heading]]:
    """The heading, one or two rows: spanners (with empty cells between them), then the columns."""
    columns = table_columns(table)
    below = [Heading(text=column.label, words=column.words) for column in columns]
    if not table.spanners:
        return [below]
    names = list(table.frame.columns)
    starts = {names.index(spanner.columns[0]): spanner for spanner in table.spanners}
    above: list[Heading] = []
    place = 0
    while place < len(names):
        spanner = starts.get(place)
        above.append(
            Heading(text=spanner.label, columns=len(spanner.columns), spans=True) if spanner else Heading(text="")
        )
        place += above[-1].columns
    return [above, below]


def table_rows(table: ReportTable) -> list[list[str]]:
    """Every cell as text."""
    writers = [table.formats.get(name, cell_text) for name in table.frame.columns]
    return [
        [write(value) for write, value in zip(writers, row, strict=True)]
        for row in table.frame.itertuples(index=False, name=None)
    ]


def table_cells(table: ReportTable) -> list[list[Cell]]:
    """Every cell as it is printed."""
    names, columns = list(table.frame.columns), table_columns(table)
    return [
        [
            Cell(
                text=text,
                bold=(row, name) in table.bold,
                mark=table.marks.get((row, name), ""),
                words=column.words,
                indented=place == 0 and row in table.indented,
            )
            for place, (name, column, text) in enumerate(zip(names, columns, texts, strict=True))
        ]
        for row, texts in enumerate(table_rows(table))
    ]


def cell_text(value: Any) -> str:
    """Two decimals for fractions, thousands separated for counts, a dash for what is missing, words as they are."""
    if value is None or value is pd.NA or (isinstance(value, float | np.floating) and math.isnan(value)):
        return EMPTY
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return wording.thousands(int(value))
    if isinstance(value, float | np.floating):
        return wording.number(float(value))
    return str(value)


def p_cell(value: float | str) -> str:
    """A p-value without ``p =`` in front: ``.006``, ``< .001``."""
    return _cell(value, lambda p: wording.p_text(p).removeprefix("p ").removeprefix("= "))


def points_cell(value: float | str) -> str:
    """A difference of probabilities in percentage points, with its sign."""
    return _cell(value, lambda share: wording.signed(100 * share, 1))


def percent_cell(value: float | str) -> str:
    """A share in percent, without the sign."""
    return _cell(value, lambda share: wording.points(share))


def bounded_cell(value: float | str) -> str:
    """A quantity between -1 and 1 without its leading zero."""
    return _cell(value, wording.bounded)


def bounded_three_cell(value: float | str) -> str:
    """The same with three decimals."""
    return _cell(value, lambda bounded: wording.bounded(bounded, 3))


def one_cell(value: float | str) -> str:
    """One decimal."""
    return _cell(value, lambda number: wording.number(number, 1))


def two_cell(value: float | str | None) -> str:
    """Two decimals."""
    return _cell(value, wording.number)


def three_cell(value: float | str) -> str:
    """Three decimals."""
    return _cell(value, lambda number: wording.number(number, 3))


def signed_cell(value: float | str) -> str:
    """Two decimals and the sign."""
    return _cell(value, wording.signed)


def _cell(value: float | str | None, write: Callable[[float], str]) -> str:
    """A number as ``write`` puts it, a dash where it is undefined; words in place of a hidden number as they are."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return EMPTY if math.isnan(value) else write(float(value))


def interval_column(low: pd.Series, high: pd.Series, digits: int = 1, scale: float = 1.0) -> list[str]:
    """``[a, b]`` for every row, after multiplying by ``scale``."""
    return [
        EMPTY
        if math.isnan(a) or math.isnan(b)
        else f"[{wording.number(scale * a, digits)}, {wording.number(scale * b, digits)}]"
        for a, b in zip(low.astype(float), high.astype(float), strict=True)
    ]
