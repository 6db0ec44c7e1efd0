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

from toolkit.effects.batches import BatchBy, drawn_batches
from toolkit.effects.flat_rows import Batch, FlatRows
from toolkit.effects.personal_perceptron import PersonalNetwork
from toolkit.effects.random_effects import EffectLayout
from toolkit.effects.terms import CHAIN_NAMES
from toolkit.optimise.descent import Descent
from toolkit.optimise.row_adam import Adam, RowAdam
from toolkit.optimise.sweeps import NotFinite, clipped

# Effects of fewer numbers than this (persons times d) move by ordinary Adam, more of them row by row.
DENSE = 100_000
# Rows of one product when a penalty or a loss is summed over everything.
SUMMED = 4_096


class SharedVector:
    """The shared parameters as one vector, so that a step of Adam is one step, and as views by name.

    Args:
        parameters: replaced by views of the vector.
        held: names of those that stay as they are.
    """

    def __init__(self, parameters: dict[str, Tensor], held: frozenset[str] = frozenset()) -> None:
        self.trained = [name for name in parameters if name not in held]
        values = [parameters[name].detach() for name in self.trained]
        self.vector = torch.cat([value.reshape(-1) for value in values])
        parts = self.vector.split([value.numel() for value in values])
        for name, value, part in zip(self.trained, values, parts, strict=True):
            parameters[name] = part.view(value.shape)
        self.views = parameters

    def joined(self, gradients: Mapping[str, Tensor]) -> Tensor:
        """Gradients by name, as one vector."""
        return torch.cat([gradients[name].reshape(-1) for name in self.trained])


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

    def deviations(self, eta: Float[Tensor, "persons d"]) -> Float[Tensor, "persons parameters"]:
        """Deviations of the parameters that effects make."""
        return eta if self.layout.mixing is None else eta @ self.layout.mixing.T

    def chain(self, delta: Float[Tensor, "persons parameters"]) -> dict[str, Tensor]:
        """Parameters of the chain: shared ones, or one per person (persons, ...)."""
        views = self.shared.views
        found = {name: views[name] for name in CHAIN_NAMES if name in views}
        if found and self.columns < self.layout.size:
            parts = delta.split(_sizes(self.layout), dim=1)
            for name, shape, part in zip(self.layout.names, self.layout.shapes, parts, strict=True):
                if name in found:
                    found[name] = found[name] + part.unflatten(1, shape)
        return found

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
        by: how batches are drawn, see `toolkit.effects.batches.drawn_batches`.
        generator: their order.
        adam: of the shared parameters.
        effects: Adam of the effects: row-lazy, or ordinary where they are few; None where there are none.
        clip: largest norm of the gradient of a step; None does not clip.
    """

    objective: Objective
    rows: FlatRows
    size: int
    by: BatchBy
    generator: torch.Generator
    adam: Adam
    effects: RowAdam | Adam | None
    clip: float | None = None
    of_shared: Tensor | None = None
    of_effects: Tensor | None = None
    _memory: Tensor | None = None
    _eta: Tensor | None = None

    @property
    def state(self) -> dict[str, Tensor]:
        """What the steps move, by name."""
        effects = {"eta": self.objective.eta} if self.objective.layout.size else {}
        return {"shared": self.objective.shared.vector, **effects}

    @property
    def moments(self) -> dict[str, Tensor]:
        """What the next epoch depends on beside the state."""
        effects = self.effects.moments if self.effects is not None else {}
        return {f"shared.{name}": value for name, value in self.adam.moments.items()} | {
            f"effects.{name}": value for name, value in effects.items()
        }

    @torch.no_grad()
    def __call__(self, descent: Descent, sound: Callable[[], None]) -> dict[str, float]:
        """One epoch; the mean loss is that of the batches as they came, the penalty that after the last."""
        objective = self.objective
        weight, precision = objective.weight(), objective.precision()
        self._forget_absent()
        sound()  # the epoch before ended with finite numbers
        lr = float(descent.optimiser.param_groups[0]["lr"])
        total = torch.zeros((), dtype=torch.float64, device=objective.eta.device)
        for batch in drawn_batches(self.rows, self.size, self.by, self.generator):
            total += self.gradients(batch, weight, precision)
            self.step(batch, lr)
        loss = float(total) / self.rows.rows
        penalty = self._penalty(precision) / self.rows.rows
        for name, value in {
            "loss": loss,
            "penalty": penalty,
            "parameters": float(objective.shared.vector.sum()),
        }.items():
            if not math.isfinite(value):
                raise NotFinite(name)
        return {"objective": weight * loss + penalty, "loss": loss, "penalty": penalty}

    @torch.no_grad()
    def gradients(self, batch: Batch, weight: float, precision: Tensor) -> Tensor:
        """Gradients of a batch's objective, of shared parameters and effects, kept for `step`; returns its loss."""
        objective, layout = self.objective, self.objective.layout
        delta = self._deviations(batch)
        own = delta if objective.columns == layout.size else delta[:, : objective.columns]
        outputs = objective.network.forward(objective.shared.views, own, batch.inputs, batch)
        chain = objective.chain(delta)
        loss, of_outputs, of_chain = self.rows.loss.slopes(batch, outputs, chain)
        factor = weight * batch.scale
        shared, personal = objective.network.backward(of_outputs.mul_(factor))
        for name, gradient in of_chain.items():
            own = name in layout.names
            shared[name] = (gradient.sum(dim=0) if own else gradient).mul(factor)
            personal = torch.cat([personal, gradient.flatten(1).mul(factor)], dim=1) if own else personal
        self.of_shared = objective.shared.joined(shared)
        self._pull(personal, batch, precision)
        return loss

    def _forget_absent(self) -> None:
        """Effects of who has no rows to the mode of their prior, zero: no batch ever holds them."""
        self.objective.eta[torch.as_tensor(self.rows.counts == 0, device=self.objective.eta.device)] = 0.0

    def _deviations(self, batch: Batch) -> Float[Tensor, "persons parameters"]:
        """What the parameters of the persons of a batch differ by."""
        self._eta = self._effects(batch)
        return self.objective.deviations(self._eta)

    def _pull(self, personal: Float[Tensor, "persons parameters"], batch: Batch, precision: Tensor) -> None:
        """Gradient of the effects from that of the deviations, and of the prior with its share."""
        objective, layout = self.objective, self.objective.layout
        if layout.mixing is not None:
            personal = personal @ layout.mixing
        if layout.size and self._eta is not None:
            prior = objective.penalties(self._eta, precision)
            personal.addcmul_(prior, batch.share[:, None], value=batch.scale)
        self.of_effects = personal

    def _effects(self, batch: Batch) -> Tensor:
        """Effects of the persons of a batch, in memory that is used again: fresh memory is slow where it is much."""
        eta = self.objective.eta
        count = len(batch.persons)
        if self._memory is None or len(self._memory) < count:
            self._memory = eta.new_empty((min(2 * count, len(eta)), eta.shape[1]))
        return torch.index_select(eta, 0, batch.persons, out=self._memory[:count])

    @torch.no_grad()
    def step(self, batch: Batch, lr: float) -> None:
        """Move shared parameters and the effects of the persons in the batch by the gradients found last."""
        assert self.of_shared is not None
        assert self.of_effects is not None
        if self.clip is not None:
            clipped([self.of_shared, self.of_effects], self.clip)
        self.adam.step(self.of_shared, lr)
        if isinstance(self.effects, RowAdam):
            self.effects.step(batch.persons, self.of_effects, lr)
        elif self.effects is not None:
            self.effects.step(torch.zeros_like(self.objective.eta).index_copy_(0, batch.persons, self.of_effects), lr)

    @torch.no_grad()
    def _penalty(self, precision: Tensor) -> float:
        """The prior term of all persons, ``1/2 sum_i eta_i' Sigma^-1 eta_i``, some persons at a time."""
        parts = self.objective.eta.split(SUMMED) if self.objective.layout.size else ()
        return sum((0.5 * float((self.objective.penalties(part, precision) * part).sum()) for part in parts), 0.0)


def _sizes(layout: EffectLayout) -> list[int]:
    """Numbers of each varying parameter."""
    return [int(torch.Size(shape).numel()) for shape in layout.shapes]
