"""Which rows of new persons a model may adapt to, and which it is judged by.

Half of the rows are always held out, the same half whatever the share, so that a curve over shares compares like with
like (Feffer, Rudovic and Picard, 2018, section 4).
"""

from __future__ import annotations

import math

import numpy as np

from toolkit.data.grouped import GroupedDataset
from toolkit.data.splits import Split
from toolkit.errors import ConfigError, DataError

ADAPTATIONS = {
    "time": "the first rows of each person adapt, the last half is predicted",
    "persons": "the first rows of some new persons adapt, the last half of the other new persons is predicted",
    "random": "rows drawn at random adapt, others in between are predicted: as published, and flattering, since "
    "neighbouring rows are alike",
}
FEWEST = 2  # one row to adapt, one to be predicted


def adaptation_split(data: GroupedDataset, share: float, *, design: str = "time", rng: np.random.Generator) -> Split:
    """Parts of the rows of new persons: ``train`` adapts, ``test`` is held out, ``unused`` is neither.

    Of a person's n rows ``ceil(share n)`` adapt (none at a share of 0) and ``floor(n / 2)`` are held out.

    Args:
        data: rows of the new persons only.
        share: from 0 to 0.5.
        design: ``time``, ``persons`` or ``random``, see ``ADAPTATIONS``.
        rng: who or what is drawn; the held-out rows depend on its state only, not on the share.

    Raises:
        ConfigError: E302 for another design or share.
        DataError: E134 if a person has fewer than two rows, or there are too few persons for the design.
    """
    if design not in ADAPTATIONS:
        raise ConfigError(
            "this design of adaptation is not known",
            code="E302",
            column="design",
            remedy=f"known: {', '.join(ADAPTATIONS)}",
        )
    if not 0.0 <= share <= 0.5:
        raise ConfigError("the share of rows to adapt to lies between 0 and 0.5", code="E302", column="share")
    present = np.unique(np.asarray(data.person))
    _check_enough(data, present, design)
    order = _order(data, rng if design == "random" else None)
    adapting = np.isin(np.arange(data.n_persons), _adapting_persons(present, design, rng))
    labels = np.full(data.n_rows, "unused", dtype="<U10")
    for person in present:
        rows = order[np.asarray(data.person)[order] == person]
        held = len(rows) // 2
        if design != "persons" or not adapting[person]:
            labels[rows[len(rows) - held :]] = "test"
        if adapting[person]:
            labels[rows[: min(math.ceil(share * len(rows) - 1e-9), len(rows) - held)]] = "train"
    return Split(labels=labels, name=f"adaptation-{design}")


def _check_enough(data: GroupedDataset, present: np.ndarray, design: str) -> None:
    """Refuse persons whose rows cannot be divided (E134)."""
    count = np.bincount(np.asarray(data.person), minlength=data.n_persons)
    short = int((count[present] < FEWEST).sum())
    if short:
        raise DataError(
            f"{short} of {len(present)} persons have fewer than {FEWEST} rows: none to adapt to, or none to predict",
            code="E134",
            column=data.groupings[0].name,
            remedy="leave these persons out",
        )
    if design == "persons" and len(present) < 2:
        raise DataError(
            "one new person cannot be divided into some who adapt and others who are predicted",
            code="E134",
            column=data.groupings[0].name,
            remedy='use design="time"',
        )


def _order(data: GroupedDataset, rng: np.random.Generator | None) -> np.ndarray:
    """Rows in time order, or shuffled."""
    rows = np.arange(data.n_rows)
    if rng is not None:
        return rng.permutation(rows)
    return np.lexsort((rows, rows if data.time is None else np.asarray(data.time)))


def _adapting_persons(present: np.ndarray, design: str, rng: np.random.Generator) -> np.ndarray:
    """Persons whose rows adapt: everybody, or a random half."""
    return present if design != "persons" else rng.permutation(present)[: (len(present) + 1) // 2]
