"""Best linear unbiased predictions and their conditional covariances."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from toolkit.numerics.mixed.arrays import Sparse, row_numbers, sparse
from toolkit.numerics.mixed.design import Factor
from toolkit.numerics.mixed.deviance import Solution
from toolkit.numerics.mixed.halves import Halves
from toolkit.numerics.mixed.moments import Moments
from toolkit.numerics.mixed.schur import Factored

# doubles that a piece of a product may take
PIECE = 8_000_000


def spherical(moments: Moments, solution: Solution) -> list[Float[np.ndarray, "levels effects"]]:
    """Modes of the effects before they are scaled, ``u = M^-1 L'Z'(y - X beta)``, by factor."""
    return [block @ solution.contrast for block in solved_columns(moments, solution)]


def blups(moments: Moments, solution: Solution) -> list[Float[np.ndarray, "levels effects"]]:
    """Best linear unbiased predictions ``b = L u`` of every level, by factor in the order of the moments."""
    return [u @ relative.T for u, relative in zip(spherical(moments, solution), solution.relative, strict=True)]


def conditional_covariances(moments: Moments, solution: Solution) -> list[Float[np.ndarray, "levels effects effects"]]:
    """Covariance of each level's effects given data, fixed effects and variances: ``sigma2 L M^-1_jj L'``."""
    return [
        solution.sigma2 * relative @ blocks @ relative.T
        for blocks, relative in zip(inverse_blocks(moments, solution), solution.relative, strict=True)
    ]


def solved_columns(moments: Moments, solution: Solution) -> list[Float[np.ndarray, "levels effects columns"]]:
    """``M^-1 L'Z'[X y]`` by factor."""
    found, begin = [solution.first_fixed], 0
    for factor in moments.factors[1:]:
        size = factor.levels * factor.size
        found.append(solution.rest_fixed[begin : begin + size].reshape(factor.levels, factor.size, -1))
        begin += size
    return found


def inverse_blocks(moments: Moments, solution: Solution) -> list[Float[np.ndarray, "levels effects effects"]]:
    """Diagonal blocks of ``M^-1``, one of each level, by factor."""
    return blocks_of_inverse(moments.factors, solution.halves)


def blocks_of_inverse(factors: Sequence[Factor], halves: Halves) -> list[Float[np.ndarray, "levels effects effects"]]:
    """Diagonal blocks of the inverse of a matrix in two halves, one of each level, by factor."""
    first, own = factors[0], _inverse(halves.rest)
    inner = _squared_by_level(halves.between, own, first.size)
    found = [np.swapaxes(halves.inverse, 1, 2) @ (inner + np.eye(first.size)) @ halves.inverse]
    begin = 0
    for factor in factors[1:]:
        found.append(blocks_on_diagonal(own, begin, factor.levels, factor.size))
        begin += factor.levels * factor.size
    return found


def _inverse(rest: Factored) -> np.ndarray | Sparse:
    """All of the inverse, or where the matrix has entries."""
    return rest.inverse() if rest.is_dense else rest.inverse_where_filled()


def blocks_on_diagonal(
    inverse: np.ndarray | Sparse, begin: int, levels: int, size: int
) -> Float[np.ndarray, "levels effects effects"]:
    """The blocks of so many levels on the diagonal of a matrix."""
    places = begin + np.arange(levels * size).reshape(levels, size)
    chosen = inverse[np.repeat(places, size, axis=1).ravel(), np.tile(places, size).ravel()]
    return np.asarray(chosen).reshape(levels, size, size)


def _squared_by_level(
    rows: Sparse, inverse: np.ndarray | Sparse, size: int
) -> Float[np.ndarray, "levels effects effects"]:
    """``B_j S^-1 B_j'`` for every level's rows ``B_j`` of a sparse matrix."""
    levels = rows.shape[0] // size
    found = np.zeros((levels, size, size))
    if not rows.nnz:
        return found
    if not isinstance(inverse, np.ndarray):
        parts = [sparse.csr_array(rows[place::size]) for place in range(size)]
        for a in range(size):
            product = parts[a] @ inverse
            for b in range(size):
                found[:, a, b] = np.asarray(product.multiply(parts[b]).sum(axis=1)).ravel()
        return found
    step = max(PIECE // max(size * rows.shape[1], 1), 1)
    for begin in range(0, levels, step):
        end = min(begin + step, levels)
        piece = rows[begin * size : end * size]
        product = np.asarray(piece @ inverse).reshape(end - begin, size, -1)
        own = row_numbers(piece)
        for b in range(size):
            terms = piece.data * product[own // size, b, piece.indices]
            found[begin:end, :, b] = np.bincount(own, weights=terms, minlength=piece.shape[0]).reshape(-1, size)
    return found
