"""The No-U-Turn sampler over all effects at once, as published for this model: identity mass, one chain.

Multinomial choice within the trajectory and the generalised U-turn criterion (Betancourt, 2017, appendix A), with the
checks across half trees that Stan makes; doubling as in Hoffman & Gelman (2014).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from toolkit.sampling.hmc import MOST_ENERGY
from toolkit.sampling.joint import Joint, Phase, Point, fresh_momentum, leapfrog
from toolkit.sampling.joint_sampler import JointSampler, Move


class Tree(NamedTuple):
    """A stretch of trajectory: first and last phase (in time), a draw from it, and sums over its phases.

    weight is log Σ exp(−energy), momentum the sum of momenta, acceptance Σ min(1, exp(start energy − energy)).
    """

    first: Phase
    last: Phase
    point: Point
    weight: float
    momentum: Tensor
    acceptance: float
    size: int
    turned: bool
    diverged: bool

    @property
    def ended(self) -> bool:
        """Whether the trajectory should not go on."""
        return self.turned or self.diverged


@dataclass(frozen=True, kw_only=True)
class Nuts(JointSampler):
    """No-U-Turn sampler; the step is the published .1, halved when nothing is accepted, or adapted by dual averaging.

    Attributes:
        max_depth: most doublings of the trajectory.
    """

    max_depth: int = 10

    def transition(self, joint: Joint, point: Point, step: float, generator: torch.Generator) -> Move:
        """Double the trajectory in a random direction until it turns, diverges or is long enough."""
        start = Phase(point, fresh_momentum(point, generator))
        tree = Tree(start, start, point, -start.energy, start.momentum, 0.0, 0, False, False)
        for depth in range(self.max_depth):
            ahead = _uniform(generator, point) < 0.5
            growth = _grown(joint, tree.last if ahead else tree.first, step if ahead else -step, depth,
                            (start.energy, generator))  # fmt: skip
            if growth.ended:
                tree = _counted(tree, growth)
                break
            better = _uniform(generator, point) < math.exp(min(0.0, growth.weight - tree.weight))
            tree = _joined(tree, growth, growth.point if better else tree.point, ahead)
            if tree.turned:
                break
        return Move(tree.point, tree.acceptance / max(1, tree.size), tree.diverged, tree.size)


def _uniform(generator: torch.Generator, point: Point) -> float:
    return float(torch.rand((), generator=generator, device=point.flat.device))


def _grown(joint: Joint, phase: Phase, step: float, depth: int, context: tuple[float, torch.Generator]) -> Tree:
    """A new stretch of 2^depth steps from `phase`, chosen from by weight (uniform multinomial inside)."""
    start_energy, generator = context
    if depth == 0:
        return _leaf(leapfrog(joint, phase, step), start_energy)
    near = _grown(joint, phase, step, depth - 1, context)
    if near.ended:
        return near
    far = _grown(joint, near.last if step > 0 else near.first, step, depth - 1, context)
    if far.ended:
        return _counted(near, far)
    share = math.exp(far.weight - _log_add(near.weight, far.weight))
    chosen = far.point if _uniform(generator, phase.point) < share else near.point
    return _joined(near, far, chosen, step > 0)


def _leaf(phase: Phase, start_energy: float) -> Tree:
    """The tree of one phase."""
    energy = phase.energy
    gain = start_energy - energy if math.isfinite(energy) else -math.inf
    accepted = math.exp(min(0.0, gain))
    return Tree(phase, phase, phase.point, gain - start_energy, phase.momentum, accepted, 1, False, gain < -MOST_ENERGY)


def _counted(tree: Tree, ended: Tree) -> Tree:
    """The tree with the counts of a stretch that ended the trajectory and is not chosen from."""
    return tree._replace(
        acceptance=tree.acceptance + ended.acceptance, size=tree.size + ended.size, turned=ended.turned,
        diverged=ended.diverged,
    )  # fmt: skip


def _joined(near: Tree, far: Tree, point: Point, ahead: bool) -> Tree:
    """Two neighbouring stretches as one; turned when any of the three generalised criteria says so."""
    left, right = (near, far) if ahead else (far, near)
    momentum = left.momentum + right.momentum
    turned = (
        _turns(momentum, left.first, right.last)
        or _turns(left.momentum + right.first.momentum, left.first, right.first)
        or _turns(right.momentum + left.last.momentum, left.last, right.last)
    )
    return Tree(
        left.first, right.last, point, _log_add(near.weight, far.weight), momentum,
        near.acceptance + far.acceptance, near.size + far.size, turned, False,
    )  # fmt: skip


def _turns(momentum: Tensor, first: Phase, last: Phase) -> bool:
    """Whether the sum of momenta no longer points along both ends (Betancourt, 2017, A.4.2)."""
    return float(momentum @ first.momentum) <= 0 or float(momentum @ last.momentum) <= 0


def _log_add(a: float, b: float) -> float:
    top = max(a, b)
    return top + math.log(math.exp(a - top) + math.exp(b - top)) if math.isfinite(top) else top
