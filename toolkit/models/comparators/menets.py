"""A network with random effects of its last hidden layer, by variational EM beside stochastic descent (MeNets)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from toolkit.errors import ConfigError
from toolkit.models.comparators.levels import PersonConfig
from toolkit.models.comparators.one_hot import looked_up
from toolkit.models.dropping import DroppableMlp
from toolkit.models.plain import (
    OwnLoss,
    Reading,
    Units,
    draw_parameters,
)

ROWS_AT_ONCE = 16_384


class MeNets(PersonConfig):
    """Multilayer perceptron ``f(x) + z'b`` with random effects ``b`` of a person on its last hidden layer ``z``.

    Between two epochs, in which the network learns what the effects leave, one EM step takes the person effects, their
    covariance and the residual variance further (Xiong et al., 2019, as re-implemented for the LMMNN paper, with the
    outer product of the effects where that has their inner product). ``z`` holds the last hidden layer's activations
    and an intercept. `MlpLme` is the same model carried to its maximum likelihood, the network trained anew each time.
    For a numeric outcome and one grouping factor.
    """

    def model_post_init(self, context: Any, /) -> None:
        """Residuals are normal."""
        super().model_post_init(context)
        if self.task != "regression":
            raise ConfigError(
                "MeNets is for numeric outcomes", code="E302", column="task", remedy="use Armed, Lmmnn or McGmenn"
            )

    def build(self, reading: Reading) -> nn.Module:
        """The network."""
        return EffectsNetwork(reading.scaler.width, len(reading.factors[0].levels), self.hidden)

    def start(self, module: nn.Module, generator: torch.Generator, reading: Reading, units: Units) -> None:
        """No effects yet; variances of 1."""
        assert isinstance(module, EffectsNetwork)
        draw_parameters(module.perceptron, generator)
        with torch.no_grad():
            module.covariance.copy_(torch.eye(len(module.covariance)))
            module.variance.fill_(1.0)

    def own_loss(self, rows: int) -> OwnLoss | None:
        """Squared errors of what the effects leave."""

        def loss(module: nn.Module, arrays: tuple[Tensor, ...], targets: Tensor, counted: Tensor) -> Tensor:
            assert isinstance(module, EffectsNetwork)
            return (targets - module.split(*arrays).sum(dim=1)).square().mean()

        return loss

    def update(self, module: nn.Module, arrays: tuple[Tensor, ...], targets: Tensor) -> Callable[[int], None] | None:
        """One EM step after each epoch."""
        assert isinstance(module, EffectsNetwork)

        @torch.no_grad()
        def after_epoch(epoch: int) -> None:
            rows, codes = arrays
            sums = module.sums(rows, codes, targets)
            effects, covariance, variance = em_step(sums, module.covariance.double(), module.variance.double())
            module.tables[0].copy_(effects)
            module.covariance.copy_(covariance)
            module.variance.copy_(variance)

        return after_epoch


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PersonSums:
    """What a mixed model with given fixed part needs of the rows.

    Attributes:
        gram: ``Z'Z`` of each person (persons, effects, effects).
        cross: ``Z'r`` of each person, r what the fixed part leaves (persons, effects).
        squares: ``r'r`` of all rows.
        rows: how many.
    """

    gram: Float[Tensor, "person effect effect"]
    cross: Float[Tensor, "person effect"]
    squares: Tensor
    rows: int


def em_step(
    sums: PersonSums, covariance: Float[Tensor, "effect effect"], variance: Tensor
) -> tuple[Float[Tensor, "person effect"], Float[Tensor, "effect effect"], Tensor]:
    """One EM step of ``r = Z b + e``: person effects, their covariance, and the residual variance (Laird, Ware, 1982).

    ``P = (Z'Z / s2 + D^-1)^-1``, ``b = P Z'r / s2``, ``D = mean(b b' + P)`` over persons, ``s2 = (sum (r - Z b)^2 + sum
    tr(Z'Z P)) / n``. Neither step can make the likelihood smaller; ``D`` may be singular.
    """
    identity = torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
    posterior = torch.linalg.solve(identity + covariance @ sums.gram / variance, covariance.expand_as(sums.gram))
    posterior = 0.5 * (posterior + posterior.mT)
    effects = torch.einsum("pij,pj->pi", posterior, sums.cross) / variance
    second = effects[:, :, None] * effects[:, None, :] + posterior
    left = sums.squares - 2.0 * (effects * sums.cross).sum() + (sums.gram * second).sum()
    return effects, second.mean(dim=0), left / sums.rows


class EffectsNetwork(nn.Module):
    """Perceptron whose last layer has coefficients of each person beside the shared ones."""

    def __init__(self, inputs: int, levels: int, hidden: tuple[int, ...]) -> None:
        """Lay out the layers; parameters are set later. Effects and variances are no matter of gradients."""
        super().__init__()
        self.perceptron = DroppableMlp(inputs, hidden, 1)
        width = (hidden[-1] if hidden else inputs) + 1
        self.tables = nn.ParameterList([nn.Parameter(torch.zeros(levels, width), requires_grad=False)])
        self.covariance = nn.Parameter(torch.eye(width), requires_grad=False)
        self.variance = nn.Parameter(torch.ones(()), requires_grad=False)

    def forward(self, rows: Float[Tensor, "row feature"], codes: Int[Tensor, " row"]) -> Float[Tensor, " row"]:
        """Output of each row; without effects where the code is negative."""
        return self.split(rows, codes).sum(dim=1)

    def split(self, rows: Float[Tensor, "row feature"], codes: Int[Tensor, " row"]) -> Float[Tensor, "row 2"]:
        """What the shared network says, and what the person's effects add, which moves no layer below."""
        last = self.perceptron.activations(rows)[-1]
        fixed = self.perceptron.layers[-1](last)[:, 0]
        return torch.stack([fixed, (_with_one(last.detach()) * looked_up(self.tables[0], codes)).sum(dim=1)], dim=1)

    @torch.no_grad()
    def sums(self, rows: Tensor, codes: Tensor, targets: Tensor) -> PersonSums:
        """Sums over each person's rows at the layers as they are, in double precision."""
        was, width = self.training, self.tables[0].shape[1]
        self.eval()
        gram = rows.new_zeros((len(self.tables[0]), width, width), dtype=torch.float64)
        cross = rows.new_zeros((len(self.tables[0]), width), dtype=torch.float64)
        squares = rows.new_zeros((), dtype=torch.float64)
        for part, own, target in zip(*(values.split(ROWS_AT_ONCE) for values in (rows, codes, targets)), strict=True):
            last = self.perceptron.activations(part)[-1]
            left = (target - self.perceptron.layers[-1](last)[:, 0]).double()
            design = _with_one(last).double()
            gram.index_add_(0, own, design[:, :, None] * design[:, None, :])
            cross.index_add_(0, own, design * left[:, None])
            squares += left.square().sum()
        self.train(was)
        return PersonSums(gram=gram, cross=cross, squares=squares, rows=len(targets))


def _with_one(values: Tensor) -> Tensor:
    """A last column of ones."""
    return torch.cat([values, values.new_ones((len(values), 1))], dim=1)
