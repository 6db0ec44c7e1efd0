"""How uncertain a sum of effects is in rows that were not fitted, or were: the exact conditional variance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from toolkit.numerics.mixed.arrays import sparse
from toolkit.numerics.mixed.deviance import Solution
from toolkit.numerics.mixed.moments import Moments

# doubles that a piece of the rows may take
PIECE = 4_000_000


def conditional_variance(
    moments: Moments,
    solution: Solution,
    codes: Int[np.ndarray, "rows factors"],
    designs: Sequence[np.ndarray],
) -> Float[np.ndarray, " rows"]:
    """Variance of ``sum_k z_k b_k`` in each row, given outcome, fixed effects and variances.

    ``sigma2 z' L M^-1 L' z`` over all factors together, so that effects which the data cannot tell apart count as such;
    a level nobody has seen has its prior's variance.

    Args:
        moments: of the fitted design.
        solution: of its likelihood.
        codes: level of each row in each factor, in the caller's order; -1 is a level without any row.
        designs: what the effects of each factor are multiplied with, in the same order.
    """
    found = np.zeros(len(codes))
    scaled: list[np.ndarray] = []
    for place, order in enumerate(moments.order):
        own, known = designs[order] @ solution.relative[place], codes[:, order] >= 0
        found += np.where(known, 0.0, (own**2).sum(axis=1))
        scaled.append(np.where(known[:, None], own, 0.0))
    step = max(PIECE // max(moments.rest.shape[0], 1), 1)
    for begin in range(0, len(codes), step):
        part = slice(begin, begin + step)
        levels = [np.maximum(codes[part, order], 0) for order in moments.order]
        found[part] += _quadratic(moments, solution, levels, [own[part] for own in scaled])
    return solution.sigma2 * found


def _quadratic(
    moments: Moments, solution: Solution, levels: Sequence[np.ndarray], scaled: Sequence[np.ndarray]
) -> Float[np.ndarray, " rows"]:
    """``z' M^-1 z`` of rows whose effects are scaled already: the first factor, then what it leaves of the others."""
    halves, size = solution.halves, moments.factors[0].size
    own = np.einsum("rab,rb->ra", halves.inverse[levels[0]], scaled[0])
    found = (own**2).sum(axis=1)
    if not moments.rest.shape[0]:
        return found
    rows = len(own)
    places = levels[0][:, None] * size + np.arange(size)
    pick = sparse.csr_array(
        (own.ravel(), places.ravel(), np.arange(0, rows * size + 1, size)), shape=(rows, halves.between.shape[0])
    )
    left = -np.asarray((pick @ halves.between).todense())
    begin = 0
    for factor, level, values in zip(moments.factors[1:], levels[1:], scaled[1:], strict=True):
        for effect in range(factor.size):
            np.add.at(left, (np.arange(rows), begin + level * factor.size + effect), values[:, effect])
        begin += factor.levels * factor.size
    return found + (left * halves.rest.solve(np.ascontiguousarray(left.T)).T).sum(axis=1)
