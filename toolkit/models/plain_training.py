"""Training of networks without random effects in mini-batches, with early stopping at the best state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from toolkit.data.checks import require_varying_target
from toolkit.data.grouped import GroupedDataset
from toolkit.data.scarce import warn_of_scarce_classes, warn_of_scarce_levels
from toolkit.models.dropping import leave_out
from toolkit.models.plain import Judged, PlainConfig, Reading, Units
from toolkit.models.plain_network import PlainNetwork, PlainTrained, all_outputs, tensors_of
from toolkit.models.several_factors import takes_further_factors
from toolkit.optimise.descent import Keeper
from toolkit.optimise.minimise import Outcome, Progress
from toolkit.optimise.stages import BatchSettings, Stage, descend


def train_plain(
    config: PlainConfig,
    data: GroupedDataset,
    labels: np.ndarray,
    *,
    generator: torch.Generator,
    device: torch.device,
    progress: Progress | None = None,
    keeper: Keeper | None = None,
) -> PlainTrained:
    """Fit a network without random effects.

    Args:
        config: the settings.
        data: the whole data set, with class codes where the outcome is a class.
        labels: ``train``, ``validation`` or ``test`` for each row.
        generator: start values and the order of the rows.
        device: where the tensors live.
        progress: called after each epoch.
        keeper: keeps the state of training between epochs.
    """
    rows = np.flatnonzero(labels == "train")
    _check_training_rows(config, data, rows)
    reading = replace(config.read(data, rows), outputs=outputs_of(config, data.classes))
    module = config.build(reading)
    module.to(device=device, dtype=torch.float64 if config.precision == "float64" else torch.float32)
    training = data.take(rows)
    units = config.training_units(module, reading, training, generator)
    config.start(module, generator, reading, units)
    train = _judged(module, reading, training, units, np.ones(len(rows), dtype=bool))
    validation = _validation(config, module, reading, data, labels)
    leave_out(module, config.dropout, generator)
    validate = None if validation is None else lambda: _held_out_loss(config, module, validation)
    outcome = config.optimise(module, train, validate, generator=generator, progress=progress)
    if outcome is None:
        outcome = _descended(config, module, train, validate, generator=generator, progress=progress, keeper=keeper)
    module.requires_grad_(False).eval()
    config.finish(module)
    network = _network(config, data, reading, module, rows)
    return PlainTrained(
        network=network,
        outcome=outcome,
        training_rows=len(rows),
        residual_variance=None if network.classes is not None else _residual(network, data, labels, rows),
    )


def _check_training_rows(config: PlainConfig, data: GroupedDataset, rows: np.ndarray) -> None:
    """Refuse one class only, or one value (E121, E115); say which classes and levels are scarce (W244 to W246)."""
    target = np.asarray(data.target, dtype=np.float64)[rows]
    require_varying_target(target, data.target_name or "target", is_classification=config.task != "regression")
    if config.task == "multiclass":
        warn_of_scarce_classes(data, rows)
    if takes_further_factors(config):
        warn_of_scarce_levels(data, rows)


def _descended(
    config: PlainConfig,
    module: nn.Module,
    train: Judged,
    validate: Callable[[], float] | None,
    *,
    generator: torch.Generator,
    progress: Progress | None,
    keeper: Keeper | None,
) -> Outcome:
    """Train by gradients in mini-batches, in place."""
    parameters: dict[str, Tensor] = dict(module.named_parameters())
    loss = _loss(config, module, train)
    stage = Stage(
        names=tuple(name for name, value in parameters.items() if value.requires_grad),
        objective=lambda batch: {"objective": loss(batch)},
        rows=len(train.targets),
        epochs=config.epochs,
        update=config.update(module, train.arrays, train.targets),
        validate=validate,
    )
    return descend([stage], parameters, _settings(config, train), generator=generator, progress=progress, keeper=keeper)


def outputs_of(config: PlainConfig, classes: Sequence[str] | None) -> int:
    """Outputs of a row: one, or one a class where there are several."""
    return len(classes or ()) if config.task == "multiclass" else 1


def _network(
    config: PlainConfig, data: GroupedDataset, reading: Reading, module: nn.Module, rows: np.ndarray
) -> PlainNetwork:
    """The network, ready to predict."""
    person = data.groupings[0]
    return PlainNetwork(
        config=config,
        task=config.task,
        reading=reading,
        classes=None if config.task == "regression" else data.classes,
        grouping=person.name,
        levels=tuple(person.levels[code] for code in np.unique(np.asarray(person.codes)[rows])),
        further=tuple(reading.factors[1:]),
        module=module,
    )


def _judged(module: nn.Module, reading: Reading, data: GroupedDataset, units: Units, counted: np.ndarray) -> Judged:
    """Units with the targets of the rows that are judged (rows,)."""
    like = next(value for value in module.parameters() if value.is_floating_point())
    target, marks = np.zeros(units.outputs), np.zeros(units.outputs, dtype=bool)
    target.reshape(-1)[units.place] = np.where(counted, reading.scaler.target(data), 0.0)
    marks.reshape(-1)[units.place] = counted
    return Judged(
        arrays=tensors_of(module, units),
        targets=torch.as_tensor(target).to(like),
        counted=torch.as_tensor(marks).to(like.device),
        rows=int(counted.sum()),
    )


def _validation(
    config: PlainConfig, module: nn.Module, reading: Reading, data: GroupedDataset, labels: np.ndarray
) -> Judged | None:
    """The validation rows; where rows of a person hang together, beside the training rows, whose outcome is known."""
    if not (labels == "validation").any():
        return None
    used = np.isin(labels, ("train", "validation")) if config.in_sequence else labels == "validation"
    rows, judged = data.take(used), labels[used] == "validation"
    known = replace(rows, target=np.where(judged, np.nan, np.asarray(rows.target)))
    return _judged(module, reading, rows, config.units(reading, known, "person"), judged)


def _loss(config: PlainConfig, module: nn.Module, train: Judged) -> Callable[[Tensor], Tensor]:
    """Loss of a batch of units: the mean over rows, if every batch had as many of them."""
    own = config.own_loss(train.rows)
    each = train.rows / len(train.targets)

    def loss(batch: Tensor) -> Tensor:
        arrays = tuple(values.index_select(0, batch) for values in train.arrays)
        targets, counted = train.targets.index_select(0, batch), train.counted.index_select(0, batch)
        if own is not None:
            return own(module, arrays, targets, counted)
        return _summed(config, module(*arrays), targets, counted) / (len(batch) * each)

    return loss


def _summed(config: PlainConfig, outputs: Tensor, targets: Tensor, counted: Tensor) -> Tensor:
    """Squared errors or cross-entropies of the rows that count, summed."""
    if config.task == "multiclass":
        each = functional.cross_entropy(outputs, targets.long(), reduction="none")
    elif config.task == "binary":
        each = functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none")
    else:
        each = (outputs - targets).square()
    return each.sum() if counted.dim() == 1 else (each * counted).sum()


@torch.no_grad()
def _held_out_loss(config: PlainConfig, module: nn.Module, rows: Judged) -> float:
    """Mean loss of the validation rows."""
    outputs = all_outputs(module, rows.arrays)
    return float(_summed(config, outputs, rows.targets, rows.counted)) / rows.rows


def _residual(network: PlainNetwork, data: GroupedDataset, labels: np.ndarray, rows: np.ndarray) -> float:
    """Mean squared error of the training rows."""
    known = with_training_outcomes(data, labels)
    errors = network.predict(known)[rows] - np.asarray(data.target)[rows]
    return float(np.mean(errors**2))


def with_training_outcomes(data: GroupedDataset, labels: np.ndarray) -> GroupedDataset:
    """The rows with the outcomes of the training rows only: what a prediction may use."""
    return replace(data, target=np.where(labels == "train", np.asarray(data.target), np.nan))


def _settings(config: PlainConfig, train: Judged) -> BatchSettings:
    """Settings of training; a batch has about as many rows as asked for, whole units of them."""
    return BatchSettings(
        lr=config.lr,
        batch=max(1, round(config.batch * len(train.targets) / train.rows)),
        patience=config.patience,
        weight_decay=config.weight_decay,
        optimiser=config.optimiser,
        schedule=config.schedule,
    )
