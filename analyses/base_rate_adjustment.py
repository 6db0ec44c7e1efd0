"""Do states follow one another more or less often than how often they occur would lead one to expect?

A group that is dysphoric more often moves into dysphoria more often from everywhere. Every person's transitions are
therefore held against what the person's own totals (how often each state is left and entered) and an association common
to everybody let expect:

    m_xy = a_x b_y theta_xy,   a, b of the person such that m has the person's totals, theta of all persons such that
    sum over persons of m_xy = sum over persons of n_xy

(iterative proportional fitting: Deming & Stephan, 1940; a log-linear model without the person x from x to term). The
excess ``(n_xy - m_xy) / n_..`` is a share of all the person's transitions; its mean over everybody is about zero, and
when two groups differ in base rates alone it differs between them by chance only. Ratios of probabilities to base rates
do not have that property: the logarithm of few counts is biased by how many there are, and groups with different base
rates have different numbers. Error rates: benchmarks/calibration/base_rate_adjustment_errors.py.
"""

# pyright: strict
from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from analyses.matrices import checked_matrices, observed_transitions
from analyses.transition_scales import check_probabilities
from toolkit.errors import DataError

STEPS, TOLERANCE = 1_000, 1e-8


def excess_transitions(counts: ArrayLike) -> Float[np.ndarray, "persons S S"]:
    """Share of each person's transitions beyond base rates and the common association, in [-1, 1].

    Args:
        counts: how often each person moved from x into y, shape (persons, S, S); NaN in everybody where a transition
            cannot occur.

    Returns:
        ``(n_xy - m_xy) / n_..``; NaN for a person without transitions. Rows and columns of a person sum to zero.

    Raises:
        DataError: E111, E127 for bad counts, E115 when nobody has any.
    """
    values = np.asarray(counts, dtype=np.float64)
    observed_transitions(values)
    values = np.nan_to_num(values)
    total = values.sum(axis=(1, 2), keepdims=True)
    if not total.any():
        raise DataError("nobody has any transitions", code="E115", column="counts")
    expected = common_association(values)
    return np.divide(values - expected, total, out=np.full_like(values, np.nan), where=total > 0)


def excess_from_probabilities(t: ArrayLike, rates: ArrayLike) -> Float[np.ndarray, "persons S S"]:
    """The same from transition probabilities and each person's own share of each state.

    Args:
        t: probabilities (persons, S, S); rows sum to one, whole rows may be NaN where the state has no share.
        rates: how often each state occurs in each person, shape (persons, S), rows sum to one.

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
    return excess_transitions(np.nan_to_num(matrices) * share[:, :, None])


def common_association(flows: Float[np.ndarray, "persons S S"]) -> Float[np.ndarray, "persons S S"]:
    """``m`` of the head of this file: every person's totals, everybody's association."""
    leaving, entering = flows.sum(axis=2), flows.sum(axis=1)
    together = flows.sum(axis=0)
    theta = (together > 0).astype(np.float64)
    fitted = leaving[:, :, None] * entering[:, None, :] / np.maximum(leaving.sum(axis=1), 1e-300)[:, None, None] * theta
    for _ in range(STEPS):
        before = fitted
        for _ in range(3):
            fitted = fitted * _ratio(leaving, fitted.sum(axis=2))[:, :, None]
            fitted = fitted * _ratio(entering, fitted.sum(axis=1))[:, None, :]
        fitted = fitted * _ratio(together, fitted.sum(axis=0))
        if np.abs(fitted - before).max() <= TOLERANCE * max(1.0, float(leaving.max())):
            break
    return fitted * _ratio(leaving, fitted.sum(axis=2))[:, :, None]


def _ratio(wanted: np.ndarray, there: np.ndarray) -> np.ndarray:
    return np.divide(wanted, there, out=np.zeros_like(there), where=there > 0)
