"""Some batches laid out at once: rows sorted by batch and person, in lines of one person each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from toolkit.effects.flat_rows import Batch, FlatRows


class BatchLayout:
    """Batches that follow each other in an epoch.

    Args:
        data: all rows.
        units: rows, or sequences, in the order of the batches.
        number: the batch of each, rising.
        line: most rows of a line.
    """

    def __init__(self, data: FlatRows, units: np.ndarray, number: np.ndarray, line: int) -> None:
        self._data = data
        first = units if data.lengths is None else data.first[units]
        sort = _sorted_by(number - number[0], data.persons[first], len(data.counts))
        number, rows = number[sort], first[sort]
        self._starts, self._lengths = None, None
        if data.lengths is not None:
            length = data.lengths[units[sort]]
            self._starts, self._lengths = np.cumsum(length) - length, length
            rows = np.arange(length.sum()) - np.repeat(self._starts - rows, length)
            self._sequences = np.diff(np.flatnonzero(np.diff(number, prepend=-1)), append=len(number))
            number = np.repeat(number, length)
        self._rows = rows
        person, place = data.persons[rows], np.arange(len(rows))
        new_batch = np.diff(number, prepend=-1) != 0
        new_person = new_batch | (np.diff(person, prepend=-1) != 0)
        self._at = (place - np.maximum.accumulate(np.where(new_person, place, 0))) % line
        new_line = self._at == 0
        self._line_of, self._person_of = np.cumsum(new_line) - 1, np.cumsum(new_person) - 1
        self._persons, self._owner = person[new_person], self._person_of[new_line]
        self._begin = np.flatnonzero(new_batch)
        self._sizes = np.diff(self._begin, append=len(rows))

    def batches(self, scale: float) -> Iterator[Batch]:
        """The batches, one after the other, on the device of the rows."""
        data, sizes = self._data, self._sizes
        longest = np.maximum.reduceat(self._at, self._begin) + 1
        line, person = self._line_of[self._begin], self._person_of[self._begin]
        lines, persons = np.diff(line, append=len(self._owner)), np.diff(person, append=len(self._persons))
        slots = (self._line_of - np.repeat(line, sizes)) * np.repeat(longest, sizes) + self._at
        rows, share = self._moved(self._rows), np.bincount(self._person_of) / data.counts[self._persons]
        size, who = sizes.tolist(), persons.tolist()
        per_line = self._owner - np.repeat(person, lines), lines.tolist()
        parts = zip(
            # split, not slices: one call for all of them
            rows.split(size),
            data.inputs.index_select(0, rows).split(size),
            data.target.index_select(0, rows).split(size),
            self._moved(self._persons).split(who),
            self._moved(share).to(data.inputs.dtype).split(who),
            self._moved(per_line[0]).split(per_line[1]),
            self._moved(self._person_of - np.repeat(person, sizes)).split(size),
            self._moved(slots).split(size),
            longest.tolist(),
            self._sequences_of(),
            strict=False,
        )
        for here, inputs, target, own, part, owner, of_row, slot, most, (starts, lengths) in parts:
            yield Batch(
                rows=here,
                inputs=inputs,
                target=target,
                persons=own,
                share=part,
                owner=owner if len(owner) > len(own) else None,
                person_of_row=of_row,
                slots=slot if len(owner) * most > len(here) else None,
                lines=len(owner),
                longest=most,
                starts=starts,
                lengths=lengths,
                scale=scale,
            )

    def _sequences_of(self) -> list[tuple[Tensor | None, Tensor | None]]:
        """First rows and lengths of the sequences of each batch."""
        if self._starts is None or self._lengths is None:
            return [(None, None)] * len(self._sizes)
        count = self._sequences.tolist()
        starts = self._moved(self._starts - np.repeat(self._begin, self._sequences)).split(count)
        return list(zip(starts, self._moved(self._lengths).split(count), strict=True))

    def _moved(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._data.inputs.device)


def _sorted_by(number: np.ndarray, person: np.ndarray, persons: int) -> np.ndarray:
    """Order by batch and person; equal ones stay in their order, as every key is another number."""
    count = len(number)
    key = (number * persons + person) * count + np.arange(count)
    key.sort()
    return key % count
