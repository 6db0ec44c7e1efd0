"""Stochastic natural gradients of the variational bound of `DeepGlmm`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import functional_call

from toolkit.models.comparators.deep_glmm_likelihood import (
    FREEDOM,
    PanelRows,
    Proposal,
    coefficient_modes,
    normal_likelihood,
    proposal_at_modes,
    sampled_likelihood,
)
from toolkit.numerics.rank_one_normal import RankOneNormal, natural_gradient
from toolkit.optimise.minimise import Outcome, Progress
from toolkit.optimise.status import Status

if TYPE_CHECKING:
    from toolkit.models.comparators.deep_glmm import CoefficientNetwork, DeepGlmm

LONGEST = 5.0  # root of a direction's Fisher norm: times the rate of .1 a divergence of at most 1/8 in a step
DAMPING = 0.5  # of the information of factor and scale
FALLING = 100  # step from which the learning rate falls
PRIOR_EVERY = 4  # steps between two estimates of the priors' precisions
PRECISION = 50.0  # of the shared coefficients at the start, as published
SHAPE, RATE = 1.0, 0.1  # of the inverse gamma prior of variances
START_SD = 0.1


class Bound:
    """The log of likelihood times prior at given parameters, all in one vector.

    Attributes:
        names, shapes: of the parameters in the vector, in order.
        precision: of the normal priors of weights of hidden layers, and of the last layer's.
    """

    def __init__(self, module: CoefficientNetwork, rows: PanelRows, inputs: Tensor, points: int) -> None:
        """Parameters of the network but the persons' coefficients; the residual variance of numbers among them."""
        self.module, self.rows, self.inputs, self.points = module, rows, inputs, points
        left_out = {"tables.0", "log_noise"} if rows.binary else {"tables.0"}
        kept = {name: value for name, value in module.named_parameters() if name not in left_out}
        self.names, self.shapes = tuple(kept), [value.shape for value in kept.values()]
        self.start = torch.cat([value.detach().flatten() for value in kept.values()])
        last = f"perceptron.layers.{len(module.perceptron.layers) - 1}."
        kinds = [2 if name.startswith("log") else 1 if name.startswith(last) else 0 for name in self.names]
        self.kind = torch.cat(
            [torch.full((shape.numel(),), kind) for kind, shape in zip(kinds, self.shapes, strict=True)]
        ).to(inputs.device)
        self.precision = torch.tensor([1.0, PRECISION, 0.0]).to(self.start)

    def unpacked(self, vector: Float[Tensor, " d"]) -> dict[str, Tensor]:
        """Parameters by name."""
        parts = vector.split([shape.numel() for shape in self.shapes])
        return {n: part.view(shape) for n, part, shape in zip(self.names, parts, self.shapes, strict=True)}

    def linear(self, vector: Float[Tensor, " d"]) -> tuple[Tensor, Tensor, Tensor]:
        """Shared part of each row, design in units of the coefficients' SDs, and the residual variance."""
        values = self.unpacked(vector)
        network = {n.removeprefix("perceptron."): v for n, v in values.items() if n.startswith("perceptron.")}
        hidden = functional_call(_Last(self.module), {f"perceptron.{n}": v for n, v in network.items()}, self.inputs)
        design = torch.cat([hidden, hidden.new_ones((len(hidden), 1))], dim=1)
        last = len(self.module.perceptron.layers) - 1
        fixed = hidden @ network[f"layers.{last}.weight"][0] + network[f"layers.{last}.bias"]
        noise = values["log_noise"].exp() if "log_noise" in values else design.new_ones(())
        return fixed, design * (0.5 * values["log_variances"]).exp(), noise

    def proposal(self, vector: Float[Tensor, " d"], generator: torch.Generator) -> Proposal | None:
        """Points of the persons' coefficients around their modes at these parameters; none are needed for numbers."""
        if not self.rows.binary:
            return None
        modes, curvature = coefficient_modes(self.rows, *self.linear(vector))
        shape = (self.points, len(modes), modes.shape[1] + FREEDOM)
        normals = torch.randn(shape, generator=generator, dtype=torch.float64).to(modes)
        return proposal_at_modes(modes, curvature, normals)

    def value(self, vector: Float[Tensor, " d"], proposal: Proposal | None) -> Tensor:
        """Log-likelihood plus log prior."""
        fixed, design, noise = self.linear(vector)
        if proposal is None:
            likelihood = normal_likelihood(self.rows, fixed, design, noise)
        else:
            likelihood = sampled_likelihood(self.rows, fixed, design, proposal)
        logs = vector[self.kind == 2]
        prior = -0.5 * (self.precision[self.kind] * vector.square()).sum()
        return likelihood + prior - (SHAPE * logs + RATE * torch.exp(-logs)).sum()

    def renew_prior(self, normal: RankOneNormal) -> None:
        """Precisions at the maximum of the bound: parameters over the sum of their expected squares."""
        squares = normal.mean.square() + normal.variances
        for kind in (0, 1):
            own = self.kind == kind
            if bool(own.any()):
                self.precision[kind] = own.sum() / squares[own].sum()


