"""Rows without padding, and a batch of them laid out as lines of one person each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Some rows, sorted by person, and where they stand in padded lines.

    Attributes:
        rows: numbers of the rows (rows,).
        inputs: their features (rows, feature), and target: their outcome (rows, ...).
        persons: the persons they are of, each once (persons,).
        share: share of each person's training rows that is here (persons,).
        owner: place of each line's person among ``persons`` (lines,); None where every person has one line.
        person_of_row: place of each row's person among ``persons`` (rows,).
        slots: place of each row among the flattened lines (rows,); None where no line is padded.
        lines, longest: number of lines and their length.
        starts: the first row of each sequence among ``rows``, and lengths: its rows (sequences,); None for rows.
        scale: factor of the sums over this batch, ``B / N``.
    """

    rows: Int[Tensor, " rows"]
    inputs: Float[Tensor, "rows feature"]
    target: Tensor
    persons: Int[Tensor, " persons"]
    share: Float[Tensor, " persons"]
    owner: Int[Tensor, " lines"] | None
    person_of_row: Int[Tensor, " rows"]
    slots: Int[Tensor, " rows"] | None
    lines: int
    longest: int
    starts: Int[Tensor, " sequences"] | None
    lengths: Int[Tensor, " sequences"] | None
    scale: float

    def padded(self, rows: Float[Tensor, "rows width"]) -> Float[Tensor, "lines longest width"]:
        """Values of the rows in their lines, zero where padded."""
        if self.slots is not None:
            empty = rows.new_zeros((self.lines * self.longest, rows.shape[1]))
            rows = empty.index_copy_(0, self.slots, rows)
        return rows.view(self.lines, self.longest, -1)

    def filled(self, rows: Float[Tensor, "rows width"]) -> Float[Tensor, "lines longest width"]:
        """Values of the rows in their lines, and of some row where padded: a network may not be finite at zero."""
        if self.slots is not None:
            source = torch.zeros(self.lines * self.longest, dtype=torch.int64, device=rows.device)
            source.index_copy_(0, self.slots, torch.arange(len(rows), device=rows.device))
            rows = rows.index_select(0, source)
        return rows.view(self.lines, self.longest, -1)

    def flat(self, lines: Float[Tensor, "lines longest width"]) -> Float[Tensor, "rows width"]:
        """Values of the rows without padding; the inverse of `padded`."""
        rows = lines.reshape(self.lines * self.longest, -1)
        return rows if self.slots is None else rows.index_select(0, self.slots)


@runtime_checkable
class BatchLoss(Protocol):
    """The loss of a batch by its outputs and the parameters of its chain."""

    def slopes(
        self, batch: Batch, outputs: Float[Tensor, "rows output"], chain: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The summed loss, and its gradients with respect to the outputs and to each parameter of the chain."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FlatRows:
    """Training or validation rows as they are; those of a person stand one after the other.

    Attributes:
        inputs: standardised features (rows, feature).
        target: outcome (rows, ...).
        persons: code of each row's person (rows,), at least 0.
        counts: rows of each person among all (persons,).
        levels: with several grouping factors, where a person here stands for a combination of their levels: the level
            of each in every factor (persons, factors).
        lengths: rows of each sequence (sequences,), whose rows then stand one after the other; None where every row can
            stand alone.
        loss: the loss of a batch.
    """

    inputs: Float[Tensor, "rows feature"]
    target: Tensor
    persons: np.ndarray
    counts: np.ndarray
    lengths: np.ndarray | None
    loss: BatchLoss
    levels: np.ndarray | None = None

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.persons)

    @property
    def first(self) -> np.ndarray:
        """First row of each unit that a batch cannot divide (units,)."""
        return np.arange(self.rows) if self.lengths is None else np.cumsum(self.lengths) - self.lengths
