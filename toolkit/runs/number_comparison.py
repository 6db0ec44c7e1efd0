"""Two sets of numbers side by side: equal to the last bit, equal within a tolerance, or where they differ."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

Verdict = Literal["equal", "close", "differs"]
_PLACE = re.compile(r"\[\d+\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How two tables, or two summaries, compare.

    Attributes:
        name: of what was compared.
        verdict: ``equal`` (every bit and word), ``close`` (within the tolerance), ``differs``.
        largest: largest difference of a number, relative to the size of the numbers of its column; NaN where shapes or
            words differ.
        where: column with the largest difference, or what differs in words.
        numbers: how many numbers were compared.
    """

    name: str
    verdict: Verdict
    largest: float = 0.0
    where: str = ""
    numbers: int = 0

    def text(self) -> str:
        """A sentence."""
        if self.verdict == "equal":
            return f"{self.name}: equal to the last bit ({self.numbers:,} numbers)."
        if not math.isfinite(self.largest):
            return f"{self.name}: differs, {self.where}."
        size = f"largest difference {self.largest:.1e} of the size of the numbers, in {self.where}"
        words = "equal within the tolerance" if self.verdict == "close" else "differs"
        return f"{self.name}: {words} ({size}; {self.numbers:,} numbers)."


def compare_tables(name: str, then: pd.DataFrame, now: pd.DataFrame, *, tolerance: float) -> Comparison:
    """Compare two tables row by row, in the order they are in.

    Args:
        name: of the table.
        then: as it was kept.
        now: made again.
        tolerance: largest difference allowed, relative to the largest size of a number in the column.
    """
    if list(then.columns) != list(now.columns):
        odd = sorted(set(map(str, then.columns)) ^ set(map(str, now.columns)))
        return _other(name, f"the columns are others ({', '.join(odd[:5]) or 'their order'})")
    if len(then) != len(now):
        return _other(name, f"{len(then):,} rows then, {len(now):,} now")
    columns = {str(column): (then[column], now[column]) for column in then.columns}
    words = [column for column, pair in columns.items() if not _is_numeric(*pair) and not _same_words(*pair)]
    if words:
        return _other(name, f"the words in {', '.join(words[:5])} are others")
    pairs = {
        column: (a.to_numpy(dtype=np.float64, na_value=np.nan), b.to_numpy(dtype=np.float64, na_value=np.nan))
        for column, (a, b) in columns.items()
        if _is_numeric(a, b)
    }
    return _judged(name, pairs, tolerance)


def compare_values(name: str, then: Mapping[str, Any], now: Mapping[str, Any], *, tolerance: float) -> Comparison:
    """Compare two nested summaries leaf by leaf; the numbers of a list, however deep, count as a column does."""
    before, after = dict(_leaves(then)), dict(_leaves(now))
    if before.keys() != after.keys():
        odd = sorted(before.keys() ^ after.keys())
        return _other(name, f"it holds other entries ({', '.join(odd[:5])})")
    numeric = [key for key in before if _is_number(before[key]) and _is_number(after[key])]
    words = [key for key in before if key not in numeric and before[key] != after[key]]
    if words:
        return _other(name, f"the words in {', '.join(words[:5])} are others")
    lists: dict[str, tuple[list[float], list[float]]] = {}
    for key in numeric:
        pair = lists.setdefault(_PLACE.sub("", key), ([], []))
        pair[0].append(float(before[key]))
        pair[1].append(float(after[key]))
    return _judged(name, {key: (np.array(a), np.array(b)) for key, (a, b) in lists.items()}, tolerance)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that holds no others, by its path."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for place, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{place}]")
    else:
        yield path, value


def _judged(name: str, pairs: Mapping[str, tuple[np.ndarray, np.ndarray]], tolerance: float) -> Comparison:
    """The verdict over several columns of numbers."""
    gone = [column for column, (a, b) in pairs.items() if not np.array_equal(np.isnan(a), np.isnan(b))]
    if gone:
        return _other(name, f"other numbers are undefined in {', '.join(gone[:5])}")
    off = {column: _largest(a, b) for column, (a, b) in pairs.items()}
    numbers = sum(int(np.isfinite(a).sum()) for a, _ in pairs.values())
    where = max(off, key=lambda column: off[column], default="")
    largest = off.get(where, 0.0)
    verdict: Verdict = "equal" if largest == 0.0 else "close" if largest <= tolerance else "differs"
    return Comparison(name=name, verdict=verdict, largest=largest, where=where if largest > 0 else "", numbers=numbers)


def _largest(then: np.ndarray, now: np.ndarray) -> float:
    """Largest difference, relative to the largest size of the numbers; infinities have to be the same."""
    unequal = ~((then == now) | (np.isnan(then) & np.isnan(now)))
    if not unequal.any():
        return 0.0
    if not (np.isfinite(then[unequal]).all() and np.isfinite(now[unequal]).all()):
        return float(np.finfo(float).max)
    size = np.abs(then[np.isfinite(then)]).max(initial=0.0)
    return float(np.abs(then[unequal] - now[unequal]).max() / (size or 1.0))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_numeric(then: pd.Series, now: pd.Series) -> bool:
    return all(
        pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column) for column in (then, now)
    )


def _same_words(then: pd.Series, now: pd.Series) -> bool:
    return [None if pd.isna(word) else word for word in then] == [None if pd.isna(word) else word for word in now]


def _other(name: str, where: str) -> Comparison:
    return Comparison(name=name, verdict="differs", largest=math.nan, where=where)
