"""The scale on which transitions are compared: scores, probabilities or logits; and cells that can never occur."""

# pyright: strict
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from analyses.matrices import checked_matrices
from toolkit.errors import ConfigError, DataError

SCALES = ("auto", "probability", "score", "logit", "excess")
IN_POINTS = ("probability", "excess")
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreparedMatrices:
    """Matrices as they are compared, (persons, S, S), with state names, the name of their scale, and notes."""

    matrices: np.ndarray
    states: tuple[str, ...]
    scale: str
    notes: tuple[str, ...]


def prepared_matrices(t: ArrayLike, states: Sequence[str] | None, scale: str, structural: str) -> PreparedMatrices:
    """Check matrices, name their states and put them on the scale asked for.

    Args:
        t: one matrix per person, from x into, shape (persons, S, S).
        states: names of the S states; None: state 1, state 2, ...
        scale: see `analyses.transitions.compare_transitions`.
        structural: see there.

    Raises:
        DataError: E110, E111, E127, E128; ConfigError: E302.
    """
    matrices = checked_matrices(t)
    size = matrices.shape[1]
    names = tuple(str(s) for s in states) if states is not None else tuple(f"state {k + 1}" for k in range(size))
    if len(names) != size or len(set(names)) != size:
        raise DataError(
            f"{len(names)} state names for {size} states", code="E127", column="states", remedy="Name every state once"
        )
    on_scale, shown, zeros = _on_scale(matrices, scale, structural, names)
    return PreparedMatrices(matrices=on_scale, states=names, scale=shown, notes=(*_missing_notes(on_scale), *zeros))


def _on_scale(
    matrices: np.ndarray, scale: str, structural: str, states: tuple[str, ...]
) -> tuple[np.ndarray, str, tuple[str, ...]]:
    """Matrices on their scale, its name, and what was done about structural zeros."""
    if scale not in SCALES or structural not in ("keep", "drop", "renormalise"):
        wrong = "scale" if scale not in SCALES else "structural"
        remedy = f"Use one of {', '.join(SCALES if wrong == 'scale' else ('keep', 'drop', 'renormalise'))}"
        raise ConfigError(f"{wrong} is not known", code="E302", column=wrong, remedy=remedy)
    inside = np.nanmin(matrices) >= 0 and np.nanmax(matrices) <= 1 + 1e-9
    shown = ("probability" if inside else "score") if scale == "auto" else scale
    if shown == "logit" or scale == "probability":
        check_probabilities(matrices)
    elif structural == "renormalise" and shown in ("score", "excess"):
        raise ConfigError(
            "scores cannot be renormalised", code="E302", column="structural", remedy='Use "drop", or probabilities'
        )
    notes: tuple[str, ...] = ()
    zeros = (
        structural_zeros(matrices)
        if shown not in ("score", "excess") or structural != "keep"
        else np.zeros((1, 1), dtype=bool)
    )
    if zeros.any():
        notes = (zero_note(zeros, states, structural),)
        if structural != "keep":
            matrices = without_structural_zeros(matrices, zeros, structural)
    if shown == "logit":
        # An impossible transition has no odds, whatever is done about it elsewhere.
        matrices = logit_transitions(np.where(zeros, np.nan, matrices) if zeros.any() else matrices)
    return matrices, shown, notes


def _missing_notes(matrices: np.ndarray) -> tuple[str, ...]:
    absent = np.isnan(matrices).all(axis=2) & ~np.isnan(matrices).all(axis=(0, 2))
    persons = int(np.count_nonzero(absent.sum(axis=1)))
    if persons == 0:
        return ()
    return (
        f"{persons} persons have no matrix row for at least one state (never visited); they are left out of the means "
        "of that row, and the number of persons is kept per cell.",
    )
