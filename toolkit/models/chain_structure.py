"""Structural zeros of a chain: transitions that cannot occur, and data that hold one all the same."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int

from toolkit.data.grouped import GroupedDataset
from toolkit.data.labels import row_numbers
from toolkit.data.sequences import SequenceBatch
from toolkit.errors import ConfigError, DataError
from toolkit.models.chain_covariates import ChainParts, Covariates
from toolkit.models.nme_crf import SELF, CrfConfig, Forbidden, NmeCrf


def forbidden_of(config: object, states: Sequence[str] | None) -> Bool[np.ndarray, "S S"] | None:
    """Cells a configuration forbids; None for a model without any."""
    return forbidden_cells(config.forbidden, states or ()) if isinstance(config, CrfConfig) else None


def chain_parts(config: object, states: Sequence[str] | None, covariates: Covariates | None) -> ChainParts:
    """What the chain of a configuration has beside its parameters."""
    by_rows = isinstance(config, NmeCrf) and config.weighting == "as_published"
    return ChainParts(forbidden=forbidden_of(config, states), covariates=covariates, by_rows=by_rows)


def forbidden_cells(forbidden: Forbidden, states: Sequence[str]) -> Bool[np.ndarray, "S S"] | None:
    """Transitions that cannot occur, from row into column; None if all can.

    Args:
        forbidden: ``"self"`` (no state follows itself) and pairs (from, into) of state names.
        states: names of the states in the order of their codes.

    Raises:
        ConfigError: E302 for a name that is no state (the nearest are offered), or a state that nothing could follow.
    """
    if not forbidden:
        return None
    cells = np.zeros((len(states), len(states)), dtype=bool)
    for entry in forbidden:
        if entry == SELF:
            np.fill_diagonal(cells, val=True)
        else:
            cells[_place(entry[0], states), _place(entry[1], states)] = True
    if cells.all(axis=1).any():
        stuck = states[int(np.flatnonzero(cells.all(axis=1))[0])]
        raise ConfigError(
            f"forbidden: nothing could follow the state '{stuck}'",
            code="E302",
            column="forbidden",
            remedy="leave at least one transition out of every state",
        )
    return cells


def _place(name: str, states: Sequence[str]) -> int:
    """Code of a state by its name."""
    if name in states:
        return list(states).index(name)
    near = difflib.get_close_matches(str(name), list(states), n=1, cutoff=0.4)
    hint = f"did you mean '{near[0]}'? " if near else ""
    raise ConfigError(
        "forbidden names a state the data do not have",
        code="E302",
        column="forbidden",
        remedy=f"{hint}The states are: {', '.join(states)}",
    )


def refuse_forbidden(data: GroupedDataset, forbidden: Bool[np.ndarray, "S S"] | None) -> None:
    """Refuse data in which a forbidden transition occurs, or must have occurred among rows without a label.

    Raises:
        DataError: E160 with the rows the transition leads to.
    """
    if forbidden is None or data.classes is None:
        return
    batch = SequenceBatch.from_grouped(data)
    broken = _breaks(np.asarray(batch.states), np.asarray(batch.mask), forbidden)
    if not broken.any():
        return
    wrong = np.zeros(data.n_rows, dtype=bool)
    wrong[np.asarray(batch.rows)[broken]] = True
    diagonal = forbidden.sum() == np.trace(forbidden)
    raise DataError(
        f"{int(broken.sum())} transition(s) that the model forbids occur in the data",
        code="E160",
        column=data.target_name,
        rows=row_numbers(wrong, np.asarray(data.row_numbers)),
        remedy=("Join successive rows of one state (onset coding), " if diagonal else "Correct these rows, ")
        + "start a new sequence where rows are missing, or do not forbid these transitions",
    )


def _breaks(
    states: Int[np.ndarray, "batch time"], mask: Bool[np.ndarray, "batch time"], forbidden: Bool[np.ndarray, "S S"]
) -> Bool[np.ndarray, "batch time"]:
    """Steps that no allowed path leads to; a missing label may be any state that can be reached."""
    size = len(forbidden)
    follows = ~forbidden
    allowed = (states[..., None] < 0) | (states[..., None] == np.arange(size))
    reached = allowed[:, 0].copy()
    broken = np.zeros_like(mask)
    for step in range(1, states.shape[1]):
        here = (reached.astype(np.int64) @ follows > 0) & allowed[:, step]
        broken[:, step] = mask[:, step] & ~here.any(axis=1)
        reached = np.where(broken[:, step, None], allowed[:, step], here)  # go on, so that every row is named
    return broken
