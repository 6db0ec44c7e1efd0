"""What the data say about each person's effects: posterior mode and covariance.

Given the shared parameters, person i's effects minimise

    J_i(eta) = w * loss_i(theta_bar + eta) + 1/2 eta' Sigma^-1 eta,

with ``w = 1 / (2 sigma2)`` for squared errors and ``w = 1`` for negative log-likelihoods. The curvature is the
generalised Gauss-Newton matrix ``G' H G``: ``G`` the derivative of outputs and transition scores with respect to
``eta``, ``H`` the Hessian of the loss with respect to those. It is the exact Hessian wherever outputs are linear in
the effects (the last layer, the transition matrix) and positive semi-definite everywhere; elsewhere the posterior
``N(mode, (w G'HG + Sigma^-1)^-1)`` is a Laplace approximation (Schraudolph, 2002).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import grad, jvp, vmap

from toolkit.effects.problem import Problem, ProblemParts
from toolkit.effects.random_effects import Layout, RandomEffects, side_by_side
from toolkit.effects.woodbury import PosteriorVariances, posterior_variances
from toolkit.numerics.covariance import precision_of, times

MAX_HALVINGS = 8
STEP = 0.05  # of third derivatives, in posterior SDs
AT_ONCE = 4_000_000  # numbers of covariances computed at a time

with warnings.catch_warnings():
    # torch compiles its own derivative rules at the first jvp, with a compiler it has itself declared deprecated
    warnings.simplefilter("ignore", DeprecationWarning)
    jvp(torch.sin, (torch.zeros(1),), (torch.ones(1),))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Posterior:
    """Posterior of the person effects.

    Attributes:
        curvature: unweighted curvature of each person's loss, ``G' H G`` (persons, d, d).
        covariance: posterior covariance (persons, d, d), float64.
    """

    curvature: Float[Tensor, "persons d d"]
    covariance: Float[Tensor, "persons d d"]

    def rise(self) -> Float[Tensor, ""]:
        """What all losses together are expected to be above those at the mode, to second order."""
        return 0.5 * (self.curvature * self.covariance).sum()  # sum of traces: both are symmetric


def loss_curvature(
    problem: Problem, shared: Mapping[str, Tensor], layout: Layout, eta: Float[Tensor, "lines d"]
) -> Float[Tensor, "lines d d"]:
    """Generalised Gauss-Newton matrix of each line's loss with respect to its effects."""
    held = {name: value.detach() for name, value in shared.items()}

    def outputs(values: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return problem.outputs(held, layout, values)

    def derivative(direction: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return jvp(outputs, (eta,), (direction.expand_as(eta),))[1]

    rows, chain = outputs(eta)
    bending = problem.curved or problem.loss
    slope = grad(lambda rows, chain: bending(rows, chain).sum(), argnums=(0, 1))

    def curved(rows_tangent: Tensor, chain_tangent: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        return jvp(slope, (rows, chain), (rows_tangent, chain_tangent))[1]

    with torch.no_grad():
        directions = torch.eye(layout.size, dtype=eta.dtype, device=eta.device)
        tangents = vmap(derivative)(directions) if side_by_side(problem.module) else _stacked(derivative, directions)
        bent = vmap(curved)(*tangents)
        matrix = torch.einsum("dlro,elro->lde", tangents[0], bent[0])
        for name in chain:
            if name in layout.names:
                along, curved_along = tangents[1][name].flatten(2), bent[1][name].flatten(2)
                matrix = matrix + torch.einsum("dlx,elx->lde", along, curved_along)
    return matrix


def _stacked(
    derivative: Callable[[Tensor], tuple[Tensor, dict[str, Tensor]]], directions: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """Derivatives along each direction, one after the other, for networks that cannot be evaluated side by side."""
    found = [derivative(direction) for direction in directions]
    chain = {name: torch.stack([parts[name] for _, parts in found]) for name in found[0][1]}
    return torch.stack([rows for rows, _ in found]), chain


def posterior_covariance(
    curvature: Float[Tensor, "persons d d"], covariance: Float[Tensor, "d d"], weight: float
) -> Float[Tensor, "persons d d"]:
    """``(w G'HG + Sigma^-1)^-1`` as ``L (I + w L' G'HG L)^-1 L'``: a vanishing ``Sigma = L L'`` does no harm.

    In float64 whatever the arguments: the variance updates take it from the prior, which is nearly the same where the
    data say little.
    """
    lower = torch.linalg.cholesky(covariance.double())
    identity = torch.eye(covariance.shape[0], dtype=lower.dtype, device=covariance.device)

    def of_some(curvature: Tensor) -> Tensor:
        inner = weight * (lower.T @ curvature.double() @ lower)
        return lower @ torch.cholesky_inverse(torch.linalg.cholesky(identity + inner)) @ lower.T

    some = max(AT_ONCE // max(covariance.numel(), 1), 1)
    if len(curvature) <= some:
        return of_some(curvature)
    return torch.cat([of_some(part) for part in curvature.split(some)])


def posterior(
    problem: ProblemParts, shared: Mapping[str, Tensor], effects: RandomEffects, weight: float
) -> Posterior | PosteriorVariances:
    """Curvature and posterior covariance at the current effects; a person without rows keeps the prior.

    Of effects whose covariance is kept as variances, so is this (`toolkit.effects.woodbury`).
    """
    if effects.covariance.dim() == 1:
        return posterior_variances(problem, shared, effects, weight)
    return whole_posterior(problem, shared, effects, weight)


def whole_posterior(
    problem: ProblemParts, shared: Mapping[str, Tensor], effects: RandomEffects, weight: float
) -> Posterior:
    """Curvature and posterior covariance as matrices."""
    layout = effects.layout
    curvature = per_person(
        problem, effects, lambda piece: loss_curvature(piece, shared, layout, piece.lines_of(effects.eta))
    )
    covariance = posterior_covariance(curvature, effects.covariance, weight)
    return Posterior(curvature=curvature, covariance=covariance)


@torch.no_grad()
def mean_from_mode(
    problem: ProblemParts, shared: Mapping[str, Tensor], effects: RandomEffects, at: Posterior, weight: float
) -> Float[Tensor, "persons d"]:
    """What leads from the posterior mode to the posterior mean, to first order.

    A posterior that is not normal is skewed. With ``T`` the third derivative of ``w loss_i`` and ``C_i`` the covariance

        mean - mode = -1/2 C_i t_i,    t_i,c = sum_ab T_abc C_i,ab

    (Tierney and Kadane, 1986). With it the variance updates stand still at the maximum of Laplace's approximation to
    the marginal likelihood, as in lme4's ``glmer``, but for a term of second order. Zero for squared errors.
    """
    held = {name: value.detach() for name, value in shared.items()}
    roots = torch.linalg.cholesky(at.covariance).to(effects.eta).unbind(dim=2)

    def bending(piece: Problem) -> Tensor:
        slope = grad(lambda lines: piece.losses(held, effects.layout, lines).sum())
        return bent_slopes(slope, piece.lines_of(effects.eta.detach()), [piece.lines_of(root) for root in roots])

    bent = per_person(problem, effects, bending)
    return -0.5 * weight * (at.covariance @ bent[..., None].double()).squeeze(-1).to(bent)


def bent_slopes(
    slope: Callable[[Tensor], Tensor], lines: Float[Tensor, "lines d"], directions: Sequence[Float[Tensor, "lines d"]]
) -> Float[Tensor, "lines d"]:
    """Sum over directions of the second derivative of a gradient along each, by central differences.

    Args:
        slope: gradient of every line's loss.
        lines: where.
        directions: columns of a root of each line's covariance; a step is ``STEP`` of them.
    """
    total = torch.zeros_like(lines)
    middle = slope(lines)
    for direction in directions:
        step = STEP * direction
        total += slope(lines + step) + slope(lines - step) - 2.0 * middle
    return total / STEP**2


def newton_step(
    problem: ProblemParts, shared: Mapping[str, Tensor], effects: RandomEffects, weight: float
) -> tuple[Float[Tensor, "persons d"], Posterior | PosteriorVariances]:
    """One Newton step of every person's effects, halved for a person whose objective would rise.

    Returns:
        The new effects and the posterior at the old ones (for effects that enter linearly under squared error both
        are exact).
    """
    precision = precision_of(effects.covariance)
    held = {name: value.detach() for name, value in shared.items()}

    def slope(piece: Problem) -> Tensor:
        return grad(lambda lines: piece.losses(held, effects.layout, lines).sum())(piece.lines_of(effects.eta))

    slopes = weight * per_person(problem, effects, slope) + times(effects.eta, precision)
    if effects.covariance.dim() == 1:
        wide = posterior_variances(problem, shared, effects, weight, slopes=slopes)
        assert wide.step is not None
        return _halve(problem, held, effects, wide.step, weight), wide
    at = whole_posterior(problem, shared, effects, weight)
    step = -(at.covariance @ slopes[..., None].double()).squeeze(-1).to(slopes)
    return _halve(problem, held, effects, step, weight), at


@torch.no_grad()
def _halve(
    problem: ProblemParts, shared: Mapping[str, Tensor], effects: RandomEffects, step: Tensor, weight: float
) -> Tensor:
    """Take the step, halving it for persons whose objective it would raise."""
    precision = precision_of(effects.covariance)

    def objective(eta: Tensor) -> Tensor:
        losses = per_person(problem, effects, lambda piece: piece.losses(shared, effects.layout, piece.lines_of(eta)))
        return weight * losses + 0.5 * (times(eta, precision) * eta).sum(dim=1)

    before = objective(effects.eta)
    eta = effects.eta + step
    worse = objective(eta) > before + 1e-12 * before.abs()
    size = torch.ones_like(before)
    for _ in range(MAX_HALVINGS):
        if not bool(worse.any()):
            break
        size = torch.where(worse, 0.5 * size, size)
        eta = effects.eta + size[:, None] * step
        worse = objective(eta) > before + 1e-12 * before.abs()
    return torch.where(worse[:, None], effects.eta, eta)


def per_person(problem: ProblemParts, effects: RandomEffects, values: Callable[[Problem], Tensor]) -> Tensor:
    """Values of the lines at their persons' places; persons without rows get zero, unknown persons are dropped."""
    found: Tensor | None = None
    for piece in problem.pieces():
        lines, known = values(piece), piece.persons >= 0
        if found is None:
            found = lines.new_zeros((effects.eta.shape[0], *lines.shape[1:]))
        found = found.index_copy(0, piece.persons[known], lines[known])
    assert found is not None
    return found
