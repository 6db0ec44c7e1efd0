"""Whose the experts are, and where they start from."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ConfigError
from toolkit.models import expert_prior as prior
from toolkit.models import experts as algebra
from toolkit.models.expert_groups import ExpertGroups, anonymous, one_group_each, persons_alike
from toolkit.models.pen import Pen
from toolkit.models.pen_rows import Trainee, shared_residual


class Experts:
    """Whose the experts are: known from the start, or once the shared head is there to compare persons with.

    Raises:
        ConfigError: E302 for as many experts as persons, or for a prior on more numbers than can be held.
    """

    def __init__(self, config: Pen, trainee: Trainee, data: GroupedDataset, labels: np.ndarray) -> None:
        self.config, self.trainee, self.data = config, trainee, data
        self.rows = {part: np.asarray(data.person)[labels == part] for part in ("train", "validation")}
        self.present = np.unique(self.rows["train"])
        self._groups: ExpertGroups | None = None
        self.count = self._count()
        size, outputs = trainee.parameters[algebra.HEAD_WEIGHT].shape[1], len(trainee.parameters[algebra.HEAD_BIAS])
        if config.prior == "nme" and not prior.affordable(self.count, size, 1 if trainee.squared else outputs):
            raise ConfigError(
                f"a prior over {self.count} experts of {size} features needs too much memory",
                code="E302",
                column="prior",
                remedy='put hidden layers before the experts (hidden=(64,)), or use prior="none"',
            )

    def _count(self) -> int:
        """Number of experts."""
        if self.config.experts == "person":
            return len(self.present) * self.config.experts_per_person
        if self.config.identities and self.config.experts >= len(self.present):
            raise ConfigError(
                f"{self.config.experts} experts for {len(self.present)} training persons",
                code="E302",
                column="experts",
                remedy='use fewer experts, or experts="person" for one each',
            )
        return self.config.experts * self.config.experts_per_person

    def start(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Start values: the gate is drawn, the experts wait for the shared head."""
        head = self.trainee.parameters[algebra.HEAD_WEIGHT]
        outputs, size = head.shape
        found = {
            algebra.EXPERT_WEIGHT: head.new_zeros((self.count, outputs, size)),
            algebra.EXPERT_BIAS: head.new_zeros((self.count, outputs)),
            algebra.GATE_WEIGHT: head.new_zeros((self.count, size)),
            algebra.GATE_BIAS: head.new_zeros(self.count),
        }
        fresh_gate(found, generator)
        if self.config.prior == "nme":
            found |= {prior.SIGMA2: head.new_ones(outputs), prior.VARIANCES: head.new_ones((2, outputs))}
        return found

    @property
    def groups(self) -> ExpertGroups:
        """Whose the experts are; also puts the groups into the rows."""
        if self._groups is None:
            self._groups = self._find()
            for part, rows in (("train", self.trainee.train), ("validation", self.trainee.validation)):
                if rows is not None:
                    rows.groups = torch.as_tensor(self._groups.of_person[self.rows[part]], device=rows.groups.device)
        return self._groups

    def _find(self) -> ExpertGroups:
        config, labels = self.config, self.data.persons
        if not config.identities:
            return anonymous(self.count, len(labels))
        if config.experts == "person":
            return one_group_each(labels, np.isin(np.arange(len(labels)), self.present), config.experts_per_person)
        z = self.trainee.train.z(self.trainee.parameters)
        residual = shared_residual(self.trainee)
        return persons_alike(z, residual, self.rows["train"], labels, config.experts, config.experts_per_person)

    def take_the_head(self) -> None:
        """Start every expert from the shared head."""
        parameters = self.trainee.parameters
        with torch.no_grad():
            parameters[algebra.EXPERT_WEIGHT].copy_(parameters[algebra.HEAD_WEIGHT].expand(self.count, -1, -1))
            parameters[algebra.EXPERT_BIAS].copy_(parameters[algebra.HEAD_BIAS].expand(self.count, -1))
        if self.config.prior == "nme":
            train = self.trainee.train
            prior.start_variances(parameters, train.z(parameters), train.targets, self.trainee.task)


def fresh_gate(parameters: dict[str, Tensor], generator: torch.Generator) -> None:
    """Draw the gate anew, in place: experts that start alike become different through it."""
    drawn_layer(parameters[algebra.GATE_WEIGHT], generator)
    parameters[algebra.GATE_BIAS].zero_()


def drawn_layer(weight: Tensor, generator: torch.Generator) -> None:
    """Weights from U(-1, 1) / sqrt(inputs), in place; drawn on the CPU, so that every device starts alike."""
    drawn = 2.0 * torch.rand(weight.shape, generator=generator, dtype=torch.float64) - 1.0
    weight.copy_((drawn / max(weight.shape[1], 1) ** 0.5).to(weight))
