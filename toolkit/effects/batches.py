"""Mini-batches of rows: drawn anew each epoch, every row once, laid out as lines of one person each.

The prior of person i enters a batch with the share of their rows that it holds, ``n_iB / n_i`` (Woertwein et al., 2023,
Eq. 2). With ``B`` batches in an epoch of ``N`` rows, batch b minimises

    (B / N) [ w sum_{rows in b} loss + sum_i (n_ib / n_i) 1/2 eta_i' Sigma^-1 eta_i ],

so that the mean over the batches of an epoch is the objective of the whole training set, whatever their sizes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from toolkit.effects.problem import PersonLoss

# Batches laid out together: enough that their layout costs little, few enough that it takes no memory to speak of.
TOGETHER = 64
# Rows of a line at least: a person with more rows in a batch of random rows than this, and than twice the mean, has
# several lines, so that padding stays bounded.
SHORTEST = 8
BatchBy = Literal["persons", "rows"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Some rows, sorted by person, and where they stand in padded lines.

    Attributes:
        rows: numbers of the rows (rows,).
        persons: the persons they are of, each once (persons,).
        share: share of each person's training rows that is here (persons,).
        owner: place of each line's person among ``persons`` (lines,); None where every person has one line.
        person_of_row: place of each row's person among ``persons`` (rows,).
        slots: place of each row among the flattened lines (rows,); None where no line is padded.
        lines, longest: number of lines and their length.
        units: numbers of the sequences (sequences,), and starts: the first row of each among ``rows``; None for rows.
        scale: factor of the sums over this batch, ``B / N``.
    """

    rows: Int[Tensor, " rows"]
    persons: Int[Tensor, " persons"]
    share: Float[Tensor, " persons"]
    owner: Int[Tensor, " lines"] | None
    person_of_row: Int[Tensor, " rows"]
    slots: Int[Tensor, " rows"] | None
    lines: int
    longest: int
    units: Int[Tensor, " sequences"] | None
    starts: Int[Tensor, " sequences"] | None
    scale: float

    def padded(self, rows: Float[Tensor, "rows width"]) -> Float[Tensor, "lines longest width"]:
        """Values of the rows in their lines, zero where padded."""
        if self.slots is not None:
            empty = rows.new_zeros((self.lines * self.longest, rows.shape[1]))
            rows = empty.index_copy_(0, self.slots, rows)
        return rows.view(self.lines, self.longest, -1)

    def flat(self, lines: Float[Tensor, "lines longest width"]) -> Float[Tensor, "rows width"]:
        """Values of the rows without padding; the inverse of `padded`."""
        rows = lines.reshape(self.lines * self.longest, -1)
        return rows if self.slots is None else rows.index_select(0, self.slots)


