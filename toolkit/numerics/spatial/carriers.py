"""What carries a field over places: a kernel on inducing places, or fixed loadings such as an embedding."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from toolkit.numerics.mixed.arrays import linalg
from toolkit.numerics.spatial.fullscale import smooth_part
from toolkit.numerics.spatial.layout import farthest_places
from toolkit.numerics.spatial.names import KernelName

# numbers of inducing places tried, and the largest share of variance they may leave
INDUCING = (150, 300, 600, 1_000)
LEFT = 1e-3
# places up to which all of them carry the field rather than too few
EXACT = 3_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Carried:
    """Loadings at one range, for a field of variance one.

    Attributes:
        loadings: shape (places, columns).
        lower: Cholesky factor of the correlations of the inducing places; empty for fixed loadings.
        weights: ``K_qu K_uu^-1``.
        slope: derivative of ``K_qu`` by the log range.
        slope_inside: derivative of ``K_uu``.
    """

    loadings: Float[np.ndarray, "places columns"]
    lower: np.ndarray
    weights: np.ndarray
    slope: np.ndarray
    slope_inside: np.ndarray

    def slope_times(self, values: Float[np.ndarray, " places"]) -> Float[np.ndarray, " places"]:
        """The derivative of ``K_qu K_uu^-1 K_uq`` by the log range, times a vector."""
        inner = self.weights.T @ values
        return self.slope @ inner + self.weights @ (self.slope.T @ values - self.slope_inside @ inner)

    def slope_trace(self, turned: Float[np.ndarray, "places columns"]) -> float:
        """Trace of that derivative times T, from ``T`` times the loadings."""
        against = linalg.solve_triangular(self.lower, turned.T, lower=True, trans=1, check_finite=False).T
        inside = self.weights.T @ against
        return 2.0 * float((self.slope * against).sum()) - float((self.slope_inside * inside).sum())


@runtime_checkable
class Carrier(Protocol):
    """Loadings of places.

    Attributes:
        places: how many.
        parameters: 2 with a range, 1 without.
    """

    places: int
    parameters: int

    def at(self, log_reach: float) -> Carried:
        """The loadings at a range."""
        ...


class KernelCarrier:
    """A kernel on inducing places."""

    def __init__(self, places: np.ndarray, inducing: np.ndarray, kernel: KernelName) -> None:
        """Keep both sets of places."""
        self.coordinates, self.inducing = places, inducing
        self.kernel: KernelName = kernel
        self.places, self.parameters = len(places), 2

    def at(self, log_reach: float) -> Carried:
        """The loadings at a range."""
        found = smooth_part(self.coordinates, self.inducing, self.kernel, np.array([0.0, log_reach]))
        return Carried(
            loadings=found.loadings, lower=found.lower, weights=found.weights, slope=found.slope,
            slope_inside=found.slope_inside,
        )  # fmt: skip


class FixedCarrier:
    """Loadings that do not change."""

    def __init__(self, loadings: np.ndarray) -> None:
        """Keep them."""
        none = np.zeros((0, 0))
        self.carried = Carried(loadings=loadings, lower=none, weights=none, slope=none, slope_inside=none)
        self.places, self.parameters = len(loadings), 1

    def at(self, log_reach: float) -> Carried:
        """The loadings."""
        return self.carried


def kernel_carrier(places: Float[np.ndarray, "places axes"], kernel: KernelName, reach: float) -> KernelCarrier:
    """As many inducing places as carry a field of this range; all places if they are few and it is rough."""
    order = farthest_places(places, min(INDUCING[-1], len(places)))
    some = places[:: max(len(places) // 1_000, 1)]
    for count in INDUCING:
        if count >= len(places):
            break
        chosen = places[order[:count]]
        loadings = smooth_part(some, chosen, kernel, np.array([0.0, math.log(reach)])).loadings
        if 1.0 - float((loadings**2).sum(axis=1).mean()) < LEFT:
            return KernelCarrier(places, chosen, kernel)
    if len(places) <= EXACT:
        return KernelCarrier(places, places, kernel)
    return KernelCarrier(places, places[order], kernel)
