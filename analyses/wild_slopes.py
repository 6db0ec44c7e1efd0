"""Wild cluster bootstrap of slopes: how large the largest ``|t|`` of many cells gets when no slope differs.

Pairs of covariate and outcome drawn with replacement change the spread of the covariate from one resample to the next,
which with few units makes intervals undefined. The wild bootstrap keeps the covariate and gives each unit's adjusted
residuals a random sign (Cameron, Gelbach & Miller, 2008; MacKinnon, Nielsen & Webb, 2023, Journal of Applied
Econometrics 38, 671-694), or Webb's six points below twelve units, where signs alone have too few patterns.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from analyses import progress
from analyses.intervals import studentise_shift
from analyses.slope_fit import SlopeFit

SIX_POINTS_BELOW = 12
SIX_POINTS = np.sqrt(np.array([0.5, 1.0, 1.5]))
BLOCK_CELLS = 400_000


def wild_t(fit: SlopeFit, resamples: int, rng: np.random.Generator) -> Float[np.ndarray, "resamples cells"]:
    """``t* = (b* - b) / se*`` of every cell; NaN where the covariate does not vary.

    With weights v and adjusted residuals e, ``delta = A^-1 sum_u v_u X_u' e_u`` and ``se*^2 = sum_u (v_u pull_u -
    carried_u' delta)^2``, which is expanded so that all resamples come from one product of the weights.
    """
    units, _, cells = fit.score.shape
    cross = (fit.pull[:, None] * fit.carried).reshape(units, -1)
    square = np.einsum("ubc,udc->bdc", fit.carried, fit.carried)
    columns = np.concatenate([fit.score.reshape(units, -1), cross], axis=1)
    shift, error = np.empty((2, resamples, cells))
    step = max(1, BLOCK_CELLS // units)
    for start in range(0, resamples, step):
        block = slice(start, min(start + step, resamples))
        weights = wild_weights(block.stop - start, units, rng)
        summed = (weights @ columns).reshape(-1, 4, cells)
        delta = np.einsum("abc,rbc->rac", fit.bread, summed[:, :2])
        spread = (weights**2) @ fit.pull**2 - 2 * (summed[:, 2:] * delta).sum(axis=1)
        spread += np.einsum("rbc,bdc,rdc->rc", delta, square, delta)
        shift[block], error[block] = delta[:, 1], np.sqrt(np.maximum(spread, 0.0))
        progress.report(block.stop, resamples)
    return studentise_shift(shift, error, 1e-6)


def wild_weights(resamples: int, units: int, rng: np.random.Generator) -> Float[np.ndarray, "resamples units"]:
    """Weights of mean 0 and variance 1: -1 or 1, or Webb's six points with few units."""
    sign = rng.integers(0, 2, size=(resamples, units)) * 2.0 - 1.0
    if units >= SIX_POINTS_BELOW:
        return sign
    return sign * SIX_POINTS[rng.integers(0, 3, size=(resamples, units))]
