"""First derivative of the profiled deviance, and the average information that stands for its second.

Sources: Bates, Maechler, Bolker and Walker (2015) for the deviance; Gilmour, Thompson and Cullis (1995) for the average
of observed and expected information, whose traces cancel.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from toolkit.numerics.mixed.arrays import Sparse, row_numbers, sparse
from toolkit.numerics.mixed.design import parameters
from toolkit.numerics.mixed.deviance import Solution
from toolkit.numerics.mixed.halves import by_level, inner_product
from toolkit.numerics.mixed.moments import Moments
from toolkit.numerics.mixed.posterior import blocks_on_diagonal, solved_columns, spherical

# a relative standard deviation below this is treated as this in the gradient, which vanishes with it
TINY = 1e-6


def gradient(moments: Moments, solution: Solution, *, reml: bool) -> Float[np.ndarray, " theta"]:
    """Derivative of the profiled deviance by the free elements of the relative factors, in the order of the moments.

    ``2 L^-T [q I - sum_j M^-1_jj - sum_j u_j u_j' m / r2 - sum_j h_j (X'V^-1X)^-1 h_j']`` for each factor, with m of n
    (or n - p) and, for the restricted likelihood only, ``h = M^-1 L'Z'X``.
    """
    p = len(solution.beta)
    found = list[np.ndarray]()
    sums = inverse_sums(moments, solution)
    for relative, columns, inverse in zip(solution.relative, solved_columns(moments, solution), sums, strict=True):
        u = columns @ solution.contrast
        inside = len(columns) * np.eye(len(relative)) - inverse - (u.T @ u) / solution.sigma2
        if reml:
            h = np.swapaxes(columns[:, :, :p], 0, 1).reshape(len(relative), -1, p)
            inside -= np.einsum("alp,pq,blq->ab", h, np.linalg.inv(solution.information), h, optimize=True)
        found.append(2.0 * np.linalg.solve(kept_apart(relative).T, inside))
    return parameters(found, moments.factors)


def inverse_sums(moments: Moments, solution: Solution) -> list[Float[np.ndarray, "effects effects"]]:
    """Sums over the levels of the diagonal blocks of ``M^-1``, by factor."""
    halves = solution.halves
    size = moments.factors[0].size
    inverse = halves.rest.inverse() if halves.rest.is_dense else halves.rest.inverse_where_filled()
    first = np.einsum("lca,lcb->ab", halves.inverse, halves.inverse)
    if halves.between.nnz:
        scaled = by_level(np.swapaxes(halves.inverse, 1, 2), halves.between)
        parts = [sparse.csr_array(scaled[place::size]) for place in range(size)]
        for a in range(size):
            for b in range(size):
                first[a, b] += _product_trace(parts[a], parts[b], inverse)
    found, begin = [first], 0
    for factor in moments.factors[1:]:
        found.append(blocks_on_diagonal(inverse, begin, factor.levels, factor.size).sum(axis=0))
        begin += factor.levels * factor.size
    return found


def _product_trace(a: Sparse, b: Sparse, inverse: np.ndarray | Sparse) -> float:
    """``tr(A S^-1 B')`` for sparse A and B."""
    product = sparse.csr_array(a.T @ b)
    if not isinstance(inverse, np.ndarray):
        return float(product.multiply(inverse).sum())
    return float(product.data @ inverse[row_numbers(product), product.indices])


def kept_apart(relative: Float[np.ndarray, "effects effects"]) -> Float[np.ndarray, "effects effects"]:
    """A relative factor whose diagonal does not vanish."""
    diagonal = np.diagonal(relative)
    return relative + np.diag(np.where(np.abs(diagonal) < TINY, TINY - diagonal, 0.0))


def average_information(moments: Moments, solution: Solution) -> Float[np.ndarray, "theta theta"]:
    """Average of the observed and the expected second derivative of the deviance, the residual variance profiled out.

    ``q_i' P q_j / sigma2 - s_i s_j / (m sigma2^2)`` with ``q_i = dV/dtheta_i P y`` and ``s_i = y'P q_i``.
    """
    weighted = _weighted_residuals(moments, solution)
    first, rest = _directions(moments, solution, weighted)
    against = _cross(moments, first, rest)
    solved_first, solved_rest = solution.halves.solve(
        solution.relative[0].T @ against[0], solution.others.T @ against[1]
    )
    scaled = (solution.relative[0].T @ against[0], solution.others.T @ against[1])
    squares = inner_product(first, rest, *against) - inner_product(*scaled, solved_first, solved_rest)
    p = len(solution.beta)
    if p:
        fixed = inner_product(moments.first_fixed[:, :, :p], moments.rest_fixed[:, :p], first, rest)
        fixed -= inner_product(solution.first_fixed[:, :, :p], solution.rest_fixed[:, :p], *scaled)
        squares -= fixed.T @ np.linalg.solve(solution.information, fixed)
    own = inner_product(weighted[0], weighted[1], first, rest)[0]
    sigma2 = solution.sigma2
    return squares / sigma2 - np.outer(own, own) / (solution.degrees * sigma2**2)


def _weighted_residuals(moments: Moments, solution: Solution) -> tuple[np.ndarray, np.ndarray]:
    """``Z'V^-1(y - X beta)`` in halves, one column each."""
    u = spherical(moments, solution)
    first = (u[0] @ solution.relative[0].T)[:, :, None]
    rest = solution.others @ np.concatenate([block.ravel() for block in u[1:]] or [np.zeros(0)])[:, None]
    taken = _cross(moments, first, rest)
    own = (moments.first_fixed @ solution.contrast)[:, :, None], (moments.rest_fixed @ solution.contrast)[:, None]
    return own[0] - taken[0], own[1] - taken[1]


def _directions(
    moments: Moments, solution: Solution, weighted: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """``(E_i L' + L E_i') Z'V^-1(y - X beta)`` for every free element i, in halves, one column each."""
    total = sum(len(factor.free[0]) for factor in moments.factors)
    first = np.zeros((*weighted[0].shape[:2], total))
    rest = np.zeros((len(weighted[1]), total))
    column, begin = 0, 0
    for place, (factor, relative) in enumerate(zip(moments.factors, solution.relative, strict=True)):
        size = factor.levels * factor.size
        own = weighted[0][:, :, 0] if place == 0 else weighted[1][begin : begin + size, 0].reshape(-1, factor.size)
        for row, other in zip(*factor.free, strict=True):
            unit = np.zeros_like(relative)
            unit[row, other] = 1.0
            turned = own @ (unit @ relative.T + relative @ unit.T)
            if place == 0:
                first[:, :, column] = turned
            else:
                rest[begin : begin + size, column] = turned.ravel()
            column += 1
        begin += 0 if place == 0 else size
    return first, rest


def _cross(moments: Moments, first: np.ndarray, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``Z'Z`` times columns, in halves."""
    flat = first.reshape(-1, first.shape[2])
    own = moments.first @ first + np.asarray(moments.between @ rest).reshape(first.shape)
    return own, np.asarray(moments.between.T @ flat) + np.asarray(moments.rest @ rest)
