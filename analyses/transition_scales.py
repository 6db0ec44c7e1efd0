"""The scale on which transitions are compared: scores, probabilities or logits; and cells that can never occur."""

# pyright: strict
from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from analyses.matrices import checked_matrices
from toolkit.errors import ConfigError, DataError

SCALES = ("auto", "probability", "score", "logit")
ROW_SUM_TOLERANCE = 1e-6


def softmax_transitions(scores: ArrayLike) -> Float[np.ndarray, "persons S S"]:
    """Row softmax ``exp(s_xy) / sum_z exp(s_xz)`` of transition scores, shape (persons, S, S); ignores emissions.

    Raises:
        DataError: E110, E111, E127 as `analyses.matrices.checked_matrices`.
    """
    values = checked_matrices(scores)
    with np.errstate(invalid="ignore"):
        grown = np.exp(values - np.max(values, axis=2, keepdims=True))
        return grown / grown.sum(axis=2, keepdims=True)


def check_probabilities(t: Float[np.ndarray, "persons S S"]) -> None:
    """Raise E128 unless every matrix row that is there lies in [0, 1] and sums to one (structural NaN count as 0)."""
    filled = np.nan_to_num(t)
    absent = np.isnan(t).all(axis=2)
    off = (np.abs(filled.sum(axis=2) - 1) > ROW_SUM_TOLERANCE) & ~absent
    outside = ((filled < -ROW_SUM_TOLERANCE) | (filled > 1 + ROW_SUM_TOLERANCE)).any(axis=2)
    persons = np.flatnonzero((off | outside).any(axis=1))
    if persons.size:
        raise DataError(
            f"{persons.size} persons have a matrix row that is no distribution: it does not sum to one",
            code="E128",
            column="t",
            rows=(persons + 1).tolist(),
            remedy='Use softmax_transitions for scores, observed_transitions for counts, or scale="score"',
        )


def logit_transitions(
    probabilities: Float[np.ndarray, "persons S S"], floor: float = 0.001
) -> Float[np.ndarray, "persons S S"]:
    """``log(p / (1 - p))`` per cell, p first kept within [floor, 1 - floor]; NaN stays NaN.

    Differences are log odds ratios. Cells at 0 or 1 have no logit; how far out they go is set by `floor`, so a cell
    that many persons never show says more about the floor than about the persons: smooth counts first.

    Raises:
        ConfigError: E302 for a floor outside (0, .5).
    """
    if not 0 < floor < 0.5:
        raise ConfigError("floor lies outside 0 and .5", code="E302", column="floor", remedy="Use .001")
    kept = np.clip(probabilities, floor, 1 - floor)
    return np.log(kept) - np.log1p(-kept)


def structural_zeros(t: Float[np.ndarray, "persons S S"]) -> Bool[np.ndarray, "S S"]:
    """Cells that are zero (or missing) in every person although their row occurs: onset-coded diagonals, for one.

    Give raw counts or unsmoothed shares: smoothing and softmax leave no zeros to be found.
    """
    visited = np.nansum(np.abs(t), axis=(0, 2)) > 0
    return (np.nan_to_num(t) == 0).all(axis=0) & visited[:, None]


def without_structural_zeros(
    t: Float[np.ndarray, "persons S S"], zeros: Bool[np.ndarray, "S S"], how: str
) -> Float[np.ndarray, "persons S S"]:
    """Take out cells that cannot occur.

    Args:
        t: matrices.
        zeros: cells that cannot occur, as `structural_zeros` finds them in the counts.
        how: "drop" makes them NaN (not compared); "renormalise" also divides the other cells of the row by their sum,
            ``p_xy / sum_{z possible} p_xz``: probabilities given that a possible transition happens.

    Raises:
        ConfigError: E302 for another `how`. DataError: E127 when `zeros` is not (S, S).
    """
    if how not in ("drop", "renormalise"):
        raise ConfigError("how is not known", code="E302", column="structural", remedy='Use "drop" or "renormalise"')
    if zeros.shape != t.shape[1:]:
        raise DataError("structural zeros have another shape than the matrices", code="E127", column="structural")
    kept = np.where(zeros, np.nan, t)
    if how == "drop":
        return kept
    total = np.nansum(kept, axis=2, keepdims=True)
    return np.divide(kept, total, out=np.full_like(kept, np.nan), where=total > 0)


def zero_note(zeros: Bool[np.ndarray, "S S"], states: tuple[str, ...], how: str) -> str:
    """Which cells cannot occur, and what was done about them, as a sentence."""
    count = int(zeros.sum())
    diagonal = bool(zeros.diagonal().all()) and count == len(states)
    columns = [states[k] for k in np.flatnonzero(zeros.all(axis=0))]
    which = "no state ever follows itself (onset-coded data)" if diagonal else f"{count} transitions never occur"
    more = f"; nobody ever moves into {', '.join(columns)}" if columns else ""
    did = {
        "keep": "they are shown as zero and not tested",
        "drop": "they are left out",
        "renormalise": "they are left out and the other transitions of the row divided by their sum",
    }[how]
    return f"Structural zeros: {which}{more}; {did}."
