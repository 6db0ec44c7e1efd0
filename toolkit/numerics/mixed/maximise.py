"""Estimation of the relative factors: Newton steps by the average information, then a search that respects bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from toolkit.numerics.mixed.arrays import optimize
from toolkit.numerics.mixed.design import lower_bounds, start
from toolkit.numerics.mixed.deviance import Solution, solve
from toolkit.numerics.mixed.moments import Moments
from toolkit.numerics.mixed.slopes import average_information, gradient

# what a further step would gain, in units of the deviance, at which the maximum counts as found
ENOUGH = 1e-9
STEPS = 30
HALVINGS = 8
# a relative standard deviation may shrink to this share in a step
SHRINK = 0.1
# below this the boundary is near, and the bounded search takes over
NEAR = 1e-2
Watch = Callable[[int, float], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Maximum:
    """Where the likelihood is largest.

    Attributes:
        solution: the model solved there.
        theta: free elements of the relative factors, in the order of the moments.
        trace: deviance at every evaluation.
        converged: whether a further step would gain nothing.
    """

    solution: Solution
    theta: np.ndarray
    trace: tuple[float, ...]
    converged: bool


class _Evaluations:
    """Solutions at parameter vectors, counted."""

    def __init__(self, moments: Moments, *, reml: bool, watch: Watch | None) -> None:
        self.moments, self.reml, self.watch = moments, reml, watch
        self.trace: list[float] = []

    def solve(self, theta: np.ndarray) -> Solution:
        found = solve(self.moments, theta, reml=self.reml)
        self.trace.append(found.deviance)
        if self.watch is not None:
            self.watch(len(self.trace), found.deviance)
        return found

    def gradient(self, solution: Solution) -> np.ndarray:
        return gradient(self.moments, solution, reml=self.reml)

    def both(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        solution = self.solve(theta)
        return solution.deviance, self.gradient(solution)


def maximise(moments: Moments, *, reml: bool, begin: np.ndarray | None = None, watch: Watch | None = None) -> Maximum:
    """Maximum (restricted) likelihood of the relative factors.

    Args:
        moments: of the design.
        reml: restricted likelihood.
        begin: start values; all effects as variable as the residual by default.
        watch: called with the number of evaluations and the deviance.

    Raises:
        numpy.linalg.LinAlgError: as `solve`.
    """
    run = _Evaluations(moments, reml=reml, watch=watch)
    theta = start(moments.factors) if begin is None else np.array(begin, dtype=np.float64)
    diagonal = np.isfinite(lower_bounds(moments.factors))
    theta, solution, converged = _newton(run, theta, diagonal)
    if not converged:
        bounds = [(0.0 if own else None, None) for own in diagonal]
        options = {"ftol": 1e-14, "gtol": 1e-5, "maxiter": 500, "maxls": 40}
        found = optimize.minimize(run.both, theta, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        theta, converged = np.array(found.x, dtype=np.float64), bool(found.success)
        solution = run.solve(theta)
    return Maximum(solution=solution, theta=theta, trace=tuple(run.trace), converged=converged)


def _newton(run: _Evaluations, theta: np.ndarray, diagonal: np.ndarray) -> tuple[np.ndarray, Solution, bool]:
    """Damped Newton steps inside the bounds; ends early, unconverged, where the boundary is near."""
    solution = run.solve(theta)
    for _ in range(STEPS):
        slope = run.gradient(solution)
        step = _step(average_information(run.moments, solution), slope)
        if -float(slope @ step) < ENOUGH:
            return theta, solution, True
        for halving in range(HALVINGS):
            proposed = theta + 0.5**halving * step
            proposed[diagonal] = np.maximum(proposed[diagonal], SHRINK * theta[diagonal])
            tried = run.solve(proposed)
            if tried.deviance < solution.deviance:
                break
        else:
            return theta, solution, False
        theta, solution = proposed, tried
        if (theta[diagonal] < NEAR).any():
            return theta, solution, False
    return theta, solution, False


def _step(information: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Newton's step; along the slope where the information is not positive definite."""
    scale = np.sqrt(np.maximum(np.diagonal(information), 1e-12))
    try:
        lower = np.linalg.cholesky(information / np.outer(scale, scale) + 1e-10 * np.eye(len(scale)))
    except np.linalg.LinAlgError:
        return -slope / scale**2
    return -np.linalg.solve(lower.T, np.linalg.solve(lower, slope / scale)) / scale
