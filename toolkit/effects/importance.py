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
from toolkit.effects.problem import Problem, ProblemParts
from toolkit.effects.random_effects import RandomEffects
from toolkit.effects.skewness import square_roots
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
        covariance: (persons, d, d).
        effective: number of independent draws that the weighted ones are worth (persons,); few of them mean that the
            moments are rough.
    """

    mean: np.ndarray
    sd: np.ndarray
    covariance: np.ndarray
    effective: np.ndarray


@torch.no_grad()
def corrected_moments(
    problem: ProblemParts,
    shared: Mapping[str, Tensor],
    effects: RandomEffects,
    at: Posterior,
    weight: float,
    *,
    draws: int,
    rng: np.random.Generator,
) -> Moments:
    """Posterior moments of every person's effects (`Moments`), given shared parameters and variances.

    A person without rows keeps the posterior given, which is the prior.

    Args:
        problem: the rows the effects were estimated from.
        shared: shared parameters.
        effects: modes and prior covariance.
        at: posterior at the modes.
        weight: of the loss against the prior.
        draws: number of draws, rounded up to an even number: each comes with its mirror image about the mode.
        rng: of the draws.
    """
    mean, covariance = effects.eta.double().clone(), at.covariance.clone()
    effective = covariance.new_full((len(mean),), float(2 * ((draws + 1) // 2)))
    precision = torch.cholesky_inverse(torch.linalg.cholesky(effects.covariance.double()))
    for piece in problem.pieces():
        known = piece.persons >= 0
        persons = piece.persons[known]
        values, proposal = _proposed(mean[persons], covariance[persons], draws, rng)
        lines = values.new_zeros((len(values), len(piece.persons), values.shape[2]))
        lines[:, known] = values
        prior = -0.5 * ((values @ precision) * values).sum(dim=2)
        losses = _losses(piece, shared, effects, lines)[:, known]
        share = torch.softmax(prior - weight * losses - proposal, dim=0)
        mean[persons] = torch.einsum("np,npd->pd", share, values)
        away = values - mean[persons]
        covariance[persons] = torch.einsum("npd,npe->pde", share[..., None] * away, away)
        effective[persons] = 1.0 / torch.square(share).sum(dim=0)
    variance = torch.diagonal(covariance, dim1=1, dim2=2)
    return Moments(
        mean=read_only(mean.cpu().numpy()),
        sd=read_only(torch.sqrt(variance).cpu().numpy()),
        covariance=read_only(covariance.cpu().numpy()),
        effective=read_only(effective.cpu().numpy()),
    )


def _proposed(mode: Tensor, covariance: Tensor, draws: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Draws from the t distribution about each mode (draws, persons, d), and their log density but for a constant."""
    persons, size = mode.shape
    half = (draws + 1) // 2
    normal = torch.as_tensor(rng.standard_normal((half, persons, size)))
    stretch = torch.as_tensor(FREEDOM / rng.chisquare(FREEDOM, size=(half, persons)))
    z = (torch.sqrt(stretch)[..., None] * normal).to(covariance)
    z = torch.cat([z, -z])
    density = -0.5 * (FREEDOM + size) * torch.log1p(torch.square(z).sum(dim=2) / FREEDOM)
    return mode + torch.einsum("pde,npe->npd", square_roots(covariance), z), density


def _losses(problem: Problem, shared: Mapping[str, Tensor], effects: RandomEffects, lines: Tensor) -> Tensor:
    """Loss of every line at each draw (draws, lines)."""

    def loss(eta: Tensor) -> Tensor:
        return problem.losses(shared, effects.layout, eta)

    return torch.cat([vmap(loss)(part) for part in torch.split(lines.to(effects.eta), AT_ONCE)]).double()
