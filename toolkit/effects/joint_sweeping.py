"""Mini-batches with several grouping factors, nested or crossed.

What stands in a batch for a person is a combination of levels, one of each factor: its parameters are the shared ones
plus the effects of its levels. The prior of a level enters a batch with the share of that level's rows that it holds,
as Equation 2 of Woertwein et al. (2023) has it for persons, so that the mean over the batches of an epoch is the
objective of the whole training set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from toolkit.effects.flat_rows import Batch
from toolkit.effects.random_effects import EffectLayout
from toolkit.effects.sweeping import SUMMED, MiniBatches
from toolkit.effects.terms import CHAIN_NAMES
from toolkit.optimise.row_adam import Adam, RowAdam
from toolkit.optimise.sweeps import clipped


def joined_layout(layouts: Sequence[EffectLayout]) -> EffectLayout:
    """Every parameter that varies by any factor, those of a chain last."""
    shapes = {name: shape for layout in layouts for name, shape in zip(layout.names, layout.shapes, strict=True)}
    names = [name for name in shapes if name not in CHAIN_NAMES] + [name for name in CHAIN_NAMES if name in shapes]
    labels = tuple(f"{name}[{place}]" for name in names for place in range(_numel(shapes[name])))
    return EffectLayout(names=tuple(names), shapes=tuple(shapes[name] for name in names), labels=labels)


def _numel(shape: Sequence[int]) -> int:
    return int(torch.Size(shape).numel())


@dataclass(slots=True, kw_only=True, eq=False)
class FactorInBatches:
    """Effects of one grouping factor as batches move them.

    Attributes:
        name: of the factor.
        layout: what its effects are.
        eta: effects (levels, d), changed in place.
        precision: their current inverse covariance: its diagonal (d,) if that is all there is, or (d, d).
        levels: level of each combination of levels (combinations,).
        rows: training rows of each combination (combinations,).
        joined: every parameter that varies by any factor.
        adam: moves the effects.
    """

    name: str
    layout: EffectLayout
    eta: Float[Tensor, "levels d"]
    precision: Callable[[], Tensor]
    levels: Int[Tensor, " combinations"]
    rows: Float[Tensor, " combinations"]
    joined: EffectLayout
    adam: RowAdam | Adam
    of_level: Float[Tensor, " levels"] = field(init=False)
    _columns: Int[Tensor, " parameters"] = field(init=False)
    _current: Tensor | None = None
    _present: Tensor | None = None
    _gradient: Tensor | None = None

    def __post_init__(self) -> None:
        """Rows of each level, and where its parameters are among those of all factors."""
        self.of_level = self.rows.new_zeros(len(self.eta)).index_add_(0, self.levels, self.rows)
        start, places = 0, {}
        for name, shape in zip(self.joined.names, self.joined.shapes, strict=True):
            places[name] = torch.arange(start, start + _numel(shape), device=self.eta.device)
            start += _numel(shape)
        none = torch.zeros(0, dtype=torch.int64, device=self.eta.device)
        self._columns = torch.cat([none, *(places[name] for name in self.layout.names)])

    def begin(self) -> None:
        """Before an epoch: levels without rows go to the mode of their prior; the precision is looked up."""
        self.eta[self.of_level == 0] = 0.0
        self._current = self.precision()

    def add_deviations(self, delta: Float[Tensor, "persons parameters"], batch: Batch) -> None:
        """Add what the levels of each combination of a batch differ by, in place."""
        eta = self.eta.index_select(0, self.levels.index_select(0, batch.persons))
        own = eta if self.layout.mixing is None else eta @ self.layout.mixing.T
        delta.index_add_(1, self._columns, own)

    def pull(self, personal: Float[Tensor, "persons parameters"], batch: Batch) -> None:
        """Gradient of the levels of a batch from that of the deviations, and of their prior with its share."""
        own = personal.index_select(1, self._columns)
        own = own if self.layout.mixing is None else own @ self.layout.mixing
        here = self.levels.index_select(0, batch.persons)
        present, place = torch.unique(here, return_inverse=True)
        gradient = own.new_zeros((len(present), self.layout.size)).index_add_(0, place, own)
        rows = batch.share * self.rows.index_select(0, batch.persons)
        share = rows.new_zeros(len(present)).index_add_(0, place, rows) / self.of_level.index_select(0, present)
        prior = self._penalties(self.eta.index_select(0, present))
        self._present = present
        self._gradient = gradient.addcmul_(prior, share[:, None], value=batch.scale)

    @property
    def gradient(self) -> Tensor:
        """The gradient of the last batch, of the levels in it."""
        assert self._gradient is not None
        return self._gradient

    @property
    def present(self) -> Tensor:
        """Levels of the last batch."""
        assert self._present is not None
        return self._present

    def step(self, lr: float) -> None:
        """Move the levels of the last batch."""
        if isinstance(self.adam, RowAdam):
            self.adam.step(self.present, self.gradient, lr)
        else:
            self.adam.step(torch.zeros_like(self.eta).index_copy_(0, self.present, self.gradient), lr)

    def penalty(self) -> float:
        """``1/2 sum eta' Sigma^-1 eta``, some levels at a time."""
        parts = self.eta.split(SUMMED) if self.layout.size else ()
        return sum((0.5 * float((self._penalties(part) * part).sum()) for part in parts), 0.0)

    def _penalties(self, eta: Tensor) -> Tensor:
        """``Sigma^-1 eta`` of each level."""
        precision = self.precision() if self._current is None else self._current
        return eta * precision if precision.dim() == 1 else eta @ precision


@dataclass(slots=True, kw_only=True, eq=False)
class JointBatches(MiniBatches):
    """`MiniBatches` with the effects of several factors; the objective's layout is that of all of them together.

    Attributes:
        factors: every factor, the person first.
    """

    factors: tuple[FactorInBatches, ...] = ()

    @property
    def state(self) -> dict[str, Tensor]:
        """What the steps move, by name."""
        found = {"shared": self.objective.shared.vector}
        for place, factor in enumerate(self.factors):
            found[f"eta.{factor.name}" if place else "eta"] = factor.eta
        return found

    @property
    def moments(self) -> dict[str, Tensor]:
        """What the next epoch depends on beside the state."""
        found = {f"shared.{name}": value for name, value in self.adam.moments.items()}
        for place, factor in enumerate(self.factors):
            found |= {f"effects.{place}.{name}": value for name, value in factor.adam.moments.items()}
        return found

    def _forget_absent(self) -> None:
        for factor in self.factors:
            factor.begin()

    def _deviations(self, batch: Batch) -> Float[Tensor, "persons parameters"]:
        delta = batch.inputs.new_zeros((len(batch.persons), self.objective.layout.size))
        for factor in self.factors:
            factor.add_deviations(delta, batch)
        return delta

    def _pull(self, personal: Float[Tensor, "persons parameters"], batch: Batch, precision: Tensor) -> None:
        for factor in self.factors:
            factor.pull(personal, batch)

    @torch.no_grad()
    def step(self, batch: Batch, lr: float) -> None:
        """Move shared parameters and the effects of the levels in the batch by the gradients found last."""
        assert self.of_shared is not None
        if self.clip is not None:
            clipped([self.of_shared, *(factor.gradient for factor in self.factors)], self.clip)
        self.adam.step(self.of_shared, lr)
        for factor in self.factors:
            factor.step(lr)

    @torch.no_grad()
    def _penalty(self, precision: Tensor) -> float:
        return sum(factor.penalty() for factor in self.factors)
