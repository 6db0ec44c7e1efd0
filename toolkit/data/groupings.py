"""Grouping factors, and what belongs to a person rather than to a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Int

from toolkit.data.labels import label_codes, row_numbers
from toolkit.errors import DataError, ToolkitWarning
from toolkit.results import read_only


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Grouping:
    """One grouping factor.

    Attributes:
        name: column it came from.
        codes: position in ``levels`` of each row, shape (rows,).
        levels: labels as text, in natural order ("2" before "10").
    """

    name: str
    codes: Int[np.ndarray, " rows"]
    levels: tuple[str, ...]

    def __post_init__(self) -> None:
        """Freeze the codes."""
        object.__setattr__(self, "codes", read_only(self.codes, np.int64))

    def __repr__(self) -> str:
        """Sizes only: what is printed or logged must not hold ids."""
        return f"Grouping({self.name!r}, {len(self.codes)} rows, {len(self.levels)} levels)"


def grouping(series: pd.Series, notices: list[ToolkitWarning], kind: str = "person") -> Grouping:
    """Codes and labels of a grouping column; every row needs a label (E112). ``kind``: what a label stands for."""
    codes, levels, found = label_codes(series, kind=kind)
    notices += found
    if (codes < 0).any():
        raise DataError(
            f"{int((codes < 0).sum())} row(s) without an id in column '{series.name}'",
            code="E112",
            column=str(series.name),
            rows=row_numbers(codes < 0),
            remedy="Fill in whose rows these are, or drop them",
        )
    return Grouping(name=str(series.name), codes=codes, levels=levels)


def nested_in(factor: Grouping, factors: Sequence[Grouping]) -> list[str]:
    """Names of the other factors of which every level of this one has a single level: families of persons."""
    own = np.asarray(factor.codes)
    return [other.name for other in factors if other.name != factor.name and lies_within(own, np.asarray(other.codes))]


def lies_within(codes: Int[np.ndarray, " rows"], others: Int[np.ndarray, " rows"]) -> bool:
    """Whether the rows of each level of one factor are in a single level of another; rows without a level (-1) too.

    Each level is given the code of one of its rows: linear in the rows, where sorted pairs take seconds for a million.
    """
    of_level = np.empty(codes.max(initial=-1) + 2, dtype=others.dtype)  # the last place is that of -1
    of_level[codes] = others
    return bool((of_level[codes] == others).all())


def present_levels(
    codes: Int[np.ndarray, " rows"], levels: int
) -> tuple[Int[np.ndarray, " present"], Int[np.ndarray, " rows"]]:
    """Codes of the levels that have rows, in order, and the place of each row's level among them.

    What ``np.unique(codes, return_inverse=True)`` finds, without sorting rows.

    Args:
        codes: of the rows, 0 to ``levels`` - 1.
        levels: how many there are.
    """
    counts = np.bincount(codes, minlength=levels)
    places = np.cumsum(counts > 0) - 1
    return np.flatnonzero(counts), places[codes]


def sequence_codes(series: pd.Series) -> Int[np.ndarray, " rows"]:
    """Codes of the sequence column; every row needs one (E111)."""
    codes, _, _ = label_codes(series, kind="sequence")
    if (codes < 0).any():
        raise DataError(
            f"empty cells in sequence column '{series.name}'",
            code="E111",
            column=str(series.name),
            rows=row_numbers(codes < 0),
            remedy="Fill in which sequence (day) these rows belong to, or drop them",
        )
    return codes


def person_labels(
    series: pd.Series, person: Grouping, kind: str, notices: list[ToolkitWarning]
) -> tuple[str | None, ...]:
    """The one label of each person; empty cells are overlooked where another row of the person has the label.

    Raises:
        DataError: E123 where a person has two labels, with the rows that disagree with the person's first one.
    """
    codes, levels, found = label_codes(series, kind=kind)
    notices += found
    known = np.flatnonzero(codes >= 0)[::-1]
    first = np.full(len(person.levels), -1, dtype=np.int64)
    first[person.codes[known]] = codes[known]  # written backwards, so that the first row of a person stays
    contradicting = (codes >= 0) & (codes != first[person.codes])
    if contradicting.any():
        count = len(np.unique(person.codes[contradicting]))
        raise DataError(
            f"{count} person(s) with more than one {kind} in column '{series.name}'",
            code="E123",
            column=str(series.name),
            rows=row_numbers(contradicting),
            remedy=f"Give all rows of a person the same {kind}",
        )
    return tuple(levels[code] if code >= 0 else None for code in first)
