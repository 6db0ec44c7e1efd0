"""Logistic regression without random effects: where estimation starts."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from toolkit.numerics.binary_effects.level_rows import probabilities

STEPS = 25
TOLERANCE = 1e-6
# weight of a ridge that keeps coefficients finite where a predictor divides the classes
RIDGE = 1e-6


def logistic_regression(
    target: Float[np.ndarray, " rows"], offset: Float[np.ndarray, " rows"], fixed: Float[np.ndarray, "rows p"]
) -> Float[np.ndarray, " p"]:
    """Coefficients by damped Newton steps; a start value, so that a few digits are enough.

    Args:
        target: zeros and ones.
        offset: part of the logits that is held.
        fixed: columns.
    """
    beta = np.zeros(fixed.shape[1])
    if not len(beta):
        return beta
    ridge = RIDGE * len(target) * np.eye(len(beta))
    value = -np.inf
    step = np.zeros(len(beta))
    for _ in range(STEPS):
        logits = offset + fixed @ (beta + step)
        p, loss = probabilities(logits)
        reached = float(((target - 1.0) * logits - loss).sum())
        if reached < value - 1e-9 * abs(value):
            step *= 0.5
            continue
        beta, value = beta + step, reached
        information = (fixed * (p * (1.0 - p))[:, None]).T @ fixed + ridge
        step = np.linalg.solve(information, (target - p) @ fixed - ridge @ beta)
        if float(step @ information @ step) < TOLERANCE:
            return beta + step
    return beta
