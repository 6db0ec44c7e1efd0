"""Modes of the effects of many levels at once, by Newton's method that cannot leave what brackets them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from toolkit.numerics.binary_effects.level_rows import LevelRows, probabilities

STEPS = 100
AT_MODE = 1e-10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Modes:
    """Where each level's integrand is largest, in standard normal units ``u`` of the effect ``theta u``.

    Attributes:
        mode: of each level that has rows.
        curvature: minus the second derivative there, at least 1.
        probability: of each row at the mode.
    """

    mode: Float[np.ndarray, " present"]
    curvature: Float[np.ndarray, " present"]
    probability: Float[np.ndarray, " rows"]


def find_modes(
    rows: LevelRows,
    logits: Float[np.ndarray, " rows"],
    theta: float,
    begin: Float[np.ndarray, " present"] | None,
    tolerance: float = AT_MODE,
) -> Modes:
    """Maximum over u of ``sum_i log p(y_i | logits_i + theta z_i u) - u^2 / 2`` for every level.

    The derivative falls without end, so that its signs bracket the mode; where a Newton step would leave the bracket,
    the bracket is halved. So all zeros, all ones and logits far from zero end at the mode as well.

    Args:
        rows: sorted by level.
        logits: without the effects, in the order of ``rows``.
        theta: SD of the effects.
        begin: where to start; zero if not given.
        tolerance: largest Newton step at which a mode counts as found.
    """
    high = abs(theta) * (rows.counts if rows.design is None else rows.sums(np.abs(rows.design)))
    low = -high
    mode = np.zeros(len(rows.begin)) if begin is None else np.clip(begin, low, high)
    found = _at(rows, logits, theta, mode)
    for _ in range(STEPS):
        slope, modes = found
        step = slope / modes.curvature
        if not np.abs(step).max(initial=0.0) > tolerance * (1.0 + float(np.abs(mode).max(initial=0.0))):
            break
        low, high = np.where(slope > 0, mode, low), np.where(slope < 0, mode, high)
        proposed = mode + step
        outside = ((proposed <= low) & (step < 0)) | ((proposed >= high) & (step > 0))
        mode = np.where(outside, 0.5 * (low + high), proposed)
        found = _at(rows, logits, theta, mode)
    return found[1]


def _at(rows: LevelRows, logits: np.ndarray, theta: float, mode: np.ndarray) -> tuple[np.ndarray, Modes]:
    """Slope of each level's integrand, and what belongs to the place."""
    probability, _ = probabilities(logits + theta * rows.spread(mode))
    slope = theta * rows.design_sums(rows.target - probability) - mode
    curvature = theta**2 * rows.design_sums(probability * (1.0 - probability), 2) + 1.0
    return slope, Modes(mode=mode, curvature=curvature, probability=probability)
