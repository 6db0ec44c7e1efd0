"""The rows of one piece as one group of outputs sees them while all other logits stay: slope, change, move.

Logits are kept, or of classes their exponentials, up to a factor of each row: a shift of the effects of a level then
multiplies what its rows have by one number a class, exp of the shift, and no row needs an exponential of its own. Where
that could leave the range of the numbers (slopes, far jumps) classes keep logits too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from toolkit.sampling.densities.density import RowDensity
from toolkit.sampling.groups import Group
from toolkit.sampling.target import Clusters, Target

HUGE = 1e30


@runtime_checkable
class LocalRows(Protocol):
    """What an update of a group of outputs asks of the rows of one piece."""

    def slope(self, clusters: Clusters, shift: Float[Tensor, "stacked levels"]) -> Float[Tensor, "outputs rows"]:
        """∂ potential / ∂η with the effects of the levels shifted."""
        ...

    def change(self, clusters: Clusters, shift: Float[Tensor, "stacked levels"]) -> Float[Tensor, " rows"]:
        """By how much the shift changes the potential."""
        ...

    def move(
        self,
        clusters: Clusters,
        step: Float[Tensor, "stacked levels"],
        taken: Float[Tensor, " levels"],
        change: Float[Tensor, " rows"],
    ) -> None:
        """Take the steps, zero where `taken` is; `change` is that of the proposals."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class WholeRows:
    """All outputs together."""

    density: RowDensity
    logits: Float[Tensor, "outputs rows"]
    potential: Float[Tensor, " rows"]

    def slope(self, clusters: Clusters, shift: Tensor) -> Tensor:
        """Slope of the density."""
        return self.density.slope(clusters.spread(shift).add_(self.logits))

    def change(self, clusters: Clusters, shift: Tensor) -> Tensor:
        """New potential less the kept one."""
        return self.density.potential(clusters.spread(shift).add_(self.logits)) - self.potential

    def move(self, clusters: Clusters, step: Tensor, taken: Tensor, change: Tensor) -> None:
        """Add the steps to the logits and the changes to the potential."""
        self.logits.add_(clusters.spread(step))
        change.clamp_(max=HUGE)  # an infinite one is never taken, but 0 times it is no number
        self.potential.addcmul_(taken.index_select(0, clusters.codes), change)


@dataclass(frozen=True, slots=True, eq=False)
class GroupLogits:
    """Logits of some classes with their log-sum, and the log-sum `rest` of all others."""

    logits: Float[Tensor, "outputs rows"]
    logsum: Float[Tensor, " rows"]
    rest: Float[Tensor, " rows"]

    def slope(self, clusters: Clusters, shift: Tensor) -> Tensor:
        """Probabilities of the classes of the group."""
        return torch.softmax(torch.cat([clusters.spread(shift).add_(self.logits), self.rest[None]]), 0)[:-1]

    def change(self, clusters: Clusters, shift: Tensor) -> Tensor:
        """New cumulant less the present one."""
        ahead = torch.logsumexp(clusters.spread(shift).add_(self.logits), 0)
        return torch.logaddexp(ahead, self.rest) - torch.logaddexp(self.logsum, self.rest)

    def move(self, clusters: Clusters, step: Tensor, taken: Tensor, change: Tensor) -> None:
        """Add the steps to the logits."""
        self.logits.add_(clusters.spread(step))
        torch.logsumexp(self.logits, 0, out=self.logsum)


@dataclass(frozen=True, slots=True, eq=False)
class GroupWeights:
    """exp(logits) of some classes with their sum, and the sum `rest` of all others, up to a factor of each row."""

    weights: Float[Tensor, "outputs rows"]
    total: Float[Tensor, " rows"]
    rest: Float[Tensor, " rows"]

    def slope(self, clusters: Clusters, shift: Tensor) -> Tensor:
        """Probabilities of the classes of the group."""
        grown = clusters.spread(shift.exp()).mul_(self.weights)
        return grown.mul_(grown.sum(0).add_(self.rest).reciprocal_())

    def change(self, clusters: Clusters, shift: Tensor) -> Tensor:
        """Log of the new sum over all classes less that of the present one."""
        ahead = clusters.spread(shift.exp()).mul_(self.weights).sum(0)
        return ahead.sub_(self.total).div_(self.rest + self.total).log1p_()

    def move(self, clusters: Clusters, step: Tensor, taken: Tensor, change: Tensor) -> None:
        """Multiply by what the steps are worth."""
        self.weights.mul_(clusters.spread(step.exp()))
        torch.sum(self.weights, 0, out=self.total)


def local_rows(
    group: Group, density: RowDensity, logits: Float[Tensor, "outputs rows"], sums: Float[Tensor, "groups rows"],
    *, exponential: bool,
) -> LocalRows:  # fmt: skip
    """The rows of a piece for a group of outputs; `exponential` where exponentials are kept for logits."""
    if group.whole and not exponential:
        return WholeRows(density, logits, sums[0])
    if group.whole:
        return GroupWeights(logits, sums[0], torch.zeros_like(sums[0]))
    others = sums[: group.place], sums[group.place + 1 :]
    mine, own = logits[group.outputs], sums[group.place]
    if exponential:
        return GroupWeights(mine, own, others[0].sum(0).add_(others[1].sum(0)))
    return GroupLogits(mine, own, torch.logsumexp(torch.cat(others), 0))


def span(like: Tensor) -> float:
    """How far a log may go from zero so that the product of two exponentials stays in range."""
    return 0.45 * math.log(torch.finfo(like.dtype).max)


def takes_exponentials(target: Target, groups: tuple[Group, ...]) -> bool:
    """Whether exponentials can be kept for logits: classes, and effects that no column multiplies."""
    return target.density.shift_free and all(clusters.design is None for clusters in target.clusters)


def exponentials(groups: tuple[Group, ...], logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, "groups rows"]:
    """Turns logits into their exponentials, in place; 1 is the largest of each row. Gives their sums by group."""
    logits.sub_(logits.amax(0)).exp_()
    return torch.stack([logits[group.outputs].sum(0) for group in groups])
