"""Tables as APA 7 sets them: a heading row, words to the left, numbers to the right and already rounded."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from analyses import wording

Format = Callable[[Any], str]
EMPTY = "–"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReportTable:
    """A frame with what a reader needs around it.

    Attributes:
        frame: one row per line of the table.
        title: in title case, set in italics above the table.
        note: below the table.
        headings: how columns are called, where their own name is not fit to print.
        formats: how the values of a column are written, where the default (see ``cell_text``) is not wanted.
    """

    frame: pd.DataFrame
    title: str
    note: str = ""
    headings: Mapping[str, str] = field(default_factory=dict)
    formats: Mapping[str, Format] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A heading, and whether its values are words (set to the left)."""

    label: str
    words: bool


def table_columns(table: ReportTable) -> list[Column]:
    """The headings in order."""
    return [
        Column(label=str(table.headings.get(name, name)), words=not pd.api.types.is_numeric_dtype(table.frame[name]))
        for name in table.frame.columns
    ]


def table_rows(table: ReportTable) -> list[list[str]]:
    """Every cell as text."""
    writers = [table.formats.get(name, cell_text) for name in table.frame.columns]
    return [
        [write(value) for write, value in zip(writers, row, strict=True)]
        for row in table.frame.itertuples(index=False, name=None)
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


def p_cell(value: float) -> str:
    """A p-value without ``p =`` in front: ``.006``, ``< .001``."""
    return EMPTY if math.isnan(value) else wording.p_text(value).removeprefix("p ").removeprefix("= ")


def points_cell(value: float) -> str:
    """A difference of probabilities in percentage points, with its sign."""
    return EMPTY if math.isnan(value) else wording.signed(100 * value, 1)


def bounded_cell(value: float) -> str:
    """A quantity between -1 and 1 without its leading zero."""
    return EMPTY if math.isnan(value) else wording.bounded(value)


def interval_column(low: pd.Series, high: pd.Series, digits: int = 1, scale: float = 1.0) -> list[str]:
    """``[a, b]`` for every row, after multiplying by ``scale``."""
    return [
        EMPTY
        if math.isnan(a) or math.isnan(b)
        else f"[{wording.number(scale * a, digits)}, {wording.number(scale * b, digits)}]"
        for a, b in zip(low.astype(float), high.astype(float), strict=True)
    ]
