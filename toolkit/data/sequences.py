"""Padded sequences with a boolean mask: what the chain models read."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike

from toolkit.data.grouped import GroupedDataset
from toolkit.data.labels import row_numbers
from toolkit.errors import ConfigError, DataError, ToolkitWarning
from toolkit.results import read_only

UNLABELLED = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class SequenceBatch:
    """Sequences of states, ordered by person and time; a shorter sequence is padded at its end.

    Whether a cell is padding is said by ``mask`` alone, never by a special number among the features.

    Attributes:
        features: raw values, 0 in the padding, shape (batch, time, features).
        states: state codes, -1 in the padding and where the label is missing, shape (batch, time).
        mask: true where there is an observation, shape (batch, time).
        person: person code of each sequence, shape (batch,).
        rows: row of ``data`` behind each cell, -1 in the padding, shape (batch, time).
        state_names: label of each state code; empty without a target.
        data: the rows the sequences were cut from.
    """

    features: Float[np.ndarray, "batch time features"]
    states: Int[np.ndarray, "batch time"]
    mask: Bool[np.ndarray, "batch time"]
    person: Int[np.ndarray, " batch"]
    rows: Int[np.ndarray, "batch time"]
    state_names: tuple[str, ...]
    data: GroupedDataset

    def __post_init__(self) -> None:
        """Freeze the arrays."""
        kinds = {"features": np.float64, "states": np.int64, "mask": np.bool_, "person": np.int64, "rows": np.int64}
        for name, dtype in kinds.items():
            object.__setattr__(self, name, read_only(getattr(self, name), dtype))

    def __repr__(self) -> str:
        """Sizes only: what is printed or logged must not hold ids or cells."""
        return (
            f"SequenceBatch({self.n_sequences} sequences of up to {self.mask.shape[1]}, {len(self.state_names)} states)"
        )

    @property
    def n_sequences(self) -> int:
        """Number of sequences."""
        return len(self.person)

    @property
    def lengths(self) -> Int[np.ndarray, " batch"]:
        """Number of observations of each sequence, shape (batch,)."""
        return self.mask.sum(axis=1)

    @classmethod
    def from_frame(  # noqa: PLR0913 - one keyword per role of a column
        cls,
        frame: pd.DataFrame,
        *,
        target: str | None,
        features: str | Sequence[str],
        person: str | None = None,
        groups: str | Sequence[str] | None = None,
        time: str,
        sequence: str | None = None,
        group: str | None = None,
        cluster: str | None = None,
        classes: Sequence[str] | None = None,
        pseudonymous: bool = False,
    ) -> SequenceBatch:
        """Sequences of a frame: one per person, or one per person and run of equal values in ``sequence``.

        Args:
            frame: one row per observation, in any order.
            target: column of the states, ``None`` for data to predict; a state may be missing inside a sequence.
            features: predictor columns, complete.
            person: the person column (short for ``groups``).
            groups: grouping columns, the first is the person.
            time: orders the rows of a person over the whole record.
            sequence: column that changes where a sequence ends (the day, say).
            group: comparison group of the person.
            cluster: family, site, ... of the person.
            classes: state names in the order of their codes.
            pseudonymous: the person labels are pseudonyms already.

        Raises:
            DataError: as :meth:`GroupedDataset.from_frame`; E113 if a person has two rows at the same time.
        """
        data = GroupedDataset.from_frame(
            frame,
            target=target,
            features=features,
            groups=_grouping_columns(person, groups),
            time=time,
            sequence=sequence,
            group=group,
            cluster=cluster,
            classes=classes,
            pseudonymous=pseudonymous,
            allow_missing_target=True,
        )
        if is_unsorted(data.person, data.time):
            notice = ToolkitWarning(f"rows were put into the order of '{time}' within each person", code="W203")
            warnings.warn(notice, stacklevel=2)
            data = replace(data, notes=(*data.notes, str(notice)))
        return cls.from_grouped(data)

    @classmethod
    def from_grouped(cls, data: GroupedDataset, rows: ArrayLike | None = None) -> SequenceBatch:
        """Sequences of a dataset, ordered by person, then time; a new one at each change of person or sequence code.

        Args:
            data: the rows; without ``time`` they are taken in the order they stand in.
            rows: positions to use (the training rows), all by default; the result's ``rows`` still count in ``data``.

        Raises:
            DataError: E113 if a person has two rows at the same time; E102 if no rows are left.
        """
        if data.target_name is not None and data.classes is None:
            data = data.as_classes()
        chosen = np.arange(data.n_rows) if rows is None else np.asarray(rows, dtype=np.int64)
        if len(chosen) == 0:
            raise DataError("no rows to make sequences of", code="E102")
        order = chosen[time_order(data, chosen)]
        if data.time is not None:
            refuse_same_time(data.person[chosen], data.time[chosen], data.row_numbers[chosen])
        starts, position = _cut(data, order)
        batch = np.cumsum(starts) - 1
        shape = (int(batch[-1]) + 1, int(position.max()) + 1)
        index = np.full(shape, -1, dtype=np.int64)
        index[batch, position] = order
        mask = index >= 0
        labelled = np.where(np.isnan(data.target), UNLABELLED, data.target).astype(np.int64)
        return cls(
            features=np.where(mask[..., None], data.features[index], 0.0),
            states=np.where(mask, labelled[index], UNLABELLED),
            mask=mask,
            person=data.person[order[starts]],
            rows=index,
            state_names=data.classes or (),
            data=data,
        )


def _grouping_columns(person: str | None, groups: str | Sequence[str] | None) -> str | Sequence[str]:
    """The grouping columns from the two ways of naming them."""
    if (person is None) == (groups is None):
        raise ConfigError("name the person column by either 'person' or 'groups'", code="E302", column="person")
    return person if person is not None else groups  # pyright: ignore[reportReturnType]


def time_order(data: GroupedDataset, rows: Int[np.ndarray, " chosen"]) -> Int[np.ndarray, " chosen"]:
    """Permutation that sorts ``rows`` by person, then time; equal times keep their order."""
    time = np.zeros(len(rows)) if data.time is None else data.time[rows]
    return np.lexsort((rows, time, data.person[rows]))


def cut_at_parts(data: GroupedDataset, labels: ArrayLike) -> GroupedDataset:
    """The same rows, with a new sequence wherever the next row of a person's sequence belongs to another part.

    Training rows on both sides of a test row then never count as following one another.

    Args:
        data: the rows.
        labels: part of each row, shape (rows,).
    """
    order = time_order(data, np.arange(data.n_rows))
    starts, _ = _cut(data, order)
    parts = np.asarray(labels)[order]
    starts[1:] |= parts[1:] != parts[:-1]
    sequence = np.empty(data.n_rows, dtype=np.int64)
    sequence[order] = np.cumsum(starts)
    return replace(data, sequence=sequence)


def is_unsorted(person: Int[np.ndarray, " rows"], time: Float[np.ndarray, " rows"] | None) -> bool:
    """Whether some person's rows stand in another order than their time."""
    if time is None:
        return False
    order = np.argsort(person, kind="stable")
    return bool(((np.diff(time[order]) < 0) & (np.diff(person[order]) == 0)).any())


