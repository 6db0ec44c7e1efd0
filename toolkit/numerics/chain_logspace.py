"""The chain's recursions on log-sums: slower than `chain_scaled`, exact for scores of any range.

``alpha_t[s] = emissions_t[s] + logsumexp_r(alpha_{t-1}[r] + T[r, s])`` and
``beta_{t-1}[r] = logsumexp_s(T[r, s] + emissions_t[s] + beta_t[s])``; impossible scores are minus infinity here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from toolkit.numerics.chain_layout import LIMIT, ChainLayout


class LogMessages:
    """Messages of a batch; the same answers as `toolkit.numerics.chain_scaled.ScaledMessages`."""

    def __init__(self, layout: ChainLayout) -> None:
        """Run the forward recursion."""
        self.layout = layout
        self._scores = _without_impossible(layout.scores)
        matrix = _without_impossible(layout.matrix)
        self._matrix = matrix if matrix.dim() == 3 else matrix[:, :, None]
        self._left = torch.full_like(self._scores, -torch.inf)
        self._left[0] = self._scores[0]
        for step in range(1, len(layout.counts)):
            count = layout.counts[step]
            arriving = self._left[step - 1, :, None, :count] + self._matrix[:, :, :count]
            self._left[step, :, :count] = torch.logsumexp(arriving, dim=0) + self._scores[step, :, :count]
        self.log_partition = torch.logsumexp(layout.ends_of(self._left)[1], dim=1)
        self._right: Tensor | None = None

    def unary(self) -> Tensor:
        """``p(y_t | x)`` (time, state, batch), zero where padded."""
        return torch.exp(self._left + self._backward() - self.log_partition)

    def pair_sum(self, weights: Tensor) -> Tensor:
        """``p(y_{t-1}, y_t | x)`` summed over steps and, weighted (batch,), over columns: (state, state)."""
        return (self.pair_sums() * weights).sum(dim=2)

    def pair_sums(self) -> Tensor:
        """``p(y_{t-1}, y_t | x)`` summed over steps, of each column (state, state, batch)."""
        states, batch = self._left.shape[1:]
        total = torch.zeros((states, states, batch), dtype=self._left.dtype, device=self._left.device)
        for step in range(1, len(self.layout.counts)):
            count = self.layout.counts[step]
            total[:, :, :count] += self._pair(step, count)
        return total

    def pairs(self) -> Tensor:
        """``p(y_{t-1}, y_t | x)`` (time - 1, state, state, batch)."""
        time, states, batch = self._left.shape
        found = torch.zeros((time - 1, states, states, batch), dtype=self._left.dtype, device=self._left.device)
        for step in range(1, time):
            count = self.layout.counts[step]
            found[step - 1, :, :, :count] = self._pair(step, count)
        return found

    def _pair(self, step: int, count: int) -> Tensor:
        """``p(y_{t-1}, y_t | x)`` of one step (state, state, count)."""
        right = (self._scores[step] + self._backward()[step])[:, :count] - self.log_partition[:count]
        return torch.exp(self._left[step - 1, :, None, :count] + self._matrix[:, :, :count] + right)

    def _backward(self) -> Tensor:
        """Backward messages (time, state, batch), zero at and after the last step."""
        if self._right is not None:
            return self._right
        messages = torch.zeros_like(self._left)
        for step in range(len(self.layout.counts) - 1, 0, -1):
            count = self.layout.counts[step]
            leaving = self._matrix[:, :, :count] + (self._scores[step] + messages[step])[None, :, :count]
            messages[step - 1, :, :count] = torch.logsumexp(leaving, dim=1)
        self._right = messages
        return messages


def _without_impossible(scores: Tensor) -> Tensor:
    """Impossible scores as minus infinity; a score that is no number stays what it is."""
    return scores.masked_fill(scores <= LIMIT, -torch.inf)