class _Last(torch.nn.Module):
    """The last hidden layer of a network as a module's forward."""

    def __init__(self, module: CoefficientNetwork) -> None:
        super().__init__()
        self.perceptron = module.perceptron

    def forward(self, rows: Tensor) -> Tensor:
        return self.perceptron.activations(rows)[-1]


def climb(
    config: DeepGlmm,
    module: CoefficientNetwork,
    rows: PanelRows,
    inputs: Tensor,
    settle: Callable[[], None],
    validate: Callable[[], float] | None,
    *,
    generator: torch.Generator,
    progress: Progress | None,
) -> Outcome:
    """Natural gradient steps with momentum; the network ends at the posterior mean of the best step.

    Args:
        config: number of steps and draws, learning rate, momentum, patience.
        module: the network, changed in place.
        rows: persons and outcomes of the training rows.
        inputs: their features.
        settle: takes the persons' coefficients anew at the network as it is.
        validate: loss of the validation rows at the network as it is.
        generator: what is drawn.
        progress: called after each step.
    """
    bound = Bound(module, rows, inputs, config.points)
    small = torch.full_like(bound.start, START_SD)
    normal = RankOneNormal(mean=bound.start, factor=0.1 * small, scale=small)
    direction: RankOneNormal | None = None
    best, best_step, best_loss, trace = normal.mean, 0, math.inf, []
    status = Status.OUT_OF_EPOCHS if validate is not None else Status.SCHEDULED
    for step in range(1, config.epochs + 1):
        height, gradient = bound_gradient(bound, normal, config.samples, generator)
        if not math.isfinite(height):
            status = Status.NOT_FINITE
            break
        direction = _smoothed(direction, _natural_direction(normal, gradient), config.momentum)
        rate = config.lr * min(1.0, FALLING / step)
        normal = normal.moved(_times(direction, rate))
        if step % PRIOR_EVERY == 0:
            bound.renew_prior(normal)
        _place(module, bound, normal.mean)
        loss = math.nan
        if validate is not None:
            settle()
            loss = validate()
        trace.append({"epoch": float(step), "stage": 0.0, "objective": -height / len(rows.target), "validation": loss})
        if validate is None or loss < best_loss:
            best, best_step, best_loss = normal.mean, step, loss
        if progress is not None:
            progress(step, config.epochs, loss if validate is not None else trace[-1]["objective"])
        if validate is not None and step - best_step >= config.patience:
            status = Status.VALIDATED
            break
    _place(module, bound, best)
    settle()
    return Outcome(trace=tuple(trace), best_epoch=best_step, epochs=len(trace), status=status)


def bound_gradient(
    bound: Bound, normal: RankOneNormal, samples: int, generator: torch.Generator
) -> tuple[float, RankOneNormal]:
    """Mean of the bound's integrand over draws, and the gradient of the bound by reparametrised draws."""
    proposal = bound.proposal(normal.mean, generator)
    total, mean = 0.0, torch.zeros_like(normal.mean)
    factor, scale, drawn = torch.zeros_like(mean), torch.zeros_like(mean), mean
    for number in range(samples):
        if number % 2 == 0:
            drawn = torch.randn(1 + len(mean), generator=generator, dtype=torch.float64).to(mean)
        else:  # the mirror image of the last draw: where the slope is steep, most of the noise goes
            drawn = -drawn
        common, own = drawn[0], drawn[1:]
        vector = normal.at(common, own).requires_grad_(True)
        value = bound.value(vector, proposal)
        (slope,) = torch.autograd.grad(value, vector)
        slope = slope - normal.score(vector.detach())
        total, mean = total + float(value.detach()) / samples, mean + slope / samples
        factor, scale = factor + slope * common / samples, scale + slope * own / samples
    return total, RankOneNormal(mean=mean, factor=factor, scale=scale)


def _place(module: CoefficientNetwork, bound: Bound, vector: Float[Tensor, " d"]) -> None:
    """Put parameters into the network."""
    with torch.no_grad():
        for name, value in bound.unpacked(vector).items():
            module.get_parameter(name).copy_(value)


def _times(direction: RankOneNormal, rate: float) -> RankOneNormal:
    return RankOneNormal(mean=rate * direction.mean, factor=rate * direction.factor, scale=rate * direction.scale)


def _natural_direction(normal: RankOneNormal, gradient: RankOneNormal) -> RankOneNormal:
    """The natural gradient, shortened where a step along it would go far from the distribution.

    Published is a largest Euclidean norm of 50, which neither holds small scales back nor lets large ones go.
    """
    direction = natural_gradient(normal, gradient, damping=DAMPING)
    parts = ((gradient.mean, direction.mean), (gradient.factor, direction.factor), (gradient.scale, direction.scale))
    length = math.sqrt(max(float(sum((a * b).sum() for a, b in parts)), 0.0))
    return direction if length <= LONGEST else _times(direction, LONGEST / length)


def _smoothed(before: RankOneNormal | None, now: RankOneNormal, momentum: float) -> RankOneNormal:
    """Exponential mean of the directions."""
    return now if before is None else _times(before, momentum).moved(_times(now, 1.0 - momentum))
