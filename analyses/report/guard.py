"""What may leave the computer: groups of 1 to 10 persons are suppressed, and with them what would give them back.

Hiding one cell of a total is not enough, since the rest gives it away: see `analyses.report.suppression`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from analyses.report.suppression import given_away, hidden_counts
from toolkit.errors import ConfigError

SMALLEST_SHOWN = 11
SMALLEST_RANGE = (5, 21)
SUPPRESSED = "<11"
COMPLEMENTARY = "suppressed"
# what spreadsheets take for the start of a formula, also in full width, and what they skip before one
_FORMULA_STARTS = ("=", "+", "-", "@", "|", "%", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def checked_smallest(smallest: int) -> int:
    """The smallest number of persons that may be shown, if it is one that may be asked for.

    Raises:
        ConfigError: E302 outside 5 to 21.
    """
    low, high = SMALLEST_RANGE
    if not low <= smallest <= high:
        raise ConfigError(
            f"the smallest group that is shown has {low} to {high} persons", code="E302", column="min-group",
            remedy=f"leave it at {SMALLEST_SHOWN}, or choose a number in this range",
        )  # fmt: skip
    return smallest


def small_label(smallest: int = SMALLEST_SHOWN) -> str:
    """What stands in place of a small count: ``<11``."""
    return f"<{smallest}"


def suppressed_counts(counts: Mapping[str, int], *, smallest: int = SMALLEST_SHOWN) -> dict[str, str]:
    """Counts per group as text, small ones as ``<11``, and others hidden where the total would give those away.

    Zero is shown: it describes nobody. The total is taken to be known; where it gives small groups away whatever is
    hidden (see `total_gives_away`), it must not be shown either.
    """
    names = list(counts)
    numbers = np.array([[int(counts[name]) for name in names]], dtype=np.int64)
    if not names:
        return {}
    hidden = hidden_counts(numbers, smallest=smallest, column_totals=False, fixed_totals=True).cells[0]
    return {
        name: str(counts[name]) if not hide else small_label(smallest) if counts[name] < smallest else COMPLEMENTARY
        for name, hide in zip(names, hidden, strict=True)
    }


def total_gives_away(counts: Mapping[str, int], *, smallest: int = SMALLEST_SHOWN) -> bool:
    """Whether the total of all groups tells a small one, even with every group hidden."""
    return given_away(np.array(list(counts.values()), dtype=np.int64), smallest=smallest)


def guarded_table(
    frame: pd.DataFrame, *, count: str, values: Sequence[str] = (), smallest: int = SMALLEST_SHOWN
) -> pd.DataFrame:
    """A table with one row per group, fit to leave the computer.

    Args:
        frame: one row per group.
        count: column with the number of persons.
        values: columns that describe the group; they are emptied where the count is suppressed.
        smallest: the smallest number of persons that may be shown.

    Returns:
        A copy with ``count`` as text.
    """
    counts = {str(index): int(number) for index, number in enumerate(frame[count])}
    shown = suppressed_counts(counts, smallest=smallest)
    guarded = frame.copy()
    guarded[count] = [shown[str(index)] for index in range(len(frame))]
    hidden = np.array([shown[str(index)] != str(number) for index, number in enumerate(frame[count])], dtype=bool)
    for column in values:
        guarded[column] = np.where(hidden, COMPLEMENTARY, guarded[column].astype(object))
    return guarded


def small_groups(counts: Mapping[str, int], *, smallest: int = SMALLEST_SHOWN) -> list[str]:
    """Names of the groups of 1 to 10 persons."""
    return [name for name, count in counts.items() if 0 < count < smallest]


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """The frame as UTF-8 csv that spreadsheets open well and cannot mistake for formulas; numbers stay numbers."""
    # by position: two columns may have the same name
    columns = [_inert_column(frame.iloc[:, place]) for place in range(frame.shape[1])]
    safe = pd.concat(columns, axis=1) if columns else frame
    safe.columns = [inert(str(name)) for name in frame.columns]
    # with this line end a lone carriage return in a cell is quoted too: unquoted, it would begin a row;
    # the byte order mark is what makes Excel read UTF-8
    return safe.to_csv(index=False, lineterminator="\r\n").encode("utf-8-sig")


def _inert_column(column: pd.Series) -> pd.Series:
    """A column whose texts are no formulas; numbers are left alone."""
    if pd.api.types.is_numeric_dtype(column):
        return column
    cells = [inert(value) if isinstance(value, str) else value for value in column]
    return pd.Series(cells, index=column.index, dtype=object)


def inert(text: str) -> str:
    """A text that a spreadsheet shows as it is: an apostrophe before what it would take for a formula or a command."""
    start = text.lstrip(" \u00a0\ufeff")
    risky = start.startswith(_FORMULA_STARTS) or (start != "" and unicodedata.category(start[0]) == "Cc")
    return "'" + text if risky else text
