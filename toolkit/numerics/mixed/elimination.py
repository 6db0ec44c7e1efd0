"""A large sparse matrix factored, solved and inverted in the order of a plan.

Entries of the inverse are had where the matrix has entries (Takahashi, Fagan and Chin, 1973): with the unknowns ``D``
(diagonal) that a round eliminates, their entries ``B`` in the others, and ``Z`` the inverse of what is left, they are
``-D^-1 B Z`` and ``D^-1 + D^-1 B Z B' D^-1``, whose sums run over entries that Z has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from toolkit.numerics.mixed.arrays import Sparse, linalg
from toolkit.numerics.mixed.plan import Plan, Values


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Eliminated:
    """A factored matrix.

    Attributes:
        plan: order of elimination.
        diagonals: of the unknowns of each round.
        couplings: their other entries, as in `Round`.
        lower: Cholesky factor of what is left.
        logdet: logarithm of the determinant.
    """

    plan: Plan
    diagonals: tuple[Values, ...]
    couplings: tuple[Values, ...]
    lower: Float[np.ndarray, "dense dense"]
    logdet: float

    def solve(self, values: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "rows columns"]:
        """The inverse times columns."""
        kept, rest = list[np.ndarray](), values
        pieces = list(zip(self.plan.rounds, self.diagonals, self.couplings, strict=True))
        for own, diagonal, coupling in pieces:
            kept.append(rest[own.chosen])
            rest = rest[own.left] - own.scatter(coupling).T @ (kept[-1] / diagonal[:, None])
        if self.plan.dense:
            rest = linalg.cho_solve((self.lower, True), rest, check_finite=False)
        for (own, diagonal, coupling), mine in zip(reversed(pieces), reversed(kept), strict=True):
            found = np.empty((len(own.chosen) + len(own.left), values.shape[1]))
            found[own.left] = rest
            found[own.chosen] = (mine - own.scatter(coupling) @ rest) / diagonal[:, None]
            rest = found
        return rest

    def selected_inverse(self) -> Sparse:
        """The inverse where the plan's pattern has entries."""
        inverse, _ = linalg.lapack.dpotri(self.lower, lower=1) if self.plan.dense else (self.lower, 0)
        values = inverse[self.plan.dense_columns, self.plan.dense_rows]
        sizes = [len(self.plan.rows), *(own.entries for own in self.plan.rounds)]
        pieces = list(zip(self.plan.rounds, self.diagonals, self.couplings, sizes[:-1], strict=True))
        for own, diagonal, coupling, entries in reversed(pieces):
            between, same = values[own.filled], own.one != own.other
            times = _sums(own.one, between * coupling[own.other], len(coupling))
            times += _sums(own.other[same], (between * coupling[own.one])[same], len(coupling))
            before = np.empty(entries)
            before[own.kept] = values[own.moved]
            before[own.coupling] = -times / diagonal[own.owner]
            squares = _sums(own.owner, coupling * times, len(diagonal))
            before[own.diagonal] = 1.0 / diagonal + squares / diagonal**2
            values = before
        return self.plan.symmetric(values)


def eliminate(plan: Plan, values: Values) -> Eliminated:
    """Factor a matrix by its stored entries.

    Raises:
        numpy.linalg.LinAlgError: it is not positive definite.
    """
    diagonals, couplings, logdet = list[np.ndarray](), list[np.ndarray](), 0.0
    for own in plan.rounds:
        diagonal, coupling = values[own.diagonal], values[own.coupling]
        if not (diagonal > 0).all():
            raise np.linalg.LinAlgError("the matrix is not positive definite")
        scaled = coupling / diagonal[own.owner]
        after = -_sums(own.filled, coupling[own.one] * scaled[own.other], own.entries)
        after[own.moved] += values[own.kept]
        logdet += float(np.log(diagonal).sum())
        diagonals.append(diagonal)
        couplings.append(coupling)
        values = after
    dense = np.zeros((plan.dense, plan.dense))
    dense[plan.dense_columns, plan.dense_rows] = values
    lower = dense
    if plan.dense:
        lower, info = linalg.lapack.dpotrf(dense, lower=1, clean=1)
        if info:
            raise np.linalg.LinAlgError("the matrix is not positive definite")
        logdet += 2.0 * float(np.log(np.diagonal(lower)).sum())
    return Eliminated(plan=plan, diagonals=tuple(diagonals), couplings=tuple(couplings), lower=lower, logdet=logdet)


def _sums(places: np.ndarray, values: Values, entries: int) -> Values:
    """Sums of the values that go to each place; those of nothing come as integers."""
    return np.bincount(places, weights=values, minlength=entries).astype(np.float64, copy=False)
