"""What may leave the computer: groups of 1 to 10 persons are suppressed, and one more with them.

Hiding one cell of a total is not enough, since the rest gives it away: the next smallest is hidden with it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

SMALLEST_SHOWN = 11
SUPPRESSED = "<11"
COMPLEMENTARY = "suppressed"
# what spreadsheets take for the start of a formula, also in full width, and what they skip before one
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def suppressed_counts(counts: dict[str, int], *, smallest: int = SMALLEST_SHOWN) -> dict[str, str]:
    """Counts per group as text, small ones as ``<11``; with exactly one small group, the next smallest is hidden too.

    Zero is shown: it describes nobody. Groups of ``smallest`` and more persons are shown unless one has to be hidden.
    """
    small = [name for name, count in counts.items() if 0 < count < smallest]
    shown = {name: SUPPRESSED if name in small else str(count) for name, count in counts.items()}
    others = [name for name, count in counts.items() if name not in small and count > 0]
    if len(small) == 1 and others:
        shown[min(others, key=lambda name: counts[name])] = COMPLEMENTARY
    return shown


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
    hidden = np.array([shown[str(index)] in (SUPPRESSED, COMPLEMENTARY) for index in range(len(frame))])
    for column in values:
        guarded[column] = np.where(hidden, COMPLEMENTARY, guarded[column].astype(object))
    return guarded


def small_groups(counts: dict[str, int], *, smallest: int = SMALLEST_SHOWN) -> list[str]:
    """Names of the groups of 1 to 10 persons."""
    return [name for name, count in counts.items() if 0 < count < smallest]


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """The frame as UTF-8 csv that spreadsheets open well and cannot mistake for formulas; numbers stay numbers."""
    # by position: two columns may have the same name
    columns = [_inert_column(frame.iloc[:, place]) for place in range(frame.shape[1])]
    safe = pd.concat(columns, axis=1) if columns else frame
    safe.columns = [_inert(str(name)) for name in frame.columns]
    # with this line end a lone carriage return in a cell is quoted too: unquoted, it would begin a row;
    # the byte order mark is what makes Excel read UTF-8
    return safe.to_csv(index=False, lineterminator="\r\n").encode("utf-8-sig")


def _inert_column(column: pd.Series) -> pd.Series:
    """A column whose texts are no formulas; numbers are left alone."""
    if pd.api.types.is_numeric_dtype(column):
        return column
    cells = [_inert(value) if isinstance(value, str) else value for value in column]
    return pd.Series(cells, index=column.index, dtype=object)


def _inert(text: str) -> str:
    return "'" + text if text.lstrip(" \u00a0\ufeff").startswith(_FORMULA_STARTS) else text
