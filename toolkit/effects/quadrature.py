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
from torch.func import grad, vmap

from toolkit.effects.posterior import Posterior, per_person
from toolkit.effects.problem import Problem, ProblemParts
from toolkit.effects.random_effects import Layout, RandomEffects, side_by_side

# Nodes along each direction, by the number of effects.
NODES = {1: 15, 2: 7, 3: 5}
# Numbers of inputs times nodes evaluated side by side.
MOST_AT_ONCE = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moments:
    """What the posterior says on average.

    Attributes:
        mean: of the effects (persons, d), float64.
        covariance: of the effects (persons, d, d), float64.
        loss: expected sum of the losses of all persons.
        points: the nodes of each person (nodes, persons, d).
        mass: posterior probability of each node (nodes, persons).
    """

    mean: Float[Tensor, "persons d"]
    covariance: Float[Tensor, "persons d d"]
    loss: float
    points: Float[Tensor, "nodes persons d"]
    mass: Float[Tensor, "nodes persons"]


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
    losses = per_person(problem, effects, lambda piece: _losses(piece, shared, effects.layout, points)).double().T
    prior = 0.5 * ((points @ precision) * points).sum(dim=2)
    mass = torch.softmax(torch.as_tensor(logs).to(prior)[:, None] - weight * losses - prior, dim=0)
    mean = torch.einsum("kp,kpd->pd", mass, points)
    away = points - mean
    covariance = torch.einsum("kp,kpd,kpe->pde", mass, away, away)
    return Moments(mean=mean, covariance=covariance, loss=float((mass * losses).sum()), points=points, mass=mass)


@torch.no_grad()
def expected_slopes(
    problem: Problem, shared: Mapping[str, Tensor], layout: Layout, directions: Tensor, moments: Moments
) -> tuple[Tensor, dict[str, Tensor]]:
    """Posterior expectation of the slopes of the losses with respect to outputs and chain parameters.

    Args:
        problem: some of the rows.
        shared: shared parameters.
        layout: where the moved effects belong.
        directions: takes a person's effects to them (d, moved).
        moments: of all persons.
    """
    slope = grad(lambda rows, chain: problem.loss(rows, chain).sum(), argnums=(0, 1))
    known, persons = problem.persons >= 0, problem.persons.clamp(min=0)

    def weighted(point: Tensor, mass: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        rows, chain = slope(*problem.outputs(shared, layout, problem.lines_of(point) @ directions))
        share = torch.where(known, mass[persons], 1.0 / len(moments.mass))
        return share[:, None, None] * rows, {name: own(name, value, share) for name, value in chain.items()}

    def own(name: str, value: Tensor, share: Tensor) -> Tensor:
        if name not in layout.names:  # the same for everybody
            return torch.zeros_like(value)
        return share.reshape(-1, *[1] * (value.ndim - 1)) * value

    total: tuple[Tensor, dict[str, Tensor]] | None = None
    some = _at_once(problem)
    for points, mass in zip(
        moments.points.to(directions).split(some), moments.mass.to(directions).split(some), strict=True
    ):
        if some == 1:
            rows, chain = weighted(points[0], mass[0])
        else:
            every = vmap(weighted)(points, mass)
            rows, chain = every[0].sum(dim=0), {name: value.sum(dim=0) for name, value in every[1].items()}
        total = (rows, chain) if total is None else (
            total[0] + rows, {name: total[1][name] + value for name, value in chain.items()}
        )  # fmt: skip
    assert total is not None
    return total


def _losses(
    problem: Problem, shared: Mapping[str, Tensor], layout: Layout, points: Float[Tensor, "nodes persons d"]
) -> Float[Tensor, "lines nodes"]:
    """Loss of each line at every node."""
    nodes = points.to(problem.inputs)

    def losses(eta: Tensor) -> Tensor:
        return problem.losses(shared, layout, problem.lines_of(eta))

    some = _at_once(problem)
    if some == 1:
        return torch.stack([losses(eta) for eta in nodes], dim=1)
    return torch.cat([vmap(losses)(part) for part in nodes.split(some)]).T


def _at_once(problem: Problem) -> int:
    """Nodes at which a problem is evaluated side by side."""
    return max(MOST_AT_ONCE // max(problem.inputs.numel(), 1), 1) if side_by_side(problem.module) else 1
