"""The likelihood of residuals with one random field, exact, by a dense Cholesky factor over the places.

The residuals of a place are summed up first: ``-2 log L = n log(2 pi s2) + Q / s2 + sum_j log n_j + log|C|`` with
``C = gamma R + diag(1 / n_j)``, ``Q = SS_within + m' C^-1 m`` and the means m. The residual variance is profiled out,
``s2 = Q / n``; what is left is gamma (the field's variance over the residual's) and the range.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from toolkit.numerics.mixed.arrays import linalg
from toolkit.numerics.spatial.kernels import correlation_slope
from toolkit.numerics.spatial.locations import PlaceSums
from toolkit.numerics.spatial.names import KernelName


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """The profiled deviance at one point ``(log gamma, log range)``.

    Attributes:
        deviance: minus twice the log-likelihood.
        gradient: by both parameters.
        information: average information (Gilmour, Thompson and Cullis, 1995), or None.
        sigma2: residual variance.
        level: mean of all places, where it is estimated too.
    """

    deviance: float
    gradient: Float[np.ndarray, " theta"]
    information: Float[np.ndarray, "theta theta"] | None
    sigma2: float
    level: float = 0.0


def cholesky(matrix: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """Lower Cholesky factor, the matrix itself overwritten.

    Raises:
        numpy.linalg.LinAlgError: the matrix is not positive definite.
    """
    lower, info = linalg.lapack.dpotrf(matrix.T, lower=1, clean=1, overwrite_a=1)
    if info:
        raise np.linalg.LinAlgError("the matrix is not positive definite")
    return lower


def evaluate_exactly(
    sums: PlaceSums,
    squared: Float[np.ndarray, "places places"],
    kernel: KernelName,
    theta: Float[np.ndarray, " theta"],
    *,
    level: bool = False,
) -> Evaluation:
    """Deviance, gradient and average information at ``theta = (log gamma, log range)``.

    Args:
        sums: of the residuals.
        squared: squared distances between the places.
        kernel: of the field.
        theta: where.
        level: whether a mean of all places is estimated too; by its best value derivatives stay what they are.
    """
    gamma, reach = math.exp(theta[0]), math.exp(theta[1])
    values, slopes = correlation_slope(kernel, squared, reach)
    values *= gamma
    slopes *= gamma
    matrix = values.copy()
    matrix.flat[:: len(matrix) + 1] += 1.0 / sums.counts
    lower = cholesky(matrix)
    weighted = linalg.cho_solve((lower, True), sums.means, check_finite=False)
    mean = 0.0
    if level:
        ones = linalg.cho_solve((lower, True), np.ones(len(weighted)), check_finite=False)
        mean = float(weighted.sum() / ones.sum())
        weighted = weighted - mean * ones
    sigma2, deviance = profiled(
        sums, float((sums.means - mean) @ weighted), 2.0 * float(np.log(np.diagonal(lower)).sum())
    )
    turned = np.column_stack([values @ weighted, slopes @ weighted])
    own = weighted @ turned
    inverse, _ = linalg.lapack.dpotri(lower, lower=1, overwrite_c=0)
    traces = np.array([_trace(inverse, values), _trace(inverse, slopes)])
    information = turned.T @ linalg.cho_solve((lower, True), turned, check_finite=False) / sigma2
    information -= np.outer(own, own) / (sums.rows * sigma2**2)
    return Evaluation(
        deviance=deviance, gradient=traces - own / sigma2, information=information, sigma2=sigma2, level=mean
    )


def profiled(sums: PlaceSums, square: float, logdet: float) -> tuple[float, float]:
    """Residual variance and deviance from ``m' C^-1 m`` and ``log|C|``."""
    sigma2 = (sums.within + square) / sums.rows
    constant = sums.rows * (1.0 + math.log(2.0 * math.pi * sigma2)) + float(np.log(sums.counts).sum())
    return sigma2, constant + logdet


def _trace(lower: Float[np.ndarray, "n n"], matrix: Float[np.ndarray, "n n"]) -> float:
    """Trace of the product of two symmetric matrices, the first with zeros above its diagonal."""
    whole = float(np.einsum("ij,ij->", lower.T, matrix))
    return 2.0 * whole - float(np.diagonal(lower) @ np.diagonal(matrix))
