"""Outputs that move together. With many classes the effects of a level move a group of classes at a time.

Given the logits of all other classes, those of a group have a categorical density again, in which the others are one
more class with the logit log Σ exp η of theirs: a group costs what its own classes cost.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from toolkit.sampling.target import Target

LARGEST_BLOCK = 16
CLASSES_TOGETHER = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Group:
    """Consecutive outputs; `whole` when they are all there are."""

    place: int
    outputs: slice
    whole: bool

    @property
    def size(self) -> int:
        """How many outputs."""
        return self.outputs.stop - self.outputs.start

    def members(self, effects: int, outputs: int, device: torch.device) -> Int[Tensor, " stacked"] | slice:
        """Where the effects of these outputs are among the stacked effects of a level."""
        if self.whole:
            return slice(None)
        if effects == 1:
            return self.outputs
        first = torch.arange(self.outputs.start, self.outputs.stop, device=device)
        return (torch.arange(effects, device=device)[:, None] * outputs + first).reshape(-1)


def output_groups(target: Target) -> tuple[Group, ...]:
    """All outputs at once for a block of up to 16 effects (or a density that cannot be divided), else eight a group."""
    effects = max(clusters.effects for clusters in target.clusters)
    whole = target.outputs * effects <= LARGEST_BLOCK or not target.density.shift_free
    size = target.outputs if whole else max(1, CLASSES_TOGETHER // effects)
    starts = range(0, target.outputs, size)
    return tuple(
        Group(place=place, outputs=slice(first, min(first + size, target.outputs)), whole=whole)
        for place, first in enumerate(starts)
    )
