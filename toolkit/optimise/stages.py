"""Training in stages by mini-batches: each stage trains some of the parameters on an objective of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from toolkit.optimise.descent import Descent, Keeper, copied
from toolkit.optimise.minimise import PROGRESS, Outcome, Progress
from toolkit.optimise.schedules import SHRINK, OneCycle, Schedule
from toolkit.optimise.status import Status

# Without validation rows the mean loss of an epoch may move by no more than this (relative) over `patience` epochs.
SETTLED = 1e-3
# Adadelta has no schedule as published.
NEVER = 10**9

# From the numbers of the rows in a batch to the terms of the objective, per row; "objective" is minimised.
BatchObjective = Callable[[Tensor], dict[str, Tensor]]
# The batches of an epoch, each the numbers of its rows.
Batches = Callable[[torch.Generator], Sequence[Tensor]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSettings:
    """Settings of every stage.

    ``schedule`` of the learning rate: ``plateau`` (a quarter when the monitored loss no longer falls), ``constant``, or
    ``one-cycle`` over the epochs of a stage, which is then trained to its end. ``adamw`` is Adam whose weight decay
    shrinks parameters directly (Loshchilov and Hutter, 2019).
    """

    lr: float
    batch: int
    patience: int
    weight_decay: float = 0.0
    optimiser: Literal["adam", "adamw", "adadelta"] = "adam"
    schedule: Literal["plateau", "constant", "one-cycle"] = "plateau"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stage:
    """One stage of training.

    Attributes:
        names: the parameters it trains.
        objective: terms per row of a batch.
        rows: number of training rows.
        epochs: most epochs; 0 leaves the stage out.
        validate: validation loss at the current state; None trains until the training loss settles.
        enough: a monitored loss this low ends the stage.
        begin: called before the first epoch (not when an interrupted stage goes on).
        update: called after each epoch with its number within the stage, from 1; changes buffers in place.
        batches: the batches of an epoch; None deals the rows out at random.
        undecayed: parameters that weight decay leaves alone.
    """

    names: tuple[str, ...]
    objective: BatchObjective
    rows: int
    epochs: int
    validate: Callable[[], float] | None = None
    enough: float = -math.inf
    begin: Callable[[], None] | None = None
    update: Callable[[int], None] | None = None
    batches: Batches | None = None
    undecayed: frozenset[str] = frozenset()


def descend(
    stages: Sequence[Stage],
    parameters: dict[str, Tensor],
    settings: BatchSettings,
    *,
    generator: torch.Generator,
    progress: Progress | None = None,
    keeper: Keeper | None = None,
) -> Outcome:
    """Run the stages one after the other, in place; each ends at its best state by validation loss.

    Args:
        stages: what is trained, in order.
        parameters: every tensor of the model by name, variances included: all are part of the state that is kept.
        settings: optimiser, learning rate, batches, patience.
        generator: order of the rows.
        progress: called with the epoch, the most epochs of all stages, and the monitored loss.
        keeper: keeps the state between epochs; an interrupted training goes on in its stage.

    Returns:
        How the last stage ended, with the trace of all: each row has its stage's number.
    """
    trace: list[dict[str, float]] = []
    outcome = Outcome(trace=(), best_epoch=0, epochs=0, status=Status.OUT_OF_EPOCHS)
    most = sum(stage.epochs for stage in stages)
    first = getattr(keeper, "stage", 0)
    for number, stage in enumerate(stages):
        if number < first or not stage.epochs:
            continue
        descent = _start(stage, parameters, settings, trace, number)
        resumed = keeper is not None and number == first and getattr(keeper, "resumed", 0) > 0
        if not resumed:
            _begin(stage, descent)
        if keeper is not None:
            keeper.begin(descent)
        for name in stage.names:
            parameters[name].requires_grad_(True)
        status = _run(stage, descent, settings, generator, most, progress, keeper)
        for name in stage.names:
            parameters[name].requires_grad_(False)
            parameters[name].grad = None
        trace = descent.trace
        outcome = Outcome(trace=tuple(trace), best_epoch=descent.best_epoch, epochs=descent.epoch, status=status)
        if status is Status.NOT_FINITE:
            break
    return outcome


def _start(
    stage: Stage, parameters: dict[str, Tensor], settings: BatchSettings, trace: list[dict[str, float]], number: int
) -> Descent:
    """The loop before the first epoch of a stage."""
    optimiser = _optimiser(stage, parameters, settings)
    schedule = _schedule(stage, optimiser, settings)
    descent = Descent(state=parameters, optimiser=optimiser, schedule=schedule, best=copied(parameters))
    descent.trace = list(trace)
    descent.stage, descent.stage_start = number, len(trace)
    descent.best_epoch = descent.marked_epoch = len(trace)
    return descent


def _optimiser(
    stage: Stage, parameters: dict[str, Tensor], settings: BatchSettings
) -> torch.optim.Adam | torch.optim.Adadelta:
    """The optimiser of the parameters a stage trains."""
    groups = [
        {
            "params": [parameters[name] for name in stage.names if (name in stage.undecayed) == free],
            "weight_decay": decay,
        }
        for free, decay in ((False, settings.weight_decay), (True, 0.0))
    ]
    groups = [group for group in groups if group["params"]]
    if settings.optimiser == "adadelta":
        return torch.optim.Adadelta(groups, lr=settings.lr)
    if settings.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=settings.lr, fused=True)
    return torch.optim.Adam(groups, lr=settings.lr)


def _schedule(stage: Stage, optimiser: torch.optim.Optimizer, settings: BatchSettings) -> Schedule:
    """How the learning rate of a stage changes."""
    if settings.schedule == "one-cycle":
        return OneCycle(optimiser, stage.epochs, settings.lr)
    still = settings.optimiser == "adadelta" or settings.schedule == "constant"
    return torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser,
        factor=SHRINK,
        patience=NEVER if still else max(settings.patience // 3, 2),
        threshold=1e-4,
        min_lr=settings.lr * SHRINK**4,
    )


def _begin(stage: Stage, descent: Descent) -> None:
    """Prepare a stage; the state before it is kept if no epoch betters it."""
    if stage.begin is not None:
        stage.begin()
    descent.keep(descent.epoch)
    if stage.validate is not None:
        descent.best_loss = descent.mark = stage.validate()


def _run(
    stage: Stage,
    descent: Descent,
    settings: BatchSettings,
    generator: torch.Generator,
    most: int,
    progress: Progress | None,
    keeper: Keeper | None,
) -> Status:
    """The epochs of one stage; leaves the parameters at the state that is kept."""
    planned = settings.schedule == "one-cycle"
    status = Status.SCHEDULED if planned else Status.OUT_OF_EPOCHS
    while descent.epoch - descent.stage_start < stage.epochs:
        row = _epoch(stage, descent, settings, generator)
        if row is None:
            status = Status.NOT_FINITE
            break
        monitored = row["validation"] if stage.validate is not None else row["objective"]
        _judge(descent, monitored, validated=stage.validate is not None)
        if progress is not None:
            progress(descent.epoch, most, monitored)
        stop = None if planned else _stopping(stage, descent, settings.patience)
        if stop is not None:
            status = stop
            break
        if keeper is not None:
            keeper.epoch_ended(descent)
    if keeper is not None:
        keeper.end()
    if stage.validate is not None or status is Status.NOT_FINITE:
        descent.restore_best()
    else:
        descent.best_epoch = descent.epoch
    return status


def _epoch(
    stage: Stage, descent: Descent, settings: BatchSettings, generator: torch.Generator
) -> dict[str, float] | None:
    """One pass over the rows in random order; its row of the trace, or None where a number is not finite."""
    if stage.validate is None:  # the loss here is a number; after the steps it may not be
        descent.keep(descent.epoch)
    device = next(iter(descent.state.values())).device
    sums: dict[str, Tensor] = {}
    batches = _batches(stage, settings, generator)
    cycle = descent.schedule if isinstance(descent.schedule, OneCycle) else None
    for place, batch in enumerate(batches):
        batch = batch.to(device)
        descent.optimiser.zero_grad(set_to_none=True)
        if cycle is not None:
            cycle.before_step(place / len(batches))
        terms = stage.objective(batch)
        terms["objective"].backward()
        descent.optimiser.step()
        for name, value in terms.items():
            sums[name] = sums.get(name, 0.0) + value.detach() * len(batch)
    number = descent.epoch + 1
    means = {name: float(value) / stage.rows for name, value in sums.items()}
    if not math.isfinite(means["objective"]) or not _finite(descent.state):
        return None
    row = {"epoch": float(number), "stage": float(descent.stage), **means}
    if stage.update is not None:
        try:
            stage.update(number - descent.stage_start)
        except torch.linalg.LinAlgError:  # pyright: ignore[reportPrivateImportUsage] - a matrix that is no covariance
            return None
        if not _finite(descent.state):
            return None
    row["validation"] = stage.validate() if stage.validate is not None else math.nan
    if stage.validate is not None and not math.isfinite(row["validation"]):
        return None
    descent.trace.append(row)
    return row


def _batches(stage: Stage, settings: BatchSettings, generator: torch.Generator) -> Sequence[Tensor]:
    """The batches of one epoch."""
    if stage.batches is not None:
        return stage.batches(generator)
    return torch.randperm(stage.rows, generator=generator).split(settings.batch)


def _judge(descent: Descent, monitored: float, *, validated: bool) -> None:
    """Adapt the learning rate, keep the best state, and note whether there was progress."""
    descent.schedule.step(monitored)
    first = not validated and descent.epoch == descent.stage_start + 1
    if validated and monitored < descent.best_loss:
        descent.keep(descent.epoch)
        descent.best_loss = monitored
    if first or monitored < descent.mark - PROGRESS * abs(descent.mark):
        descent.mark, descent.marked_epoch = monitored, descent.epoch


def _stopping(stage: Stage, descent: Descent, patience: int) -> Status | None:
    """The outcome once a stopping rule is met, else None."""
    last = descent.trace[-1]
    if (last["validation"] if stage.validate is not None else last["objective"]) <= stage.enough:
        return Status.VALIDATED if stage.validate is not None else Status.SETTLED
    if stage.validate is not None:
        return Status.VALIDATED if descent.epoch - descent.marked_epoch >= patience else None
    window = [row["objective"] for row in descent.trace[descent.stage_start :][-patience - 1 :]]
    if len(window) <= patience:
        return None
    spread = (max(window) - min(window)) / max(max(abs(value) for value in window), 1e-12)
    return Status.SETTLED if spread < SETTLED else None


def _finite(state: dict[str, Tensor]) -> bool:
    """True when every number of the state is finite; a finite sum says so at once, another may have overflowed."""
    numbers = [value for value in state.values() if value.is_floating_point()]
    return all(bool(torch.isfinite(value.sum())) or bool(torch.isfinite(value).all()) for value in numbers)
