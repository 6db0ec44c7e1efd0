"""Log-space recursions in plain differentiable operations: for what is asked of every step, not only of the end.

`toolkit.numerics.chain_functions` has the fast value and slopes of ``log Z``; these serve filtered probabilities,
forecasts, and marginals that are to be differentiated.
"""

from __future__ import annotations

import torch
from torch import Tensor

from toolkit.numerics.chain_layout import IMPOSSIBLE


def forward_messages(emissions: Tensor, transitions: Tensor, mask: Tensor | None, start: Tensor | None) -> list[Tensor]:
    """Forward messages, one (batch, state) tensor a step; a padded step repeats the last real one."""
    matrix = per_sequence(transitions)
    # unbind once: indexing emissions[:, t] would zero-fill the whole tensor per step in the backward pass
    steps = emissions.unbind(1)
    keeps = [None] * len(steps) if mask is None else list(mask.unbind(1))
    messages = [steps[0] if start is None else steps[0] + start]
    for step, keep in zip(steps[1:], keeps[1:], strict=True):
        value = torch.logsumexp(messages[-1][:, :, None] + matrix, dim=1) + step
        messages.append(value if keep is None else torch.where(keep[:, None], value, messages[-1]))
    return messages


def backward_messages(emissions: Tensor, transitions: Tensor, mask: Tensor | None, end: Tensor | None) -> list[Tensor]:
    """Backward messages; at the last real step (and on the padding after it) the end scores."""
    matrix = per_sequence(transitions)
    steps = emissions.unbind(1)
    keeps = [None] * len(steps) if mask is None else list(mask.unbind(1))
    final = torch.zeros_like(steps[0]) if end is None else torch.zeros_like(steps[0]) + end
    messages = [final]
    for step, keep in zip(steps[:0:-1], keeps[:0:-1], strict=True):
        value = torch.logsumexp(matrix + (step + messages[-1])[:, None, :], dim=2)
        messages.append(value if keep is None else torch.where(keep[:, None], value, messages[-1]))
    return messages[::-1]


def log_space_marginals(
    emissions: Tensor,
    transitions: Tensor,
    mask: Tensor | None,
    start: Tensor | None,
    end: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Marginals of states and of pairs of states; see `toolkit.numerics.chain.marginals`."""
    forward = torch.stack(forward_messages(emissions, transitions, mask, start), dim=1)
    backward = torch.stack(backward_messages(emissions, transitions, mask, end), dim=1)
    final = forward[:, -1] if end is None else forward[:, -1] + end
    normaliser = torch.logsumexp(final, dim=-1)[:, None, None]
    unary = torch.exp(forward + backward - normaliser)
    matrix = per_sequence(transitions)[:, None]
    pairs = forward[:, :-1, :, None] + matrix + (emissions + backward)[:, 1:, None, :] - normaliser[..., None]
    pairwise = torch.exp(pairs)
    if mask is None:
        return unary, pairwise
    # where, not multiplication: a padded step may overflow to infinity before it is dropped
    return torch.where(mask[..., None], unary, 0.0), torch.where(mask[:, 1:, None, None], pairwise, 0.0)


def forecast_messages(emissions: Tensor, states: Tensor, transitions: Tensor, start: Tensor | None) -> list[Tensor]:
    """Log-probabilities of each step before its label is known, up to a constant, (batch, state) a step."""
    matrix = per_sequence(transitions)
    every = torch.arange(emissions.shape[2], device=states.device)
    message = emissions[:, 0] if start is None else emissions[:, 0] + start
    ahead = [message]
    for step, label in zip(emissions.unbind(1)[1:], states.unbind(1)[:-1], strict=True):
        # a state that was seen is certain, however unlikely it was
        seen = torch.where(label[:, None] == every, 0.0, IMPOSSIBLE).to(message)
        known = torch.where(label[:, None] < 0, message, seen)
        message = torch.logsumexp(known[:, :, None] + matrix, dim=1) + step
        message = message - torch.logsumexp(message, dim=1, keepdim=True)
        ahead.append(message)
    return ahead


def per_sequence(transitions: Tensor) -> Tensor:
    """Transitions with a leading batch dimension (of size one when shared)."""
    return transitions if transitions.dim() == 3 else transitions[None]
