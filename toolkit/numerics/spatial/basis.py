"""Residuals of places with effects on fixed loadings, such as an embedding of the places: one variance, exactly.

With the eigenvalues of ``G' diag(n) G`` the likelihood is a sum over them, whatever the variance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from toolkit.numerics.mixed.arrays import optimize
from toolkit.numerics.spatial.locations import PlaceSums

LOW, HIGH = math.log(1e-10), math.log(1e10)
GAIN = 1e-6
# eigenvalues below this share of the largest are rounding: their directions are none that the loadings have
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BasisFit:
    """Effects on loadings at their maximum likelihood.

    Attributes:
        variance: of the effects.
        sigma2: residual variance.
        deviance: minus twice the log-likelihood.
        mean: effects given the data.
        spread: their covariance.
        at_boundary: the variance is zero.
        evaluations: of the likelihood.
    """

    variance: float
    sigma2: float
    deviance: float
    mean: Float[np.ndarray, " columns"]
    spread: Float[np.ndarray, "columns columns"]
    at_boundary: bool
    evaluations: int


def fit_basis(
    sums: PlaceSums, loadings: Float[np.ndarray, "places columns"], *, gamma: float | None = None
) -> BasisFit:
    """Estimate the variance of effects on loadings, and the residual variance.

    Args:
        sums: of the residuals.
        loadings: G.
        gamma: the variance over the residual's, if it is known.
    """
    values, vectors = np.linalg.eigh(loadings.T @ (sums.counts[:, None] * loadings))
    kept = values > ROUNDING * values[-1]
    values, vectors = values[kept], vectors[:, kept]
    turned = vectors.T @ (loadings.T @ (sums.counts * sums.means))
    projected = turned**2 / values
    outside = sums.within + max(float((sums.counts * sums.means**2).sum() - projected.sum()), 0.0)

    def solved(gamma: float) -> tuple[float, float]:
        sigma2 = (outside + float((projected / (1.0 + gamma * values)).sum())) / sums.rows
        deviance = sums.rows * (1.0 + math.log(2.0 * math.pi * sigma2)) + float(np.log1p(gamma * values).sum())
        return deviance, sigma2

    def at_log(log_gamma: float) -> float:
        return solved(math.exp(log_gamma))[0]

    evaluations = 1
    if gamma is None:
        found = optimize.minimize_scalar(at_log, bounds=(LOW, HIGH), method="bounded", options={"xatol": 1e-7})
        gamma, evaluations = math.exp(float(found.x)), int(found.nfev)
    at_boundary = solved(0.0)[0] - solved(gamma)[0] < GAIN
    gamma = 0.0 if at_boundary else gamma
    deviance, sigma2 = solved(gamma)
    shrunk = gamma / (1.0 + gamma * values)
    return BasisFit(
        variance=gamma * sigma2, sigma2=sigma2, deviance=deviance, mean=vectors @ (shrunk * turned),
        spread=sigma2 * (vectors * shrunk) @ vectors.T, at_boundary=at_boundary, evaluations=evaluations,
    )  # fmt: skip
