"""The lowest deviance over log gamma and log range, in few evaluations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from toolkit.numerics.spatial.exact import Evaluation

STEPS = 40
HALVINGS = 8
# the longest step in a logarithm
LONGEST = 2.0
# step of the differences that give a first second derivative
DIFFERENCE = 0.02
# what a standard deviation keeps of itself in a step
SHRINK = 0.1
Theta = Float[np.ndarray, " theta"]
Evaluate = Callable[[np.ndarray], Evaluation]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lowest:
    """Where the deviance is lowest.

    Attributes:
        theta: there.
        evaluation: there.
        curvature: about the second derivative of the deviance.
        trace: deviance at every evaluation.
        converged: whether a further step would gain nothing.
    """

    theta: np.ndarray
    evaluation: Evaluation
    curvature: np.ndarray
    trace: tuple[float, ...]
    converged: bool


class _Counted:
    """Evaluations, with the deviance of each."""

    def __init__(self, evaluate: Evaluate) -> None:
        self.evaluate = evaluate
        self.trace: list[float] = []

    def __call__(self, theta: np.ndarray) -> Evaluation:
        found = self.evaluate(theta)
        self.trace.append(found.deviance)
        return found


def lowest_deviance(
    evaluate: Evaluate,
    theta: np.ndarray,
    bounds: tuple[np.ndarray, np.ndarray],
    *,
    enough: float,
    curvature: np.ndarray | None = None,
    deviations: np.ndarray | None = None,
) -> Lowest:
    """Newton steps by the average information, or by updates of a curvature where there is none.

    Args:
        evaluate: deviance and gradient.
        theta: where to begin.
        bounds: lowest and highest values.
        enough: gain in deviance below which a step is not worth taking.
        curvature: second derivative to begin with; differences of the gradient by default.
        deviations: which parameters are standard deviations; in one step they lose nine tenths of themselves at most.
    """
    counted = _Counted(evaluate)
    low, high = bounds
    theta = np.clip(theta, low, high)
    now = counted(theta)
    matrix = now.information if now.information is not None else curvature
    if matrix is None:
        matrix = _differences(counted, theta, now)
    converged, again = False, True
    for _ in range(STEPS):
        step = _step(matrix, now.gradient, theta, low, high)
        if -float(now.gradient @ step) < enough:
            converged = True
            break
        for halving in range(HALVINGS):
            proposed = np.clip(theta + 0.5**halving * step, low, high)
            if deviations is not None:
                proposed[deviations] = np.maximum(proposed[deviations], SHRINK * theta[deviations])
            tried = counted(proposed)
            if tried.deviance < now.deviance:
                break
        else:
            # no step along this curvature leads down: look at the true one, once
            if not again:
                break
            matrix, again = _differences(counted, theta, now), False
            continue
        again = True
        if tried.information is None:
            matrix = _updated(matrix, proposed - theta, tried.gradient - now.gradient)
        else:
            matrix = tried.information
        theta, now = proposed, tried
    return Lowest(theta=theta, evaluation=now, curvature=matrix, trace=tuple(counted.trace), converged=converged)


def _step(matrix: np.ndarray, gradient: np.ndarray, theta: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Newton's step in what is free to move, shortened where it is long."""
    held = ((theta <= low) & (gradient > 0)) | ((theta >= high) & (gradient < 0))
    free = np.flatnonzero(~held)
    step = np.zeros(len(theta))
    if not len(free):
        return step
    values, vectors = np.linalg.eigh(matrix[np.ix_(free, free)])
    floor = max(1e-6 * float(np.abs(values).max()), 1e-10)
    step[free] = -vectors @ ((vectors.T @ gradient[free]) / np.maximum(np.abs(values), floor))
    return step * min(1.0, LONGEST / max(float(np.abs(step).max()), 1e-300))


def _updated(matrix: np.ndarray, step: np.ndarray, change: np.ndarray) -> np.ndarray:
    """The update of Broyden, Fletcher, Goldfarb and Shanno, damped so that it stays positive definite."""
    against = matrix @ step
    square, curve = float(step @ against), float(step @ change)
    if square <= 0:
        return matrix
    if curve < 0.2 * square:
        share = 0.8 * square / (square - curve)
        change = share * change + (1.0 - share) * against
        curve = float(step @ change)
    return matrix + np.outer(change, change) / curve - np.outer(against, against) / square


def _differences(evaluate: Evaluate, theta: np.ndarray, now: Evaluation) -> np.ndarray:
    """Second derivative by differences of the gradient, made positive definite."""
    rows = [(evaluate(theta + unit).gradient - now.gradient) / DIFFERENCE for unit in DIFFERENCE * np.eye(len(theta))]
    values, vectors = np.linalg.eigh(0.5 * (np.array(rows) + np.array(rows).T))
    floor = max(1e-3 * float(np.abs(values).max()), 1e-6)
    return (vectors * np.maximum(np.abs(values), floor)) @ vectors.T
