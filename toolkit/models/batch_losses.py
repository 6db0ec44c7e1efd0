"""The loss of a batch, with its derivatives by the outputs, and of the same rows in lines."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from toolkit.data.grouped import GroupedDataset
from toolkit.data.sequences import SequenceBatch
from toolkit.effects.flat_rows import Batch
from toolkit.effects.problem import PersonLoss
from toolkit.models.chain_covariates import ChainParts
from toolkit.models.row_losses import ChainLoss, RowFunction, RowLoss, derivative_of
from toolkit.models.several_targets import SquaredErrors


class RowLosses:
    """The loss of the rows of a batch, by its derivative where that is written down, else by autograd."""

    def __init__(self, function: RowFunction) -> None:
        self._function, self._derivative = function, derivative_of(function)

    def alone(self, place: int) -> RowLosses:
        """The squared errors of one of several targets."""
        assert isinstance(self._function, SquaredErrors)
        return RowLosses(self._function.alone(place))

    def of_lines(self, target: Tensor, mask: Tensor) -> PersonLoss:
        """The loss of lines (lines, rows)."""
        return RowLoss(function=self._function, target=target, mask=mask)

    def slopes(self, batch: Batch, outputs: Tensor, chain: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, dict]:
        """The summed loss of a batch and its gradient."""
        if self._derivative is not None:
            return *self._derivative(outputs, batch.target), {}
        with torch.enable_grad():
            free = outputs.detach()[:, None].requires_grad_(True)
            target = batch.target[:, None]
            loss = self._function(free, target, torch.ones_like(target, dtype=torch.bool)).sum()
            (gradient,) = torch.autograd.grad(loss, [free])
        return loss.detach(), gradient.squeeze(1), {}


class ChainLosses:
    """The loss of the sequences of a batch.

    Args:
        covariates: of the transitions, of each row (rows, covariates).
        forbidden: transitions that cannot occur (state, state).
        weights: factor of the loss of each person (persons,).
    """

    def __init__(
        self, covariates: Tensor | None = None, forbidden: Tensor | None = None, weights: Tensor | None = None
    ) -> None:
        self._covariates, self._forbidden, self._weights = covariates, forbidden, weights

    @classmethod
    def of(
        cls, data: GroupedDataset, sequences: SequenceBatch, units: np.ndarray, parts: ChainParts, like: Tensor
    ) -> ChainLosses:
        """The loss of sequences in the given order."""
        lengths = np.asarray(sequences.mask).sum(axis=1)[units]
        values = None if parts.covariates is None else parts.covariates.values(data, sequences)
        counts = np.bincount(np.asarray(data.person))
        return cls(
            covariates=None if values is None else torch.as_tensor(np.repeat(values[units], lengths, axis=0)).to(like),
            forbidden=None if parts.forbidden is None else torch.as_tensor(parts.forbidden, device=like.device),
            weights=torch.as_tensor(counts).to(like) if parts.by_rows else None,
        )

    def of_sequences(
        self, states: Tensor, *, places: Tensor, lines: Tensor, first: Tensor, persons: Tensor
    ) -> PersonLoss:
        """The loss of sequences in lines of persons.

        Args:
            states: of each step (batch, time); -1 where padded.
            places: of each step among the flattened lines; likewise.
            lines: line of each sequence (batch,).
            first: its first row among all rows.
            persons: code of its person.
        """
        return ChainLoss(
            steps=places,
            states=states,
            lines=lines,
            covariates=None if self._covariates is None else self._covariates.index_select(0, first),
            forbidden=self._forbidden,
            weights=None if self._weights is None else self._weights[persons],
        )

    def slopes(
        self, batch: Batch, outputs: Tensor, chain: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The summed loss of a batch and its gradients."""
        assert batch.starts is not None
        assert batch.lengths is not None
        step = torch.arange(int(batch.lengths.max()), device=outputs.device)
        steps = torch.where(step < batch.lengths[:, None], batch.starts[:, None] + step, -1)
        lines = batch.person_of_row.index_select(0, batch.starts)
        part = self.of_sequences(
            torch.where(steps >= 0, batch.target[steps.clamp(min=0)], -1),
            places=steps,
            lines=lines,
            first=batch.rows.index_select(0, batch.starts),
            persons=batch.persons.index_select(0, lines),
        )
        with torch.enable_grad():
            free = outputs.detach().requires_grad_(True)
            own = {name: value.detach().requires_grad_(True) for name, value in chain.items()}
            loss = part(free[:, None], own).sum()
            gradient, *of_chain = torch.autograd.grad(loss, [free, *own.values()])
        return loss.detach(), gradient, dict(zip(own, of_chain, strict=True))
