"""Hamiltonian Monte Carlo with a fixed number of leapfrog steps, and its one-step case, the Langevin sampler."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from toolkit.sampling.joint import Joint, Phase, Point, fresh_momentum, leapfrog
from toolkit.sampling.joint_sampler import JointSampler, Move

MOST_ENERGY = 1000.0


@dataclass(frozen=True, kw_only=True)
class Hmc(JointSampler):
    """Leapfrog steps over all effects, then one decision for all (Neal, 2011).

    Attributes:
        leapfrogs: steps of a trajectory; 3 in the published ablation.
    """

    leapfrogs: int = 3

    def transition(self, joint: Joint, point: Point, step: float, generator: torch.Generator) -> Move:
        """Accept the end of the trajectory with probability min(1, exp(energy before − energy after))."""
        phase = Phase(point, fresh_momentum(point, generator))
        before = phase.energy
        for _ in range(self.leapfrogs):
            phase = leapfrog(joint, phase, step)
        gain = before - phase.energy
        gain = gain if math.isfinite(gain) else -math.inf
        uniform = float(torch.rand((), generator=generator, device=point.flat.device))
        taken = phase.point if uniform < math.exp(min(0.0, gain)) else point
        return Move(taken, math.exp(min(0.0, gain)), gain < -MOST_ENERGY, self.leapfrogs)


@dataclass(frozen=True, kw_only=True)
class Mala(Hmc):
    """Metropolis-adjusted Langevin algorithm: b + ½ ε² ∇ log p + ε z, which is one leapfrog step."""

    leapfrogs: int = 1
