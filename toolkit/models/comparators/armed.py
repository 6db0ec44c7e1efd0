"""A network whose fixed part an adversary keeps free of clusters, and Gaussian random effects beside it (ARMED)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ConfigError
from toolkit.models.comparators.levels import PersonConfig
from toolkit.models.comparators.one_hot import looked_up, single
from toolkit.models.dropping import Droppable, DroppableMlp
from toolkit.models.plain import (
    OwnLoss,
    Reading,
    Units,
    codes_of,
    draw_parameters,
    rows_as_units,
)

UNKNOWN, NOBODY = -1, -2  # a level to be guessed from the features, and none at all
BESIDE = (8, 8, 4)  # layers of the adversary and of the network that guesses clusters


class Armed(PersonConfig):
    """Adversarially regularised mixed effects network (Nguyen et al., 2023), for one grouping factor.

    A perceptron f of the features; an adversary that tells a row's person from its hidden layers, against which these
    are trained; and random effects whose posterior is an independent normal for each, found by variational inference
    under a prior of fixed SD. For persons without training rows a further network guesses from the features which
    of the known persons they are like, and their effects are the mean over these. At the level ``population`` only f
    counts. Both f and f plus effects are logits (the comparison in the MC-GMENN paper puts f through a sigmoid twice).

    Attributes:
        slopes: features whose coefficients vary beside the level.
        intercept_sd: SD of the prior of the levels; slope_sd: of the standardised features' coefficients.
        adversary: weight of the adversary's loss in that of the network; 0 leaves it out.
        fixed_weight: weight of the loss of f alone.
        kl_weight: weight of the divergence from the prior, in the mean loss of a row; None takes 1 / rows, the bound of
            the likelihood.
    """

    several_classes: ClassVar[bool] = True

    slopes: tuple[str, ...] = ()
    intercept_sd: float = Field(default=0.1, gt=0, allow_inf_nan=False)
    slope_sd: float = Field(default=0.3, gt=0, allow_inf_nan=False)
    adversary: float = Field(default=0.5, ge=0, allow_inf_nan=False)
    fixed_weight: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    kl_weight: float | None = Field(default=None, ge=0, allow_inf_nan=False)

    def model_post_init(self, context: Any, /) -> None:
        """An adversary reads hidden layers."""
        super().model_post_init(context)
        if self.adversary and not self.hidden:
            raise ConfigError(
                "an adversary reads hidden layers, and there are none",
                code="E302",
                column="adversary",
                remedy="leave it out (adversary=0), or add layers (hidden=)",
            )

    def check(self, data: GroupedDataset) -> None:
        """One factor, and slopes of features."""
        super().check(data)
        unknown = [name for name in self.slopes if name not in data.feature_names]
        if unknown:
            raise ConfigError(
                f"slopes: '{unknown[0]}' is not among the features",
                code="E302",
                column="slopes",
                remedy=f"features are {', '.join(data.feature_names)}",
            )

    def units(self, reading: Reading, data: GroupedDataset, level: str) -> Units:
        """Features and place of the person."""
        codes = codes_of(reading, data, level)[:, 0]
        codes = np.full_like(codes, NOBODY) if level == "population" else codes
        return rows_as_units(data.n_rows, reading.scaler.features(data), codes)

    def build(self, reading: Reading) -> nn.Module:
        """The networks."""
        lost = [name for name in self.slopes if name not in reading.scaler.names]
        if lost:
            raise ConfigError(
                f"slopes: '{lost[0]}' never varies in the training rows",
                code="E302",
                column="slopes",
                remedy="leave it out",
            )
        columns = [reading.scaler.names.index(name) for name in self.slopes]
        return ArmedNetwork(reading.scaler.width, len(reading.factors[0].levels), self.hidden, reading.outputs, columns)

    def start(self, module: nn.Module, generator: torch.Generator, reading: Reading, units: Units) -> None:
        """Effects start at zero with the prior's SD."""
        draw_parameters(module, generator)
        assert isinstance(module, ArmedNetwork)
        mean, spread = module.tables[0], module.tables[1]
        with torch.no_grad():
            mean.zero_()
            spread.copy_(torch.log(torch.expm1(self._prior(module))).expand_as(spread))

    def own_loss(self, rows: int) -> OwnLoss | None:
        """Losses with and without effects, the adversary's, the guesses', and the divergence from the prior."""

        def loss(module: nn.Module, arrays: tuple[Tensor, ...], targets: Tensor, counted: Tensor) -> Tensor:
            assert isinstance(module, ArmedNetwork)
            inputs, codes = arrays
            layers = module.perceptron.activations(inputs)
            fixed = module.perceptron.layers[-1](layers[-1])
            total = self._misfit(module, fixed + module.added(inputs, module.drawn(codes)), targets)
            if self.fixed_weight:
                total = total + self.fixed_weight * self._misfit(module, fixed, targets)
            if self.adversary:
                total = total + functional.cross_entropy(module.recognised(layers, self.adversary), codes)
            total = total + functional.cross_entropy(module.guessed(inputs), codes)
            weight = 1.0 / rows if self.kl_weight is None else self.kl_weight
            return total + weight * module.divergence(self._prior(module))

        return loss

    def _misfit(self, module: ArmedNetwork, outputs: Tensor, targets: Tensor) -> Tensor:
        """Minus the mean log-likelihood."""
        if self.task == "multiclass":
            return functional.cross_entropy(outputs, targets.long())
        if self.task == "binary":
            return functional.binary_cross_entropy_with_logits(outputs[:, 0], targets)
        errors = (targets - outputs[:, 0]).square().mean()
        return 0.5 * (errors * torch.exp(-module.log_noise) + module.log_noise + math.log(2.0 * math.pi))

    def _prior(self, module: ArmedNetwork) -> Tensor:
        """SD of each effect's prior (effects,)."""
        each = module.tables[0].shape[1] // (1 + len(self.slopes))
        sd = [self.intercept_sd] * each + [self.slope_sd] * (each * len(self.slopes))
        return torch.tensor(sd).to(module.tables[0])


