"""How uncertain the effects of grouping factors and a field are together, in rows that were fitted or were not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from toolkit.numerics.mixed.arrays import linalg, sparse
from toolkit.numerics.spatial.beside import FieldMoments, FieldSolution

# doubles that a piece of the rows may take
PIECE = 4_000_000


def conditional_variance_beside(
    moments: FieldMoments,
    solution: FieldSolution,
    codes: Int[np.ndarray, "rows factors"],
    designs: Sequence[np.ndarray],
    loadings: Float[np.ndarray, "rows columns"],
) -> Float[np.ndarray, " rows"]:
    """Variance of ``sum_k z_k b_k + g u`` in each row, given outcome, fixed effects and variances.

    ``sigma2 v' M^-1 v`` over factors and field together, see `toolkit.numerics.mixed.prediction`; what the loadings of
    a new place leave out of the field is not in it.

    Args:
        moments: of the fitted design.
        solution: of its likelihood.
        codes: level of each row in each factor, in the caller's order; -1 is a level without any row.
        designs: what the effects of each factor are multiplied with, in the same order.
        loadings: of the places of the rows, for a field as variable as in the solution over the residual variance.
    """
    found, scaled = np.zeros(len(codes)), list[np.ndarray]()
    for place, order in enumerate(moments.factors.order):
        own, known = designs[order] @ solution.relative[place], codes[:, order] >= 0
        found += np.where(known, 0.0, (own**2).sum(axis=1))
        scaled.append(np.where(known[:, None], own, 0.0))
    step = max(PIECE // max(len(solution.lower), moments.carrier.places), 1)
    for begin in range(0, len(codes), step):
        part = slice(begin, begin + step)
        levels = [np.maximum(codes[part, order], 0) for order in moments.factors.order]
        found[part] += _quadratic(moments, solution, levels, [own[part] for own in scaled], loadings[part])
    return solution.sigma2 * found


def _quadratic(
    moments: FieldMoments,
    solution: FieldSolution,
    levels: Sequence[np.ndarray],
    scaled: Sequence[np.ndarray],
    loadings: Float[np.ndarray, "rows columns"],
) -> Float[np.ndarray, " rows"]:
    """``v' M^-1 v``: the first factor, then what it leaves of the others and of the field."""
    factors = moments.factors.factors
    size, rows = factors[0].size, len(loadings)
    own = np.einsum("rab,rb->ra", solution.inverse[levels[0]], scaled[0])
    places = levels[0][:, None] * size + np.arange(size)
    pointers = np.arange(0, rows * size + 1, size)
    pick = sparse.csr_array((own.ravel(), places.ravel(), pointers), shape=(rows, solution.crossed.shape[0]))
    rest, begin = -np.asarray((pick @ solution.between).todense()), 0
    for factor, level, values in zip(factors[1:], levels[1:], scaled[1:], strict=True):
        for effect in range(factor.size):
            np.add.at(rest, (np.arange(rows), begin + level * factor.size + effect), values[:, effect])
        begin += factor.levels * factor.size
    field = loadings - np.asarray((pick @ solution.crossed) @ solution.loadings)
    left = np.concatenate([rest, field], axis=1)
    turned = linalg.solve_triangular(solution.lower, left.T, lower=True, check_finite=False)
    return (own**2).sum(axis=1) + (turned**2).sum(axis=0)
