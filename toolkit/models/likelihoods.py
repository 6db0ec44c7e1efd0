"""Losses of the outcomes, summed per person line. All are negative log-likelihoods except the squared error."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as nnf
from jaxtyping import Bool, Float, Int
from torch import Tensor

from toolkit.numerics import chain

# Whether a place of a line is a row, or how much its row counts; zero where padded.
Weight = Bool[Tensor, "lines rows"] | Float[Tensor, "lines rows"]


def squared_error(
    outputs: Float[Tensor, "lines rows 1"], target: Float[Tensor, "lines rows"], weight: Weight
) -> Float[Tensor, " lines"]:
    """``sum_j (y_j - f_j)^2``; a Gaussian negative log-likelihood after division by ``2 sigma2``."""
    return (torch.square(target - outputs.squeeze(-1)) * weight).sum(dim=1)


def absolute_error(
    outputs: Float[Tensor, "lines rows 1"], target: Float[Tensor, "lines rows"], weight: Weight
) -> Float[Tensor, " lines"]:
    """``sum_j |y_j - f_j|``; a Laplace negative log-likelihood after division by its scale."""
    return (torch.abs(target - outputs.squeeze(-1)) * weight).sum(dim=1)


def absolute_curved(
    outputs: Float[Tensor, "lines rows 1"], target: Float[Tensor, "lines rows"], weight: Weight, scale: float | None
) -> Float[Tensor, " lines"]:
    """``sum_j (y_j - f_j)^2 / (2 b)``, whose Hessian is what that of `absolute_error` is on average.

    The absolute error has no curvature but at zero, where a residual of a Laplace density lies with density ``1 / (2
    b)``: the expected second derivative is ``1 / b`` (Fisher's information is ``1 / b^2``). ``b`` is the scale, or the
    mean absolute residual.
    """
    error = target - outputs.squeeze(-1)
    mean = (torch.abs(error) * weight).sum() / weight.sum() if scale is None else error.new_tensor(scale)
    return 0.5 * (torch.square(error) * weight).sum(dim=1) / mean.detach()


def huber(
    outputs: Float[Tensor, "lines rows 1"], target: Float[Tensor, "lines rows"], weight: Weight, delta: float
) -> Float[Tensor, " lines"]:
    """``sum_j h(y_j - f_j)``: ``r^2 / 2`` up to ``delta``, ``delta |r| - delta^2 / 2`` beyond (Huber, 1964)."""
    size = torch.abs(target - outputs.squeeze(-1))
    loss = torch.where(size <= delta, 0.5 * torch.square(size), delta * size - 0.5 * delta**2)
    return (loss * weight).sum(dim=1)


def bernoulli(
    outputs: Float[Tensor, "lines rows 1"], target: Float[Tensor, "lines rows"], weight: Weight
) -> Float[Tensor, " lines"]:
    """``-sum_j y_j log p_j + (1 - y_j) log(1 - p_j)`` with ``p = sigmoid(f)``."""
    logits = outputs.squeeze(-1)
    return ((nnf.softplus(logits) - target * logits) * weight).sum(dim=1)


def squared_error_slopes(
    outputs: Float[Tensor, "rows 1"], target: Float[Tensor, " rows"]
) -> tuple[Float[Tensor, ""], Float[Tensor, "rows 1"]]:
    """Sum of `squared_error` over rows and its derivative with respect to the outputs, ``2 (f - y)``."""
    error = outputs - target[:, None]
    return torch.square(error).sum(), error.mul_(2.0)


def bernoulli_slopes(
    outputs: Float[Tensor, "rows 1"], target: Float[Tensor, " rows"]
) -> tuple[Float[Tensor, ""], Float[Tensor, "rows 1"]]:
    """Sum of `bernoulli` over rows and its derivative with respect to the outputs, ``p - y``."""
    loss = (nnf.softplus(outputs) - target[:, None] * outputs).sum()
    return loss, torch.sigmoid(outputs).sub_(target[:, None])


def categorical(
    outputs: Float[Tensor, "lines rows class"], target: Int[Tensor, "lines rows"], weight: Weight
) -> Float[Tensor, " lines"]:
    """``-sum_j log softmax(f_j)[y_j]``."""
    chosen = torch.gather(outputs, 2, target[..., None]).squeeze(-1)
    return ((torch.logsumexp(outputs, dim=-1) - chosen) * weight).sum(dim=1)


def cumulative(
    outputs: Float[Tensor, "lines rows threshold"], target: Int[Tensor, "lines rows"], weight: Weight
) -> Float[Tensor, " lines"]:
    """``-sum_j log(sigmoid(o_j,y) - sigmoid(o_j,y+1))``, ``o_k`` the logit of being above threshold k.

    With ``o_0 = inf`` and ``o_K = -inf``; written as ``softplus(-o_y) + softplus(o_y+1) - log(1 - exp(o_y+1 - o_y))``,
    which stays exact where a class is unlikely. Convex in the outputs.
    """
    last = outputs.shape[-1]
    above = torch.gather(outputs, 2, (target - 1).clamp(min=0)[..., None]).squeeze(-1)
    below = torch.gather(outputs, 2, target.clamp(max=last - 1)[..., None]).squeeze(-1)
    inner = (target > 0) & (target < last)
    apart = torch.where(inner, above - below, 1.0)
    loss = (
        torch.where(target > 0, nnf.softplus(-above), 0.0)
        + torch.where(target < last, nnf.softplus(below), 0.0)
        - torch.where(inner, torch.log(-torch.expm1(-apart)), 0.0)
    )
    return (loss * weight).sum(dim=1)


def poisson(
    outputs: Float[Tensor, "lines rows 1"], target: Float[Tensor, "lines rows"], weight: Weight
) -> Float[Tensor, " lines"]:
    """``sum_j mu_j - y_j log mu_j + log y_j!`` with ``mu = exp(f)``."""
    logs = outputs.squeeze(-1)
    return ((torch.exp(logs) - target * logs + torch.lgamma(target + 1.0)) * weight).sum(dim=1)


def chain_loss(
    outputs: Float[Tensor, "lines rows state"],
    parameters: Mapping[str, Tensor],
    *,
    steps: Int[Tensor, "batch time"],
    states: Int[Tensor, "batch time"],
    lines: Int[Tensor, " batch"],
    covariates: Float[Tensor, "batch covariate"] | None = None,
    forbidden: Bool[Tensor, "state state"] | None = None,
    weights: Float[Tensor, " batch"] | None = None,
) -> Float[Tensor, " lines"]:
    """Negative log-likelihood of each person's sequences (NME's Equation 3, each sequence counted once).

    Args:
        outputs: emission scores of the padded rows.
        parameters: ``transitions`` (state, state), or one per line; ``start`` and ``end`` if learned; ``slopes``
            (covariate, state, state) if transitions have covariates.
        steps: place of each step among the flattened rows; -1 where padded.
        states: observed states; -1 where the label is missing, which is summed over.
        lines: line of each sequence.
        covariates: of each sequence, standardised.
        forbidden: transitions that cannot occur.
        weights: factor of each sequence's loss; 1 by default.
    """
    emissions = sequence_emissions(outputs, steps)
    loglik = chain.log_likelihood(
        emissions,
        states,
        sequence_transitions(parameters, lines, covariates, forbidden),
        steps >= 0,
        *sequence_ends(parameters, lines),
    )
    loss = -loglik if weights is None else -weights * loglik
    return torch.zeros(outputs.shape[0], dtype=outputs.dtype, device=outputs.device).index_add(0, lines, loss)


def sequence_emissions(
    outputs: Float[Tensor, "lines rows state"], steps: Int[Tensor, "batch time"]
) -> Float[Tensor, "batch time state"]:
    """Emission scores arranged by sequence; padded steps hold zeros."""
    flat = outputs.reshape(-1, outputs.shape[-1])
    gathered = torch.index_select(flat, 0, steps.clamp(min=0).reshape(-1)).reshape(*steps.shape, -1)
    return torch.where((steps >= 0)[..., None], gathered, 0.0)


def sequence_ends(
    parameters: Mapping[str, Tensor], lines: Int[Tensor, " batch"]
) -> tuple[Tensor | None, Tensor | None]:
    """Start and end scores, if learned: the shared ones (state,), or those of each sequence's line (batch, state)."""
    found = [parameters.get("start"), parameters.get("end")]
    start, end = [v if v is None or v.dim() == 1 else torch.index_select(v, 0, lines) for v in found]
    return start, end


def sequence_transitions(
    parameters: Mapping[str, Tensor],
    lines: Int[Tensor, " batch"],
    covariates: Float[Tensor, "batch covariate"] | None = None,
    forbidden: Bool[Tensor, "state state"] | None = None,
) -> Tensor:
    """Transition scores of each sequence, ``T + sum_k z_k G_k``; one matrix where all sequences share it.

    ``T`` and ``G`` are the shared ones or those of the sequence's line; the score of a forbidden transition is as good
    as minus infinity.
    """
    matrix = parameters["transitions"]
    if matrix.dim() == 3:
        matrix = torch.index_select(matrix, 0, lines)
    if covariates is not None:
        slopes = parameters["slopes"]
        matrix = matrix + (
            torch.einsum("bk,kst->bst", covariates, slopes)
            if slopes.dim() == 3
            else torch.einsum("bk,bkst->bst", covariates, torch.index_select(slopes, 0, lines))
        )
    return matrix if forbidden is None else torch.where(forbidden, chain.IMPOSSIBLE, matrix)
