"""The matrix ``M = L'Z'Z L + I`` in two halves: the factor with the most effects level by level, and all others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from toolkit.numerics.mixed.arrays import Sparse, sparse
from toolkit.numerics.mixed.schur import Factored

Levels = Float[np.ndarray, "levels effects columns"]
Others = Float[np.ndarray, "rest columns"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Halves:
    """M, factored.

    Attributes:
        inverse: inverse Cholesky factor of each level's block of the first factor, shape (levels, effects, effects).
        between: ``chol(M_11)^-1 M_12``, sparse, shape (levels x effects, rest).
        rest: the Schur complement of the others, factored.
    """

    inverse: Float[np.ndarray, "levels effects effects"]
    between: Sparse
    rest: Factored

    def solve(self, first: Levels, others: Others) -> tuple[Levels, Others]:
        """``M^-1`` times right-hand sides, in halves."""
        own = self.inverse @ first
        solved = self.rest.solve(others - self.between.T @ own.reshape(-1, own.shape[2]))
        left = own - np.asarray(self.between @ solved).reshape(own.shape)
        return np.swapaxes(self.inverse, 1, 2) @ left, solved


def inner_product(
    first: Levels,
    others: Others,
    other_first: Float[np.ndarray, "levels effects turned"],
    other_others: Float[np.ndarray, "rest turned"],
) -> Float[np.ndarray, "columns turned"]:
    """Products of the columns of two vectors in halves."""
    mine, yours = (block.reshape(-1, block.shape[2]) for block in (first, other_first))
    return mine.T @ yours + others.T @ other_others


def by_level(weights: Float[np.ndarray, "levels effects effects"], matrix: Sparse) -> Sparse:
    """Every level's rows of a sparse matrix times the level's own small matrix."""
    levels, size, _ = weights.shape
    if size == 1:
        values = matrix.data * np.repeat(weights[:, 0, 0], np.diff(matrix.indptr))
        return sparse.csr_array((values, matrix.indices, matrix.indptr), shape=matrix.shape)
    blocks = sparse.bsr_array((weights, np.arange(levels), np.arange(levels + 1)), shape=(levels * size, levels * size))
    return sparse.csr_array(blocks.tocsr() @ matrix)
