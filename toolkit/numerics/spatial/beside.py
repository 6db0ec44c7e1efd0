"""A random field beside grouping factors: cross products, and the model solved at given parameters.

``y = X beta + sum_k Z_k b_k + Z_s s + e`` with ``s ~ N(0, sigma2 G G')``. The loadings G (places, columns) are those of
a kernel on inducing places (all places, if they are few: then nothing is approximated), or fixed ones such as an
embedding of the places. In the notation of `toolkit.numerics.mixed.deviance` the columns of G stand beside the relative
factors; the first factor is solved level by level, and all others with the field in its Schur complement, which is
dense.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from toolkit.numerics.mixed.arrays import Sparse, linalg, sparse
from toolkit.numerics.mixed.design import Design, relative_factors
from toolkit.numerics.mixed.deviance import inverse_choleskys, on_one_diagonal, profiled_fixed
from toolkit.numerics.mixed.halves import by_level
from toolkit.numerics.mixed.moments import Moments, indicator, moments
from toolkit.numerics.spatial.carriers import Carried, Carrier
from toolkit.numerics.spatial.exact import cholesky

# doubles that a piece of a product may take
PIECE = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FieldMoments:
    """Cross products of factors and places.

    Attributes:
        factors: those of the grouping factors.
        carrier: loadings of the places as a function of the range.
        first_places: ``Z_1'Z_s``, sparse, shape (levels x effects, places).
        rest_places: ``Z_rest'Z_s``, sparse, shape (rest, places).
        counts: rows of each place.
        places_fixed: ``Z_s'[X y]``, shape (places, p + 1).
    """

    factors: Moments
    carrier: Carrier
    first_places: Sparse
    rest_places: Sparse
    counts: Float[np.ndarray, " places"]
    places_fixed: Float[np.ndarray, "places columns"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FieldSolution:
    """A model solved at given parameters; names as in `toolkit.numerics.mixed.deviance.Solution`.

    Attributes:
        carried: loadings at the range, for a field as variable as the residual.
        scale: the field's SD over the residual's.
        crossed: ``chol(M_11)^-1 L_1' Z_1'Z_s``, sparse; with the loadings it is the field's part of ``between``.
        lower: Cholesky factor of the Schur complement, others first, then the field.
        first_fixed, rest_fixed, field_fixed: ``M^-1 L'Z'[X y]`` in parts.
    """

    deviance: float
    relative: tuple[np.ndarray, ...]
    others: Sparse
    beta: np.ndarray
    information: np.ndarray
    residual: float
    rows: int
    inverse: np.ndarray
    between: Sparse
    carried: Carried
    scale: float
    crossed: Sparse
    lower: np.ndarray
    first_fixed: np.ndarray
    rest_fixed: np.ndarray
    field_fixed: np.ndarray

    @property
    def sigma2(self) -> float:
        """Residual variance."""
        return self.residual / self.rows

    @property
    def contrast(self) -> Float[np.ndarray, " columns"]:
        """What turns columns of X and y into ``y - X beta``."""
        return np.append(-self.beta, 1.0)

    @property
    def loadings(self) -> Float[np.ndarray, "places columns"]:
        """G."""
        return self.scale * self.carried.loadings

    def solve(
        self, first: Float[np.ndarray, "levels effects columns"], rest: np.ndarray, field: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``M^-1`` times right-hand sides, in parts."""
        own = self.inverse @ first
        flat = own.reshape(-1, own.shape[2])
        loadings = self.loadings
        others = rest - np.asarray(self.between.T @ flat)
        fields = field - loadings.T @ np.asarray(self.crossed.T @ flat)
        solved = linalg.cho_solve((self.lower, True), np.concatenate([others, fields]), check_finite=False)
        rest_solved, field_solved = solved[: len(rest)], solved[len(rest) :]
        taken = np.asarray(self.between @ rest_solved) + np.asarray(self.crossed @ (loadings @ field_solved))
        left = own - taken.reshape(own.shape)
        return np.swapaxes(self.inverse, 1, 2) @ left, rest_solved, field_solved


