"""The likelihood of a field over many places: inducing places for the smooth part, neighbours for the rest.

The field is a part fixed by its values at inducing places, ``K_qu K_uu^-1 K_uq = L L'``, plus a residual process
which, together with the noise of the means, is conditioned on its nearest earlier neighbours only (full-scale Vecchia
approximation; Sang and Huang, 2012; Gyger, Furrer and Sigrist, 2024). With the neighbour factors B (unit lower
triangular, sparse) and D (diagonal) the covariance of the means over the residual variance is
``C = L L' + B^-1 D B^-T``; its determinant and solves need ``M = I + L' B' D^-1 B L`` only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from toolkit.numerics.mixed.arrays import linalg
from toolkit.numerics.spatial.exact import Evaluation, cholesky, profiled
from toolkit.numerics.spatial.kernels import correlation_slope, squared_distances
from toolkit.numerics.spatial.layout import Layout
from toolkit.numerics.spatial.locations import PlaceSums
from toolkit.numerics.spatial.names import KernelName
from toolkit.numerics.spatial.neighbour_factors import Neighbouring, neighbour_factors

# what is added to the diagonal of the inducing places' correlations, which may be singular to the last digit
JITTER = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Smooth:
    """The part of a field that inducing places carry, in units of the residual variance.

    Attributes:
        lower: Cholesky factor of ``K_uu``.
        loadings: ``L = K_qu lower^-T``.
        weights: ``A = K_qu K_uu^-1``.
        slope: derivative of ``K_qu`` by the log range.
        slope_inside: the same of ``K_uu``.
    """

    lower: Float[np.ndarray, "inducing inducing"]
    loadings: Float[np.ndarray, "places inducing"]
    weights: Float[np.ndarray, "places inducing"]
    slope: Float[np.ndarray, "places inducing"]
    slope_inside: Float[np.ndarray, "inducing inducing"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scale:
    """A field's covariance, factored.

    Attributes:
        smooth: what inducing places carry.
        near: neighbour factors of the rest.
        whitened: ``D^-1/2 B L``.
        inner: Cholesky factor of M.
        logdet: ``log|C|``.
    """

    smooth: Smooth
    near: Neighbouring
    whitened: Float[np.ndarray, "places inducing"]
    inner: Float[np.ndarray, "inducing inducing"]
    logdet: float

    def solve_smooth(self, means: Float[np.ndarray, " places"]) -> Float[np.ndarray, " inducing"]:
        """Posterior mean of the loadings' factors, ``M^-1 L' W^-1 m``, of means in the order of the layout."""
        white = (self.near.lower @ means) / np.sqrt(self.near.variances)
        return linalg.cho_solve((self.inner, True), self.whitened.T @ white)

    def level(self, means: Float[np.ndarray, " places"]) -> float:
        """The best mean of all places, ``1' C^-1 m / 1' C^-1 1``."""
        root = np.sqrt(self.near.variances)
        ones, white = self.near.lower @ np.ones(len(means)) / root, self.near.lower @ means / root
        taken = linalg.cho_solve((self.inner, True), self.whitened.T @ ones) if len(self.inner) else np.zeros(0)
        left = ones - self.whitened @ taken
        return float(left @ white) / float(left @ ones)


def smooth_part(
    places: Float[np.ndarray, "places axes"],
    inducing: Float[np.ndarray, "inducing axes"],
    kernel: KernelName,
    theta: Float[np.ndarray, " theta"],
) -> Smooth:
    """Loadings of places on inducing places at ``theta = (log gamma, log range)``."""
    gamma, reach = math.exp(theta[0]), math.exp(theta[1])
    if not len(inducing):
        none = np.zeros((len(places), 0))
        return Smooth(lower=none[:0], loadings=none, weights=none, slope=none, slope_inside=none[:0])
    inside, slope_inside = correlation_slope(kernel, squared_distances(inducing, inducing), reach)
    values, slope = correlation_slope(kernel, squared_distances(places, inducing), reach)
    inside.flat[:: len(inside) + 1] = 1.0 + JITTER
    lower = cholesky(gamma * inside)
    loadings = linalg.solve_triangular(lower, gamma * values.T, lower=True, check_finite=False).T
    weights = linalg.solve_triangular(lower, loadings.T, lower=True, trans=1, check_finite=False).T
    return Smooth(
        lower=lower, loadings=np.ascontiguousarray(loadings), weights=np.ascontiguousarray(weights),
        slope=gamma * slope, slope_inside=gamma * slope_inside,
    )  # fmt: skip


def factor_scale(
    layout: Layout, sums: PlaceSums, kernel: KernelName, theta: Float[np.ndarray, " theta"], *, slopes: bool
) -> Scale:
    """Factor the covariance of means, which stand in the order of the layout; with what its derivatives need."""
    smooth = smooth_part(layout.places, layout.places[: layout.inducing], kernel, theta)
    near = neighbour_factors(layout, 1.0 / sums.counts, smooth, kernel, theta, slopes=slopes)
    whitened = np.asarray(near.lower @ smooth.loadings) / np.sqrt(near.variances)[:, None]
    inner = cholesky(whitened.T @ whitened + np.eye(layout.inducing)) if layout.inducing else np.zeros((0, 0))
    logdet = float(np.log(near.variances).sum()) + 2.0 * float(np.log(np.diagonal(inner)).sum())
    return Scale(smooth=smooth, near=near, whitened=whitened, inner=inner, logdet=logdet)


def evaluate_full_scale(
    layout: Layout, sums: PlaceSums, kernel: KernelName, theta: Float[np.ndarray, " theta"], *, level: bool = False
) -> Evaluation:
    """Deviance and gradient at ``theta = (log gamma, log range)``, the sums in the order of the layout.

    With ``level`` a mean of all places is estimated too.
    """
    scale = factor_scale(layout, sums, kernel, theta, slopes=True)
    mean = scale.level(sums.means) if level else 0.0
    sums = sums.less(mean)
    posterior = scale.solve_smooth(sums.means)
    rest = sums.means - scale.smooth.loadings @ posterior
    errors = np.asarray(scale.near.lower @ rest)
    square = float((errors**2 / scale.near.variances).sum() + posterior @ posterior)
    sigma2, deviance = profiled(sums, square, scale.logdet)
    own = _square_slopes(layout, scale, posterior, rest, errors)
    gradient = _logdet_slopes(layout, scale) + own / sigma2
    return Evaluation(deviance=deviance, gradient=gradient, information=None, sigma2=sigma2, level=mean)


def _logdet_slopes(layout: Layout, scale: Scale) -> Float[np.ndarray, " theta"]:
    """Derivative of ``log|C|`` by log gamma and log range."""
    near, smooth = scale.near, scale.smooth
    found = (near.variance_slopes / near.variances).sum(axis=1)
    if not layout.inducing:
        return found
    turned = linalg.cho_solve((scale.inner, True), scale.whitened.T, check_finite=False).T
    unscaled = turned / np.sqrt(near.variances)[:, None]
    found -= near.variance_slopes @ ((turned * scale.whitened).sum(axis=1) / near.variances)
    against = _at_neighbours(layout, unscaled, smooth.loadings)
    found -= 2.0 * (near.weight_slopes * against).sum(axis=(1, 2))
    # H = W^-1 K_qu F^-1, against the derivatives of K_qu
    inverse_inner = linalg.cho_solve((scale.inner, True), np.eye(layout.inducing))
    precise = np.asarray(near.lower.T @ unscaled)
    outer = _undo(smooth.lower, precise)
    inside = _undo(smooth.lower, _undo(smooth.lower, inverse_inner - np.eye(layout.inducing)).T)
    found[0] += 2.0 * float((precise * smooth.loadings).sum()) + float(np.trace(inverse_inner)) - layout.inducing
    found[1] += 2.0 * float((outer * smooth.slope).sum()) + float((inside * smooth.slope_inside).sum())
    return found


def _square_slopes(
    layout: Layout, scale: Scale, posterior: np.ndarray, rest: np.ndarray, errors: np.ndarray
) -> Float[np.ndarray, " theta"]:
    """Derivative of ``m' C^-1 m`` by log gamma and log range, the posterior of the smooth part held at its mode."""
    near, smooth = scale.near, scale.smooth
    scaled = errors / near.variances
    found = -near.variance_slopes @ scaled**2
    found -= 2.0 * np.einsum("tqn,qn,q->t", near.weight_slopes, rest[layout.neighbours], scaled, optimize=True)
    if not layout.inducing:
        return found
    inducing = linalg.solve_triangular(smooth.lower, posterior, lower=True, trans=1)
    weighted = np.asarray(near.lower.T @ scaled)
    found[0] += float(posterior @ posterior) - 2.0 * float(weighted @ (smooth.loadings @ posterior))
    found[1] += float(inducing @ smooth.slope_inside @ inducing) - 2.0 * float(weighted @ (smooth.slope @ inducing))
    return found


def _at_neighbours(layout: Layout, own: np.ndarray, others: np.ndarray) -> Float[np.ndarray, "places neighbours"]:
    """Inner products of each place's row with its neighbours' rows, a piece at a time."""
    found = np.empty(layout.neighbours.shape)
    step = 500
    for begin in range(0, len(own), step):
        piece = slice(begin, begin + step)
        found[piece] = np.einsum("qu,qnu->qn", own[piece], others[layout.neighbours[piece]])
    return found


def _undo(lower: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows times the inverse of a lower triangular matrix."""
    return linalg.solve_triangular(lower, rows.T, lower=True, trans=1, check_finite=False).T
