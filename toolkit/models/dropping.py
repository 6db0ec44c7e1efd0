"""Units left out at random while a network learns (dropout), from a generator that a checkpoint can hold."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from toolkit.models.networks import Mlp


class Droppable(nn.Module):
    """A network that can leave out units; it leaves out none until `leave_out` says so, and none when it predicts."""

    dropout: float = 0.0
    generator: torch.Generator | None = None

    def dropped(self, values: Tensor) -> Tensor:
        """Values with some at zero and the others larger by as much, while training."""
        if not (self.dropout and self.training):
            return values
        kept = torch.rand(values.shape, generator=self.generator, dtype=values.dtype) >= self.dropout
        return values * kept.to(values) / (1.0 - self.dropout)


class DroppableMlp(Mlp, Droppable):
    """Multilayer perceptron that leaves out units after all hidden layers but the last ``spare`` ones."""

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int, *, spare: int = 1) -> None:
        """Lay out the layers; parameters are set later."""
        super().__init__(inputs, hidden, outputs)
        self.spare = spare

    def forward(self, rows: Tensor) -> Tensor:
        """Outputs of each row."""
        return self.layers[-1](self.activations(rows)[-1])

    def activations(self, rows: Tensor) -> list[Tensor]:
        """The rows, and what each hidden layer makes of them."""
        found, last = [rows], len(self.layers) - 1
        for place, layer in enumerate(self.layers[:-1]):
            rows = torch.relu(layer(rows))
            rows = self.dropped(rows) if place < last - self.spare else rows
            found.append(rows)
        return found


def leave_out(module: nn.Module, share: float, generator: torch.Generator) -> None:
    """Have every part of a network that can leave out units do so."""
    for part in module.modules():
        if isinstance(part, Droppable):
            part.dropout, part.generator = share, generator
