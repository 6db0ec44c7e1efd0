"""The second half of a training: the likelihood of all rows in place of that of mini-batches.

Along the network's outputs the gradient of the log-likelihood of all rows is ``V^-1 (y - f)``, which is
``(y - f - Z b) / sigma2`` with the best linear unbiased predictions b of the same residuals. With b predicted anew
after each epoch, steps on squared errors from ``y - Z b`` therefore end where that likelihood is stationary.
Mini-batches of random rows treat most of a level's deviation as noise of the row: the network then learns a share of it
by heart, which makes its own error larger and the variances of the effects smaller (by twice the rows' leverage).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from toolkit.numerics.mixed.design import Design
from toolkit.numerics.mixed.deviance import solve
from toolkit.numerics.mixed.maximise import maximise
from toolkit.numerics.mixed.moments import Moments, moments, with_outcome
from toolkit.numerics.mixed.posterior import blups

# effects beside those of the largest factor up to which all variances are estimated anew after each epoch
FEW = 300


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Refreshed:
    """What all rows say after an epoch.

    Attributes:
        offset: what the effects add to each row (rows,).
        sigma2: residual variance.
        theta: all other parameters of the random part, from which the next call begins.
        deviance: minus twice the log-likelihood of all rows; zero where it is not known.
    """

    offset: Float[np.ndarray, " rows"]
    sigma2: float
    theta: Float[np.ndarray, " theta"]
    deviance: float = 0.0


@runtime_checkable
class Refresh(Protocol):
    """From what the network leaves over in every training row to the effects' share of it."""

    @property
    def size(self) -> int:
        """Length of ``theta``."""
        ...

    def __call__(self, left: Float[np.ndarray, " rows"], theta: Float[np.ndarray, " theta"] | None) -> Refreshed:
        """Effects given what is left over; ``theta`` is that of the call before, None for the first."""
        ...


class EffectsOfAllRows:
    """Predicts the effects of grouping factors from what the network leaves over in all rows."""

    def __init__(self, design: Design, begin: Callable[[Moments], np.ndarray]) -> None:
        """Sums that stay the same are taken once.

        Args:
            design: of the training rows; its outcome is not used.
            begin: where the search for the variances begins, from the sums.
        """
        self._design, self._sums = design, moments(design)
        self._begin = begin

    @property
    def size(self) -> int:
        """Free elements of the relative factors."""
        return sum(len(factor.free[0]) for factor in self._design.factors)

    def __call__(self, left: Float[np.ndarray, " rows"], theta: Float[np.ndarray, " theta"] | None) -> Refreshed:
        """Effects at the maximum of the likelihood, or at the variances of the first call where that takes long."""
        sums = with_outcome(self._sums, self._design, left)
        if theta is None or sums.rest.shape[0] <= FEW:
            found = maximise(sums, reml=False, begin=self._begin(sums) if theta is None else theta)
            theta, solution = found.theta, found.solution
        else:
            solution = solve(sums, theta, reml=False)
        offset = np.zeros(len(left))
        for place, effects in zip(sums.order, blups(sums, solution), strict=True):
            factor = self._design.factors[place]
            offset += np.einsum("re,re->r", factor.design, effects[factor.codes])
        return Refreshed(offset=offset, sigma2=solution.sigma2, theta=theta, deviance=solution.deviance)
