"""How the learning rate changes while training goes on."""

from __future__ import annotations

import math
from typing import Any, Literal, Protocol, runtime_checkable

import torch

SHRINK = 0.25
ScheduleName = Literal["plateau", "constant", "cosine"]


@runtime_checkable
class Schedule(Protocol):
    """Changes the learning rates of an optimiser after each epoch."""

    def step(self, metrics: float) -> Any:
        """Called after each epoch with the monitored loss."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What the next epochs depend on."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where another schedule stood."""
        ...


class Constant:
    """The learning rate stays as it is."""

    def step(self, metrics: float) -> None:
        """Nothing changes."""

    def state_dict(self) -> dict[str, Any]:
        """There is nothing to keep."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """There is nothing to take up."""


class Cosine:
    """Half a cosine wave from the first learning rate down to ``lowest``, over all epochs."""

    def __init__(self, optimiser: torch.optim.Optimizer, epochs: int, lowest: float) -> None:
        self._optimiser, self._epochs, self._lowest = optimiser, epochs, lowest
        self._first = [float(group["lr"]) for group in optimiser.param_groups]
        self._epoch = 0

    def step(self, metrics: float) -> None:
        """The learning rate of the next epoch."""
        self._epoch += 1
        wave = 0.5 * (1.0 + math.cos(math.pi * min(self._epoch / self._epochs, 1.0)))
        for group, first in zip(self._optimiser.param_groups, self._first, strict=True):
            group["lr"] = self._lowest + (first - self._lowest) * wave

    def state_dict(self) -> dict[str, Any]:
        """Epochs so far."""
        return {"last_epoch": self._epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after as many epochs."""
        self._epoch = int(state_dict["last_epoch"])


def schedule_of(
    name: ScheduleName, optimiser: torch.optim.Optimizer, *, epochs: int, patience: int, lowest: float
) -> Schedule:
    """A schedule by name.

    Args:
        name: ``plateau`` multiplies the learning rate by .25 when the monitored loss has not fallen for
            ``max(patience / 4, 10)`` epochs, as published; ``constant``; ``cosine``.
        optimiser: whose learning rates change.
        epochs: most epochs of the training.
        patience: epochs without progress before it stops.
        lowest: the learning rate does not fall below it.
    """
    if name == "constant":
        return Constant()
    if name == "cosine":
        return Cosine(optimiser, epochs, lowest)
    return torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, factor=SHRINK, patience=max(patience // 4, 10), threshold=1e-4, min_lr=lowest
    )
