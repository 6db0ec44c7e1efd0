"""Best linear unbiased predictions and their conditional covariances."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from toolkit.numerics.mixed.arrays import Sparse, row_numbers, sparse
from toolkit.numerics.mixed.deviance import Solution
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
    first, halves = moments.factors[0], solution.halves
    inner = _squared_by_level(halves.between, halves.rest, first.size)
    found = [np.swapaxes(halves.inverse, 1, 2) @ (inner + np.eye(first.size)) @ halves.inverse]
    begin = 0
    for factor in moments.factors[1:]:
        places = begin + np.arange(factor.levels * factor.size)
        chosen = sparse.csr_array(sparse.eye_array(halves.rest.size, format="csr")[places])
        found.append(_squared_by_level(chosen, halves.rest, factor.size))
        begin += len(places)
    return found


def _squared_by_level(rows: Sparse, rest: Factored, size: int) -> Float[np.ndarray, "levels effects effects"]:
    """``B_j S^-1 B_j'`` for every level's rows ``B_j`` of a sparse matrix, a piece of the levels at a time."""
    levels = rows.shape[0] // size
    found = np.zeros((levels, size, size))
    if not rows.nnz:
        return found
    inverse = rest.inverse() if rest.is_dense else None
    step = max(PIECE // max(size * rest.size, 1), 1)
    for begin in range(0, levels, step):
        end = min(begin + step, levels)
        piece = rows[begin * size : end * size]
        product = piece @ inverse if inverse is not None else rest.solve(piece.toarray().T).T
        product = np.asarray(product).reshape(end - begin, size, -1)
        own = row_numbers(piece)
        for b in range(size):
            terms = piece.data * product[own // size, b, piece.indices]
            found[begin:end, :, b] = np.bincount(own, weights=terms, minlength=piece.shape[0]).reshape(-1, size)
    return found
