"""Adaptation of a network of experts to new persons, without knowing who they are (Eq. 8)."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ConfigError
from toolkit.models import expert_prior as prior
from toolkit.models import experts as algebra
from toolkit.models.pen import Pen
from toolkit.models.pen_experts import fresh_gate
from toolkit.models.pen_network import PenNetwork
from toolkit.models.pen_objectives import mixture_terms, shared_terms, validation_loss
from toolkit.models.pen_rows import Rows, Trainee
from toolkit.models.pen_training import PenTrained, batch_settings, finished, fresh_head, variance_update
from toolkit.optimise.minimise import Outcome, Progress
from toolkit.optimise.stages import Stage, descend
from toolkit.optimise.status import Status

EPOCHS = 30
GENTLE = 1 / 3
SOFTENED = 0.75
HALVINGS = 40
# A handful of rows makes smaller batches: at least so many steps an epoch, of at least so many rows.
STEPS = 10
SMALLEST_BATCH = 16


def adapt_experts(  # noqa: PLR0913 - what is adapted, and each thing that may be set
    network: PenNetwork,
    data: GroupedDataset,
    labels: np.ndarray,
    *,
    generator: torch.Generator,
    epochs: int = EPOCHS,
    lr: float | None = None,
    fresh: bool = False,
    soften: float = SOFTENED,
    predict_only: bool = False,
    progress: Progress | None = None,
) -> PenTrained:
    """Train experts and gate (the head of a shared network) further on rows of new persons, the extractor held.

    Args:
        network: trained on other persons.
        data: rows of the new persons.
        labels: ``train`` rows adapt; ``validation`` rows, if there are any, end the adaptation early.
        generator: order of the rows, and start values if fresh.
        epochs: most epochs; 30 as published. An epoch has ten steps or more, of 16 rows or more.
        lr: learning rate; a third of the configuration's by default, because what is known already is not to be
            overwritten; the configuration's for a fresh start.
        fresh: start head, experts and gate anew, as a model that has seen no other persons (t-SN and t-PEN of the
            paper); the extractor stays.
        soften: before anything is trained the gate is made this undecided (mean entropy of a row, as a share of its
            largest value), if it is more certain than that; 0 leaves it as it is, as published. A gate that is certain
            of the persons it was trained with hardly learns to tell others apart.
        predict_only: leave the posterior variances of the experts out.
        progress: called after each epoch.
    """
    parameters = {name: value.detach().clone() for name, value in network.shared.items()}
    checked = bool((labels == "validation").any())
    trainee = Trainee(
        config=network.config, task=network.task, parameters=parameters, train=_rows(network, data, labels == "train"),
        validation=_rows(network, data, labels == "validation") if checked else None,
    )  # fmt: skip
    if not 0.0 <= soften <= 1.0:
        raise ConfigError(
            "soften is a share of the largest entropy", code="E302", column="soften", remedy="a number from 0 to 1"
        )
    if fresh and not trainee.train.count:
        raise ConfigError(
            "a model that starts anew needs rows to learn from",
            code="E302",
            column="fresh",
            remedy="adapt to some rows, or leave fresh out",
        )
    if not trainee.train.count:
        return PenTrained(network=network, outcome=_UNTRAINED, training_rows=0, posterior=None)
    stages = [_experts_stage(trainee, epochs)] if network.has_experts else [_head_stage(trainee, epochs)]
    if network.has_experts and soften > 0 and not fresh:
        soften_gate(parameters, trainee.train.z(parameters), soften)
    if fresh:
        stages = _from_scratch(trainee, stages, generator, epochs)
    own = batch_settings(network.config)
    settings = replace(own, lr=_rate(own.lr, lr, fresh=fresh), batch=_batch(own.batch, trainee.train.count))
    outcome = descend(stages, parameters, settings, generator=generator, progress=progress)
    persons = np.unique(np.asarray(data.person)[labels == "train"])
    adapted = replace(
        network,
        levels=tuple(data.persons[code] for code in persons),
        shared={name: value.detach().clone() for name, value in parameters.items()},
    )
    return finished(adapted, outcome, trainee, predict_only=predict_only, adapting=True)


@torch.no_grad()
def soften_gate(parameters: dict[str, Tensor], z: Tensor, share: float) -> None:
    """Scale the gate down, in place, until the mean entropy of a row is ``share`` of its largest value.

    A gate that is that undecided already stays as it is.
    """
    scores = algebra.gate_scores(parameters, z)
    most = math.log(scores.shape[1]) if scores.shape[1] > 1 else 1.0

    def entropy(scale: float) -> float:
        weights = torch.log_softmax(scale * scores, dim=1)
        return float(-(weights.exp() * weights).sum(dim=1).mean()) / most

    if entropy(1.0) >= share:
        return
    low, high = 0.0, 1.0  # entropy falls with the scale
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if entropy(middle) >= share else (low, middle)
    for name in algebra.GATE:
        parameters[name].mul_(low)


def _rate(own: float, asked: float | None, *, fresh: bool) -> float:
    """The learning rate that is asked for, the training's, or a third of it."""
    return asked if asked is not None else own if fresh else GENTLE * own


