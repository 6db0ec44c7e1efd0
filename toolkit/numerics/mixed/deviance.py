"""The profiled deviance of a linear mixed model and everything that falls out of its evaluation.

With ``M = L'Z'Z L + I`` and ``V = I + Z L L' Z'`` the deviance (minus twice the log-likelihood, fixed effects and
residual variance profiled out) is ``log|V| + n (1 + log(2 pi r2 / n))``, where ``r2 = (y - X beta)' V^-1 (y - X beta)``
and ``log|V| = log|M|``; restricted maximum likelihood adds ``log|X'V^-1X|`` and replaces n by n - p (Bates, Maechler,
Bolker and Walker, 2015, Eqs. 33 to 42). M is solved in two halves: the factor with the most effects level by level, the
others in its Schur complement. Nothing is as long as the rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from toolkit.numerics.mixed.arrays import Sparse, linalg, sparse
from toolkit.numerics.mixed.design import Factor, relative_factors
from toolkit.numerics.mixed.halves import Halves, by_level, inner_product
from toolkit.numerics.mixed.moments import Moments
from toolkit.numerics.mixed.schur import factor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solution:
    """A model solved at given relative factors.

    Attributes:
        deviance: minus twice the profiled (restricted) log-likelihood.
        relative: the relative factors, in the order of the moments.
        others: those of the factors after the first, of all levels, on one diagonal.
        beta: fixed effects, shape (p,).
        information: ``X'V^-1X``, shape (p, p); the covariance of beta is sigma2 times its inverse.
        residual: ``r2``, the weighted residual sum of squares.
        degrees: n, or n - p for the restricted likelihood.
        halves: M, factored.
        first_fixed, rest_fixed: ``M^-1 L'Z'[X y]``, the first factor's rows by level and the others'.
    """

    deviance: float
    relative: tuple[np.ndarray, ...]
    others: Sparse
    beta: np.ndarray
    information: np.ndarray
    residual: float
    degrees: int
    halves: Halves
    first_fixed: np.ndarray
    rest_fixed: np.ndarray

    @property
    def sigma2(self) -> float:
        """Residual variance."""
        return self.residual / self.degrees

    @property
    def contrast(self) -> Float[np.ndarray, " columns"]:
        """What turns columns of X and y into ``y - X beta``."""
        return np.append(-self.beta, 1.0)


def solve(moments: Moments, theta: Float[np.ndarray, " theta"], *, reml: bool) -> Solution:
    """Solve the model at the relative factors ``theta``.

    Args:
        moments: of the design.
        theta: free elements of the relative factors, in the order of ``moments.factors``.
        reml: restricted likelihood.

    Raises:
        numpy.linalg.LinAlgError: a matrix is not positive definite: fixed effects are collinear, the model fits the
            outcome exactly, or numbers are not finite.
    """
    relative = relative_factors(theta, moments.factors)
    inverse, logdet = inverse_choleskys(moments.first, relative[0])
    others = on_one_diagonal(relative[1:], moments.factors[1:])
    between = by_level(inverse @ relative[0].T, sparse.csr_array(moments.between @ others))
    identity = sparse.eye_array(moments.rest.shape[0], format="csc")
    rest = factor(sparse.csc_array(others.T @ moments.rest @ others + identity - between.T @ between), moments.plan)
    halves = Halves(inverse=inverse, between=between, rest=rest)
    first, other = relative[0].T @ moments.first_fixed, others.T @ moments.rest_fixed
    solved = halves.solve(first, other)
    left = moments.fixed - inner_product(first, other, *solved)
    beta, information, residual = profiled_fixed(left)
    degrees = moments.rows - len(beta) if reml else moments.rows
    deviance = logdet + rest.logdet + degrees * (1.0 + math.log(2.0 * math.pi * residual / degrees))
    if reml:
        deviance += float(np.linalg.slogdet(information)[1])
    return Solution(
        deviance=deviance, relative=tuple(relative), others=others, beta=beta, information=information,
        residual=residual, degrees=degrees, halves=halves, first_fixed=solved[0], rest_fixed=solved[1],
    )  # fmt: skip


def inverse_choleskys(
    squares: Float[np.ndarray, "levels effects effects"], relative: Float[np.ndarray, "effects effects"]
) -> tuple[Float[np.ndarray, "levels effects effects"], float]:
    """Inverse Cholesky factors of ``L'Z'Z L + I`` of every level, and the log determinant of all."""
    if relative.shape == (1, 1):
        diagonal = relative[0, 0] ** 2 * squares + 1.0
        return 1.0 / np.sqrt(diagonal), float(np.log(diagonal).sum())
    lower = np.linalg.cholesky(relative.T @ squares @ relative + np.eye(len(relative)))
    logdet = 2.0 * float(np.log(np.diagonal(lower, axis1=1, axis2=2)).sum())
    return np.linalg.inv(lower), logdet


def on_one_diagonal(relative: list[np.ndarray], factors: tuple[Factor, ...]) -> Sparse:
    """The relative factors of all levels of some grouping factors."""
    if not factors:
        return sparse.csc_array((0, 0))
    blocks = [
        sparse.kron(sparse.eye_array(factor.levels), matrix, format="csc")
        for factor, matrix in zip(factors, relative, strict=True)
    ]
    return sparse.csc_array(sparse.block_diag(blocks, format="csc"))


def profiled_fixed(left: Float[np.ndarray, "columns columns"]) -> tuple[np.ndarray, np.ndarray, float]:
    """Fixed effects, their information and the residual sum of squares, from ``[X y]'V^-1[X y]``."""
    information, product = left[:-1, :-1], left[:-1, -1]
    beta = linalg.cho_solve(linalg.cho_factor(information, lower=True), product) if len(product) else product
    residual = float(left[-1, -1] - product @ beta)
    if not residual > 0:
        raise np.linalg.LinAlgError("nothing is left over: the model fits the outcome exactly")
    return beta, information, residual
