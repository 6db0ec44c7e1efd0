"""Derivatives of the profiled deviance of a field beside grouping factors, and its average information.

The trace of ``V^-1 dV`` needs ``Z_s'V^-1 Z_s G``, which is ``Z_s'Z L M^-1`` in the columns of the field; the rest is as
in `toolkit.numerics.mixed.slopes`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from toolkit.numerics.mixed.arrays import Sparse, linalg, row_numbers, sparse
from toolkit.numerics.mixed.design import parameters
from toolkit.numerics.mixed.halves import by_level
from toolkit.numerics.mixed.slopes import kept_apart
from toolkit.numerics.spatial.beside import PIECE, FieldMoments, FieldSolution, own_places

Parts = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inverse:
    """The inverse of the Schur complement, the other factors first, then the field."""

    whole: Float[np.ndarray, "size size"]
    rest: int

    @property
    def others(self) -> Float[np.ndarray, "rest rest"]:
        """Block of the other factors."""
        return self.whole[: self.rest, : self.rest]

    @property
    def mixed(self) -> Float[np.ndarray, "rest columns"]:
        """Block of other factors and field."""
        return self.whole[: self.rest, self.rest :]

    @property
    def field(self) -> Float[np.ndarray, "columns columns"]:
        """Block of the field."""
        return self.whole[self.rest :, self.rest :]


def inverse_of(solution: FieldSolution) -> Inverse:
    """Invert the Schur complement."""
    found, _ = linalg.lapack.dpotri(solution.lower, lower=1, overwrite_c=0)
    found += np.tril(found, -1).T
    return Inverse(whole=np.ascontiguousarray(found.T), rest=solution.others.shape[0])


def spherical_parts(solution: FieldSolution) -> Parts:
    """``M^-1 L'Z'(y - X beta)`` in parts."""
    contrast = solution.contrast
    return solution.first_fixed @ contrast, solution.rest_fixed @ contrast, solution.field_fixed @ contrast


def field_gradient(moments: FieldMoments, solution: FieldSolution) -> Float[np.ndarray, " theta"]:
    """Derivative of the deviance by relative factors, the field's relative SD and its log range."""
    inverse = inverse_of(solution)
    first, rest, _ = spherical_parts(solution)
    sums = _inverse_sums(moments, solution, inverse)
    found, begin = list[np.ndarray](), 0
    for place, (factor, relative) in enumerate(zip(moments.factors.factors, solution.relative, strict=True)):
        size = factor.levels * factor.size
        u = first if place == 0 else rest[begin : begin + size].reshape(factor.levels, factor.size)
        begin += 0 if place == 0 else size
        inside = factor.levels * np.eye(factor.size) - sums[place] - (u.T @ u) / solution.sigma2
        found.append(2.0 * np.linalg.solve(kept_apart(relative).T, inside))
    return np.concatenate([parameters(found, moments.factors.factors), _own_gradient(moments, solution, inverse)])


def _own_gradient(moments: FieldMoments, solution: FieldSolution, inverse: Inverse) -> Float[np.ndarray, " own"]:
    """Derivative by the field's relative SD and log range."""
    weighted = weighted_residuals(moments, solution)[2]
    own = solution.loadings.T @ weighted
    trace = len(inverse.field) - float(np.trace(inverse.field))
    found = [2.0 / max(solution.scale, 1e-12) * (trace - float(own @ own) / solution.sigma2)]
    if moments.carrier.parameters > 1:
        loadings = solution.loadings @ inverse.field
        turned = own_places(moments.counts, solution.crossed, loadings)
        turned += np.asarray(moments.rest_places.T @ np.asarray(solution.others @ inverse.mixed))
        turned -= np.asarray(solution.crossed.T @ np.asarray(solution.between @ inverse.mixed))
        # the loadings of a field of variance one are G / scale, and its covariance K scale^-2
        trace = solution.scale * solution.carried.slope_trace(turned)
        square = solution.scale**2 * float(weighted @ solution.carried.slope_times(weighted))
        found.append(trace - square / solution.sigma2)
    return np.array(found)


def _inverse_sums(moments: FieldMoments, solution: FieldSolution, inverse: Inverse) -> list[np.ndarray]:
    """Sums over the levels of the diagonal blocks of ``M^-1``, by factor."""
    size = moments.factors.factors[0].size
    back = np.swapaxes(solution.inverse, 1, 2)
    first = np.einsum("lca,lcb->ab", solution.inverse, solution.inverse)
    scaled, crossed = by_level(back, solution.between), by_level(back, solution.crossed)
    loadings = solution.loadings
    turned = loadings @ inverse.field
    for a in range(size):
        for b in range(size):
            one, other = sparse.csr_array(scaled[a::size]), sparse.csr_array(crossed[b::size])
            first[a, b] += _sparse_trace(one, sparse.csr_array(scaled[b::size]), inverse.others)
            across = _products(one, inverse.mixed, other, loadings)
            first[a, b] += across
            first[b, a] += across
            first[a, b] += _products(sparse.csr_array(crossed[a::size]), turned, other, loadings)
    found, begin = [first], 0
    for factor in moments.factors.factors[1:]:
        places = begin + np.arange(factor.levels * factor.size).reshape(factor.levels, factor.size)
        found.append(inverse.others[places[:, :, None], places[:, None, :]].sum(axis=0))
        begin += places.size
    return found


