"""A network with random coefficients of its last hidden layer, by variational Bayes (DeepGLMM)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn

from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ConfigError
from toolkit.models.comparators.deep_glmm_descent import climb
from toolkit.models.comparators.deep_glmm_likelihood import PanelRows, coefficient_modes
from toolkit.models.comparators.levels import PersonConfig
from toolkit.models.comparators.one_hot import looked_up
from toolkit.models.dropping import DroppableMlp
from toolkit.models.plain import (
    Judged,
    Reading,
    Units,
    draw_parameters,
)
from toolkit.optimise.minimise import Outcome, Progress

# settings of mini-batches, as they are when left out
OF_BATCHES: dict[str, Any] = {"batch": 256, "optimiser": "adam", "schedule": "plateau", "dropout": 0.0}
MOST_PARAMETERS = 2_000


class DeepGlmm(PersonConfig):
    """Multilayer perceptron whose last layer has coefficients ``beta + alpha`` of a person (Tran et al., 2020).

    ``alpha`` is normal with a variance for each coefficient, intercept included. The posterior of all shared
    parameters, log variances among them, is a normal with a rank-one and a diagonal part, found by stochastic natural
    gradients, damped and shortened where they lead far; persons' coefficients are integrated out, exactly (numbers) or
    by importance sampling around each person's mode (two classes). Predictions take the posterior mean of the shared
    parameters and the mode of a person's coefficients, and without a person zero. For small panels: every step sees all
    rows.

    Attributes:
        samples: draws of the parameters in a step.
        points: draws of a person's coefficients (two classes).
        lr: learning rate of a step; from step 100 on it falls as ``100 / step``.
        momentum: share of the last step's direction that is kept.
        epochs: most steps.
        patience: steps without a better validation loss before stopping; without validation rows all steps are taken.
    """

    few_parameters: ClassVar[int] = MOST_PARAMETERS

    hidden: tuple[int, ...] = (5, 5)
    samples: int = Field(default=10, ge=1)
    points: int = Field(default=20, ge=2)
    lr: float = Field(default=0.1, gt=0, allow_inf_nan=False)
    momentum: float = Field(default=0.6, ge=0, lt=1)
    epochs: int = Field(default=300, ge=1)
    patience: int = Field(default=30, ge=1)
    precision: Literal["float64", "float32"] = "float64"

    def model_post_init(self, context: Any, /) -> None:
        """Every step sees all rows, in double precision."""
        super().model_post_init(context)
        self.refuse_settings(OF_BATCHES, "does not apply to DeepGlmm, whose steps see all rows")
        self.refuse_settings({"precision": "float64", "weight_decay": 0.0}, "does not apply to DeepGlmm")

    def check(self, data: GroupedDataset) -> None:
        """One factor, and few parameters (E302)."""
        super().check(data)
        widths = [data.n_features, *self.hidden, 1]
        count = sum((a + 1) * b for a, b in itertools.pairwise(widths))
        if count > self.few_parameters:
            raise ConfigError(
                f"DeepGlmm takes up to {self.few_parameters} parameters, and the network has {count}",
                code="E302",
                column="hidden",
                remedy="use fewer units or features, or Lmmnn or McGmenn",
            )

    def build(self, reading: Reading) -> nn.Module:
        """The network."""
        return CoefficientNetwork(reading.scaler.width, len(reading.factors[0].levels), self.hidden)

    def start(self, module: nn.Module, generator: torch.Generator, reading: Reading, units: Units) -> None:
        """Variances start at a tenth."""
        assert isinstance(module, CoefficientNetwork)
        draw_parameters(module.perceptron, generator)
        with torch.no_grad():
            module.log_variances.fill_(math.log(0.1))

    def optimise(
        self,
        module: nn.Module,
        train: Judged,
        validate: Callable[[], float] | None,
        *,
        generator: torch.Generator,
        progress: Progress | None,
    ) -> Outcome | None:
        """Climb the variational bound; persons' coefficients are taken anew wherever the rows are predicted."""
        assert isinstance(module, CoefficientNetwork)
        inputs, codes = train.arrays
        rows = PanelRows(codes=codes, levels=len(module.tables[0]), target=train.targets, binary=self.task == "binary")
        module.requires_grad_(False)

        def settle() -> None:
            design = module.design(inputs)
            fixed = module.perceptron.layers[-1](design[:, :-1])[:, 0]
            scale = (0.5 * module.log_variances).exp()
            modes, _ = coefficient_modes(rows, fixed, design * scale, module.log_noise.exp())
            module.tables[0].copy_(modes * scale)

        return climb(self, module, rows, inputs, settle, validate, generator=generator, progress=progress)


class CoefficientNetwork(nn.Module):
    """Perceptron whose last layer has coefficients of each person beside the shared ones."""

    def __init__(self, inputs: int, levels: int, hidden: tuple[int, ...]) -> None:
        """Lay out the layers; parameters are set later."""
        super().__init__()
        self.perceptron = DroppableMlp(inputs, hidden, 1)
        width = (hidden[-1] if hidden else inputs) + 1
        self.tables = nn.ParameterList([nn.Parameter(torch.zeros(levels, width))])
        self.log_variances = nn.Parameter(torch.zeros(width))
        self.log_noise = nn.Parameter(torch.zeros(()))

    def forward(self, rows: Float[Tensor, "row feature"], codes: Int[Tensor, " row"]) -> Float[Tensor, " row"]:
        """Output of each row; with the shared coefficients where the code is negative."""
        design = self.design(rows)
        return self.perceptron.layers[-1](design[:, :-1])[:, 0] + (design * looked_up(self.tables[0], codes)).sum(dim=1)

    def design(self, rows: Float[Tensor, "row feature"]) -> Float[Tensor, "row unit"]:
        """Last hidden layer, and ones."""
        last = self.perceptron.activations(rows)[-1]
        return torch.cat([last, last.new_ones((len(last), 1))], dim=1)
