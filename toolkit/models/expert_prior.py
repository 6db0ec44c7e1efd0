"""Experts that share strength: ``W_e ~ N(theta_bar, Sigma)``, as the person effects of a neural mixed effects model.

For each output o one variance of the experts' weights and one of their offsets. Given the gate and the other experts
an expert's output is linear in its parameters, hence its posterior covariance is ``(H_e / sigma2_o + T_o^-1)^-1`` with
``H_e = sum_r w_re (z_r, 1)(z_r, 1)'`` (`toolkit.models.experts.row_information`). Variances move to
``tau = sum eta^2 / sum (1 - V / tau)`` (MacKay, 1992), whose fixed points are those of the EM algorithm: ``tau`` is the
mean of ``eta^2 + V``.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from toolkit.models.experts import (
    EXPERT_BIAS,
    EXPERT_WEIGHT,
    HEAD_BIAS,
    HEAD_WEIGHT,
    mixed_outputs,
    mixture,
    row_information,
)
from toolkit.numerics.covariance import VARIANCE_FLOOR

SIGMA2, VARIANCES = "sigma2", "expert_variances"
# Numbers in all experts' curvature matrices together: beyond that neither memory nor time suffice.
MOST_NUMBERS = 200_000_000
ROWS_AT_ONCE = 16_384
# Rows in which an expert has a hundredth of the weight or less say nothing about it worth the time.
NEGLIGIBLE = 1e-4


def affordable(experts: int, size: int, outputs: int) -> bool:
    """Whether the curvature of so many experts with ``size`` features can be held."""
    return experts * outputs * (size + 1) ** 2 <= MOST_NUMBERS


def deviations(parameters: Mapping[str, Tensor]) -> Float[Tensor, "expert output parameter"]:
    """``eta_e``: weights and offset of each expert, less those of the shared head."""
    weight = parameters[EXPERT_WEIGHT] - parameters[HEAD_WEIGHT]
    bias = parameters[EXPERT_BIAS] - parameters[HEAD_BIAS]
    return torch.cat([weight, bias[..., None]], dim=2)


def prior_variances(parameters: Mapping[str, Tensor]) -> Float[Tensor, "output parameter"]:
    """Variance of every parameter of an expert: one for the weights of an output, one for its offset."""
    weight, bias = parameters[VARIANCES]
    size = parameters[HEAD_WEIGHT].shape[1]
    return torch.cat([weight[:, None].expand(-1, size), bias[:, None]], dim=1)


def penalty(parameters: Mapping[str, Tensor], *, squared: bool) -> Tensor:
    """Prior term of the objective, to be divided by the number of rows.

    ``sum eta^2 / (2 tau)`` beside a negative log-likelihood; times ``2 sigma2`` beside a sum of squared errors.
    """
    terms = deviations(parameters).square() / (2.0 * prior_variances(parameters))
    weight = 2.0 * parameters[SIGMA2] if squared else torch.ones_like(parameters[SIGMA2])
    return (terms.sum(dim=(0, 2)) * weight).sum()


@torch.no_grad()
def curvature(
    parameters: Mapping[str, Tensor], z: Float[Tensor, "rows z"], codes: Int[Tensor, " rows"] | None, task: str
) -> Float[Tensor, "expert kept parameter parameter"]:
    """``H_e`` of every expert and output, float64; for numbers it is the same for all outputs (one is kept)."""
    experts, outputs, size = parameters[EXPERT_WEIGHT].shape
    kept = 1 if codes is None else outputs
    found = torch.zeros((experts, kept, size + 1, size + 1), dtype=torch.float64, device=z.device)
    for start in range(0, len(z), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        mixed = mixture(parameters, z[rows])
        weights = row_information(mixed, None if codes is None else codes[rows], task)
        design = torch.cat([z[rows], torch.ones_like(z[rows][:, :1])], dim=1)
        for expert in range(experts):
            for output in range(kept):
                weight = weights[:, expert, output]
                heard = weight > NEGLIGIBLE  # a sharp gate leaves an expert few rows
                part = design[heard]
                found[expert, output] += (part.T @ (part * weight[heard, None])).double()
    return found


def posterior_variances(
    curved: Float[Tensor, "parameter parameter"], prior: Float[Tensor, " parameter"], sigma2: Tensor
) -> Float[Tensor, " parameter"]:
    """Diagonal of ``(H / sigma2 + T^-1)^-1`` as ``T^1/2 (I + T^1/2 H T^1/2 / sigma2)^-1 T^1/2``: T may vanish."""
    root = prior.double().sqrt()
    inner = root[:, None] * curved * root / sigma2.double()
    identity = torch.eye(len(root), dtype=torch.float64, device=curved.device)
    lower = torch.linalg.cholesky(identity + inner)
    # diagonal of the inverse: squared norms of the columns of the factor's inverse
    inverse = torch.linalg.solve_triangular(lower, identity, upper=False)
    return root.square() * inverse.square().sum(dim=0)


@torch.no_grad()
def expert_variances(
    parameters: Mapping[str, Tensor], curved: Float[Tensor, "expert kept parameter parameter"], *, squared: bool
) -> Float[Tensor, "expert output parameter"]:
    """Posterior variance of every parameter of every expert."""
    prior = prior_variances(parameters)
    sigma2 = parameters[SIGMA2] if squared else torch.ones_like(parameters[SIGMA2])
    return torch.stack(
        [
            torch.stack(
                [
                    posterior_variances(blocks[output % len(blocks)], prior[output], sigma2[output])
                    for output in range(len(prior))
                ]
            )
            for blocks in curved
        ]
    )


@torch.no_grad()
def update_variances(
    parameters: dict[str, Tensor], z: Float[Tensor, "rows z"], targets: Tensor, task: str, rounds: int = 1
) -> None:
    """Experts to their modes (numbers only), their mean into the shared head, then all variances, in place.

    Experts that gradient descent has not carried to their modes yet differ too little, and variances taken from them
    would hold them there. For numbers an expert's mode given the gate and the others is a ridge regression; one sweep
    over the experts never raises the objective. Classes have no such step: there the variances wait for the descent.

    Args:
        parameters: heads, experts, gate and variances.
        z: extracted features of the training rows.
        targets: standardised targets (rows, outputs), or class codes (rows,).
        task: what the targets are.
        rounds: how often, with the gate held.
    """
    squared = task == "regression"
    curved = curvature(parameters, z, None if squared else targets, task)
    for _ in range(rounds):
        if squared:
            sweep(parameters, z, targets, curved[:, 0])
        parameters[HEAD_WEIGHT].copy_(parameters[EXPERT_WEIGHT].mean(dim=0))
        parameters[HEAD_BIAS].copy_(parameters[EXPERT_BIAS].mean(dim=0))
        squares = deviations(parameters).double().square()
        held = expert_variances(parameters, curved, squared=squared)
        learned = (1.0 - held / prior_variances(parameters).double()).clamp(min=1e-6)
        weight = squares[..., :-1].sum(dim=(0, 2)) / learned[..., :-1].sum(dim=(0, 2))
        bias = squares[..., -1].sum(dim=0) / learned[..., -1].sum(dim=0)
        parameters[VARIANCES].copy_(torch.stack([weight, bias]).clamp(min=VARIANCE_FLOOR))
        if squared:
            # tr(H V) = sigma2 (parameters - sum V / tau): what the experts have taken from the residuals
            spent = learned.sum(dim=(0, 2)).clamp(max=0.9 * len(z))
            errors = _squared_errors(parameters, z, targets)
            parameters[SIGMA2].copy_((errors / (len(z) - spent)).clamp(min=VARIANCE_FLOOR))


@torch.no_grad()
def sweep(
    parameters: dict[str, Tensor],
    z: Float[Tensor, "rows z"],
    targets: Float[Tensor, "rows output"],
    curved: Float[Tensor, "expert parameter parameter"],
) -> None:
    """Every expert in turn to its mode given the gate, the other experts, the shared head and the variances, in place.

    ``(H_e / sigma2 + T^-1) eta = sum_r c_re (z_r, 1)(y_r - other experts - c_re shared head) / sigma2``.
    """
    mixed = mixture(parameters, z)
    weights = mixed.log_weights.exp()
    left = targets - torch.einsum("re,reo->ro", weights, mixed.outputs)
    shared = torch.cat([parameters[HEAD_WEIGHT], parameters[HEAD_BIAS][:, None]], dim=1)
    prior = prior_variances(parameters)
    for expert, blocks in enumerate(curved):
        heard = weights[:, expert].square() > NEGLIGIBLE
        design = torch.cat([z[heard], torch.ones_like(z[heard][:, :1])], dim=1)
        weight = weights[heard, expert, None]
        own = torch.cat([parameters[EXPERT_WEIGHT][expert], parameters[EXPERT_BIAS][expert][:, None]], dim=1)
        without = left[heard] + weight * (design @ (own - shared).T)  # y less the others and the shared head's part
        pulled = (design.T @ (weight * without)).double()
        found = torch.stack(
            [
                _mode(blocks, prior[output], parameters[SIGMA2][output], pulled[:, output])
                for output in range(len(prior))
            ]
        ).to(own)
        left[heard] -= weight * (design @ (shared + found - own).T)
        parameters[EXPERT_WEIGHT][expert] = shared[:, :-1] + found[:, :-1]
        parameters[EXPERT_BIAS][expert] = shared[:, -1] + found[:, -1]


def _mode(
    curved: Float[Tensor, "parameter parameter"],
    prior: Float[Tensor, " parameter"],
    sigma2: Tensor,
    pulled: Float[Tensor, " parameter"],
) -> Float[Tensor, " parameter"]:
    """``(H / sigma2 + T^-1)^-1 b / sigma2``, float64."""
    root = prior.double().sqrt()
    inner = root[:, None] * curved * root / sigma2.double()
    identity = torch.eye(len(root), dtype=torch.float64, device=curved.device)
    lower = torch.linalg.cholesky(identity + inner)
    return root * torch.cholesky_solve((root * pulled / sigma2.double())[:, None], lower).squeeze(1)


def start_variances(parameters: dict[str, Tensor], z: Tensor, targets: Tensor, task: str) -> None:
    """Before the experts are trained: residual variance of the shared head, and experts about as different as that.

    One SD of all features together then moves an output by a third of its residual SD.
    """
    with torch.no_grad():
        sigma2 = torch.ones_like(parameters[SIGMA2])
        if task == "regression":
            sigma2 = (targets - z @ parameters[HEAD_WEIGHT].T - parameters[HEAD_BIAS]).square().mean(dim=0)
        parameters[SIGMA2].copy_(sigma2.clamp(min=VARIANCE_FLOOR))
        spread = z.square().sum(dim=1).mean().clamp(min=1e-6)
        parameters[VARIANCES].copy_(torch.stack([sigma2 / (9.0 * spread), sigma2 / 9.0]).clamp(min=VARIANCE_FLOOR))


def _squared_errors(parameters: Mapping[str, Tensor], z: Tensor, targets: Tensor) -> Float[Tensor, " output"]:
    """Sum of squared errors of each target."""
    total = torch.zeros(targets.shape[1], dtype=torch.float64, device=z.device)
    for start in range(0, len(z), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        found = mixed_outputs(mixture(parameters, z[rows]))
        total += (found - targets[rows]).double().square().sum(dim=0)
    return total
