"""Do states follow one another more or less often than how often they occur would lead one to expect?

A group that is dysphoric more often moves into dysphoria more often from everywhere. The adjusted transition
``a_xy = log(p_xy / p_y)`` (pointwise mutual information; Church & Hanks, 1990, Computational Linguistics 16, 22-29) is
zero where the next state does not depend on the one before, whatever the base rates. It is compared between groups
like any other matrix.

Limits: p_y is estimated from the same transitions, so both carry sampling error, and the logarithm of few counts is
biased towards unlikely cells; counts are smoothed, and persons with few transitions are pulled towards a_xy = 0. The
mean over persons of logs compares typical persons, not totals. A group difference in a_xy says that the dependence
differs, not why.
"""

# pyright: strict
from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from analyses.matrices import checked_matrices, observed_transitions
from analyses.transition_scales import check_probabilities
from toolkit.errors import ConfigError, DataError


def lift_from_counts(counts: ArrayLike, *, smoothing: float | int = 1.0) -> Float[np.ndarray, "persons S S"]:
    """``log(p_xy / p_y)`` per person from counts (persons, S, S), shrunk towards independence.

    ``p_y = (n_.y + 1/2) / (n_.. + S/2)`` and ``p_xy = (n_xy + smoothing * S * p_y) / (n_x. + smoothing * S)``: the
    smoothing is worth `smoothing` transitions per cell and has the person's own base rates, so that a person without
    data in a row gets 0 there, not a spurious dependence. Logs are natural.

    Raises:
        DataError: E111, E127 for bad counts, E302 for a smoothing that is not positive.
    """
    values = np.asarray(counts, dtype=np.float64)
    observed_transitions(values)
    if smoothing <= 0:
        raise ConfigError("smoothing has to be positive", code="E302", column="smoothing", remedy="Use 1")
    size = values.shape[1]
    into = values.sum(axis=1) + 0.5
    rate = (into / into.sum(axis=1, keepdims=True))[:, None, :]
    weight = smoothing * size
    share = (values + weight * rate) / (values.sum(axis=2, keepdims=True) + weight)
    return np.log(share / rate)


def lift_from_probabilities(
    t: ArrayLike, rates: ArrayLike, *, floor: float = 0.001
) -> Float[np.ndarray, "persons S S"]:
    """``log(p_xy / p_y)`` from transition probabilities and each person's own share of each state.

    Args:
        t: probabilities (persons, S, S); rows sum to one, whole rows may be NaN.
        rates: how often each state occurs in each person, shape (persons, S), rows sum to one.
        floor: smallest probability used on either side, so that no cell is infinite.

    Raises:
        DataError: E127 shapes that do not fit, E128 rows that do not sum to one; E110/E111 as for any matrices.
    """
    matrices = checked_matrices(t)
    check_probabilities(matrices)
    share = np.asarray(rates, dtype=np.float64)
    if share.shape != matrices.shape[:2]:
        raise DataError(
            f"rates have shape {share.shape}; {matrices.shape[:2]} is needed",
            code="E127",
            column="rates",
            remedy="Give every person's share of every state",
        )
    if not (np.abs(share.sum(axis=1) - 1) < 1e-6).all() or (share < 0).any():
        raise DataError("rates do not sum to one in every person", code="E128", column="rates")
    return np.log(np.maximum(matrices, floor)) - np.log(np.maximum(share, floor))[:, None, :]
