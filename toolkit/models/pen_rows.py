"""What a network of experts is trained on: the rows as tensors, and the parameters that the stages change."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from toolkit.models import experts as algebra
from toolkit.models.extractors import FeatureMap
from toolkit.models.pen import PenConfig
from toolkit.models.prepare import Task


@dataclass(slots=True, kw_only=True, eq=False)
class Rows:
    """Rows of one part, as tensors; extracted features are computed once the extractor is frozen."""

    features: Tensor
    targets: Tensor
    groups: Tensor
    map: FeatureMap
    extracted: Tensor | None = field(default=None)

    def z(self, parameters: dict[str, Tensor]) -> Tensor:
        """Extracted features of all rows."""
        if self.extracted is None:
            self.extracted = self.map.all_outputs(parameters, self.features)
        return self.extracted

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.features)


@dataclass(slots=True, kw_only=True, eq=False)
class Trainee:
    """What the stages work on: the parameters, changed in place, and the rows."""

    config: PenConfig
    task: Task
    parameters: dict[str, Tensor]
    train: Rows
    validation: Rows | None
    per_group: int = 1

    @property
    def squared(self) -> bool:
        """Whether the outcome is numbers."""
        return self.task == "regression"


@torch.no_grad()
def shared_residual(trainee: Trainee) -> Tensor:
    """What the shared head leaves of the training rows: differences, or observed less predicted probabilities."""
    z = trainee.train.z(trainee.parameters)
    outputs = algebra.head_outputs(trainee.parameters, z)
    if trainee.squared:
        return trainee.train.targets - outputs
    probability = algebra.class_scores(outputs, trainee.task).exp()
    return torch.nn.functional.one_hot(trainee.train.targets, probability.shape[1]).to(probability) - probability
