"""What observed labels contribute: their score and, to the gradient, their counts. Padded steps count nothing."""

from __future__ import annotations

import torch
from torch import Tensor


def complete_path(states: Tensor, mask: Tensor | None) -> Tensor:
    """States (batch, time) with a valid number, 0, in the padding."""
    return (states if mask is None else torch.where(mask, states, 0)).clamp(min=0)


def last_steps(emissions: Tensor, mask: Tensor | None) -> Tensor:
    """Last step of each sequence (batch,)."""
    if mask is None:
        return torch.full(emissions.shape[:1], emissions.shape[1] - 1, dtype=torch.int64, device=emissions.device)
    return mask.sum(dim=1) - 1


def path_score(
    emissions: Tensor,
    path: Tensor,
    transitions: Tensor,
    mask: Tensor | None,
    start: Tensor | None,
    end: Tensor | None,
) -> Tensor:
    """Score of complete paths (batch,); what stands in the padding never enters."""
    steps = torch.gather(emissions, 2, path.unsqueeze(-1)).squeeze(-1)
    moves = _path_transitions(transitions, path)
    if mask is not None:
        # where, not multiplication: the padding may hold anything
        steps = torch.where(mask, steps, 0.0)
        moves = torch.where(mask[:, 1:], moves, 0.0)
    total = steps.sum(dim=1) + moves.sum(dim=1)
    if start is not None:
        total = total + _at(start, path[:, 0])
    if end is not None:
        total = total + _at(end, torch.gather(path, 1, last_steps(emissions, mask)[:, None]).squeeze(1))
    return total


def label_indicators(path: Tensor, mask: Tensor | None, emissions: Tensor) -> tuple[Tensor, Tensor]:
    """Indicators of the labels (batch, time, state), and counts of their transitions (batch, state, state)."""
    every = torch.arange(emissions.shape[2], device=path.device)
    indicators = (path[..., None] == every).to(emissions.dtype)
    if mask is not None:
        indicators = indicators * mask[..., None]
    return indicators, torch.einsum("bti,btj->bij", indicators[:, :-1], indicators[:, 1:])


def add_labels(slopes: Tensor, path: Tensor, mask: Tensor | None, weights: Tensor) -> None:
    """Add each sequence's weight (batch,) to the entries (batch, time, state) of its labels, in place."""
    values = weights[:, None].expand_as(path) if mask is None else weights[:, None] * mask
    slopes.scatter_add_(2, path[..., None], values[..., None])


def add_label_transitions(slopes: Tensor, path: Tensor, mask: Tensor | None, weights: Tensor) -> None:
    """Add each sequence's weight to its labels' transitions, (state, state) or per sequence, in place."""
    states = slopes.shape[-1]
    cells = path[:, :-1] * states + path[:, 1:]
    values = weights[:, None].expand_as(cells) if mask is None else weights[:, None] * mask[:, 1:]
    if slopes.dim() == 2:
        slopes.view(-1).scatter_add_(0, cells.reshape(-1), values.reshape(-1))
    else:
        slopes.view(slopes.shape[0], -1).scatter_add_(1, cells, values)


def _path_transitions(transitions: Tensor, path: Tensor) -> Tensor:
    """Transition scores along the path (batch, time - 1)."""
    cells = path[:, :-1] * transitions.shape[-1] + path[:, 1:]
    if transitions.dim() == 2:
        return torch.index_select(transitions.reshape(-1), 0, cells.reshape(-1)).reshape(cells.shape)
    return torch.gather(transitions.reshape(transitions.shape[0], -1), 1, cells)


def _at(scores: Tensor, states: Tensor) -> Tensor:
    """Start or end scores, shared or per sequence, of one state a sequence."""
    if scores.dim() == 1:
        return torch.index_select(scores, 0, states)
    return torch.gather(scores, 1, states[:, None]).squeeze(1)