class ArmedNetwork(Droppable):
    """Perceptron, adversary, random effects, and a guess of the person.

    ``tables`` hold, a line for each level: means of its effects, the inverse softplus of their SDs (intercepts of all
    outputs first, then those of every slope), and the last layers of the adversary and of the guess.
    """

    def __init__(self, inputs: int, levels: int, hidden: tuple[int, ...], outputs: int, columns: Sequence[int]) -> None:
        """Lay out the layers; parameters are set later."""
        super().__init__()
        self.perceptron = DroppableMlp(inputs, hidden, outputs)
        self.reader = DroppableMlp(sum(hidden), BESIDE[:-1], BESIDE[-1]) if hidden else None
        self.guess = DroppableMlp(inputs, BESIDE[:-1], BESIDE[-1])
        self.columns = list(columns)
        effects = outputs * (1 + len(columns))
        widths = (effects, effects, BESIDE[-1] + 1, BESIDE[-1] + 1)
        self.tables = nn.ParameterList(nn.Parameter(torch.zeros(levels, width)) for width in widths)
        self.log_noise = nn.Parameter(torch.zeros(()))

    def forward(self, rows: Float[Tensor, "row feature"], codes: Int[Tensor, " row"]) -> Tensor:
        """Output of each row at the posterior means; of several classes one each (rows, classes)."""
        effects = looked_up(self.tables[0], codes.clamp(min=-1))
        unknown = codes == UNKNOWN
        if bool(unknown.any()):
            chances = self.guessed(rows[unknown]).softmax(dim=1)
            effects = effects.index_put((unknown.nonzero()[:, 0],), chances @ self.tables[0])
        return single(self.perceptron(rows) + self.added(rows, effects))

    def added(self, rows: Float[Tensor, "row feature"], effects: Tensor) -> Float[Tensor, "row output"]:
        """What effects (rows, effects) add to the outputs."""
        design = torch.cat([rows.new_ones((len(rows), 1)), rows[:, self.columns]], dim=1)
        return (design[:, :, None] * effects.unflatten(1, (design.shape[1], -1))).sum(dim=1)

    def drawn(self, codes: Int[Tensor, " row"]) -> Tensor:
        """A draw from the posterior of each level, the same for all its rows (rows, effects)."""
        mean, spread = self.tables[0], functional.softplus(self.tables[1])
        noise = torch.randn(mean.shape, generator=self.generator, dtype=mean.dtype).to(mean)
        return functional.embedding(codes, mean + spread * noise)

    def recognised(self, layers: Sequence[Tensor], weight: float) -> Float[Tensor, "row level"]:
        """The adversary's logits; gradients of the hidden layers come back turned round, times the weight."""
        assert self.reader is not None
        seen = torch.cat(list(layers[1:]), dim=1)
        turned = (1.0 + weight) * seen.detach() - weight * seen
        return _lines(torch.relu(self.reader(turned)), self.tables[2])

    def guessed(self, rows: Float[Tensor, "row feature"]) -> Float[Tensor, "row level"]:
        """Logits of the level, from the features."""
        return _lines(torch.relu(self.guess(rows)), self.tables[3])

    def divergence(self, prior: Float[Tensor, " effect"]) -> Tensor:
        """Kullback-Leibler divergence of the posterior from the prior ``N(0, prior^2)``, over all levels."""
        mean, spread = self.tables[0], functional.softplus(self.tables[1])
        return (torch.log(prior / spread) + 0.5 * ((spread.square() + mean.square()) / prior.square() - 1.0)).sum()


def _lines(values: Float[Tensor, "row unit"], table: Float[Tensor, "level more"]) -> Float[Tensor, "row level"]:
    """A linear layer with a line of weights and an offset for each level."""
    return functional.linear(values, table[:, :-1], table[:, -1])
