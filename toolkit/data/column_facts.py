"""What can be told about a column without knowing what it is for: counts only, never a cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from toolkit.data.dates import looks_like_dates
from toolkit.data.labels import label_codes
from toolkit.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnFacts:
    """Counts of one column.

    Attributes:
        name: of the column.
        kind: "whole", "number", "truth", "date" or "text".
        rows: number of rows.
        empty: number of empty cells.
        distinct: number of different values.
    """

    name: str
    kind: str
    rows: int
    empty: int
    distinct: int

    @property
    def filled(self) -> int:
        """Number of cells that hold something."""
        return self.rows - self.empty

    @property
    def is_number(self) -> bool:
        """Whether the cells are numbers or true/false."""
        return self.kind in ("whole", "number", "truth")


@dataclass(frozen=True, slots=True, kw_only=True)
class WithinPerson:
    """How a column behaves within persons.

    Attributes:
        constant: share of persons for whom it never changes.
        rising: share of steps from one row to the next, within persons, that do not go down.
        repeats: share of steps at which it stays the same.
        unique: share of rows whose value no other row of the person has.
    """

    constant: float
    rising: float
    repeats: float
    unique: float


def facts_of(frame: pd.DataFrame) -> dict[str, ColumnFacts]:
    """The facts of every column; cells are counted as text where they are mixed."""
    found = {}
    for name in frame.columns:
        series = frame[name]
        found[str(name)] = ColumnFacts(
            name=str(name),
            kind=kind_of_column(series),
            rows=len(series),
            empty=int(series.isna().sum()),
            distinct=_distinct(series),
        )
    return found


def kind_of_column(series: pd.Series) -> str:
    """``whole``, ``number``, ``truth``, ``date`` or ``text``."""
    dtype = series.dtype
    if pd.api.types.is_bool_dtype(dtype):
        return "truth"
    if pd.api.types.is_datetime64_any_dtype(dtype) or pd.api.types.is_timedelta64_dtype(dtype):
        return "date"
    if pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_complex_dtype(dtype):
        values = series.dropna().to_numpy(dtype=np.float64)
        return "whole" if np.isfinite(values).all() and (values == np.floor(values)).all() else "number"
    return "date" if _is_date(series) else "text"


def within_persons(series: pd.Series, person: np.ndarray) -> WithinPerson:
    """How a column behaves within persons, rows in the order of the file.

    Args:
        series: the column.
        person: code of each row's person, -1 where unknown, shape (rows,).
    """
    codes, order = _ranks(series)
    use = (codes >= 0) & (person >= 0)
    codes, order, person = codes[use], order[use], person[use]
    if not len(codes):
        return WithinPerson(constant=1.0, rising=0.0, repeats=1.0, unique=0.0)
    by_person = np.argsort(person, kind="stable")
    same_person = np.diff(person[by_person]) == 0
    steps = np.diff(order[by_person])[same_person]
    pairs = pd.DataFrame({"person": person, "code": codes})
    different = pairs.drop_duplicates().groupby("person").size()
    return WithinPerson(
        constant=float((different == 1).mean()),
        rising=float((steps >= 0).mean()) if len(steps) else 0.0,
        repeats=float((steps == 0).mean()) if len(steps) else 0.0,
        unique=float((~pairs.duplicated(keep=False)).mean()),
    )


def codes_of(series: pd.Series) -> np.ndarray:
    """Integer code of each cell as a label, -1 where it is empty or cannot be one."""
    try:
        return label_codes(series, kind="value")[0]
    except (DataError, TypeError, ValueError):
        return np.full(len(series), -1)


def smallest_group(series: pd.Series, person: np.ndarray) -> int:
    """Number of persons of the value that fewest persons have."""
    pairs = pd.DataFrame({"person": person, "code": codes_of(series)})
    pairs = pairs[(pairs["code"] >= 0) & (pairs["person"] >= 0)].drop_duplicates()
    return int(pairs.groupby("code").size().min()) if len(pairs) else 0


def _ranks(series: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Code of each cell, and its place among the values in their own order."""
    kind = kind_of_column(series)
    if kind == "date" and not pd.api.types.is_datetime64_any_dtype(series.dtype):
        series = pd.to_datetime(series, errors="coerce", format="ISO8601", utc=True)
    if kind != "text" and not pd.api.types.is_timedelta64_dtype(series.dtype):
        codes = pd.factorize(series, sort=True, use_na_sentinel=True)[0]
        return codes, codes
    codes = codes_of(series)  # labels are coded in their natural order
    return codes, codes


def _distinct(series: pd.Series) -> int:
    try:
        return int(series.nunique(dropna=True))
    except TypeError:  # lists and the like cannot be compared
        return int(series.astype("str").nunique())


def _is_date(series: pd.Series) -> bool:
    """Whether text cells are ISO dates, or dates whose order of day and month is open."""
    cells = series.dropna().head(200)
    if not len(cells) or not all(isinstance(cell, str) and "-" in cell for cell in cells):
        return len(cells) > 0 and looks_like_dates(cells)
    try:
        return bool(pd.to_datetime(cells, errors="coerce", format="ISO8601", utc=True).notna().all())
    except (TypeError, ValueError, OverflowError):
        return False


def shares(facts: Mapping[str, ColumnFacts]) -> pd.DataFrame:
    """The facts as a table: column, kind, filled, empty, distinct."""
    rows = [(f.name, f.kind, f.filled, f.empty, f.distinct) for f in facts.values()]
    return pd.DataFrame(rows, columns=["column", "kind", "filled", "empty", "distinct"])
