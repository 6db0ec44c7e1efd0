"""One transition matrix per person: from counts, from a run's table, and checked before it is compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from analyses.resampling import check_length
from toolkit.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


def observed_transitions(counts: ArrayLike, smoothing: float | int = 0.5) -> Float[np.ndarray, "persons S S"]:
    """Transition probabilities from counts: ``(count + smoothing) / row total``; a row without counts is uniform.

    Args:
        counts: how often each person moved from x into y, shape (persons, S, S); NaN in everybody where a transition
            cannot occur, which then has probability 0.
        smoothing: added to every count of a transition that can occur; with 0 a row that a person never left is NaN.

    Raises:
        DataError: E111 for missing or negative counts, E127 for another shape, E302 for a negative smoothing.
    """
    values = np.asarray(counts, dtype=np.float64)
    _check_shape(values, "counts")
    possible = ~np.isnan(values).all(axis=0)
    values = np.where(possible, values, 0.0)
    if not np.all(values >= 0) or not np.isfinite(values).all():
        raise DataError(
            "counts are missing, negative or infinite", code="E111", column="counts", remedy="Count every transition"
        )
    if smoothing < 0:
        raise DataError("smoothing is negative", code="E302", column="smoothing", remedy="Use 0 or more; 0.5 is usual")
    smoothed = values + smoothing * possible
    total = smoothed.sum(axis=2, keepdims=True)
    return np.divide(smoothed, total, out=np.full_like(smoothed, np.nan), where=total > 0)


def transition_matrices(
    frame: pd.DataFrame, value: str, states: Sequence[str] | None = None
) -> tuple[tuple[Any, ...], tuple[Any, ...], Float[np.ndarray, "persons S S"]]:
    """Matrices per person from a long table such as a run's transitions.

    Args:
        frame: columns person, from_state, to_state and `value`, one row per cell.
        value: column to fill the matrices with: probability, expected, score, observed ...
        states: order of the states; the order of first appearance by default.

    Returns:
        Persons, states (both in order of first appearance), and matrices of shape (persons, S, S); NaN where the table
        has no row, and for counts (``observed``) also where nobody has a score: a transition that cannot occur.

    Raises:
        DataError: E103 for a missing column, E113 for a cell that occurs twice, E120 for a state not in `states`.
    """
    import pandas as pd

    absent = [name for name in ("person", "from_state", "to_state", value) if name not in frame.columns]
    if absent:
        raise DataError(
            f"the table has no column {', '.join(absent)}", code="E103", remedy=f"It has {', '.join(frame.columns)}"
        )
    person, persons = pd.factorize(frame["person"])
    order = list(dict.fromkeys([*frame["from_state"], *frame["to_state"]])) if states is None else list(states)
    lookup = pd.Index(order)
    start, end = lookup.get_indexer(pd.Index(frame["from_state"])), lookup.get_indexer(pd.Index(frame["to_state"]))
    if (start < 0).any() or (end < 0).any() or (person < 0).any():
        raise DataError(
            "the table has a state that is not in `states`, or a missing person",
            code="E120",
            rows=(np.flatnonzero((start < 0) | (end < 0) | (person < 0)) + 1).tolist(),
        )
    cell = (person * len(order) + start) * len(order) + end
    if np.unique(cell).size != cell.size:
        raise DataError(
            "a transition of a person occurs twice in the table", code="E113", remedy="Keep one row per cell"
        )
    matrices = np.full((len(persons), len(order), len(order)), np.nan)
    matrices[person, start, end] = frame[value].to_numpy(dtype=np.float64, na_value=np.nan)
    if value == "observed" and "score" in frame.columns:
        scored = np.zeros(matrices.shape[1:], dtype=bool)
        scored[start[frame["score"].notna()], end[frame["score"].notna()]] = True
        if scored.any():
            matrices[:, ~scored] = np.nan
    return tuple(persons), tuple(order), matrices


def boolean_group(group: ArrayLike, n: int) -> np.ndarray:
    """The group as booleans.

    Raises:
        DataError: E111 for missing values, E302 for anything but True/False or 1/0, E127 for another length.
    """
    import pandas as pd

    values = np.asarray(group, dtype=object)
    check_length(values, n, "group")
    missing = np.flatnonzero(pd.isna(values))
    if missing.size:
        raise DataError(
            f"{missing.size} persons have no group",
            code="E111",
            column="group",
            rows=(missing + 1).tolist(),
            remedy="Leave these persons out",
        )
    if not all(isinstance(v, (bool, np.bool_, int, float, np.number)) and v in (0, 1) for v in values):
        raise DataError(
            "group has to be True or False (or 1 and 0) for each person",
            code="E302",
            column="group",
            remedy='Compare the label first, such as group == "depressed"',
        )
    return values.astype(bool)


def checked_matrices(t: ArrayLike) -> Float[np.ndarray, "persons S S"]:
    """One matrix per person; a row may be NaN as a whole, a cell may be NaN in everybody, nothing else may be missing.

    Raises:
        DataError: E110 for infinite values, E111 for other missing values, E127 for another shape.
    """
    matrices = np.asarray(t, dtype=np.float64)
    _check_shape(matrices, "t")
    if np.isinf(matrices).any():
        rows = np.flatnonzero(np.isinf(matrices).any(axis=(1, 2))) + 1
        raise DataError(
            "a matrix has infinite values",
            code="E110",
            column="t",
            rows=rows.tolist(),
            remedy="Leave these persons out",
        )
    absent = np.isnan(matrices)
    everywhere = absent.all(axis=0)
    partly = absent & ~everywhere & ~(absent | everywhere).all(axis=2, keepdims=True)
    if everywhere.all() or partly.any():
        rows = np.flatnonzero(partly.any(axis=(1, 2))) + 1
        raise DataError(
            "a matrix has missing values in part of a row",
            code="E111",
            column="t",
            rows=rows.tolist(),
            remedy="A state never visited is a whole row of NaN; leave out persons whose matrices lack anything else",
        )
    return matrices


def _check_shape(values: np.ndarray, what: str) -> None:
    if values.ndim != 3 or values.shape[1] != values.shape[2] or values.shape[0] < 1 or values.shape[1] < 1:
        raise DataError(
            f"{what} has shape {values.shape}; one square matrix per person is needed",
            code="E127",
            column=what,
            remedy="Give an array of shape (persons, states, states)",
        )
