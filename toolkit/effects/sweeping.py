"""One epoch of mini-batches: only the persons of a batch are touched.

The effects of all persons are one matrix (persons, d). A step gathers the rows of the persons in its batch, evaluates
their networks, and moves those rows and the shared parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from toolkit.effects.batches import Batch, BatchBy, FlatRows
from toolkit.effects.personal_perceptron import PersonalNetwork
from toolkit.effects.random_effects import EffectLayout
from toolkit.effects.terms import CHAIN_NAMES
from toolkit.optimise.descent import Descent
from toolkit.optimise.row_adam import RowAdam
from toolkit.optimise.sweeps import NotFinite, clipped

# Effects of fewer numbers than this (persons times d) move by ordinary Adam, more of them row by row.
DENSE = 100_000
# Rows of one product when a penalty or a loss is summed over everything.
SUMMED = 4_096


class SharedVector:
    """The shared parameters as one vector, so that a step of Adam is one step, and as views by name.

    Args:
        parameters: replaced by views of the vector.
    """

    def __init__(self, parameters: dict[str, Tensor]) -> None:
        self.vector = torch.cat([value.detach().reshape(-1) for value in parameters.values()])
        sizes = [value.numel() for value in parameters.values()]
        for (name, value), part in zip(list(parameters.items()), self.vector.split(sizes), strict=True):
            parameters[name] = part.view(value.shape)
        self.views = parameters

    def take_gradient(self, gradients: Mapping[str, Tensor]) -> None:
        """Gradients by name, as the gradient of the vector."""
        self.vector.grad = torch.cat([gradients[name].reshape(-1) for name in self.views])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Objective:
    """What the batches minimise.

    Attributes:
        network: outputs of a batch and their gradients.
        shared: shared parameters, changed in place.
        layout: what the columns of the effects are.
        eta: person effects (persons, d), changed in place.
        weight: current weight of the loss against the prior.
        precision: current inverse covariance of the effects: its diagonal (d,) if that is all there is, or (d, d).
    """

    network: PersonalNetwork
    shared: SharedVector
    layout: EffectLayout
    eta: Float[Tensor, "persons d"]
    weight: Callable[[], float]
    precision: Callable[[], Tensor]
    columns: int = field(init=False)

    def __post_init__(self) -> None:
        """Columns of the effects that belong to the network; those of the chain come after them."""
        sizes = zip(self.layout.names, _sizes(self.layout), strict=True)
        object.__setattr__(self, "columns", sum(size for name, size in sizes if name not in CHAIN_NAMES))

    def deviations(self, eta: Float[Tensor, "persons d"]) -> Float[Tensor, "persons d"]:
        """Deviations of the parameters that effects make."""
        return eta if self.layout.mixing is None else eta @ self.layout.mixing.T

    def chain(self, delta: Float[Tensor, "persons d"]) -> dict[str, Tensor]:
        """Parameters of the chain, free to have gradients: shared ones, or one per person (persons, ...)."""
        views = self.shared.views
        found = {name: views[name].detach() for name in CHAIN_NAMES if name in views}
        if found and self.columns < self.layout.size:
            parts = delta.split(_sizes(self.layout), dim=1)
            for name, shape, part in zip(self.layout.names, self.layout.shapes, parts, strict=True):
                if name in found:
                    found[name] = found[name] + part.unflatten(1, shape)
        return {name: value.requires_grad_(True) for name, value in found.items()}

    def penalties(self, eta: Float[Tensor, "persons d"], precision: Tensor) -> Float[Tensor, "persons d"]:
        """``Sigma^-1 eta_i`` of each person."""
        return eta * precision if precision.dim() == 1 else eta @ precision


@dataclass(slots=True, kw_only=True, eq=False)
class MiniBatches:
    """A `toolkit.optimise.sweeps.Sweep` over mini-batches.

    Attributes:
        objective: what is minimised.
        rows: the training rows.
        size: rows of a batch.
        by: how batches are drawn, see `FlatRows.epoch`.
        generator: their order.
        clip: largest norm of the gradient of a step; None does not clip.
        adam: row-lazy Adam of the effects; None where they move with the shared parameters by ordinary Adam.
    """

    objective: Objective
    rows: FlatRows
    size: int
    by: BatchBy
    generator: torch.Generator
    clip: float | None = None
    adam: RowAdam | None = None
    _memory: Tensor | None = None
    _gradient: Tensor | None = None

    def leaves(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """What the optimiser moves, and what else belongs to the state, each by name."""
        effects = {"eta": self.objective.eta} if self.objective.layout.size else {}
        shared = {"shared": self.objective.shared.vector}
        return ({**shared, **effects}, {}) if self.adam is None else (shared, effects)

    @property
    def moments(self) -> dict[str, Tensor]:
        """What the next epoch depends on beside the state and ordinary Adam's moments."""
        return {} if self.adam is None else self.adam.moments

    def __call__(self, descent: Descent, sound: Callable[[], None]) -> dict[str, float]:
        """One epoch; the mean loss is that of the batches as they came, the penalty that after the last."""
        objective = self.objective
        weight, precision = objective.weight(), objective.precision()
        absent = torch.as_tensor(self.rows.counts == 0, device=objective.eta.device)
        objective.eta.detach()[absent] = 0.0  # the mode of their prior: no batch ever holds them
        sound()  # the epoch before ended with finite numbers
        lr = float(descent.optimiser.param_groups[0]["lr"])
        total = torch.zeros((), dtype=torch.float64, device=objective.eta.device)
        for batch in self.rows.epoch(self.size, self.by, self.generator):
            total += self.gradients(batch, weight, precision)
            self._step(batch, descent, lr)
        loss = float(total) / self.rows.rows
        penalty = self._penalty(precision) / self.rows.rows
        for name, value in {
            "loss": loss,
            "penalty": penalty,
            "parameters": float(objective.shared.vector.detach().sum()),
        }.items():
            if not math.isfinite(value):
                raise NotFinite(name)
        return {"objective": weight * loss + penalty, "loss": loss, "penalty": penalty}

    def gradients(self, batch: Batch, weight: float, precision: Tensor) -> Tensor:
        """Gradients of a batch's objective, with the shared parameters and kept for the effects; returns its loss."""
        objective = self.objective
        eta = self._effects(batch)
        delta = objective.deviations(eta)
        inputs = self.rows.inputs.index_select(0, batch.rows)
        outputs = objective.network.forward(objective.shared.views, delta[:, : objective.columns], inputs, batch)
        chain = objective.chain(delta)
        outputs.requires_grad_(True)
        loss = self.rows.loss(batch)(outputs[:, None], chain).sum()
        of_outputs, *of_chain = torch.autograd.grad(loss, [outputs, *chain.values()])
        with torch.no_grad():
            factor = weight * batch.scale
            shared, personal = objective.network.backward(of_outputs.mul_(factor))
            for name, gradient in zip(chain, of_chain, strict=True):
                own = name in objective.layout.names
                shared[name] = (gradient.sum(dim=0) if own else gradient).mul(factor)
                personal = torch.cat([personal, gradient.flatten(1).mul(factor)], dim=1) if own else personal
            objective.shared.take_gradient(shared)
            if objective.layout.mixing is not None:
                personal = personal @ objective.layout.mixing
            if objective.layout.size:
                prior = objective.penalties(eta, precision)
                personal.addcmul_(prior, batch.share[:, None], value=batch.scale)
        self._gradient = personal
        return loss.detach()

    def _effects(self, batch: Batch) -> Tensor:
        """Effects of the persons of a batch, in memory that is used again: fresh memory is slow where it is much."""
        eta = self.objective.eta.detach()
        count = len(batch.persons)
        if self._memory is None or len(self._memory) < count:
            self._memory = eta.new_empty((min(2 * count, len(eta)), eta.shape[1]))
        return torch.index_select(eta, 0, batch.persons, out=self._memory[:count])

    def _step(self, batch: Batch, descent: Descent, lr: float) -> None:
        """Move shared parameters and the effects of the persons in the batch."""
        assert self._gradient is not None
        gradient, eta = self._gradient, self.objective.eta
        if self.clip is not None:
            shared = self.objective.shared.vector.grad
            clipped([gradient] if shared is None else [shared, gradient], self.clip)
        if self.objective.layout.size and self.adam is None:
            eta.grad = torch.zeros_like(eta).index_copy_(0, batch.persons, gradient)
        elif self.adam is not None:
            self.adam.step(batch.persons, gradient, lr)
        descent.optimiser.step()

    @torch.no_grad()
    def _penalty(self, precision: Tensor) -> float:
        """The prior term of all persons, ``1/2 sum_i eta_i' Sigma^-1 eta_i``, some persons at a time."""
        parts = self.objective.eta.detach().split(SUMMED) if self.objective.layout.size else ()
        return sum(0.5 * float((self.objective.penalties(part, precision) * part).sum()) for part in parts)


def _sizes(layout: EffectLayout) -> list[int]:
    """Numbers of each varying parameter."""
    return [int(torch.Size(shape).numel()) for shape in layout.shapes]
