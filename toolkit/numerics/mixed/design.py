"""What a linear mixed model is made of: fixed effects, and codes, design and template of each grouping factor.

The model is ``y = X beta + sum_k Z_k b_k + e`` with ``b_kj ~ N(0, sigma2 L_k L_k')`` for every level j of factor k, the
relative factor ``L_k`` lower triangular (Bates, Maechler, Bolker and Walker, 2015, Eqs. 2 to 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Factor:
    """A grouping factor with its random effects.

    Attributes:
        codes: level of each row, from 0.
        levels: how many levels there are; one without rows keeps its prior.
        design: what the effects are multiplied with, shape (rows, effects).
        blocks: sizes of the groups of effects that correlate; effects of different groups are independent.
    """

    codes: Int[np.ndarray, " rows"]
    levels: int
    design: Float[np.ndarray, "rows effects"]
    blocks: tuple[int, ...]

    @property
    def size(self) -> int:
        """Effects of one level."""
        return int(self.design.shape[1])

    @property
    def free(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the free elements of the relative factor, column by column within each block."""
        rows, columns, start = list[np.ndarray](), list[np.ndarray](), 0
        for size in self.blocks:
            column, row = np.triu_indices(size)
            rows.append(row + start)
            columns.append(column + start)
            start += size
        return np.concatenate(rows), np.concatenate(columns)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Design:
    """Outcome, fixed effects and grouping factors, the rows in one order.

    Attributes:
        outcome: shape (rows,).
        fixed: columns of X, of full rank, shape (rows, p).
        factors: at least one.
    """

    outcome: Float[np.ndarray, " rows"]
    fixed: Float[np.ndarray, "rows p"]
    factors: tuple[Factor, ...]


def start(factors: Sequence[Factor]) -> Float[np.ndarray, " theta"]:
    """Start values: identity, every effect as variable as the residual."""
    return np.concatenate([(row == column).astype(float) for row, column in (factor.free for factor in factors)])


def lower_bounds(factors: Sequence[Factor]) -> Float[np.ndarray, " theta"]:
    """Zero for the diagonals of the relative factors, none for what is below."""
    return np.concatenate([np.where(row == column, 0.0, -np.inf) for row, column in (f.free for f in factors)])


def relative_factors(
    theta: Float[np.ndarray, " theta"], factors: Sequence[Factor]
) -> list[Float[np.ndarray, "effects effects"]]:
    """The lower triangular matrices ``L_k`` of a parameter vector."""
    found, done = list[np.ndarray](), 0
    for factor in factors:
        rows, columns = factor.free
        matrix = np.zeros((factor.size, factor.size))
        matrix[rows, columns] = theta[done : done + len(rows)]
        done += len(rows)
        found.append(matrix)
    return found


def parameters(gradients: Sequence[np.ndarray], factors: Sequence[Factor]) -> Float[np.ndarray, " theta"]:
    """The free elements of one matrix a factor, as a vector in the order of theta."""
    return np.concatenate([matrix[factor.free] for matrix, factor in zip(gradients, factors, strict=True)])
