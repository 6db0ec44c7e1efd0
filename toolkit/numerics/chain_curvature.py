"""Second derivatives of ``log Z``: the covariance of the chain's path with a direction, for many directions at once.

For a direction ``(e, m)`` of emissions and transitions let ``D(y) = sum_t e_t[y_t] + sum_t m[y_{t-1}, y_t]``. The
Hessian of ``log Z`` times the direction is ``Cov(1[y_t = s], D)`` for the emissions and ``sum_t Cov(1[y_{t-1} = r, y_t
= s], D)`` for the transitions. With ``F_t(s)`` and ``G_t(s)`` the derivatives of the log messages,

    F_t(s) = e_t(s) + sum_r p(y_{t-1} = r | y_t = s) (F_{t-1}(r) + m(r, s)),
    G_t(s) = sum_j p(y_{t+1} = j | y_t = s) (m(s, j) + e_{t+1}(j) + G_{t+1}(j)),

and ``E[D] = sum_s p(y_t = s) (F_t(s) + G_t(s))`` at any step, the covariances are ``p_t(s) (F_t(s) + G_t(s) - E[D])``
and ``sum_t p(r, s) (F_{t-1}(r) + m(r, s) + e_t(s) + G_t(s) - E[D])`` (the expectation semiring of Li and Eisner, 2009).
All weights are conditional probabilities, so nothing can overflow.
"""

from __future__ import annotations

import torch
from torch import Tensor


def covariance_products(unary: Tensor, pairs: Tensor, emissions: Tensor, matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Hessian of ``log Z`` of each sequence times directions.

    Args:
        unary: state probabilities (batch, time, state), zero where padded.
        pairs: probabilities of successive states (batch, time - 1, state, state), zero where padded.
        emissions: directions of the emissions (direction, batch, time, state).
        matrices: directions of each sequence's transitions (direction, batch, state, state).

    Returns:
        Products (direction, batch, time, state) and (direction, batch, state, state).
    """
    time = emissions.shape[2]
    toward = emissions.permute(2, 1, 0, 3).contiguous()  # (time, batch, direction, state)
    before = _conditional(pairs, unary[:, 1:, None, :]).transpose(0, 1)  # p(r | s), (time - 1, batch, r, s)
    after = _conditional(pairs, unary[:, :-1, :, None]).transpose(0, 1)  # p(j | s), (time - 1, batch, s, j)
    forward = toward.clone()
    backward = torch.zeros_like(toward)
    forward[1:] += _expected(before.transpose(2, 3), matrices.transpose(2, 3))
    backward[:-1] = _expected(after, matrices)
    arriving = before.contiguous()
    leaving = after.transpose(2, 3).contiguous()
    for step in range(1, time):
        forward[step].baddbmm_(forward[step - 1], arriving[step - 1])
    for step in range(time - 2, -1, -1):
        backward[step].baddbmm_(toward[step + 1] + backward[step + 1], leaving[step])
    mean = torch.einsum("bs,bvs->bv", unary[:, 0], forward[0] + backward[0])
    slopes = (forward + backward - mean[..., None]) * unary.transpose(0, 1)[:, :, None]
    right = toward + backward
    found = torch.einsum("btij,tbvi->vbij", pairs, forward[:-1]) + torch.einsum("btij,tbvj->vbij", pairs, right[1:])
    found = found + pairs.sum(dim=1) * (matrices - mean.t()[..., None, None])
    return slopes.permute(2, 1, 0, 3), found


def _conditional(pairs: Tensor, given: Tensor) -> Tensor:
    """Pair probabilities divided by those of one of their states; zero where that has none."""
    return pairs / torch.where(given > 0, given, 1.0)


def _expected(weights: Tensor, matrices: Tensor) -> Tensor:
    """``sum_j weights[t, b, s, j] * matrices[v, b, s, j]`` (time, batch, direction, state)."""
    return torch.einsum("tbsj,vbsj->tbvs", weights, matrices)