def field_moments(design: Design, codes: np.ndarray, carrier: Carrier) -> FieldMoments:
    """All cross products of a design with places.

    Args:
        design: outcome, fixed effects and grouping factors.
        codes: place of each row.
        carrier: of the field.
    """
    base = moments(design)
    places = carrier.places
    rows = len(codes)
    where = sparse.csr_array((np.ones(rows), codes, np.arange(rows + 1)), shape=(rows, places))
    columns = np.column_stack([design.fixed, design.outcome])
    others = [indicator(factor) for factor in base.factors[1:]]
    rest = sparse.csr_array(sparse.hstack(others, format="csr")) if others else sparse.csr_array((rows, 0))
    return FieldMoments(
        factors=base,
        carrier=carrier,
        first_places=sparse.csr_array(indicator(base.factors[0]).T @ where),
        rest_places=sparse.csr_array(rest.T @ where),
        counts=np.bincount(codes, minlength=places).astype(np.float64),
        places_fixed=np.asarray(where.T @ columns),
    )


def solve_with_field(moments: FieldMoments, theta: Float[np.ndarray, " theta"]) -> FieldSolution:
    """Solve the model: the free elements of the relative factors, the field's relative SD, and its log range.

    Raises:
        numpy.linalg.LinAlgError: a matrix is not positive definite; see `toolkit.numerics.mixed.deviance.solve`.
    """
    base, carrier = moments.factors, moments.carrier
    cut = len(theta) - carrier.parameters
    relative = relative_factors(theta[:cut], base.factors)
    scale = float(theta[cut])
    carried = carrier.at(float(theta[cut + 1]) if carrier.parameters > 1 else 0.0)
    loadings = scale * carried.loadings
    inverse, logdet = inverse_choleskys(base.first, relative[0])
    others = on_one_diagonal(relative[1:], base.factors[1:])
    weights = inverse @ relative[0].T
    between = by_level(weights, sparse.csr_array(base.between @ others))
    crossed = by_level(weights, moments.first_places)
    lower = cholesky(_complement(moments, others, between, crossed, loadings))
    logdet += 2.0 * float(np.log(np.diagonal(lower)).sum())
    empty = np.zeros((0, 0))
    solution = FieldSolution(
        deviance=math.nan, relative=tuple(relative), others=others, beta=np.zeros(0), information=empty, residual=1.0,
        rows=base.rows, inverse=inverse, between=between, carried=carried, scale=scale, crossed=crossed, lower=lower,
        first_fixed=empty, rest_fixed=empty, field_fixed=empty,
    )  # fmt: skip
    right = relative[0].T @ base.first_fixed, others.T @ base.rest_fixed, loadings.T @ moments.places_fixed
    solved = solution.solve(*right)
    inner = sum(_flat(mine).T @ _flat(yours) for mine, yours in zip(right, solved, strict=True))
    beta, information, residual = profiled_fixed(base.fixed - inner)
    deviance = logdet + base.rows * (1.0 + math.log(2.0 * math.pi * residual / base.rows))
    return FieldSolution(
        deviance=deviance, relative=tuple(relative), others=others, beta=beta, information=information,
        residual=residual, rows=base.rows, inverse=inverse, between=between, carried=carried, scale=scale,
        crossed=crossed, lower=lower, first_fixed=solved[0], rest_fixed=solved[1], field_fixed=solved[2],
    )  # fmt: skip


def _complement(
    moments: FieldMoments, others: Sparse, between: Sparse, crossed: Sparse, loadings: np.ndarray
) -> Float[np.ndarray, "size size"]:
    """What is left of M when the first factor is solved: the other factors, then the field, dense."""
    base = moments.factors
    rest, columns = base.rest.shape[0], loadings.shape[1]
    matrix = np.empty((rest + columns, rest + columns))
    matrix[:rest, :rest] = (others.T @ base.rest @ others - between.T @ between).toarray()
    mixed = np.asarray(sparse.csr_array(others.T @ moments.rest_places - between.T @ crossed) @ loadings)
    matrix[:rest, rest:] = mixed
    matrix[rest:, :rest] = mixed.T
    matrix[rest:, rest:] = loadings.T @ own_places(moments.counts, crossed, loadings)
    matrix.flat[:: len(matrix) + 1] += 1.0
    return matrix


def own_places(counts: np.ndarray, crossed: Sparse, columns: np.ndarray) -> Float[np.ndarray, "places columns"]:
    """``Z_s'Z_s`` times columns, less what the first factor takes of it."""
    found = counts[:, None] * columns
    step = max(PIECE // max(crossed.shape[0], 1), 1)
    for begin in range(0, columns.shape[1], step):
        piece = slice(begin, begin + step)
        found[:, piece] -= np.asarray(crossed.T @ np.asarray(crossed @ columns[:, piece]))
    return found


def _flat(values: np.ndarray) -> np.ndarray:
    """Levels and effects in one."""
    return values.reshape(-1, values.shape[-1])
