"""The one training loop: Adam on the training set or its batches, early stopping, the best state restored."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from toolkit.optimise.descent import Descent, Keeper, copied
from toolkit.optimise.schedules import SHRINK, ScheduleName, schedule_of
from toolkit.optimise.status import Status
from toolkit.optimise.sweeps import FullBatch, NotFinite, Sweep
from toolkit.optimise.watching import Watch, judged

# Without validation rows: the monitored numbers may move by no more than this (relative) over `patience` epochs.
SETTLED_LOSS = 1e-4
SETTLED_VARIANCE = 5e-3
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
    schedule: ScheduleName = "plateau"
    clip: float | None = None
    mixed_precision: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """How training went.

    Attributes:
        trace: one dictionary per finished epoch.
        best_epoch: the epoch whose state was kept; 0 is the state before the first.
        epochs: number of epochs finished.
        status: how it ended.
        failed: what was not a finite number, if training broke off.
        monitor: what was watched, where there were validation rows.
    """

    trace: tuple[dict[str, float], ...]
    best_epoch: int
    epochs: int
    status: Status
    failed: str = "loss"
    monitor: str = "validation loss"

    def sentence(self, *, validated: bool) -> str:
        """The outcome in words; ``validated`` says whether there was a validation loss to watch."""
        # without validation the objective is that of the state the epoch before has led to
        failed = self.epochs + 1 if validated else self.best_epoch + 1
        return self.status.sentence(
            validated=validated, failed=failed, kept=self.best_epoch, what=self.failed, monitor=self.monitor
        )


def minimise(
    objective: Callable[[], dict[str, Tensor]] | Sweep,
    parameters: dict[str, Tensor],
    buffers: dict[str, Tensor],
    settings: Settings,
    *,
    undecayed: frozenset[str] = frozenset(),
    update: Callable[[int], dict[str, float]] | None = None,
    validate: Callable[[], float] | None = None,
    progress: Progress | None = None,
    keeper: Keeper | None = None,
) -> Outcome:
    """Minimise an objective over named parameters, in place.

    Args:
        objective: returns the terms to report, of which ``objective`` is minimised in one step per epoch; or a sweep,
            which makes the steps of an epoch itself.
        parameters: leaves to optimise; updated in place and left at the state that is kept.
        buffers: other tensors that belong to the state (variances); ``update`` replaces their contents in place.
        settings: learning rate, epochs, patience, weight decay.
        undecayed: parameters that weight decay leaves alone (person effects have their own prior).
        update: called after each epoch with its number (from 1); returns numbers for the trace.
        validate: validation loss at the current state, or a `Watch` with a metric that decides in its place. Without it
            the loop runs until the training objective settles.
        progress: called with epoch, epochs and the monitored loss.
        keeper: keeps the state of the loop between epochs, and puts it back when an interrupted one goes on.
    """
    validated = validate is not None
    sweep = (
        objective
        if isinstance(objective, Sweep)
        else FullBatch(objective=objective, parameters=parameters, clip=settings.clip, mixed=settings.mixed_precision)
    )
    descent = _start(parameters, buffers, settings, undecayed, validated=validated)
    descent.moments = sweep.moments
    if keeper is not None:
        keeper.begin(descent)
    status, failed = Status.OUT_OF_EPOCHS, "loss"
    for epoch in range(descent.epoch + 1, settings.epochs + 1):
        try:
            row = _epoch(descent, sweep, epoch, update=update, validate=validate)
        except NotFinite as problem:
            status, failed = Status.NOT_FINITE, str(problem)
            break
        monitored = judged(row, validate)
        _judge(descent, monitored, epoch, validated=validated)
        if progress is not None:
            progress(epoch, settings.epochs, monitored)
        stop = _stopping(descent.trace, descent.marked_epoch, settings, validated=validated)
        if stop is not None:
            status = stop
            break
        if keeper is not None and epoch < settings.epochs:
            keeper.epoch_ended(descent)
    if keeper is not None:
        keeper.end()
    if validated or status is Status.NOT_FINITE:
        descent.restore_best()
    else:
        descent.best_epoch = descent.epoch
    return Outcome(
        trace=tuple(descent.trace), best_epoch=descent.best_epoch, epochs=descent.epoch, status=status, failed=failed,
        monitor=validate.name if isinstance(validate, Watch) else "validation loss",
    )  # fmt: skip


def _start(
    parameters: dict[str, Tensor],
    buffers: dict[str, Tensor],
    settings: Settings,
    undecayed: frozenset[str],
    *,
    validated: bool,
) -> Descent:
    """The loop before its first epoch."""
    optimiser = _adam(parameters, settings, undecayed)
    # with a vanishing learning rate any training objective would seem settled
    lowest = 0.0 if validated else settings.lr * SHRINK**2
    schedule = schedule_of(
        settings.schedule, optimiser, epochs=settings.epochs, patience=settings.patience, lowest=lowest
    )
    state = {**parameters, **buffers}
    return Descent(state=state, optimiser=optimiser, schedule=schedule, best=copied(state))


def _epoch(
    descent: Descent,
    sweep: Sweep,
    epoch: int,
    *,
    update: Callable[[int], dict[str, float]] | None,
    validate: Callable[[], float] | None,
) -> dict[str, float]:
    """The steps of one epoch and what follows them; its row of the trace.

    Raises:
        NotFinite: names the number that is not finite.
    """
    rate = float(descent.optimiser.param_groups[0]["lr"])
    row = {"epoch": float(epoch), **sweep(descent, lambda: descent.keep(epoch - 1) if validate is None else None)}
    try:
        row |= update(epoch) if update is not None else {}
    except torch.linalg.LinAlgError:  # pyright: ignore[reportPrivateImportUsage] - a matrix that is no covariance
        raise NotFinite("variances") from None
    row["validation"] = validate() if validate is not None else math.nan
    if validate is not None and not math.isfinite(row["validation"]):
        raise NotFinite("validation loss")
    if isinstance(validate, Watch):
        row["monitor"] = validate.metric()
    row["lr"] = rate
    descent.trace.append(row)
    return row


def _judge(descent: Descent, monitored: float, epoch: int, *, validated: bool) -> None:
    """Adapt the learning rate, keep the best state, and note whether there was progress."""
    descent.schedule.step(monitored)
    if validated and monitored < descent.best_loss:
        descent.keep(epoch)
        descent.best_loss = monitored
    progress = PROGRESS * abs(descent.mark) if math.isfinite(descent.mark) else 0.0
    if monitored < descent.mark - progress or epoch == 1:
        descent.mark, descent.marked_epoch = monitored, epoch


def _adam(parameters: dict[str, Tensor], settings: Settings, undecayed: frozenset[str]) -> torch.optim.Adam:
    """Adam (Kingma and Ba, 2015) with weight decay on the shared parameters only."""
    groups = [
        {"params": [value for name, value in parameters.items() if (name in undecayed) == free], "weight_decay": decay}
        for free, decay in ((False, settings.weight_decay), (True, 0.0))
    ]
    return torch.optim.Adam([group for group in groups if group["params"]], lr=settings.lr)


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