def _batch(batch: int, rows: int) -> int:
    """Rows of one step: fewer where there are few rows, so that an epoch has some steps."""
    return min(batch, max(rows // STEPS, SMALLEST_BATCH))


_UNTRAINED = Outcome(trace=(), best_epoch=0, epochs=0, status=Status.SETTLED)


def _from_scratch(trainee: Trainee, stages: list[Stage], generator: torch.Generator, epochs: int) -> list[Stage]:
    """Start values drawn anew, the head trained first, and experts started from it."""
    parameters = trainee.parameters
    fresh_head(parameters, generator)
    if algebra.GATE_WEIGHT not in parameters:
        return stages
    fresh_gate(parameters, generator)

    def take_the_head() -> None:
        for name, shared in zip(algebra.EXPERTS, algebra.HEAD, strict=True):
            value = parameters[shared]
            parameters[name].data.copy_(value[None].expand_as(parameters[name]))
        if held_together:
            prior.start_variances(parameters, trainee.train.z(parameters), trainee.train.targets, trainee.task)

    held_together = prior.VARIANCES in parameters
    update = variance_update(trainee, len(parameters[algebra.GATE_BIAS])) if held_together else None
    return [_head_stage(trainee, epochs), replace(stages[0], begin=take_the_head, update=update)]


def _rows(network: PenNetwork, data: GroupedDataset, chosen: np.ndarray) -> Rows:
    """Rows of one part as tensors, extracted."""
    part = data.take(chosen)
    z = network.extracted(part)
    numbers = network.task == "regression"
    values = (np.asarray(part.targets) - network.targets.mean) / network.targets.scale
    targets = torch.as_tensor(values if numbers else values[:, 0])
    return Rows(
        features=z,
        targets=targets.to(device=z.device, dtype=z.dtype if numbers else torch.int64),
        groups=torch.full((len(z),), -1, dtype=torch.int64, device=z.device),
        map=network.features,
        extracted=z,
    )


def _head_stage(trainee: Trainee, epochs: int) -> Stage:
    """The shared head on its loss."""
    z = trainee.train.z(trainee.parameters)
    return Stage(
        names=algebra.HEAD,
        objective=lambda batch: shared_terms(trainee, z[batch], batch),
        rows=trainee.train.count,
        epochs=epochs,
        validate=(lambda: validation_loss(trainee, mixed=False)) if trainee.validation is not None else None,
    )


def _experts_stage(trainee: Trainee, epochs: int) -> Stage:
    """Experts and gate on Eq. 8: no identities, hence no cross-entropy."""
    config = trainee.config
    assert isinstance(config, Pen)
    return Stage(
        names=(*algebra.EXPERTS, *algebra.GATE),
        objective=lambda batch: mixture_terms(trainee, config, batch, None),
        rows=trainee.train.count,
        epochs=epochs,
        validate=(lambda: validation_loss(trainee, mixed=True)) if trainee.validation is not None else None,
    )
