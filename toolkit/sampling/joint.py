"""The joint log posterior of all effects as one vector, for samplers that move everything together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from toolkit.sampling.pieces import Piece, pieces
from toolkit.sampling.target import Draw, Target


class Point(NamedTuple):
    """A place with its log posterior and gradient: `flat` is the effects of all factors one after the other."""

    flat: Tensor
    log_posterior: float
    gradient: Tensor


class Phase(NamedTuple):
    """A place with a momentum."""

    point: Point
    momentum: Tensor

    @property
    def energy(self) -> float:
        """−log p(b | y) + ½ |r|²."""
        return 0.5 * float(self.momentum.square().sum(dtype=torch.float64)) - self.point.log_posterior


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Joint:
    """Log posterior and closed-form gradient of a target over the flat vector of all effects."""

    target: Target
    rows: tuple[Piece, ...]

    def flat(self, draw: Draw) -> Float[Tensor, " everything"]:
        """The effects of all factors as one vector."""
        return torch.cat([effects.reshape(-1) for effects in draw])

    def draw(self, flat: Float[Tensor, " everything"]) -> Draw:
        """The vector as effects of each factor again."""
        shapes = [(len(s), c.levels) for s, c in zip(self.target.covariances, self.target.clusters, strict=True)]
        parts = flat.split([rows * levels for rows, levels in shapes])
        return tuple(part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))

    def point(self, flat: Float[Tensor, " everything"]) -> Point:
        """Log posterior (up to a constant, summed in float64) and gradient at `flat`."""
        target, draw = self.target, self.draw(flat)
        value, gradients = 0.0, []
        for precision, statistic, effects in zip(target.precisions, target.statistics, draw, strict=True):
            pull = precision @ effects
            value += float((effects * (statistic - 0.5 * pull)).sum(dtype=torch.float64))
            gradients.append(statistic - pull)
        for piece in self.rows:
            potential, slope = piece.density.first_order(piece.logits(draw))
            value -= float(potential.sum(dtype=torch.float64))
            slope = -slope
            for clusters, gradient in zip(piece.clusters, gradients, strict=True):
                clusters.gather_into(gradient, slope)
        return Point(flat, value, self.flat(tuple(gradients)))


def joint(target: Target) -> Joint:
    """The joint density of a target, its rows cut in pieces."""
    return Joint(target=target, rows=pieces(target))


def leapfrog(joint: Joint, phase: Phase, length: float) -> Phase:
    """One step: half a kick, a drift, half a kick; identity mass. A negative length goes back in time."""
    momentum = phase.momentum + 0.5 * length * phase.point.gradient
    point = joint.point(phase.point.flat + length * momentum)
    return Phase(point, momentum + 0.5 * length * point.gradient)


def fresh_momentum(point: Point, generator: torch.Generator) -> Tensor:
    """Standard normal momentum."""
    flat = point.flat
    return torch.randn(flat.shape, generator=generator, dtype=flat.dtype, device=flat.device)
