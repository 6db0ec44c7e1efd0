"""A short Hamiltonian trajectory of every level of one factor, each with its own decision."""

from __future__ import annotations

import torch

from toolkit.sampling.groups import Group
from toolkit.sampling.laplace_block import accepts, conditional_gradient, posterior_gain
from toolkit.sampling.position import Position
from toolkit.sampling.reference import apply


def leapfrog_update(
    position: Position, place: int, group: Group, path: tuple[int, float], generator: torch.Generator
) -> None:
    """Leapfrog steps in u, b = b₀ + A u with A Aᵀ = H⁻¹ frozen: momentum N(0, I), length jittered by a fifth.

    `path` is the number of steps and their length in posterior SDs.

    Source: Neal (2011), MCMC using Hamiltonian dynamics, section 5.2; the mass matrix is the frozen H of the level.
    """
    leapfrogs, step = path
    reference = position.references[place][group.place]
    effects = position.draw[place][position.members(place, group)]
    momentum = torch.randn(effects.shape, generator=generator, dtype=effects.dtype, device=effects.device)
    kinetic = momentum.square().sum(0)
    length = step * (0.8 + 0.4 * float(torch.rand((), generator=generator, device=effects.device)))
    turned = reference.root.transpose(0, 1)
    for turn in range(leapfrogs + 1):
        pull = apply(turned, conditional_gradient(position, place, group, effects))
        momentum = momentum + (0.5 if turn in (0, leapfrogs) else 1.0) * length * pull
        if turn < leapfrogs:
            effects = effects + length * apply(reference.root, momentum)
    gain, changes = posterior_gain(position, place, group, effects)
    gain += 0.5 * (kinetic - momentum.square().sum(0))
    position.passes += (leapfrogs + 1) / len(position.groups)
    position.settle(place, group, accepts(gain, generator), effects, changes)
