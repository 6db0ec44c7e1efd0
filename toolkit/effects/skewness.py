"""What the skewness of each person's posterior adds to Laplace's approximation.

The Laplace approximation of a person's marginal log-likelihood is, at the mode ``eta_i`` of ``J_i`` (see
`toolkit.effects.posterior`),

    -J_i(eta_i) - 1/2 log|I + L' H_i L|,      Sigma = L L',  H_i the Hessian of the (weighted) loss,

and mode and Hessian both move with the parameters. With ``C_i = (H_i + Sigma^-1)^-1`` the second term has the slope
``u_i = 1/2 sum_k D^3 loss [v_k, v_k, .]`` in the effects, ``C_i = sum_k v_k v_k'``; ``s_i = C_i u_i`` is how far the
posterior mean lies from the mode, to first order, and

    d/dSigma: 1/2 Sigma^-1 [sum_i E_i - n Sigma] Sigma^-1,      E_i = eta_i eta_i' + C_i - s_i eta_i' - eta_i s_i',
    d/dmean:  sum_i Sigma^-1 (eta_i - s_i)

are the exact derivatives of the approximation. So EM-like steps with ``eta_i - s_i`` for the means and ``E_i`` for the
second moments end at its maximum, where lme4's ``glmer`` ends (Bates et al., 2015); with ``s_i = 0`` they end near it
only. Squared errors have no third derivative, and ``s_i = 0``.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import grad, jvp, vjp, vmap

from toolkit.effects.problem import Problem
from toolkit.effects.random_effects import Layout, side_by_side

# Step of the central difference, in posterior SDs.
STEP = 1e-2
# Most values (directions times outputs) held at once.
MOST_AT_ONCE = 20_000_000

Outputs = tuple[Tensor, dict[str, Tensor]]


@torch.no_grad()
def skew_slopes(
    problem: Problem,
    shared: Mapping[str, Tensor],
    layout: Layout,
    eta: Float[Tensor, "lines d"],
    roots: Float[Tensor, "lines d k"],
) -> Outputs:
    """Third derivative ``1/2 sum_k D^3 loss [v_k, v_k, .]`` with respect to outputs and chain parameters.

    A central difference of exact second derivatives; outputs have to be linear in the effects.

    Args:
        problem: rows and their loss.
        shared: shared parameters.
        layout: where effects belong.
        eta: effects of each line.
        roots: columns ``v_k`` of a square root of the posterior covariance of each line's effects.
    """
    held = {name: value.detach() for name, value in shared.items()}

    def outputs(values: Tensor) -> Outputs:
        return problem.outputs(held, layout, values)

    rows, chain = outputs(eta)
    slope = grad(lambda rows, chain: problem.loss(rows, chain).sum(), argnums=(0, 1))

    def third(direction: Tensor) -> Outputs:
        along = jvp(outputs, (eta,), (direction,))[1]
        sides = [jvp(slope, _moved((rows, chain), along, size), along)[1] for size in (STEP, -STEP)]
        return _moved(sides[0], sides[1], -1.0)

    directions = roots.to(eta).permute(2, 0, 1)
    together = max(MOST_AT_ONCE // max(rows.numel(), 1), 1) if side_by_side(problem.module) else 1
    total: Outputs = torch.zeros_like(rows), {name: torch.zeros_like(value) for name, value in chain.items()}
    for part in torch.split(directions, together):
        if together == 1:
            found = third(part[0])
        else:
            stacked = vmap(third)(part)
            found = stacked[0].sum(dim=0), {name: value.sum(dim=0) for name, value in stacked[1].items()}
        total = _moved(total, found, 0.25 / STEP)  # half of a central difference over twice the step
    return total


def _moved(at: Outputs, along: Outputs, size: float) -> Outputs:
    """Outputs and chain parameters, moved along a direction."""
    return at[0] + size * along[0], {name: value + size * along[1][name] for name, value in at[1].items()}


def pulled_back(
    problem: Problem,
    shared: Mapping[str, Tensor],
    layout: Layout,
    eta: Float[Tensor, "lines d"],
    slopes: Outputs,
) -> Float[Tensor, "lines d"]:
    """Slopes with respect to outputs and chain parameters as slopes with respect to each line's effects."""
    held = {name: value.detach() for name, value in shared.items()}
    pull = vjp(lambda values: problem.outputs(held, layout, values), eta)[1]
    return pull(slopes)[0].detach()


def square_roots(covariance: Float[Tensor, "lines d d"]) -> Float[Tensor, "lines d d"]:
    """Lower Cholesky factors; of a covariance that vanishes in some direction, with a jitter far below it."""
    size = torch.diagonal(covariance, dim1=-2, dim2=-1).mean(dim=-1).clamp(min=1e-300)
    jitter = 1e-13 * size[:, None, None] * torch.eye(covariance.shape[-1], dtype=size.dtype, device=size.device)
    return torch.linalg.cholesky(covariance + jitter)


def skewed_moments(
    eta: Float[Tensor, "persons d"], covariance: Float[Tensor, "persons d d"], shift: Float[Tensor, "persons d"]
) -> Float[Tensor, "persons d d"]:
    """``E_i``: second moment of each person's effects about zero, see the module."""
    crossed = shift[:, :, None] * eta[:, None, :]
    return eta[:, :, None] * eta[:, None, :] + covariance - crossed - crossed.transpose(1, 2)
