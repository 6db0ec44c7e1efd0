"""Objectives of the stages of Algorithm 1 (Feffer, Rudovic and Picard, 2018, Eqs. 4 to 8), per row."""

from __future__ import annotations

import torch
from torch import Tensor

from toolkit.models import expert_prior as prior
from toolkit.models import experts as algebra
from toolkit.models.expert_groups import ExpertGroups
from toolkit.models.pen import Pen
from toolkit.models.pen_experts import Experts
from toolkit.models.pen_rows import Rows, Trainee
from toolkit.models.prepare import Task

BATCH_OF_VALIDATION = 16_384


def extract(rows: Rows, parameters: dict[str, Tensor], batch: Tensor) -> Tensor:
    """Extracted features of a batch, with their gradient."""
    return rows.map.outputs(parameters, rows.features[batch])


def shared_terms(trainee: Trainee, z: Tensor, batch: Tensor) -> dict[str, Tensor]:
    """Objective of the shared network."""
    loss = shared_losses(trainee, z, trainee.train.targets[batch]).mean()
    return _terms(loss=loss)


def shared_losses(trainee: Trainee, z: Tensor, targets: Tensor) -> Tensor:
    """Loss of each row under the shared head."""
    outputs = algebra.head_outputs(trainee.parameters, z)
    if trainee.squared:
        return algebra.squared_error(outputs, targets)
    return algebra.class_loss(algebra.class_scores(outputs, trainee.task), targets)


def gate_terms(trainee: Trainee, experts: Experts, batch: Tensor) -> dict[str, Tensor]:
    """Objective of the gate alone, ``H(c, person) + lambda_1 |h|``."""
    groups = experts.groups
    scores = algebra.gate_scores(trainee.parameters, trainee.train.z(trainee.parameters)[batch])
    weights = torch.log_softmax(scores, dim=1)
    recognition = algebra.recognition_loss(weights, trainee.train.groups[batch], groups.per_group).mean()
    sparse = algebra.sparsity(scores).mean()
    return _terms(gate=recognition, sparsity=sparse, weights=(1.0, experts.config.lambda_1, 0.0))


def mixture_terms(trainee: Trainee, config: Pen, batch: Tensor, groups: ExpertGroups | None) -> dict[str, Tensor]:
    """Objective of experts and gate: Eq. 4 with the groups, Eq. 8 without (adaptation, or no identities)."""
    train, parameters = trainee.train, trainee.parameters
    mixed = algebra.mixture(parameters, train.z(parameters)[batch])
    loss = mixture_losses(mixed, train.targets[batch], trainee.task).mean()
    recognition = loss.new_zeros(())
    if groups is not None and config.identities:
        recognition = algebra.recognition_loss(mixed.log_weights, train.groups[batch], groups.per_group).mean()
    held = loss.new_zeros(())
    if config.prior == "nme":
        held = prior.penalty(parameters, squared=trainee.squared) / train.count
    sparse = algebra.sparsity(mixed.gate).mean()
    return _terms(
        loss=loss, gate=recognition, sparsity=sparse, penalty=held, weights=(config.lambda_0, config.lambda_1, 1.0)
    )


def mixture_losses(mixed: algebra.Mixture, targets: Tensor, task: Task) -> Tensor:
    """Loss of each row under the mixture."""
    if task == "regression":
        return algebra.squared_error(algebra.mixed_outputs(mixed), targets)
    return algebra.class_loss(algebra.log_probabilities(mixed, task), targets)


def _terms(
    *,
    loss: Tensor | None = None,
    gate: Tensor | None = None,
    sparsity: Tensor | None = None,
    penalty: Tensor | None = None,
    weights: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> dict[str, Tensor]:
    """The objective with its parts, all per row; parts that do not apply are zero."""
    like = loss if loss is not None else gate
    assert like is not None
    zero = like.new_zeros(())
    parts = {"loss": loss, "gate": gate, "sparsity": sparsity, "penalty": penalty}
    found = {name: zero if value is None else value for name, value in parts.items()}
    total = found["loss"] + weights[0] * found["gate"] + weights[1] * found["sparsity"] + weights[2] * found["penalty"]
    return {"objective": total, **found}


@torch.no_grad()
def validation_loss(trainee: Trainee, *, mixed: bool, frozen: bool = True) -> float:
    """Mean loss per validation row."""
    rows, parameters = trainee.validation, trainee.parameters
    assert rows is not None
    total = 0.0
    for part in torch.arange(rows.count, device=rows.features.device).split(BATCH_OF_VALIDATION):
        z = rows.z(parameters)[part] if frozen else extract(rows, parameters, part)
        if mixed:
            losses = mixture_losses(algebra.mixture(parameters, z), rows.targets[part], trainee.task)
        else:
            losses = shared_losses(trainee, z, rows.targets[part])
        total += float(losses.sum())
    return total / rows.count


@torch.no_grad()
def validation_recognition(trainee: Trainee, experts: Experts) -> float:
    """Mean cross-entropy of the gate in the validation rows of training persons."""
    groups, rows = experts.groups, trainee.validation
    assert rows is not None
    weights = torch.log_softmax(algebra.gate_scores(trainee.parameters, rows.z(trainee.parameters)), dim=1)
    losses = algebra.recognition_loss(weights, rows.groups, groups.per_group)
    return float(losses.sum()) / int((rows.groups >= 0).sum())
