"""Likelihood of panels with random coefficients, integrated out: exactly for numbers, by importance sampling else."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

NEWTON_STEPS = 12
SETTLED = 1e-8
FREEDOM = 5  # degrees, of the proposals


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PanelRows:
    """Rows of persons.

    Attributes:
        codes: person of each row (rows,).
        levels: number of persons.
        target: standardised numbers, or 0 and 1 (rows,).
        binary: whether these are classes.
    """

    codes: Int[Tensor, " row"]
    levels: int
    target: Float[Tensor, " row"]
    binary: bool

    def sums(self, values: Tensor) -> Tensor:
        """Sums over each person's rows (persons, ...)."""
        return values.new_zeros((self.levels, *values.shape[1:])).index_add(0, self.codes, values)


def normal_likelihood(
    rows: PanelRows, fixed: Float[Tensor, " row"], design: Float[Tensor, "row effect"], noise: Tensor
) -> Tensor:
    """Log-likelihood of ``y = fixed + design a + e`` with standard normal a of each person, e of variance ``noise``."""
    left = rows.target - fixed
    gram = rows.sums(design[:, :, None] * design[:, None, :]) / noise
    cross = rows.sums(design * left[:, None]) / noise
    factor = torch.linalg.cholesky(gram + torch.eye(gram.shape[-1]).to(gram))
    whitened = torch.linalg.solve_triangular(factor, cross[:, :, None], upper=False)
    quadratic = left.square().sum() / noise - whitened.square().sum()
    log_det = 2.0 * factor.diagonal(dim1=1, dim2=2).log().sum() + len(left) * torch.log(2.0 * math.pi * noise)
    return -0.5 * (quadratic + log_det)


def sampled_likelihood(
    rows: PanelRows, fixed: Float[Tensor, " row"], design: Float[Tensor, "row effect"], proposal: Proposal
) -> Tensor:
    """Log-likelihood of two classes, ``log mean_k p(y | a_k) N(a_k) / q(a_k)`` summed over persons.

    With the points held its gradient is that of the log-likelihood, weighted as importance sampling has it.
    """
    values = fixed[None] + torch.einsum("re,kre->kr", design, proposal.points[:, rows.codes])
    signs = 2.0 * rows.target - 1.0
    each = functional.logsigmoid(signs * values).mT
    log_weights = rows.sums(each).mT - proposal.log_ratio
    return (torch.logsumexp(log_weights, dim=0) - math.log(len(log_weights))).sum()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Proposal:
    """Points of each person's coefficients, in units of their SDs.

    Attributes:
        points: (points, persons, effects).
        log_ratio: log density of the proposal, less that of a standard normal (points, persons).
    """

    points: Float[Tensor, "point person effect"]
    log_ratio: Float[Tensor, "point person"]


def proposal_at_modes(
    modes: Float[Tensor, "person effect"],
    curvature: Float[Tensor, "person effect effect"],
    normals: Float[Tensor, "point person drawn"],
) -> Proposal:
    """Draws of Student's t around each person's mode, with the inverse curvature as squared scale.

    The normal of Laplace's approximation has lighter tails than a coefficient of which the rows say little, so that its
    weights would have no variance.

    Args:
        modes: of the coefficients.
        curvature: minus the second derivative of the log density there.
        normals: standard normal numbers: one for each effect, and `FREEDOM` more.
    """
    effects = modes.shape[1]
    stretch = normals[..., effects:].square().mean(dim=2).rsqrt()
    drawn = normals[..., :effects] * stretch[..., None]
    factor = torch.linalg.cholesky(curvature)
    steps = torch.linalg.solve_triangular(factor.mT, drawn.permute(1, 2, 0), upper=True).permute(2, 0, 1)
    points = modes + steps
    log_det = factor.diagonal(dim1=1, dim2=2).log().sum(dim=1)
    half = 0.5 * (FREEDOM + effects)
    constant = math.lgamma(half) - math.lgamma(0.5 * FREEDOM) - 0.5 * effects * math.log(0.5 * FREEDOM)
    log_proposal = constant + log_det - half * torch.log1p(drawn.square().sum(dim=2) / FREEDOM)
    return Proposal(points=points, log_ratio=log_proposal + 0.5 * points.square().sum(dim=2))


@torch.no_grad()
def coefficient_modes(
    rows: PanelRows, fixed: Float[Tensor, " row"], design: Float[Tensor, "row effect"], noise: Tensor
) -> tuple[Float[Tensor, "person effect"], Float[Tensor, "person effect effect"]]:
    """Mode of each person's standard normal coefficients given their rows, and minus the second derivative there.

    Newton's method; one step is exact for numbers. Of two classes the log density is strictly concave, and a step that
    would lower it is halved.
    """
    identity = torch.eye(design.shape[1]).to(design)
    modes = design.new_zeros((rows.levels, design.shape[1]))
    if not rows.binary:
        curvature = rows.sums(design[:, :, None] * design[:, None, :]) / noise + identity
        cross = rows.sums(design * (rows.target - fixed)[:, None]) / noise
        return torch.linalg.solve(curvature, cross), curvature
    before = _log_density(rows, fixed, design, modes)
    for _ in range(NEWTON_STEPS):
        slope, curvature = _derivatives(rows, fixed, design, modes)
        step = torch.linalg.solve(curvature, slope)
        after = _log_density(rows, fixed, design, modes + step)
        for _ in range(NEWTON_STEPS):
            worse = after < before - 1e-12
            if not bool(worse.any()):
                break
            step = torch.where(worse[:, None], 0.5 * step, step)
            after = _log_density(rows, fixed, design, modes + step)
        modes, before = modes + step, after
        if float(step.abs().max()) < SETTLED:
            break
    return modes, _derivatives(rows, fixed, design, modes)[1]


def _log_density(rows: PanelRows, fixed: Tensor, design: Tensor, effects: Tensor) -> Float[Tensor, " person"]:
    """Of each person's rows and coefficients, two classes, up to a constant."""
    values = fixed + (design * effects[rows.codes]).sum(dim=1)
    return rows.sums(functional.logsigmoid((2.0 * rows.target - 1.0) * values)) - 0.5 * effects.square().sum(dim=1)


def _derivatives(rows: PanelRows, fixed: Tensor, design: Tensor, effects: Tensor) -> tuple[Tensor, Tensor]:
    """First, and minus the second, of the log density of each person's coefficients."""
    chances = torch.sigmoid(fixed + (design * effects[rows.codes]).sum(dim=1))
    slope = rows.sums(design * (rows.target - chances)[:, None]) - effects
    weights = (chances * (1.0 - chances))[:, None, None]
    curvature = rows.sums(weights * design[:, :, None] * design[:, None, :]) + torch.eye(design.shape[1]).to(design)
    return slope, curvature
