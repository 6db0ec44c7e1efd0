"""The way to a maximum: quasi-Newton steps from a good guess of the information, and the information at the end.

Steps of Broyden, Fletcher, Goldfarb and Shanno (Nocedal and Wright, 2006, Algorithm 6.1) with halving.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Function = Callable[[np.ndarray], tuple[float, np.ndarray]]

# what a step would gain, in log-likelihood, at which the maximum counts as found
ENOUGH = 1e-9
STEPS = 200
HALVINGS = 25
# share of what the slope promises that a step has to gain
ARMIJO = 1e-4
# a step may be this long in standard errors of the first guess
LONGEST = 10.0
DIFFERENCE = 1e-3  # of the derivative, in standard errors


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Peak:
    """Where a function is largest.

    Attributes:
        place: the arguments.
        value: the function there.
        trace: its value after every step.
        converged: whether a further step would gain nothing.
    """

    place: Float[np.ndarray, " size"]
    value: float
    trace: tuple[float, ...]
    converged: bool


def ascend(
    function: Function,
    begin: Float[np.ndarray, " size"],
    information: Float[np.ndarray, "size size"],
    *,
    enough: float = ENOUGH,
    steps: int = STEPS,
    watch: Callable[[float], None] | None = None,
) -> Peak:
    """Maximise a function of few arguments.

    Args:
        function: value and derivative.
        begin: where to start.
        information: a guess of minus the second derivative, positive definite.
        enough: gain of a step at which the maximum counts as found.
        steps: most of them; with none the place is where it begins.
        watch: called with the value after every step.
    """
    place, inverse = np.array(begin, dtype=np.float64), np.linalg.inv(information)
    value, slope = function(place)
    trace = [value]
    for _ in range(steps):
        step = inverse @ slope
        promise = float(step @ slope)
        if promise < 2.0 * enough:
            return Peak(place=place, value=value, trace=tuple(trace), converged=True)
        step *= min(1.0, LONGEST / np.sqrt(float(step @ information @ step)))
        for halving in range(HALVINGS):
            share = 0.5**halving
            tried, new_slope = function(place + share * step)
            if tried >= value + ARMIJO * share * float(step @ slope):
                break
        else:  # nothing is gained any more: the rounding of the function, or no ascent left
            return Peak(place=place, value=value, trace=tuple(trace), converged=promise < 1e-5)
        inverse = _updated(inverse, share * step, slope - new_slope)
        place, value, slope = place + share * step, tried, new_slope
        trace.append(value)
        if watch is not None:
            watch(value)
    return Peak(place=place, value=value, trace=tuple(trace), converged=False)


def _updated(inverse: np.ndarray, step: np.ndarray, fall: np.ndarray) -> np.ndarray:
    """The inverse information after a step along which the slope fell."""
    along = float(step @ fall)
    if not along > 1e-12 * float(np.linalg.norm(step) * np.linalg.norm(fall)):
        return inverse
    left = np.eye(len(step)) - np.outer(step, fall) / along
    return left @ inverse @ left.T + np.outer(step, step) / along


def second_derivative(
    function: Function, place: Float[np.ndarray, " size"], information: Float[np.ndarray, "size size"]
) -> Float[np.ndarray, "size size"]:
    """Minus the second derivative, by central differences of the first along the axes of a guess of it.

    Args:
        function: value and derivative.
        place: where.
        information: a guess, which says how long a standard error is.
    """
    root = np.linalg.inv(np.linalg.cholesky(information)).T  # columns are uncorrelated steps of one standard error
    falls = [
        (function(place - DIFFERENCE * step)[1] - function(place + DIFFERENCE * step)[1]) / (2.0 * DIFFERENCE)
        for step in root.T
    ]
    back = np.linalg.inv(root)
    found = back.T @ (root.T @ np.array(falls).T) @ back
    return 0.5 * (found + found.T)


def proper(information: Float[np.ndarray, "size size"]) -> Float[np.ndarray, "size size"]:
    """A guess of the information that is positive definite: axes along which it is not count as weak ones."""
    scale = np.sqrt(np.maximum(np.abs(np.diagonal(information)), 1e-8))
    values, axes = np.linalg.eigh(information / np.outer(scale, scale))
    found = (axes * np.maximum(np.abs(values), 1e-6)) @ axes.T
    return found * np.outer(scale, scale)