# Loss of a batch as a function of outputs (rows, 1, output) and chain parameters.
BatchLoss = Callable[[Batch], PersonLoss]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FlatRows:
    """Training or validation rows as they are, without padding.

    Attributes:
        inputs: standardised features (rows, feature).
        persons: code of each row's person (rows,), at least 0.
        counts: rows of each person among all (persons,).
        lengths: rows of each sequence (sequences,), whose rows then stand one after the other; None where every row can
            stand alone.
        loss: the loss of a batch.
    """

    inputs: Float[Tensor, "rows feature"]
    persons: np.ndarray
    counts: np.ndarray
    lengths: np.ndarray | None
    loss: BatchLoss

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.persons)

    @property
    def first(self) -> np.ndarray:
        """First row of each unit that a batch cannot divide (units,)."""
        return np.arange(self.rows) if self.lengths is None else np.cumsum(self.lengths) - self.lengths

    def epoch(self, size: int, by: BatchBy, generator: torch.Generator) -> Iterator[Batch]:
        """The batches of one epoch in random order.

        Args:
            size: rows of a batch; sequences are never cut, so that a batch of them may have more.
            by: ``persons``: pieces of ``sqrt(size)`` rows of one person each; ``rows``: rows (or sequences) at random.
            generator: the order.
        """
        order, number = self._drawn(size, by, generator)
        line = _piece(size) if by == "persons" else self._longest_line(size)
        return self._laid_out(order, number, line)

    def in_order(self, size: int) -> Iterator[Batch]:
        """All rows in their own order, for sums that no order changes; each batch has the share 0 of the prior."""
        count = self.rows if self.lengths is None else len(self.lengths)
        before = np.arange(count) if self.lengths is None else np.cumsum(self.lengths) - self.lengths
        return self._laid_out(np.arange(count), _compressed(before // size), _piece(size))

    def _longest_line(self, size: int) -> int:
        """Rows of a line of a batch of random rows at most."""
        present = max(int((self.counts > 0).sum()), 1)
        return max(SHORTEST, math.ceil(2 * size / min(present, size)))

    def _drawn(self, size: int, by: BatchBy, generator: torch.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Order of the units and the batch of each."""
        lengths = self.lengths
        count = self.rows if lengths is None else len(lengths)
        if by == "rows":
            order = torch.randperm(count, generator=generator).numpy()
            return order, _compressed(_before(order, lengths) // size)
        persons = self.persons if lengths is None else self.persons[self.first]
        jitter = torch.rand(count, generator=generator, dtype=torch.float64).numpy()
        order = np.argsort(persons + jitter, kind="stable")
        piece = _pieces(persons[order], _before(order, lengths), _piece(size))
        place = torch.randperm(int(piece[-1]) + 1, generator=generator).numpy()[piece]
        again = np.argsort(place, kind="stable")
        order, piece = order[again], piece[again]
        before = _before(order, lengths)
        new = np.flatnonzero(np.diff(piece, prepend=-1))
        return order, _compressed(np.repeat(before[new], np.diff(new, append=count)) // size)

    def _laid_out(self, order: np.ndarray, number: np.ndarray, line: int) -> Iterator[Batch]:
        """The batches of an order, some of them laid out at a time."""
        batches = int(number[-1]) + 1
        ends = np.searchsorted(number, np.arange(0, batches + TOGETHER, TOGETHER))
        for start, end in itertools.pairwise(ends.tolist()):
            if start < end:
                yield from _Layout(self, order[start:end], number[start:end], line).batches(batches / self.rows)


class _Layout:
    """Some batches laid out at once: rows sorted by batch and person, in lines of one person each."""

    def __init__(self, data: FlatRows, units: np.ndarray, number: np.ndarray, line: int) -> None:
        first = units if data.lengths is None else data.first[units]
        sort = np.lexsort((data.persons[first], number))
        units, number, rows = units[sort], number[sort], first[sort]
        self.units, self.starts, self.unit_ends = units, None, None
        if data.lengths is not None:
            length = data.lengths[units]
            self.starts = np.cumsum(length) - length
            rows = np.arange(length.sum()) - np.repeat(self.starts - rows, length)
            self.unit_ends = np.flatnonzero(np.diff(number, append=-1)) + 1
            number = np.repeat(number, length)
        self.rows, self._data = rows, data
        person = data.persons[rows]
        new_batch = np.diff(number, prepend=-1) != 0
        new_person = new_batch | (np.diff(person, prepend=-1) != 0)
        place = np.arange(len(rows))
        within = place - np.maximum.accumulate(np.where(new_person, place, 0))
        self.at = within % line
        new_line = self.at == 0
        self.line_of, self.person_of = np.cumsum(new_line) - 1, np.cumsum(new_person) - 1
        self.persons, self.owner = person[new_person], self.person_of[new_line]
        self.begin = np.flatnonzero(new_batch)
        self.sizes = np.diff(self.begin, append=len(rows))
        self.share = np.bincount(self.person_of) / data.counts[self.persons]

    def batches(self, scale: float) -> Iterator[Batch]:
        """The batches, one after the other, on the device of the rows."""
        longest = np.maximum.reduceat(self.at, self.begin) + 1
        lines, persons = (
            _ends(self.line_of[self.begin], len(self.owner)),
            _ends(self.person_of[self.begin], len(self.persons)),
        )
        slots = (self.line_of - np.repeat(lines[:-1], self.sizes)) * np.repeat(longest, self.sizes) + self.at
        device = self._data.inputs.device

        def moved(values: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values)).to(device)

        rows, own, every_slot = moved(self.rows), moved(self.persons), moved(slots)
        share = moved(self.share).to(self._data.inputs.dtype)
        owner = moved(self.owner - np.repeat(persons[:-1], np.diff(lines)))
        person_of_row = moved(self.person_of - np.repeat(persons[:-1], self.sizes))
        units, starts = (None, None) if self.starts is None else (moved(self.units), moved(self.starts))
        unit_ends = None if self.unit_ends is None else np.append(0, self.unit_ends).tolist()
        for b, (a, size) in enumerate(zip(self.begin.tolist(), self.sizes.tolist(), strict=True)):
            here, who = slice(a, a + size), slice(int(persons[b]), int(persons[b + 1]))
            count = int(lines[b + 1] - lines[b])
            chosen = slice(0) if unit_ends is None else slice(unit_ends[b], unit_ends[b + 1])
            yield Batch(
                rows=rows[here],
                persons=own[who],
                share=share[who],
                owner=owner[int(lines[b]) : int(lines[b + 1])] if count > who.stop - who.start else None,
                person_of_row=person_of_row[here],
                slots=every_slot[here] if count * int(longest[b]) > size else None,
                lines=count,
                longest=int(longest[b]),
                units=None if units is None else units[chosen],
                starts=None if starts is None else starts[chosen] - a,
                scale=scale,
            )


def _piece(size: int) -> int:
    """Rows of one person in a piece, of which a batch has about as many as a piece has rows."""
    return max(round(math.sqrt(size)), 1)


def _before(order: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
    """Rows before each unit of an order."""
    return np.arange(len(order)) if lengths is None else np.cumsum(lengths[order]) - lengths[order]


def _pieces(persons: np.ndarray, before: np.ndarray, size: int) -> np.ndarray:
    """Number of the piece of each unit: units of one person with about ``size`` rows together."""
    new = np.diff(persons, prepend=-1) != 0
    within = before - np.maximum.accumulate(np.where(new, before, 0))
    return np.cumsum(new | (np.diff(within // size, prepend=0) != 0)) - 1


def _compressed(numbers: np.ndarray) -> np.ndarray:
    """Rising numbers without gaps, from 0."""
    return np.cumsum(np.diff(numbers, prepend=numbers[0]) != 0)


def _ends(starts: np.ndarray, total: int) -> np.ndarray:
    """Starts of consecutive parts, and the end of the last."""
    return np.append(starts, total)
