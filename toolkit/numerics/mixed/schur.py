"""The symmetric matrix that is left when the largest factor is solved level by level: factored, solved, inverted.

Dense (Cholesky) while it is small or mostly filled, by `toolkit.numerics.mixed.elimination` otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from toolkit.numerics.mixed.arrays import Sparse, linalg, sparse
from toolkit.numerics.mixed.elimination import Eliminated, eliminate
from toolkit.numerics.mixed.plan import Plan, plan_of

# rows up to which a matrix is dense whatever it holds, and the share of filled entries from which a larger one is
DENSE = 1_000
FILLED = 0.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Factored:
    """A factored matrix of positive definite form.

    Attributes:
        dense: its lower Cholesky factor, or None.
        sparse: its factors after elimination, or None.
        logdet: logarithm of its determinant.
        size: rows.
    """

    dense: np.ndarray | None
    sparse: Eliminated | None
    logdet: float
    size: int

    def solve(self, values: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "rows columns"]:
        """The inverse times columns."""
        if not self.size:
            return values
        if self.dense is not None:
            return linalg.cho_solve((self.dense, True), values, check_finite=False)
        assert self.sparse is not None
        return self.sparse.solve(np.ascontiguousarray(values))

    @property
    def is_dense(self) -> bool:
        """Whether the whole inverse is at hand at little cost."""
        return self.sparse is None

    def inverse(self) -> Float[np.ndarray, "rows rows"]:
        """The whole inverse of a dense matrix."""
        if self.dense is None:
            return np.zeros((0, 0))
        found, _ = linalg.lapack.dpotri(self.dense, lower=1)
        found = np.tril(found)
        return found + np.tril(found, -1).T

    def inverse_where_filled(self) -> Sparse:
        """The inverse of a sparse matrix where its plan has entries; levels that meet in a row are among them."""
        assert self.sparse is not None
        return self.sparse.selected_inverse()


def plan_for(within: Sparse, between: Sparse) -> Plan | None:
    """How to eliminate what is left of some factors when another is solved level by level; None if it is to be dense.

    Args:
        within: entries of the factors' own cross products, (rest, rest).
        between: of the cross products with the factor that is solved first, (levels, rest).
    """
    size = within.shape[0]
    if size <= DENSE:
        return None
    through = _ones(between)
    pattern = sparse.csr_array(_ones(within) + through.T @ through)
    return None if pattern.nnz > FILLED * size**2 else plan_of(pattern)


def _ones(matrix: Sparse) -> Sparse:
    """One in the place of every stored entry, so that sums do not cancel."""
    found = sparse.csr_array(matrix)
    return sparse.csr_array((np.ones(len(found.indices)), found.indices, found.indptr), shape=found.shape)


def factor(matrix: Sparse, plan: Plan | None = None) -> Factored:
    """Factor a sparse symmetric positive definite matrix.

    Args:
        matrix: both triangles.
        plan: how to eliminate; None makes the matrix dense.

    Raises:
        numpy.linalg.LinAlgError: it is not positive definite.
    """
    size = matrix.shape[0]
    if not size:
        return Factored(dense=None, sparse=None, logdet=0.0, size=0)
    if plan is not None:
        found = eliminate(plan, plan.values(matrix))
        return Factored(dense=None, sparse=found, logdet=found.logdet, size=size)
    values = matrix.toarray()
    lower, info = linalg.lapack.dpotrf(values, lower=1, clean=0, overwrite_a=1)
    if info:
        raise np.linalg.LinAlgError("the matrix is not positive definite")
    return Factored(dense=lower, sparse=None, logdet=2.0 * float(np.log(np.diagonal(lower)).sum()), size=size)
