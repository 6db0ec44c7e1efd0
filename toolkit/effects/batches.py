"""Mini-batches of rows, drawn anew each epoch, every row once.

The prior of person i enters a batch with the share of their rows that it holds, ``n_iB / n_i`` (Woertwein et al., 2023,
Eq. 2). With ``B`` batches in an epoch of ``N`` rows, batch b minimises

    (B / N) [ w sum_{rows in b} loss + sum_i (n_ib / n_i) 1/2 eta_i' Sigma^-1 eta_i ],

so that the mean over the batches of an epoch is the objective of the whole training set, whatever their sizes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch

from toolkit.effects.batch_layout import BatchLayout
from toolkit.effects.flat_rows import Batch, FlatRows

# Batches laid out together: enough that their layout costs little, few enough that it takes no memory to speak of.
TOGETHER = 64
# Rows of a line at least: a person with more rows in a batch of random rows than this, and than twice the mean, has
# several lines, so that padding stays bounded.
SHORTEST = 8
BatchBy = Literal["persons", "rows"]


def drawn_batches(data: FlatRows, size: int, by: BatchBy, generator: torch.Generator) -> Iterator[Batch]:
    """The batches of one epoch in random order.

    Args:
        data: the rows.
        size: rows of a batch; sequences are never cut, so that a batch of them may have more.
        by: ``persons``: pieces of ``sqrt(size)`` rows of one person each; ``rows``: rows (or sequences) at random.
        generator: the order.
    """
    if by == "persons":
        order, number = _order_of_pieces(data, size, generator)
        line = _piece(size)
    else:
        order = torch.randperm(data.rows if data.lengths is None else len(data.lengths), generator=generator).numpy()
        number = _compressed(_before(order, data.lengths) // size)
        present = max(int((data.counts > 0).sum()), 1)
        line = max(SHORTEST, math.ceil(2 * size / min(present, size)))
    batches = int(number[-1]) + 1
    ends = np.searchsorted(number, np.arange(0, batches + TOGETHER, TOGETHER))
    for start, end in itertools.pairwise(ends.tolist()):
        if start < end:
            yield from BatchLayout(data, order[start:end], number[start:end], line).batches(batches / data.rows)


def _order_of_pieces(data: FlatRows, size: int, generator: torch.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Order of rows (or sequences) in pieces of one person each, and the batch of each."""
    lengths = data.lengths
    count = data.rows if lengths is None else len(lengths)
    persons = data.persons if lengths is None else data.persons[data.first]
    block = np.cumsum(np.diff(persons, prepend=persons[:1]) != 0)
    jitter = torch.rand(count, generator=generator, dtype=torch.float64).numpy()
    order = np.argsort(block + jitter)  # those of a person stay together
    piece = _pieces(block, _before(order, lengths), _piece(size))
    first = np.flatnonzero(np.diff(piece, prepend=-1))
    place = torch.randperm(len(first), generator=generator).numpy()
    length = np.diff(first, append=count)[place]
    start = np.cumsum(length) - length
    order = order[np.arange(count) + np.repeat(first[place] - start, length)]
    return order, _compressed(np.repeat(_before(order, lengths)[start], length) // size)


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
