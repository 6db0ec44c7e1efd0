"""What residuals at places say about a random field at any coordinates: means and variances, by pieces.

Everything is in units of the residual variance until it is returned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from toolkit.numerics.mixed.arrays import linalg
from toolkit.numerics.spatial.exact import cholesky
from toolkit.numerics.spatial.fullscale import Scale, factor_scale
from toolkit.numerics.spatial.kernels import correlation, squared_distances
from toolkit.numerics.spatial.layout import Layout
from toolkit.numerics.spatial.locations import PlaceSums
from toolkit.numerics.spatial.names import KernelName
from toolkit.numerics.spatial.trees import KDTree, nearest

# doubles that a piece may take
PIECE = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Covariance:
    """Parameters of a field.

    Attributes:
        kernel: how correlation falls with distance.
        variance: of the field.
        reach: the range, see `toolkit.numerics.spatial.kernels`.
        sigma2: residual variance.
    """

    kernel: KernelName
    variance: float
    reach: float
    sigma2: float

    @property
    def theta(self) -> Float[np.ndarray, " theta"]:
        """Log gamma and log range."""
        return np.array([math.log(self.variance / self.sigma2), math.log(self.reach)])


@runtime_checkable
class Field(Protocol):
    """A field given data."""

    def predict(
        self, coordinates: Float[np.ndarray, "points axes"]
    ) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"]]:
        """Conditional means and variances at coordinates."""
        ...


class ZeroField:
    """A field whose variance is zero."""

    def predict(self, coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Zeros."""
        return np.zeros(len(coordinates)), np.zeros(len(coordinates))


class ExactField:
    """A field given the means of its places, by one dense Cholesky factor."""

    def __init__(self, places: np.ndarray, sums: PlaceSums, covariance: Covariance) -> None:
        """Factor the covariance of the means."""
        self.places, self.covariance = places, covariance
        matrix = self._against(places)
        matrix.flat[:: len(matrix) + 1] += 1.0 / sums.counts
        self.lower = cholesky(matrix)
        self.weights = linalg.cho_solve((self.lower, True), sums.means)

    def _against(self, coordinates: np.ndarray) -> np.ndarray:
        own = self.covariance
        squared = squared_distances(coordinates, self.places)
        return own.variance / own.sigma2 * correlation(own.kernel, squared, own.reach)

    def predict(self, coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Conditional means and variances at coordinates (simple kriging)."""
        own = self.covariance
        means, left = np.empty(len(coordinates)), np.empty(len(coordinates))
        step = max(PIECE // len(self.places), 1)
        for begin in range(0, len(coordinates), step):
            piece = slice(begin, begin + step)
            values = self._against(coordinates[piece])
            means[piece] = values @ self.weights
            taken = linalg.solve_triangular(self.lower, values.T, lower=True, check_finite=False)
            left[piece] = own.variance / own.sigma2 - (taken**2).sum(axis=0)
        return means, own.sigma2 * np.maximum(left, 0.0)


class NearbyField:
    """A field given the means of its places, by inducing places and nearest neighbours (see `fullscale`)."""

    def __init__(self, layout: Layout, sums: PlaceSums, covariance: Covariance, *, level: bool = False) -> None:
        """Factor the covariance of the means, which stand in the order of the layout; less their level, if asked."""
        self.layout, self.covariance = layout, covariance
        self.noise = 1.0 / sums.counts
        self.scale: Scale = factor_scale(layout, sums, covariance.kernel, covariance.theta, slopes=False)
        sums = sums.less(self.scale.level(sums.means)) if level else sums
        self.posterior = self.scale.solve_smooth(sums.means)
        self.rest = sums.means - self.scale.smooth.loadings @ self.posterior
        self.tree = KDTree(layout.places)

    def predict(self, coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Conditional means and variances at coordinates, each given its nearest places and the smooth part."""
        width = self.layout.neighbours.shape[1]
        means, left = np.empty(len(coordinates)), np.empty(len(coordinates))
        step = max(PIECE // ((width + 1) * max(self.layout.inducing, width)), 1)
        for begin in range(0, len(coordinates), step):
            piece = slice(begin, begin + step)
            means[piece], left[piece] = self._piece(coordinates[piece], width)
        return means, self.covariance.sigma2 * np.maximum(left, 0.0)

    def _piece(self, points: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
        own, smooth = self.covariance, self.scale.smooth
        gamma = own.variance / own.sigma2
        near = nearest(self.tree, points, width)
        places, loaded = self.layout.places[near], smooth.loadings[near]
        inducing = self.layout.places[: self.layout.inducing]
        loadings = np.zeros((len(points), 0))
        if len(inducing):
            values = gamma * correlation(own.kernel, squared_distances(points, inducing), own.reach)
            loadings = linalg.solve_triangular(smooth.lower, values.T, lower=True, check_finite=False).T
        inside: np.ndarray = gamma * correlation(
            own.kernel, ((places[:, :, None] - places[:, None]) ** 2).sum(axis=3), own.reach
        )
        inside -= loaded @ np.swapaxes(loaded, 1, 2)
        inside[:, np.arange(width), np.arange(width)] += self.noise[near]
        across: np.ndarray = gamma * correlation(own.kernel, ((places - points[:, None]) ** 2).sum(axis=2), own.reach)
        across -= (loaded @ loadings[:, :, None])[:, :, 0]
        weights = np.linalg.solve(inside, across[:, :, None])[:, :, 0]
        means = loadings @ self.posterior + (weights * self.rest[near]).sum(axis=1)
        left = gamma - (loadings**2).sum(axis=1) - (weights * across).sum(axis=1)
        if len(inducing):
            open_part = loadings - (weights[:, None] @ loaded)[:, 0]
            turned = linalg.solve_triangular(self.scale.inner, open_part.T, lower=True, check_finite=False)
            left += (turned**2).sum(axis=0)
        return means, left
