"""Correlation of a random field between two places as a function of their distance, and its slope by the range.

With the distance d and the range c: ``rbf`` exp(-d^2 / (2 c)), so that its range is a squared length (Simchoni and
Rosset, 2023, Eq. 11); ``exponential`` exp(-a) with a = d / c; ``matern32`` (1 + a) exp(-a) with a = sqrt(3) d / c;
``matern52`` (1 + a + a^2 / 3) exp(-a) with a = sqrt(5) d / c (Rasmussen and Williams, 2006, section 4.2.1).
"""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
from jaxtyping import Float

from toolkit.numerics.spatial.names import KernelName

KERNELS: tuple[KernelName, ...] = get_args(KernelName)
# squared multiples of the distance in units of the range
STRETCH = {"exponential": 1.0, "matern32": 3.0, "matern52": 5.0}


def squared_distances(
    places: Float[np.ndarray, "places axes"], others: Float[np.ndarray, "others axes"]
) -> Float[np.ndarray, "places others"]:
    """Squared Euclidean distances between all pairs."""
    centre = others.mean(axis=0)
    a, b = places - centre, others - centre
    squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)
    squared -= 2.0 * (a @ b.T)
    return np.maximum(squared, 0.0, out=squared)


def correlation(kernel: KernelName, squared: Any, reach: Any) -> Any:
    """Correlation at squared distances.

    Args:
        kernel: one of `KERNELS`.
        squared: squared distances, a numpy array or a torch tensor of any shape.
        reach: the range, above zero.
    """
    return correlation_slope(kernel, squared, reach)[0]


def correlation_slope(kernel: KernelName, squared: Any, reach: Any) -> tuple[Any, Any]:
    """Correlation at squared distances and its derivative by the logarithm of the range; see `correlation`."""
    if kernel == "rbf":
        scaled = squared * (0.5 / reach)
        value = _exp(-scaled)
        return value, scaled * value
    away = (squared * STRETCH[kernel]) ** 0.5 / reach
    decay = _exp(-away)
    if kernel == "exponential":
        return decay, away * decay
    if kernel == "matern32":
        return (1.0 + away) * decay, away**2 * decay
    third = away**2 / 3.0
    return (1.0 + away + third) * decay, third * (1.0 + away) * decay


def length_of(kernel: KernelName, reach: float) -> float:
    """The range as a length."""
    return reach**0.5 if kernel == "rbf" else reach


def reach_of(kernel: KernelName, length: float) -> float:
    """The range whose length this is."""
    return length**2 if kernel == "rbf" else length


def _exp(values: Any) -> Any:
    return values.exp() if hasattr(values, "exp") else np.exp(values)
