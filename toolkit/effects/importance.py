"""Posterior means and SDs of person effects without Laplace's approximation, by importance sampling.

The normal ``N(mode, C)`` is what the tables report. With few rows of a class or chain a posterior is skewed: its mean
is not the mode, and its SD not the one of the curvature. Draws from a t distribution about the mode, weighted by
``p(draw | data) / q(draw)``, give the moments of the posterior itself, given the shared parameters and variances
(Geweke, 1989).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap

from toolkit.effects.posterior import Posterior
from toolkit.effects.problem import Problem
from toolkit.effects.random_effects import RandomEffects
from toolkit.results import read_only

# Heavier tails than the posterior's keep the weights bounded.
FREEDOM = 8.0
AT_ONCE = 100


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moments:
    """Moments of each person's posterior.

    Attributes:
        mean: (persons, d).
        sd: (persons, d).
        effective: number of independent draws that the weighted ones are worth (persons,); few of them mean that the
            moments are rough.
    """

    mean: np.ndarray
    sd: np.ndarray
    effective: np.ndarray


@torch.no_grad()
def corrected_moments(
    problem: Problem,
    shared: Mapping[str, Tensor],
    effects: RandomEffects,
    at: Posterior,
    weight: float,
    *,
    draws: int,
    rng: np.random.Generator,
) -> Moments:
    """Posterior means and SDs of every person's effects (`Moments`), given shared parameters and variances.

    Args:
        problem: the rows the effects were estimated from.
        shared: shared parameters.
        effects: modes and prior covariance.
        at: posterior at the modes.
        weight: of the loss against the prior.
        draws: number of draws, rounded up to an even number: each comes with its mirror image about the mode.
        rng: of the draws.
    """
    persons, size = effects.eta.shape
    half = (draws + 1) // 2
    normal = torch.as_tensor(rng.standard_normal((half, persons, size)))
    stretch = torch.as_tensor(FREEDOM / rng.chisquare(FREEDOM, size=(half, persons)))
    z = (torch.sqrt(stretch)[..., None] * normal).to(at.covariance)
    z = torch.cat([z, -z])
    offsets = torch.einsum("pde,npe->npd", torch.linalg.cholesky(at.covariance), z)
    proposal = -0.5 * (FREEDOM + size) * torch.log1p(torch.square(z).sum(dim=2) / FREEDOM)
    values = effects.eta.double() + offsets
    precision = torch.cholesky_inverse(torch.linalg.cholesky(effects.covariance.double()))
    prior = -0.5 * ((values @ precision) * values).sum(dim=2)
    logarithm = prior - weight * _losses(problem, shared, effects, values) - proposal
    share = torch.softmax(logarithm, dim=0)
    mean = (share[..., None] * values).sum(dim=0)
    variance = (share[..., None] * torch.square(values - mean)).sum(dim=0)
    return Moments(
        mean=read_only(mean.cpu().numpy()),
        sd=read_only(torch.sqrt(variance).cpu().numpy()),
        effective=read_only((1.0 / torch.square(share).sum(dim=0)).cpu().numpy()),
    )


def _losses(problem: Problem, shared: Mapping[str, Tensor], effects: RandomEffects, values: Tensor) -> Tensor:
    """Loss of every person at each draw (draws, persons); zero for persons without rows."""
    known = problem.persons >= 0

    def loss(eta: Tensor) -> Tensor:
        return problem.losses(shared, effects.layout, problem.lines_of(eta))

    found = torch.cat([vmap(loss)(part) for part in torch.split(values.to(effects.eta), AT_ONCE)]).double()
    placed = found.new_zeros((len(values), effects.eta.shape[0]))
    return placed.index_copy(1, problem.persons[known], found[:, known])