def refuse_same_time(
    person: Int[np.ndarray, " rows"], time: Float[np.ndarray, " rows"], origin: Int[np.ndarray, " rows"]
) -> None:
    """Refuse two rows of one person at the same time (E113): which came first cannot be known.

    Args:
        person: person code of each row, shape (rows,).
        time: of each row, shape (rows,).
        origin: position of each row in the caller's frame, for the error.
    """
    order = np.lexsort((time, person))
    same = (np.diff(time[order]) == 0) & (np.diff(person[order]) == 0)
    if same.any():
        clashing = np.zeros(len(person), dtype=bool)
        clashing[order[:-1][same]] = clashing[order[1:][same]] = True
        raise DataError(
            "a person has several rows at the same time",
            code="E113",
            rows=row_numbers(clashing, origin),
            remedy="Keep one row per person and time; time has to run on over the whole record, not per day",
        )


def _cut(
    data: GroupedDataset, order: Int[np.ndarray, " chosen"]
) -> tuple[Bool[np.ndarray, " chosen"], Int[np.ndarray, " chosen"]]:
    """Where a sequence starts among the ordered rows, and the position of each row in its sequence."""
    changed = np.diff(data.person[order]) != 0
    if data.sequence is not None:
        changed |= np.diff(data.sequence[order]) != 0
    starts = np.concatenate([[True], changed])
    begin = np.flatnonzero(starts)
    return starts, np.arange(len(order)) - np.repeat(begin, np.diff(begin, append=len(order)))
