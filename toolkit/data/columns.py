"""Columns of the caller's frame as arrays, or a DataError that says where, never what the cell holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import pandas as pd
from jaxtyping import Float

from toolkit.data.labels import row_numbers
from toolkit.errors import ConfigError, DataError

MAX_COLUMNS_SHOWN = 40


def named(columns: Sequence[str], limit: int = MAX_COLUMNS_SHOWN) -> str:
    """``'a', 'b' and 3 more`` for a message."""
    shown = ", ".join(f"'{column}'" for column in columns[:limit])
    return shown + (f" and {len(columns) - limit} more" if len(columns) > limit else "")


def require_rows(frame: pd.DataFrame) -> None:
    """Refuse a table without rows (E102)."""
    if len(frame) == 0:
        raise DataError("the table has no rows", code="E102", remedy="Check that the data stand below the header")


def require_unique_names(columns: Sequence[object]) -> None:
    """Refuse column names that occur twice (E104), naming them."""
    names = pd.Index([str(column) for column in columns])
    twice = list(dict.fromkeys(names[names.duplicated()]))
    if twice:
        raise DataError(
            f"column name(s) used more than once: {named(twice)}",
            code="E104",
            column=str(twice[0]),
            remedy="Give every column a name of its own",
        )


def require_columns(frame: pd.DataFrame, roles: Mapping[str, str | Sequence[str] | None]) -> None:
    """Refuse roles that point to columns the table does not have (E103); the message lists the columns found."""
    wanted = [
        (role, column)
        for role, columns in roles.items()
        for column in ([columns] if isinstance(columns, str) else columns or [])
    ]
    missing = [(role, column) for role, column in wanted if column not in frame.columns]
    if not missing:
        return
    listed = ", ".join(f"'{column}' ({role})" for role, column in missing)
    found = named([str(column) for column in frame.columns]) or "none"
    raise DataError(
        f"column(s) not in the table: {listed}",
        code="E103",
        column=missing[0][1],
        remedy=f"Columns found: {found}",
    )


def require_known_before(target: str | None, features: Sequence[str]) -> None:
    """Refuse a target among its own predictors (E302), and a predictor named twice (E104)."""
    if target is not None and target in features:
        raise ConfigError(
            f"column '{target}' is both target and feature",
            code="E302",
            column=target,
            remedy="Leave it out of the features: the model would be given the answer",
        )
    require_unique_names(list(features))


def require_person(groups: Sequence[str]) -> None:
    """Refuse data without a person column (E103)."""
    if not groups:
        raise DataError("no person column was named", code="E103", remedy="Name the column that says whose row it is")


@contextmanager
def numbered_as_before(kept: np.ndarray | None) -> Iterator[None]:
    """Row numbers of errors as in the table before rows were left out.

    Args:
        kept: positions of the rows that are left, in that table; ``None`` if nothing was left out.
    """
    try:
        yield
    except DataError as error:
        if kept is None or not error.rows:
            raise
        rows = [int(kept[row - 2]) + 2 for row in error.rows]
        raise type(error)(error.message, code=error.code, column=error.column, rows=rows, remedy=error.remedy) from None


def numeric(series: pd.Series) -> Float[np.ndarray, " rows"]:
    """A column as float64; empty cells are NaN.

    Raises:
        DataError: E109 where a cell is not a number.
    """
    dtype = series.dtype
    if pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_numeric_dtype(dtype):
        if pd.api.types.is_complex_dtype(dtype):
            raise not_numbers(series, np.ones(len(series), dtype=bool))
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    if not (pd.api.types.is_object_dtype(dtype) or pd.api.types.is_string_dtype(dtype) or is_categorical(series)):
        raise not_numbers(series, np.ones(len(series), dtype=bool))
    return _text_as_numbers(series)


def _text_as_numbers(series: pd.Series) -> Float[np.ndarray, " rows"]:
    """Cells of an untyped or text column read as numbers."""
    cells = series.astype(object)
    empty = empty_cells(cells)
    try:
        values = pd.to_numeric(cells.mask(empty), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError, OverflowError):  # pandas' own text would repeat the cell
        raise not_numbers(series, ~empty) from None
    broken = np.isnan(values) & ~empty
    if broken.any():
        raise not_numbers(series, broken)
    return values


def is_categorical(series: pd.Series) -> bool:
    """Whether the column is a pandas categorical."""
    return isinstance(series.dtype, pd.CategoricalDtype)


def is_ordered(series: pd.Series) -> bool:
    """Whether a column is of an ordered categorical type."""
    return is_categorical(series) and bool(series.cat.ordered)


def empty_cells(cells: pd.Series) -> np.ndarray:
    """Cells that are missing or hold blanks only."""
    missing = cells.isna().to_numpy(dtype=bool)
    cells = cells.astype(object) if is_categorical(cells) else cells
    if not (pd.api.types.is_object_dtype(cells.dtype) or pd.api.types.is_string_dtype(cells.dtype)):
        return missing
    text = cells.map(lambda cell: isinstance(cell, str) and not cell.strip())
    return missing | text.to_numpy(dtype=bool)


def not_numbers(
    series: pd.Series,
    broken: np.ndarray,
    remedy: str = "Correct or empty these cells; categories become 0/1 columns where [categories] lists them",
) -> DataError:
    """The error for cells that should be numbers (E109), with their rows."""
    return DataError(
        f"column '{series.name}' should hold numbers and has {int(broken.sum())} cell(s) that are not",
        code="E109",
        column=str(series.name),
        rows=row_numbers(broken),
        remedy=remedy,
    )


def refuse_infinite(values: Float[np.ndarray, " rows"], column: str) -> None:
    """Refuse infinite numbers (E110), with their rows."""
    infinite = np.isinf(values)
    if infinite.any():
        raise DataError(
            f"column '{column}' holds infinite numbers",
            code="E110",
            column=column,
            rows=row_numbers(infinite),
            remedy="Correct these cells; a division by zero is the usual cause",
        )


def feature_matrix(frame: pd.DataFrame, features: Sequence[str]) -> Float[np.ndarray, "rows features"]:
    """Raw features as float64, shape (rows, features).

    Raises:
        DataError: E109 (not a number), E110 (infinite) or E111 (empty cells, counted by column).
    """
    matrix = np.empty((len(frame), len(features)), dtype=np.float64)
    for position, feature in enumerate(features):
        matrix[:, position] = numeric(frame[feature])
        refuse_infinite(matrix[:, position], feature)
    missing = np.isnan(matrix)
    if missing.any():
        counts = missing.sum(axis=0)
        holed = [f"'{name}' ({count})" for name, count in zip(features, counts, strict=True) if count]
        more = f" and {len(holed) - MAX_COLUMNS_SHOWN} more columns" if len(holed) > MAX_COLUMNS_SHOWN else ""
        raise DataError(
            f"empty cells in feature column(s) {', '.join(holed[:MAX_COLUMNS_SHOWN])}{more}",
            code="E111",
            column=features[int(np.argmax(counts > 0))],
            rows=row_numbers(np.isnan(matrix.sum(axis=1))),
            remedy="Choose: drop these rows, or impute (fill in) the cells before fitting",
        )
    return matrix


def time_seconds(series: pd.Series) -> Float[np.ndarray, " rows"]:
    """Time as float64: numbers as they are, dates as seconds since 1970-01-01 UTC, durations as seconds.

    Raises:
        DataError: E110 (infinite), E111 (empty) or E114 (text that is neither numbers nor ISO dates).
    """
    column = str(series.name)
    values = _clock(series)
    refuse_infinite(values, column)
    if np.isnan(values).any():
        raise DataError(
            f"empty cells in time column '{column}'",
            code="E111",
            column=column,
            rows=row_numbers(np.isnan(values)),
            remedy="Fill in the time, or drop these rows",
        )
    return values


def _clock(series: pd.Series) -> Float[np.ndarray, " rows"]:
    """Numbers, dates or durations as float64, NaN where empty."""
    if pd.api.types.is_timedelta64_dtype(series.dtype):
        return series.dt.total_seconds().to_numpy(dtype=np.float64)
    if not pd.api.types.is_datetime64_any_dtype(series.dtype):
        try:
            return numeric(series)
        except DataError:
            series = _dates(series)
    aware = series.dt.tz_localize("UTC") if series.dt.tz is None else series.dt.tz_convert("UTC")
    return ((aware - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)).to_numpy(dtype=np.float64)


def _dates(series: pd.Series) -> pd.Series:
    """ISO dates written as text (2026-01-31, 2026-01-31T09:30); other styles are ambiguous and refused (E114)."""
    cells = series.astype(object)
    empty = empty_cells(cells)
    try:
        dates = pd.Series(pd.to_datetime(cells.mask(empty), errors="coerce", format="ISO8601", utc=True))
        broken = dates.isna().to_numpy() & ~empty
    except (TypeError, ValueError, OverflowError):
        dates, broken = series, ~empty
    if broken.any():
        raise DataError(
            f"time column '{series.name}' holds text that is neither a number nor a date written year-month-day",
            code="E114",
            column=str(series.name),
            rows=row_numbers(broken),
            remedy="Write dates as 2026-01-31 or 2026-01-31T09:30; is the day or the month first in these cells?",
        ) from None
    return dates
