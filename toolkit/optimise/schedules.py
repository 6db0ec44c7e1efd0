"""How the learning rate changes while training goes on."""

from __future__ import annotations

import math
from typing import Any, Literal, Protocol, runtime_checkable

import torch

SHRINK = 0.25
# of one cycle: share of the steps in which the rate rises, first and last rate over the highest, momenta at the highest
# and the lowest rate
RISING = 0.3
LOWEST = 1.0 / 25.0
LAST = 1e-5
MOMENTA = (0.85, 0.95)
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


class OneCycle:
    """One cycle of the learning rate over a whole training, changed before every step (Smith and Topin, 2019).

    It rises from a 25th of the highest rate in the first ``RISING`` of the steps, then falls to almost nothing, along
    half cosine waves; the momentum falls and rises against it. What comes next depends on the epochs so far
    and nothing else, so that an interrupted training goes on exactly.
    """

    def __init__(self, optimiser: torch.optim.Optimizer, epochs: int, highest: float) -> None:
        self._optimiser, self._epochs, self._highest = optimiser, epochs, highest
        self._epoch = 0

    def before_step(self, within: float) -> None:
        """Set learning rate and momentum of the step that begins ``within`` (0 to 1) of the epoch."""
        done = min((self._epoch + within) / self._epochs, 1.0)
        if done < RISING:
            share = _wave(done / RISING)
            rate, momentum = LOWEST + (1.0 - LOWEST) * share, MOMENTA[1] + (MOMENTA[0] - MOMENTA[1]) * share
        else:
            share = _wave((done - RISING) / (1.0 - RISING))
            rate, momentum = 1.0 + (LAST - 1.0) * share, MOMENTA[0] + (MOMENTA[1] - MOMENTA[0]) * share
        for group in self._optimiser.param_groups:
            group["lr"] = rate * self._highest
            group["betas"] = (momentum, group["betas"][1])

    def step(self, metrics: float) -> None:
        """An epoch has ended."""
        self._epoch += 1

    def state_dict(self) -> dict[str, Any]:
        """Epochs so far."""
        return {"last_epoch": self._epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after as many epochs."""
        self._epoch = int(state_dict["last_epoch"])


def _wave(share: float) -> float:
    """Half a cosine wave from 0 to 1."""
    return 0.5 - 0.5 * math.cos(math.pi * share)


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
