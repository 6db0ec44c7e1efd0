"""Each place given its nearest earlier neighbours: weights, conditional variances and their derivatives."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from toolkit.numerics.mixed.arrays import Sparse, sparse
from toolkit.numerics.spatial.kernels import correlation_slope
from toolkit.numerics.spatial.layout import Layout
from toolkit.numerics.spatial.names import KernelName

if TYPE_CHECKING:
    from toolkit.numerics.spatial.fullscale import Smooth

# doubles that the loadings of a piece's neighbours may take
PIECE = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Neighbouring:
    """Factors of a precision matrix, ``W^-1 = B' D^-1 B``.

    Attributes:
        lower: B, sparse.
        variances: the diagonal of D.
        weight_slopes: derivatives of the neighbours' weights (minus the entries of B) by log gamma and log range;
            held is the number of places, or none.
        variance_slopes: derivatives of D.
    """

    lower: Sparse
    variances: Float[np.ndarray, " places"]
    weight_slopes: Float[np.ndarray, "theta held neighbours"]
    variance_slopes: Float[np.ndarray, "theta held"]


def neighbour_factors(
    layout: Layout,
    noise: Float[np.ndarray, " places"],
    smooth: Smooth,
    kernel: KernelName,
    theta: Float[np.ndarray, " theta"],
    *,
    slopes: bool,
) -> Neighbouring:
    """Factors of the covariance that is left of the field, plus noise, when inducing places carry the smooth part."""
    count, width = layout.neighbours.shape
    weights, variances = np.empty((count, width)), np.empty(count)
    weight_slopes, variance_slopes = np.zeros((2, count if slopes else 0, width)), np.zeros((2, count if slopes else 0))
    half = smooth.slope - 0.5 * smooth.weights @ smooth.slope_inside if slopes else smooth.slope
    step = max(PIECE // ((width + 1) * max(layout.inducing, width + 1)), 1)
    for begin in range(0, count, step):
        piece = slice(begin, min(begin + step, count))
        own = _Piece(layout, piece, noise, smooth, kernel, theta)
        weights[piece], variances[piece] = own.weights, own.variances
        if slopes:
            weight_slopes[:, piece], variance_slopes[:, piece] = own.derivatives(smooth, half)
    lower = lower_factor(layout, weights)
    return Neighbouring(lower=lower, variances=variances, weight_slopes=weight_slopes, variance_slopes=variance_slopes)


class _Piece:
    """Some places with their neighbours, the place itself last in each set."""

    def __init__(
        self, layout: Layout, piece: slice, noise: np.ndarray, smooth: Smooth, kernel: KernelName, theta: np.ndarray
    ) -> None:
        own = np.arange(len(layout.places))[piece]
        self.sets = np.concatenate([layout.neighbours[piece], own[:, None]], axis=1)
        self.present = layout.present[piece]
        there = np.concatenate([self.present, np.ones((len(own), 1), dtype=bool)], axis=1)
        self.mask = there[:, :, None] & there[:, None, :]
        points = layout.places[self.sets]
        squared = ((points[:, :, None] - points[:, None]) ** 2).sum(axis=3)
        values, slopes = correlation_slope(kernel, squared, math.exp(theta[1]))
        self.slopes = np.where(self.mask, math.exp(theta[0]) * slopes, 0.0)
        loaded = smooth.loadings[self.sets]
        rest = math.exp(theta[0]) * values - loaded @ np.swapaxes(loaded, 1, 2)
        self.rest = np.where(self.mask, rest, 0.0)
        self.noise = noise[self.sets]
        covariance = self.rest.copy()
        diagonal = np.arange(int(self.sets.shape[1]))
        covariance[:, diagonal, diagonal] += np.where(there, self.noise, 1.0)
        self.inside = covariance[:, :-1, :-1]
        self.weights = np.linalg.solve(self.inside, covariance[:, :-1, -1:])[:, :, 0]
        self.variances = covariance[:, -1, -1] - (self.weights * covariance[:, :-1, -1]).sum(axis=1)

    def derivatives(self, smooth: Smooth, half: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives of weights and variances by log gamma and log range."""
        contrast = np.concatenate([-self.weights, np.ones((len(self.weights), 1))], axis=1)[:, :, None]
        by_gamma = self.rest @ contrast
        by_range = self.slopes @ contrast
        weighted, halves = smooth.weights[self.sets], half[self.sets]
        by_range -= halves @ (np.swapaxes(weighted, 1, 2) @ contrast)
        by_range -= weighted @ (np.swapaxes(halves, 1, 2) @ contrast)
        turned = np.concatenate([by_gamma, by_range], axis=2)
        turned[:, :-1] *= self.present[:, :, None]
        weights = np.linalg.solve(self.inside, turned[:, :-1])
        variances = (contrast * turned).sum(axis=1)
        return np.moveaxis(weights, 2, 0), variances.T


def lower_factor(layout: Layout, weights: Float[np.ndarray, "places neighbours"]) -> Sparse:
    """B: ones on the diagonal, minus the weights at the neighbours."""
    count, width = len(weights), int(weights.shape[1])
    columns = np.concatenate([layout.neighbours, np.arange(count)[:, None]], axis=1)
    values = np.concatenate([-np.where(layout.present, weights, 0.0), np.ones((count, 1))], axis=1)
    pointers = np.arange(0, count * (width + 1) + 1, width + 1)
    return sparse.csr_array((values.ravel(), columns.ravel(), pointers), shape=(count, count))
