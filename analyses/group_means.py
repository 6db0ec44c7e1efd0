"""Average transition matrix of each group, without any resampling: what a page shows at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from analyses.matrices import checked_matrices
from analyses.resampling import check_length
from toolkit.errors import DataError
from toolkit.results import read_only


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroupMean:
    """Average matrix of one group.

    Attributes:
        label: of the group; empty for everybody. mean: (S, S), NaN in a row that nobody in the group has.
        persons: how many there are. persons_in_row: with a value in each row, shape (S,).
    """

    label: str
    mean: np.ndarray
    persons: int
    persons_in_row: np.ndarray


def group_means(t: ArrayLike, group: ArrayLike | None = None) -> dict[str, GroupMean]:
    """``mean over persons`` of every cell, by group; persons who never were in a state are left out of its row.

    Args:
        t: one matrix per person, shape (persons, S, S); a row may be NaN as a whole.
        group: label per person, None or NaN for persons without one, who are left out; None: everybody together.

    Returns:
        By label, in the order of the labels; under the empty label without groups.

    Raises:
        DataError: E110, E111, E127 as `analyses.matrices.checked_matrices`; E124 when nobody has a group.
    """
    matrices = checked_matrices(t)
    if group is None:
        return {"": _mean("", matrices)}
    import pandas as pd

    labels = np.asarray(group, dtype=object)
    check_length(labels, len(matrices), "group")
    every = np.array(["" if pd.isna(label) else str(label) for label in labels], dtype=object)
    names = sorted(set(every.tolist()) - {""})
    if not names:
        raise DataError("no person has a group", code="E124", column="group", remedy="Leave the group out")
    return {name: _mean(name, matrices[every == name]) for name in names}


def _mean(label: str, matrices: Float[np.ndarray, "persons S S"]) -> GroupMean:
    known = np.isfinite(matrices)
    count = known.sum(axis=0)
    total = np.where(known, matrices, 0.0).sum(axis=0)
    mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return GroupMean(
        label=label,
        mean=read_only(mean),
        persons=len(matrices),
        persons_in_row=read_only(known.any(axis=2).sum(axis=0), dtype=np.int64),
    )
