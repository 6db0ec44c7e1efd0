"""Long data in pieces of rows that fit a processor's cache; memory then does not grow with temporary tables."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from toolkit.sampling.densities.density import RowDensity
from toolkit.sampling.target import Clusters, Draw, Target

ELEMENTS = 250_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Piece:
    """Some consecutive rows of a target: their fixed logits, levels and density."""

    fixed: Float[Tensor, "outputs rows"]
    clusters: tuple[Clusters, ...]
    density: RowDensity

    def logits(self, draw: Draw) -> Float[Tensor, "outputs rows"]:
        """Fixed logits plus what a draw adds to these rows, a new tensor."""
        total = self.fixed.clone(memory_format=torch.contiguous_format)
        for clusters, effects in zip(self.clusters, draw, strict=True):
            total += clusters.spread(effects)
        return total


def row_slices(rows: int, numbers_a_row: int) -> list[slice]:
    """Consecutive slices of the rows with about `ELEMENTS` numbers each."""
    size = max(1, ELEMENTS // numbers_a_row)
    return [slice(first, min(first + size, rows)) for first in range(0, rows, size)]


def pieces(target: Target, together: int | None = None) -> tuple[Piece, ...]:
    """The rows of a target, cut so that those outputs that go through `together` have about `ELEMENTS` logits."""
    return tuple(
        Piece(
            fixed=target.fixed[:, rows],
            clusters=tuple(clusters.part(rows) for clusters in target.clusters),
            density=target.density.rows(rows),
        )
        for rows in row_slices(target.fixed.shape[1], together or target.outputs)
    )
