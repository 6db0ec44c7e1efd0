"""Dates written day.month.year or month/day/year, once somebody has said which."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from toolkit.data.columns import empty_cells
from toolkit.data.labels import row_numbers
from toolkit.errors import DataError

# 1/2/2026, 01.02.2026 09:30, 1-2-26
_DATE = re.compile(
    r"\s*(?P<one>\d{1,2})(?P<mark>[./-])(?P<two>\d{1,2})(?P=mark)(?P<year>\d{4})"
    r"(?:[ T]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?)?\s*",
    re.ASCII,
)


def with_day_first(series: pd.Series, *, day_first: bool) -> pd.Series:
    """A column of dates in which day and month come before the year, as dates; other columns are left alone.

    Args:
        series: the column; cells that are no such dates stay text if all of them do.
        day_first: 01/02/2026 is the first of February, not the second of January.

    Raises:
        DataError: E114 with the rows that are not dates of this order.
    """
    if not (pd.api.types.is_object_dtype(series.dtype) or pd.api.types.is_string_dtype(series.dtype)):
        return series
    cells = series.astype(object)
    empty = empty_cells(cells)
    matches = [_DATE.fullmatch(str(cell)) for cell in cells]
    if not any(matches):
        return series
    dates = pd.Series(
        [None if match is None else _date(match, day_first) for match in matches], index=series.index, name=series.name
    )
    dates = pd.to_datetime(dates, errors="coerce", format="ISO8601")
    broken = dates.isna().to_numpy() & ~empty
    if broken.any():
        order = "day before the month" if day_first else "month before the day"
        raise DataError(
            f"column '{series.name}' holds cells that are no dates with the {order}",
            code="E114",
            column=str(series.name),
            rows=row_numbers(broken),
            remedy="Correct these cells, or change day_first in the study file",
        )
    return dates


def date_order(series: pd.Series) -> bool | None:
    """Whether the day comes first, where the cells themselves prove it: a number above 12 can only be a day.

    Returns:
        True or False; ``None`` where nothing, or both, is proved.
    """
    matches = [match for cell in series.dropna() if (match := _DATE.fullmatch(str(cell)))]
    first = any(int(match["one"]) > 12 for match in matches)
    second = any(int(match["two"]) > 12 for match in matches)
    return None if first == second else first


def looks_like_dates(series: pd.Series) -> bool:
    """Whether all filled cells are dates with day and month before the year."""
    cells = series.dropna()
    return len(cells) > 0 and bool(np.all([_DATE.fullmatch(str(cell)) is not None for cell in cells]))


def _date(match: re.Match[str], day_first: bool) -> str:
    """The date as year-month-day."""
    one, two = match["one"], match["two"]
    day, month = (one, two) if day_first else (two, one)
    clock = f"T{int(match['hour']):02d}:{match['minute']}:{match['second'] or '00'}" if match["hour"] else ""
    return f"{match['year']}-{int(month):02d}-{int(day):02d}{clock}"
