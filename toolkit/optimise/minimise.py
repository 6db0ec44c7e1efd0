"""The one training loop: Adam on the full training set, early stopping, the best state restored."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from toolkit.optimise.status import Status

# Without validation rows: the monitored numbers may move by no more than this (relative) over `patience` epochs.
SETTLED_LOSS = 1e-4
SETTLED_VARIANCE = 5e-3
SHRINK = 0.25
# A validation loss has to fall by this share to count as progress; any lower one is still the state that is kept.
PROGRESS = 1e-4

Progress = Callable[[int, int, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of the loop; see the configuration classes for their meaning."""

    lr: float
    epochs: int
    patience: int
    weight_decay: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """The trace (one dictionary per epoch), the epoch whose state was kept, and how it ended."""

    trace: tuple[dict[str, float], ...]
    best_epoch: int
    status: Status


def minimise(
    objective: Callable[[], dict[str, Tensor]],
    parameters: dict[str, Tensor],
    buffers: dict[str, Tensor],
    settings: Settings,
    *,
    undecayed: frozenset[str] = frozenset(),
    update: Callable[[int], dict[str, float]] | None = None,
    validate: Callable[[], float] | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Minimise an objective over named parameters, in place.

    Args:
        objective: returns the terms to report; ``objective`` is the one that is minimised.
        parameters: leaves to optimise; updated in place and left at the state that is kept.
        buffers: other tensors that belong to the state (variances); ``update`` replaces their contents in place.
        settings: learning rate, epochs, patience, weight decay.
        undecayed: parameters that weight decay leaves alone (person effects have their own prior).
        update: called after each epoch with its number (from 1); returns numbers for the trace.
        validate: validation loss at the current state. Without it the loop runs until the training objective settles.
        progress: called with epoch, epochs and the monitored loss.
    """
    optimiser = _adam(parameters, settings, undecayed)
    schedule = _schedule(optimiser, settings, validated=validate is not None)
    state = {**parameters, **buffers}
    trace: list[dict[str, float]] = []
    best, best_loss, best_epoch = _copy(state), math.inf, 0
    mark, marked_epoch = math.inf, 0
    status = Status.OUT_OF_EPOCHS
    for epoch in range(1, settings.epochs + 1):
        optimiser.zero_grad(set_to_none=True)
        terms = objective()
        terms["objective"].backward()
        if not _finite(terms["objective"], parameters):
            status = Status.NOT_FINITE
            break
        if validate is None:  # the loss here is a number; after the step it may not be
            best, best_epoch = _copy(state), epoch - 1
        optimiser.step()
        row = {"epoch": float(epoch), **{name: float(value.detach()) for name, value in terms.items()}}
        row |= update(epoch) if update is not None else {}
        row["validation"] = validate() if validate is not None else math.nan
        trace.append(row)
        monitored = row["validation"] if validate is not None else row["loss"]
        if not math.isfinite(monitored):
            status = Status.NOT_FINITE
            break
        schedule.step(monitored)
        if validate is not None and monitored < best_loss:
            best, best_loss, best_epoch = _copy(state), monitored, epoch
        if monitored < mark - PROGRESS * abs(mark) or epoch == 1:
            mark, marked_epoch = monitored, epoch
        if progress is not None:
            progress(epoch, settings.epochs, monitored)
        stop = _stopping(trace, marked_epoch, settings, validated=validate is not None)
        if stop is not None:
            status = stop
            break
    if validate is None and status is not Status.NOT_FINITE:
        best_epoch = len(trace)
    else:
        _restore(state, best)
    return Outcome(trace=tuple(trace), best_epoch=best_epoch, status=status)


def _adam(parameters: dict[str, Tensor], settings: Settings, undecayed: frozenset[str]) -> torch.optim.Adam:
    """Adam (Kingma and Ba, 2015) with weight decay on the shared parameters only."""
    groups = [
        {"params": [value for name, value in parameters.items() if (name in undecayed) == free], "weight_decay": decay}
        for free, decay in ((False, settings.weight_decay), (True, 0.0))
    ]
    return torch.optim.Adam([group for group in groups if group["params"]], lr=settings.lr)


def _schedule(
    optimiser: torch.optim.Adam, settings: Settings, *, validated: bool
) -> torch.optim.lr_scheduler.ReduceLROnPlateau:
    """Smaller steps when progress stops; with a vanishing learning rate any training objective would seem settled."""
    return torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser,
        factor=SHRINK,
        patience=max(settings.patience // 4, 10),
        threshold=1e-4,
        min_lr=0.0 if validated else settings.lr * SHRINK**2,
    )


def _stopping(
    trace: list[dict[str, float]], marked_epoch: int, settings: Settings, *, validated: bool
) -> Status | None:
    """The outcome once a stopping rule is met, else None."""
    if validated:
        return Status.VALIDATED if len(trace) - marked_epoch >= settings.patience else None
    window = trace[-settings.patience - 1 :]
    if len(window) <= settings.patience:
        return None
    steady = _spread([row["loss"] for row in window]) < SETTLED_LOSS
    variances = [row.get("variance_mean", 1.0) for row in window]
    return Status.SETTLED if steady and _spread(variances) < SETTLED_VARIANCE else None


def _spread(values: list[float]) -> float:
    """Range relative to the largest size."""
    return (max(values) - min(values)) / max(max(abs(value) for value in values), 1e-12)


def _finite(objective: Tensor, parameters: dict[str, Tensor]) -> bool:
    """True when the objective and every gradient are finite."""
    gradients = [value.grad for value in parameters.values() if value.grad is not None]
    return bool(torch.isfinite(objective)) and all(bool(torch.isfinite(gradient).all()) for gradient in gradients)


def _copy(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A detached copy of a state."""
    return {name: value.detach().clone() for name, value in state.items()}


def _restore(state: dict[str, Tensor], saved: dict[str, Tensor]) -> None:
    """Write a saved state back in place."""
    with torch.no_grad():
        for name, value in saved.items():
            state[name].copy_(value)
