"""The state of the training loop between two epochs: all that the next epoch depends on, as tensors and numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from toolkit.optimise.schedules import Schedule

COUNTERS = ("best_loss", "best_epoch", "mark", "marked_epoch", "stage", "stage_start")
# what the schedule changes while it runs; the rest of it are settings
SCHEDULED = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch", "_last_lr")


@dataclass(slots=True, kw_only=True, eq=False)
class Descent:
    """The training loop between two epochs; changed in place.

    Attributes:
        state: parameters and buffers by name.
        optimiser, schedule: Adam (or Adadelta) and its learning rate.
        best: copy of the state that would be kept if training ended now.
        best_loss, best_epoch: its monitored loss and its epoch.
        mark, marked_epoch: the last monitored loss that counted as progress, and when.
        trace: one dictionary per finished epoch.
        moments: further tensors that the next epoch depends on, such as those of row-lazy Adam.
        stage, stage_start: of a training in stages: the number of this one, and the epochs before it.
    """

    state: dict[str, Tensor]
    optimiser: torch.optim.Adam | torch.optim.Adadelta
    schedule: Schedule
    best: dict[str, Tensor]
    best_loss: float = math.inf
    best_epoch: int = 0
    mark: float = math.inf
    marked_epoch: int = 0
    trace: list[dict[str, float]] = field(default_factory=list)
    moments: Mapping[str, Tensor] = field(default_factory=dict)
    stage: int = 0
    stage_start: int = 0

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return len(self.trace)

    def keep(self, epoch: int) -> None:
        """Take the current state for the best one."""
        self.best, self.best_epoch = copied(self.state), epoch

    def restore_best(self) -> None:
        """Write the best state back in place."""
        _write(self.state, self.best)

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by name: state, best state, Adam's moments, the trace as a table of float64."""
        found = {f"state.{name}": value for name, value in self.state.items()}
        found |= {f"best.{name}": value for name, value in self.best.items()}
        for place, moments in self.optimiser.state_dict()["state"].items():
            found |= {f"adam.{place}.{name}": value for name, value in moments.items()}
        found |= {f"moments.{name}": value for name, value in self.moments.items()}
        found["trace"] = torch.tensor([list(row.values()) for row in self.trace], dtype=torch.float64)
        return {name: value.detach().cpu().contiguous() for name, value in found.items()}

    def numbers(self) -> dict[str, Any]:
        """Everything that is no tensor, fit for JSON (which keeps every digit)."""
        schedule = self.schedule.state_dict()
        return {
            "counters": {name: getattr(self, name) for name in COUNTERS},
            "schedule": {name: schedule[name] for name in SCHEDULED if name in schedule},
            "learning_rates": [group["lr"] for group in self.optimiser.param_groups],
            "columns": list(self.trace[0]) if self.trace else [],
        }

    def take_up(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Go on where another descent of the same shape stood; the inverse of `tensors` and `numbers`."""
        _write(self.state, _named(tensors, "state."))
        # `copy_` into a copy keeps device and type
        self.best = copied(self.state)
        _write(self.best, _named(tensors, "best."))
        for name, value in numbers["counters"].items():
            setattr(self, name, value)
        self.trace = [dict(zip(numbers["columns"], row, strict=True)) for row in tensors["trace"].tolist()]
        self.schedule.load_state_dict(dict(numbers["schedule"]))
        _write(dict(self.moments), _named(tensors, "moments."))
        self._take_up_adam(_named(tensors, "adam."), numbers["learning_rates"])

    def _take_up_adam(self, moments: Mapping[str, Tensor], rates: list[float]) -> None:
        saved = self.optimiser.state_dict()
        saved["state"] = {}
        for name, value in moments.items():
            place, moment = name.split(".")
            saved["state"].setdefault(int(place), {})[moment] = value
        for group, rate in zip(saved["param_groups"], rates, strict=True):
            group["lr"] = rate
        self.optimiser.load_state_dict(saved)


@runtime_checkable
class Keeper(Protocol):
    """Whoever keeps the state of a training loop, so that an interrupted one can go on."""

    def begin(self, descent: Descent) -> None:
        """Called before the first epoch; may put the descent where an earlier one stood."""
        ...

    def epoch_ended(self, descent: Descent) -> None:
        """Called after each epoch that another one follows; may raise to stop training."""
        ...

    def end(self) -> None:
        """Called after the last epoch."""
        ...


def copied(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A detached copy of a state."""
    return {name: value.detach().clone() for name, value in state.items()}


def _named(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose name starts with the prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _write(state: dict[str, Tensor], saved: Mapping[str, Tensor]) -> None:
    """Write a saved state back in place."""
    with torch.no_grad():
        for name, value in saved.items():
            state[name].copy_(value)
