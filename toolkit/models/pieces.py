"""A large training set as problems of some persons (or combinations of levels) each, made when they are needed.

Sums over all rows (losses, curvatures, posteriors) then take the memory of one piece, and the rows are held once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from toolkit.effects.flat_rows import FlatRows
from toolkit.effects.problem import PersonLoss, Problem
from toolkit.models.batch_losses import ChainLosses, RowLosses

# Rows of a piece, fewer where many effects vary: a piece with its derivatives takes some megabytes.
MOST, LEAST, NUMBERS = 16_384, 512, 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pieces:
    """A `toolkit.effects.problem.ProblemParts` of flat rows.

    Attributes:
        module: the network.
        data: the rows.
        loss: their loss.
        size: number of effects of a person.
    """

    module: nn.Module
    data: FlatRows
    loss: RowLosses | ChainLosses
    size: int

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.data.rows

    @property
    def persons(self) -> Int[Tensor, " persons"]:
        """Persons who have rows: of each line."""
        return self.codes(0)

    def codes(self, factor: int) -> Int[Tensor, " lines"]:
        """Level of each line in one grouping factor; 0 is the person."""
        return self._moved(self._levels(np.flatnonzero(np.diff(self.data.persons, prepend=-1)))[:, factor])

    def _levels(self, starts: np.ndarray) -> np.ndarray:
        """Levels (lines, factors) of the lines whose rows start there."""
        lines = self.data.persons[starts]
        return lines[:, None] if self.data.levels is None else self.data.levels[lines]

    def pieces(self) -> Iterator[Problem]:
        """The rows, some persons at a time."""
        most = int(min(MOST, max(LEAST, NUMBERS // max(self.size, 1))))
        starts = np.flatnonzero(np.diff(self.data.persons, prepend=-1))
        firsts = np.flatnonzero(np.diff(starts // most, prepend=-1))
        for a, b in zip(firsts, np.append(firsts[1:], len(starts)), strict=True):
            end = starts[b] if b < len(starts) else self.data.rows
            yield self._problem(starts[a:b], int(end))

    def _problem(self, starts: np.ndarray, end: int) -> Problem:
        """The problem of the persons whose rows start there; the last row of a person stands where it is padded."""
        data, counts = self.data, np.diff(starts, append=end)
        here, place = slice(int(starts[0]), end), np.arange(counts.max())
        index = (starts - starts[0])[:, None] + np.minimum(place, counts[:, None] - 1)
        chosen, mask = self._moved(index), self._moved(place < counts[:, None])
        inputs, target = data.inputs[here], data.target[here]
        if isinstance(self.loss, RowLosses):
            loss = self.loss.of_lines(target[chosen], mask)
        else:
            loss = self._chain_loss(self.loss, target, starts, counts)
        levels = self._levels(starts)
        return Problem(
            module=self.module,
            inputs=inputs[chosen],
            persons=self._moved(levels[:, 0]),
            loss=loss,
            rows=end - int(starts[0]),
            further=self._moved(levels[:, 1:]) if levels.shape[1] > 1 else None,
        )

    def _chain_loss(self, loss: ChainLosses, states: Tensor, starts: np.ndarray, counts: np.ndarray) -> PersonLoss:
        """The loss of the sequences of these persons, whose rows stand in one line each."""
        data, begin = self.data, starts[0]
        assert data.lengths is not None
        inside = (data.first >= begin) & (data.first < begin + counts.sum())
        first, lengths = data.first[inside], data.lengths[inside]
        line = np.searchsorted(starts, first, side="right") - 1
        step = np.arange(lengths.max())
        present = step < lengths[:, None]
        rows = self._moved(np.where(present, (first - begin)[:, None] + step, -1))
        places = np.where(present, (line * counts.max() + first - starts[line])[:, None] + step, -1)
        return loss.of_sequences(
            torch.where(rows >= 0, states[rows.clamp(min=0)], -1),
            places=self._moved(places),
            lines=self._moved(line),
            first=self._moved(first),
            persons=self._moved(data.persons[first]),
        )

    def _moved(self, values: np.ndarray) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(values)).to(self.data.inputs.device)
