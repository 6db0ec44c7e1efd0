"""What the chain functions refuse: shapes that do not fit, masks with gaps, labels that are no states."""

from __future__ import annotations

import torch
from torch import Tensor

from toolkit.errors import DataError

SHOWN = 5


def check_scores(
    emissions: Tensor, transitions: Tensor, mask: Tensor | None, start: Tensor | None, end: Tensor | None
) -> None:
    """Shapes that fit together, at least one step, and masks without gaps (E130)."""
    if emissions.dim() != 3 or emissions.shape[1] < 1:
        raise DataError(f"emissions need shape (batch, time, state), got {tuple(emissions.shape)}", code="E130")
    batch, time, states = emissions.shape
    if tuple(transitions.shape) not in {(states, states), (batch, states, states)}:
        raise DataError(
            f"transitions need shape ({states}, {states}), or that for each of {batch} sequences; "
            f"got {tuple(transitions.shape)}",
            code="E130",
        )
    for name, values in (("start", start), ("end", end)):
        if values is not None and tuple(values.shape) not in {(states,), (batch, states)}:
            raise DataError(
                f"{name} needs shape ({states},), or that for each of {batch} sequences; got {tuple(values.shape)}",
                code="E130",
            )
    if mask is not None:
        _check_mask(mask, batch, time)


def check_states(states: Tensor, emissions: Tensor, mask: Tensor | None) -> bool:
    """Labels are -1 (missing) or a state (else E130); the label of a padded step does not matter.

    Returns:
        True when a label is missing.
    """
    if states.shape != emissions.shape[:2]:
        raise DataError(f"states need shape {tuple(emissions.shape[:2])}, got {tuple(states.shape)}", code="E130")
    present = states if mask is None else torch.where(mask, states, 0)
    low, high = (int(value) for value in torch.stack(torch.aminmax(present)))
    if high >= emissions.shape[2] or low < -1:
        raise DataError(f"a label is not one of the {emissions.shape[2]} states", code="E130")
    return low < 0


def refuse_impossible(log_partition: Tensor) -> None:
    """E136 for sequences without any possible path."""
    dead = torch.isneginf(log_partition)
    if bool(dead.any()):
        raise DataError(
            f"no path is possible in {_numbered(dead)}",
            code="E136",
            remedy="allow more transitions, starts or ends: every sequence needs at least one path",
        )


def refuse_label_paths(impossible: Tensor) -> None:
    """E136 for labelled sequences (batch,) that contain something impossible."""
    if bool(impossible.any()):
        raise DataError(
            f"the labels of {_numbered(impossible)} contain a forbidden transition, start or end",
            code="E136",
            remedy="allow it, or correct the labels",
        )


def _numbered(which: Tensor) -> str:
    """``sequence 3``, or ``sequences 1, 4 and 2 more``, counted from one."""
    found = [str(int(place) + 1) for place in torch.nonzero(which).flatten()]
    hidden = len(found) - SHOWN
    more = f" and {hidden} more" if hidden > 0 else ""
    return f"sequence{'' if len(found) == 1 else 's'} {', '.join(found[:SHOWN])}{more}"


def _check_mask(mask: Tensor, batch: int, time: int) -> None:
    """A mask of the right shape and type that is padded on the right only."""
    if tuple(mask.shape) != (batch, time) or mask.dtype != torch.bool:
        raise DataError(f"mask needs shape ({batch}, {time}) and type bool", code="E130")
    if not torch.compiler.is_compiling() and not _is_right_padded(mask):
        raise DataError("a mask has a gap or an empty sequence", code="E130", remedy="pad sequences on the right only")


def _is_right_padded(mask: Tensor) -> bool:
    """True when every sequence starts with a real step and no real step follows a padded one."""
    return bool(mask[:, 0].all()) and bool((mask[:, 1:] <= mask[:, :-1]).all())
