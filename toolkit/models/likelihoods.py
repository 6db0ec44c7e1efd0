"""Losses of the outcomes, summed per person line. All are negative log-likelihoods except the squared error."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as nnf
from jaxtyping import Bool, Float, Int
from torch import Tensor

from toolkit.numerics import chain


def squared_error(
    outputs: Float[Tensor, "lines rows 1"], target: Float[Tensor, "lines rows"], mask: Bool[Tensor, "lines rows"]
) -> Float[Tensor, " lines"]:
    """``sum_j (y_j - f_j)^2``; a Gaussian negative log-likelihood after division by ``2 sigma2``."""
    return (torch.square(target - outputs.squeeze(-1)) * mask).sum(dim=1)


def bernoulli(
    outputs: Float[Tensor, "lines rows 1"], target: Float[Tensor, "lines rows"], mask: Bool[Tensor, "lines rows"]
) -> Float[Tensor, " lines"]:
    """``-sum_j y_j log p_j + (1 - y_j) log(1 - p_j)`` with ``p = sigmoid(f)``."""
    logits = outputs.squeeze(-1)
    return ((nnf.softplus(logits) - target * logits) * mask).sum(dim=1)


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
    outputs: Float[Tensor, "lines rows class"], target: Int[Tensor, "lines rows"], mask: Bool[Tensor, "lines rows"]
) -> Float[Tensor, " lines"]:
    """``-sum_j log softmax(f_j)[y_j]``."""
    chosen = torch.gather(outputs, 2, target[..., None]).squeeze(-1)
    return ((torch.logsumexp(outputs, dim=-1) - chosen) * mask).sum(dim=1)


def chain_loss(
    outputs: Float[Tensor, "lines rows state"],
    parameters: Mapping[str, Tensor],
    *,
    steps: Int[Tensor, "batch time"],
    states: Int[Tensor, "batch time"],
    lines: Int[Tensor, " batch"],
) -> Float[Tensor, " lines"]:
    """Negative log-likelihood of each person's sequences (NME's Equation 3, each sequence counted once).

    Args:
        outputs: emission scores of the padded rows.
        parameters: ``transitions`` (state, state), or one per line; ``start`` and ``end`` if learned.
        steps: place of each step among the flattened rows; -1 where padded.
        states: observed states.
        lines: line of each sequence.
    """
    emissions = sequence_emissions(outputs, steps)
    loglik = chain.log_likelihood(
        emissions,
        states,
        sequence_transitions(parameters["transitions"], lines),
        steps >= 0,
        parameters.get("start"),
        parameters.get("end"),
    )
    return torch.zeros(outputs.shape[0], dtype=outputs.dtype, device=outputs.device).index_add(0, lines, -loglik)


def sequence_emissions(
    outputs: Float[Tensor, "lines rows state"], steps: Int[Tensor, "batch time"]
) -> Float[Tensor, "batch time state"]:
    """Emission scores arranged by sequence; padded steps hold zeros."""
    flat = outputs.reshape(-1, outputs.shape[-1])
    gathered = torch.index_select(flat, 0, steps.clamp(min=0).reshape(-1)).reshape(*steps.shape, -1)
    return torch.where((steps >= 0)[..., None], gathered, 0.0)


def sequence_transitions(transitions: Tensor, lines: Int[Tensor, " batch"]) -> Tensor:
    """The transition matrix of each sequence's person; a shared matrix stays one matrix."""
    return transitions if transitions.dim() == 2 else torch.index_select(transitions, 0, lines)
