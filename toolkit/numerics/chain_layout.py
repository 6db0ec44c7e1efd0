"""How the chain's recursions see their arguments: time first, batch last, longest sequence first.

A step of a recursion then touches one contiguous (state, batch) block, and the sequences that are still running are the
first columns of it. Start and end scores are part of the first and last emission here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Score of what cannot happen. Finite, so that sums and gradients of it are defined.
IMPOSSIBLE = -1e9
# Any score of -1e8 or less counts as impossible: nothing a model learns gets there, and sums of a few keep below it.
LIMIT = 0.1 * IMPOSSIBLE


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChainLayout:
    """Scores of a batch in the order of the recursions.

    Attributes:
        scores: emissions with start and end scores (time, state, batch), minus infinity where padded.
        matrix: transitions (state, state), or (state, state, batch).
        counts: number of sequences that reach each step, falling.
        last: last step of each sequence (batch,).
        order: place of each column among the caller's sequences; None if they kept their order.
        steps: number of steps of the caller's tensors; those after the longest sequence are left out here.
    """

    scores: Tensor
    matrix: Tensor
    counts: list[int]
    last: Tensor
    order: Tensor | None
    steps: int

    def by_column(self, values: Tensor) -> Tensor:
        """Values of the caller's sequences (batch, ...) in the order of the columns."""
        return values if self.order is None else torch.index_select(values, 0, self.order)

    def by_sequence(self, values: Tensor) -> Tensor:
        """Values of the columns (batch, ...) in the caller's order."""
        if self.order is None:
            return values
        return torch.empty_like(values).index_copy_(0, self.order, values)

    def steps_by_sequence(self, values: Tensor) -> Tensor:
        """Values (time, state, batch) as (batch, time, state) in the caller's order, zero for steps left out."""
        time, states, batch = values.shape
        # as one matrix: torch transposes those by blocks
        flat = values.reshape(time * states, batch).t().contiguous()
        ordered = self.by_sequence(flat).reshape(batch, time, states)
        if time == self.steps:
            return ordered
        return torch.nn.functional.pad(ordered, (0, 0, 0, self.steps - time))

    def ends_of(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Values (time, state, batch) at the first and at the last step of each sequence, (batch, state) each."""
        columns = torch.arange(values.shape[2], device=values.device)
        return values[0].t(), values[self.last, :, columns]


def lay_out(
    emissions: Tensor, transitions: Tensor, mask: Tensor | None, start: Tensor | None, end: Tensor | None
) -> ChainLayout:
    """Arrange checked arguments for the recursions; the caller's tensors are copied, never changed."""
    batch, steps, states = emissions.shape
    counts = [batch] * steps if mask is None else _counts(mask)
    ragged = counts[-1] < batch
    order: Tensor | None = None
    last = torch.full((batch,), len(counts) - 1, dtype=torch.int64, device=emissions.device)
    if ragged and mask is not None:
        lengths, order = torch.sort(mask.sum(dim=1), descending=True, stable=True)
        last = lengths - 1
        emissions = torch.index_select(emissions, 0, order)
    flat = emissions[:, : len(counts)].reshape(batch, len(counts) * states)
    scores = flat.t().clone(memory_format=torch.contiguous_format).reshape(len(counts), states, batch)
    if ragged:
        later = torch.arange(len(counts), device=scores.device)[:, None] > last
        scores.masked_fill_(later[:, None, :], -torch.inf)
    matrix = transitions
    if transitions.dim() == 3:
        own = transitions if order is None else torch.index_select(transitions, 0, order)
        matrix = own.permute(1, 2, 0).contiguous()
    layout = ChainLayout(scores=scores, matrix=matrix, counts=counts, last=last, order=order, steps=steps)
    _add_ends(layout, start, end)
    return layout


def _counts(mask: Tensor) -> list[int]:
    """Number of sequences that reach each step, as far as any does."""
    counts: list[int] = mask.sum(dim=0).cpu().numpy().tolist()
    return [count for count in counts if count]


def _add_ends(layout: ChainLayout, start: Tensor | None, end: Tensor | None) -> None:
    """Start scores into the first step, end scores into each sequence's last one."""
    if start is not None:
        layout.scores[0] += layout.by_column(start).t() if start.dim() == 2 else start[:, None]
    if end is not None:
        columns = torch.arange(layout.scores.shape[2], device=end.device)
        layout.scores[layout.last, :, columns] += layout.by_column(end) if end.dim() == 2 else end


def fold_ends(emissions: Tensor, start: Tensor | None, end: Tensor | None, mask: Tensor | None) -> Tensor:
    """Emissions (batch, time, state) with start and end scores in the first and last steps; differentiable."""
    steps = torch.arange(emissions.shape[1], device=emissions.device)
    if start is not None:
        emissions = emissions + (steps == 0)[:, None] * start.unsqueeze(-2)
    if end is not None:
        last = emissions.shape[1] - 1 if mask is None else mask.sum(dim=1, keepdim=True) - 1
        emissions = emissions + (steps == last)[..., None] * end.unsqueeze(-2)
    return emissions
