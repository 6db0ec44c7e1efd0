"""What is left of a numeric outcome: residuals of a normal, Laplace or Huber density, and the variance of each.

The loss of a row is ``h(r)``, ``r = y - f`` on the standardised scale, and its density

    p(r) = exp(-w h(r)) / Z(w)

with ``h = r^2`` (normal), ``|r|`` (Laplace), or Huber's (1964): ``r^2 / 2`` up to the threshold ``D`` and ``D |r| -
D^2 / 2`` beyond. So the mode of the person effects, their posterior and the variances all belong to one likelihood,
with the weight ``w`` of the loss against the prior. Its maximum is where the mean loss is the expected one, ``mean h =
-d log Z / dw``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.optimize import root_scalar
from scipy.special import ndtr

Density = Literal["normal", "laplace", "huber"]
REACH = 40.0  # of log w in the search for a weight
DENSITIES: dict[str, Density] = {"mse": "normal", "l1": "laplace", "huber": "huber"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Density of the residuals.

    Attributes:
        density: ``normal``, ``laplace`` or ``huber``.
        delta: Huber's threshold, in SDs of the target.
    """

    density: Density = "normal"
    delta: float = 1.0

    def weight(self, variance: float) -> float:
        """Weight ``w`` of the loss at a residual variance."""
        if self.density == "normal":
            return 0.5 / variance
        if self.density == "laplace":  # variance 2 b^2, w = 1 / b
            return float(np.sqrt(2.0 / variance))
        return _weight_of_variance(variance, self.delta)

    def curvature(self, variance: float) -> float:
        """Expected second derivative of a row's loss at a residual variance."""
        if self.density == "normal":
            return 2.0
        weight = self.weight(variance)
        return weight if self.density == "laplace" else huber_middle(weight, self.delta)

    def variance(self, mean_loss: float) -> float:
        """Residual variance of greatest likelihood at a mean loss per row."""
        if self.density == "normal":
            return mean_loss
        if self.density == "laplace":  # b is the mean absolute residual
            return 2.0 * mean_loss**2
        return huber_variance(_weight_of_loss(mean_loss, self.delta), self.delta)


def huber_constant(weight: float, delta: float) -> float:
    """``Z(w)``, the integral of ``exp(-w h(r))`` for Huber's ``h``: a normal middle and two exponential tails."""
    inner, edge = _middle(weight, delta)
    return inner / np.sqrt(weight) + 2.0 * edge / (weight * delta)


def huber_loss_mean(weight: float, delta: float) -> float:
    """``-d log Z / dw``, the expected loss of a row."""
    inner, edge = _middle(weight, delta)
    slope = 0.5 * inner * weight**-1.5 + 2.0 * edge / (weight**2 * delta)
    return slope / huber_constant(weight, delta)


def huber_variance(weight: float, delta: float) -> float:
    """Variance of Huber's density: ``1 / w`` for a wide middle, ``2 / (w D)^2`` for a narrow one."""
    inner, edge = _middle(weight, delta)
    middle = inner * weight**-1.5 - 2.0 * delta / weight * edge
    tails = 2.0 * edge * (delta / weight + 2.0 / (weight**2 * delta) + 2.0 / (weight * delta) ** 3)
    return (middle + tails) / huber_constant(weight, delta)


def huber_middle(weight: float, delta: float) -> float:
    """Share of residuals in the middle, where Huber's loss has a second derivative (of 1)."""
    return _middle(weight, delta)[0] / np.sqrt(weight) / huber_constant(weight, delta)


def _middle(weight: float, delta: float) -> tuple[float, float]:
    """``sqrt(2 pi) (2 Phi(D sqrt w) - 1)`` and ``exp(-w D^2 / 2)``."""
    bound = delta * np.sqrt(weight)
    return float(np.sqrt(2.0 * np.pi) * (2.0 * ndtr(bound) - 1.0)), float(np.exp(-0.5 * bound**2))


@lru_cache(maxsize=64)  # asked for in every step of training
def _weight_of_variance(variance: float, delta: float) -> float:
    return _weight_where(lambda weight: huber_variance(weight, delta), variance)


def _weight_of_loss(mean_loss: float, delta: float) -> float:
    return _weight_where(lambda weight: huber_loss_mean(weight, delta), mean_loss)


def _weight_where(quantity: Callable[[float], float], value: float) -> float:
    """The weight at which a quantity that falls with it takes a value."""

    def distance(log: float) -> float:
        return float(np.log(quantity(float(np.exp(log))) / value))

    found = root_scalar(distance, bracket=(-REACH, REACH), xtol=1e-12)
    return float(np.exp(found.root))