def _sparse_trace(a: Sparse, b: Sparse, inverse: np.ndarray) -> float:
    """``tr(A R B')`` for sparse A and B."""
    product = sparse.csr_array(a.T @ b)
    return float(product.data @ inverse[row_numbers(product), product.indices])


def _products(a: Sparse, right: np.ndarray, b: Sparse, other: np.ndarray) -> float:
    """Sum of the elementwise product of ``A right`` and ``B other``, some columns at a time."""
    total, step = 0.0, max(PIECE // max(a.shape[0], 1), 1)
    for begin in range(0, right.shape[1], step):
        piece = slice(begin, begin + step)
        total += float((np.asarray(a @ right[:, piece]) * np.asarray(b @ other[:, piece])).sum())
    return total


def weighted_residuals(moments: FieldMoments, solution: FieldSolution) -> Parts:
    """``Z'V^-1(y - X beta)`` in parts."""
    first, rest, field = spherical_parts(solution)
    scaled = first @ solution.relative[0].T, solution.others @ rest, solution.loadings @ field
    taken = _cross(moments, scaled[0][:, :, None], scaled[1][:, None], scaled[2][:, None])
    base, contrast = moments.factors, solution.contrast
    return (
        base.first_fixed @ contrast - taken[0][:, :, 0],
        base.rest_fixed @ contrast - taken[1][:, 0],
        moments.places_fixed @ contrast - taken[2][:, 0],
    )


def _cross(moments: FieldMoments, first: np.ndarray, rest: np.ndarray, places: np.ndarray) -> Parts:
    """``Z'Z`` times columns in parts."""
    base, flat = moments.factors, first.reshape(-1, first.shape[2])
    own = np.asarray(base.between @ rest) + np.asarray(moments.first_places @ places)
    others = np.asarray(base.between.T @ flat) + np.asarray(base.rest @ rest)
    others += np.asarray(moments.rest_places @ places)
    last = np.asarray(moments.first_places.T @ flat) + np.asarray(moments.rest_places.T @ rest)
    return base.first @ first + own.reshape(first.shape), others, last + moments.counts[:, None] * places


def field_information(moments: FieldMoments, solution: FieldSolution) -> Float[np.ndarray, "theta theta"]:
    """Average of observed and expected second derivative of the deviance; see `toolkit.numerics.mixed.slopes`."""
    weighted = weighted_residuals(moments, solution)
    directions = _directions(moments, solution, weighted)
    against = _cross(moments, *directions)
    scaled = solution.relative[0].T @ against[0], solution.others.T @ against[1], solution.loadings.T @ against[2]
    squares = _inner(directions, against) - _inner(scaled, solution.solve(*scaled))
    p = len(solution.beta)
    if p:
        base = moments.factors
        fixed = _inner((base.first_fixed, base.rest_fixed, moments.places_fixed), directions)
        fixed -= _inner((solution.first_fixed, solution.rest_fixed, solution.field_fixed), scaled)
        squares -= fixed[:p].T @ np.linalg.solve(solution.information, fixed[:p])
    columns = weighted[0][:, :, None], weighted[1][:, None], weighted[2][:, None]
    own = _inner(columns, directions)[0]
    return squares / solution.sigma2 - np.outer(own, own) / (solution.rows * solution.sigma2**2)


def _directions(moments: FieldMoments, solution: FieldSolution, weighted: Parts) -> Parts:
    """``dV/dtheta V^-1(y - X beta)`` for every parameter, without Z, in parts, one column each."""
    factors = moments.factors.factors
    cut = sum(len(factor.free[0]) for factor in factors)
    total = cut + moments.carrier.parameters
    first = np.zeros((*weighted[0].shape, total))
    rest, places = np.zeros((len(weighted[1]), total)), np.zeros((len(weighted[2]), total))
    column, begin = 0, 0
    for place, (factor, relative) in enumerate(zip(factors, solution.relative, strict=True)):
        size = factor.levels * factor.size
        own = weighted[0] if place == 0 else weighted[1][begin : begin + size].reshape(-1, factor.size)
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
    scale = solution.scale
    places[:, cut] = 2.0 * scale * (solution.carried.loadings @ (solution.carried.loadings.T @ weighted[2]))
    if moments.carrier.parameters > 1:
        places[:, cut + 1] = scale**2 * solution.carried.slope_times(weighted[2])
    return first, rest, places


def _inner(mine: Parts, yours: Parts) -> Float[np.ndarray, "columns turned"]:
    """Products of the columns of vectors in parts."""
    return np.sum(
        [a.reshape(-1, a.shape[-1]).T @ b.reshape(-1, b.shape[-1]) for a, b in zip(mine, yours, strict=True)], axis=0
    )
