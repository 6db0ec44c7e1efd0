"""Which rows train, which stop the training, which test."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from toolkit.data.grouped import GroupedDataset
from toolkit.data.labels import row_numbers
from toolkit.errors import ConfigError, DataError, ToolkitWarning
from toolkit.results import read_only

PARTS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """One part per row.

    Attributes:
        labels: "train", "validation" or "test" for each row, shape (rows,).
        name: how it was made ("within-person-time", "none", "explicit").
    """

    labels: np.ndarray
    name: str = "explicit"

    def __post_init__(self) -> None:
        """Freeze the labels."""
        object.__setattr__(self, "labels", read_only(self.labels, np.str_))

    @property
    def counts(self) -> dict[str, int]:
        """Number of rows of each part."""
        return {part: int((self.labels == part).sum()) for part in PARTS}

    def rows(self, part: str) -> Int[np.ndarray, " chosen"]:
        """Positions of the rows of one part."""
        return np.flatnonzero(self.labels == part)


def within_person_time(data: GroupedDataset, fractions: Sequence[float] = (0.6, 0.2, 0.2)) -> Split:
    """The first rows of each person train, the next ones validate, the last ones test.

    Of a person's n rows in time order, the first ``round(0.6 n)`` train and those up to ``round(0.8 n)`` validate
    (halves are rounded up); the first row always trains. Rows at equal times keep their order; without a time column
    the order of the rows counts.

    Args:
        data: the rows.
        fractions: shares of training, validation and test; they add up to 1.

    Raises:
        ConfigError: E302 if the shares are not three numbers from 0 to 1 that add up to 1.
    """
    labels = by_person_and_time(data.person, data.time, fractions)
    return Split(labels=labels, name="within-person-time")


def by_person_and_time(
    person: Int[np.ndarray, " rows"],
    time: Float[np.ndarray, " rows"] | None,
    fractions: Sequence[float] = (0.6, 0.2, 0.2),
) -> np.ndarray:
    """Part of each row under :func:`within_person_time`, shape (rows,)."""
    shares = shares_of_parts(fractions)
    rows = np.arange(len(person))
    order = np.lexsort((rows, rows if time is None else time, person))
    size = np.bincount(person)
    rank = rows - np.repeat(np.cumsum(size) - size, size)  # position within the person, in time order
    # the small summand keeps a share that is a hair below a half (0.57 * 50) on the upper side
    cuts = np.floor(np.outer(size, np.cumsum(shares)[:2]) + 0.5 + 1e-9).astype(np.int64)
    cuts = np.maximum(cuts, 1)[person[order]]
    part = np.empty(len(person), dtype=np.int64)
    part[order] = (rank[:, None] >= cuts).sum(axis=1)
    return np.array(PARTS)[part]


def shares_of_parts(fractions: Sequence[float]) -> Float[np.ndarray, " parts"]:
    """Shares of training, validation and test, checked (E302)."""
    shares = np.asarray(fractions, dtype=np.float64)
    if shares.shape != (3,) or (shares < 0).any() or not np.isclose(shares.sum(), 1.0):
        raise ConfigError(
            "the shares of training, validation and test must be three numbers from 0 to 1 that add up to 1",
            code="E302",
            column="fractions",
        )
    return shares


def all_training(data: GroupedDataset) -> Split:
    """Every row trains; there is nothing to validate or test on."""
    return Split(labels=np.full(data.n_rows, "train"), name="none")


def explicit(data: GroupedDataset, labels: ArrayLike, *, name: str = "explicit") -> Split:
    """A split the caller made: one of "train", "validation", "test" per row.

    Raises:
        DataError: E302 if a label is another one, or their number is not that of the rows.
    """
    given = np.asarray(labels).astype(str)
    if given.shape != (data.n_rows,):
        raise ConfigError(f"{given.size} split labels for {data.n_rows} rows", code="E302", column="split")
    unknown = ~np.isin(given, PARTS)
    if unknown.any():
        raise DataError(
            "split labels must be 'train', 'validation' or 'test'",
            code="E302",
            column="split",
            rows=row_numbers(unknown, data.row_numbers),
        )
    return Split(labels=given, name=name)


def warn_of_untrained_persons(data: GroupedDataset, split: Split) -> None:
    """Say how many persons have no training rows (W209): the model learns nothing of their own."""
    trained = np.zeros(data.n_persons, dtype=bool)
    trained[data.person[split.rows("train")]] = True
    present = np.bincount(data.person, minlength=data.n_persons) > 0
    count = int((present & ~trained).sum())
    if count:
        warnings.warn(
            ToolkitWarning(
                f"{count} of {int(present.sum())} persons have no training rows; they are predicted without "
                "parameters of their own",
                code="W209",
            ),
            stacklevel=2,
        )
