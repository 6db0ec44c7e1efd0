"""The symmetric matrix that is left when the largest factor is solved level by level: factored, solved, inverted.

Dense (Cholesky) while it is small or mostly filled, sparse (LU without pivoting, which for a positive definite matrix
is its Cholesky factor up to scale) otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from toolkit.numerics.mixed.arrays import Sparse, linalg, splu

# rows up to which a matrix is dense whatever it holds, and up to which it may be if this share of it is filled
DENSE = 3_000
LARGEST = 8_000
FILLED = 0.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Factored:
    """A factored matrix of positive definite form.

    Attributes:
        dense: its lower Cholesky factor, or None.
        sparse: its sparse factors, or None.
        logdet: logarithm of its determinant.
        size: rows.
    """

    dense: np.ndarray | None
    sparse: Any
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


def factor(matrix: Sparse) -> Factored:
    """Factor a sparse symmetric positive definite matrix.

    Raises:
        numpy.linalg.LinAlgError: it is not positive definite.
    """
    size = matrix.shape[0]
    if not size:
        return Factored(dense=None, sparse=None, logdet=0.0, size=0)
    if size <= DENSE or (matrix.nnz > FILLED * size**2 and size <= LARGEST):
        values = matrix.toarray()
        lower, info = linalg.lapack.dpotrf(values, lower=1, clean=0, overwrite_a=1)
        if info:
            raise np.linalg.LinAlgError("the matrix is not positive definite")
        return Factored(dense=lower, sparse=None, logdet=2.0 * float(np.log(np.diagonal(lower)).sum()), size=size)
    options: dict[str, Any] = {"SymmetricMode": True}
    found = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)
    diagonal = found.U.diagonal()
    if (diagonal <= 0).any():
        raise np.linalg.LinAlgError("the matrix is not positive definite")
    return Factored(dense=None, sparse=found, logdet=float(np.log(diagonal).sum()), size=size)
