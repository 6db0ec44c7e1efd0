"""Posterior moments of a few effects by adaptive Gauss-Hermite quadrature.

Where few rows speak for a person, the posterior of the effects is no normal distribution about its mode. With one to
three effects its mean and covariance can be had almost exactly: nodes lie about the mode, along a root of Laplace's
covariance (Pinheiro and Bates, 1995; `nAGQ` of lme4's ``glmer``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from toolkit.effects.posterior import Posterior, per_person
from toolkit.effects.problem import ProblemParts
from toolkit.effects.random_effects import RandomEffects

# Nodes along each direction, by the number of effects.
NODES = {1: 15, 2: 7, 3: 5}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moments:
    """What the posterior says on average.

    Attributes:
        mean: of the effects (persons, d), float64.
        covariance: of the effects (persons, d, d), float64.
        loss: expected sum of the losses of all persons.
    """

    mean: Float[Tensor, "persons d"]
    covariance: Float[Tensor, "persons d d"]
    loss: float


@torch.no_grad()
def posterior_moments(
    problem: ProblemParts, shared: Mapping[str, Tensor], effects: RandomEffects, at: Posterior, weight: float
) -> Moments:
    """Moments of ``exp(-w loss_i(eta) - 1/2 eta' Sigma^-1 eta)``; effects at their mode, at most three.

    Args:
        problem: the rows.
        shared: shared parameters.
        effects: modes and prior covariance.
        at: Laplace's posterior.
        weight: of the loss against the prior.
    """
    size = effects.layout.size
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES[size])
    grid = np.array(list(product(nodes, repeat=size)))
    logs = np.array([sum(np.log(own)) for own in product(weights, repeat=size)]) + 0.5 * (grid**2).sum(axis=1)
    mode, roots = effects.eta.double(), torch.linalg.cholesky(at.covariance)
    precision = torch.cholesky_inverse(torch.linalg.cholesky(effects.covariance.double()))
    points = mode + torch.einsum("pde,ke->kpd", roots, torch.as_tensor(grid).to(roots))
    losses = torch.stack(
        [
            per_person(
                problem, effects, lambda piece, eta=eta: piece.losses(shared, effects.layout, piece.lines_of(eta))
            ).double()
            for eta in points.to(effects.eta)
        ]
    )
    prior = 0.5 * ((points @ precision) * points).sum(dim=2)
    mass = torch.softmax(torch.as_tensor(logs).to(prior)[:, None] - weight * losses - prior, dim=0)
    mean = torch.einsum("kp,kpd->pd", mass, points)
    away = points - mean
    covariance = torch.einsum("kp,kpd,kpe->pde", mass, away, away)
    return Moments(mean=mean, covariance=covariance, loss=float((mass * losses).sum()))
