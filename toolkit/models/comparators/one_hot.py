"""A perceptron that sees the levels of the grouping factors as further inputs, one for each level (one-hot)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from toolkit.models.comparators.levels import LevelsConfig
from toolkit.models.dropping import Droppable
from toolkit.models.networks import Mlp
from toolkit.models.plain import (
    Reading,
    Units,
    draw_parameters,
)


class OneHotMlp(LevelsConfig):
    """Multilayer perceptron on the features and one input of zeros and ones for each level of every grouping factor.

    The wide first layer is never multiplied out: a level's weights are looked up. A level without training rows has no
    input of its own, so that all of its inputs are zero.
    """

    several_classes: ClassVar[bool] = True

    def build(self, reading: Reading) -> nn.Module:
        """The network."""
        levels = [len(factor.levels) for factor in reading.factors]
        return OneHotNetwork(reading.scaler.width, levels, self.hidden, reading.outputs)

    def start(self, module: nn.Module, generator: torch.Generator, reading: Reading, units: Units) -> None:
        """A level's weights start as those of a wide first layer would."""
        draw_parameters(module, generator)
        assert isinstance(module, OneHotNetwork)
        wide = reading.scaler.width + sum(len(factor.levels) for factor in reading.factors)
        with torch.no_grad():
            for table in module.tables:
                table *= (table.shape[1] / wide) ** 0.5


class OneHotNetwork(Droppable):
    """Perceptron whose first layer adds up the weights of a row's levels."""

    def __init__(self, inputs: int, levels: Sequence[int], hidden: Sequence[int], outputs: int = 1) -> None:
        """Lay out the layers; parameters are set later."""
        super().__init__()
        self.perceptron = Mlp(inputs, hidden, outputs)
        width = hidden[0] if hidden else outputs
        self.tables = nn.ParameterList(nn.Parameter(torch.zeros(count, width)) for count in levels)

    def forward(self, rows: Tensor, codes: Tensor) -> Tensor:
        """Output of each row; of several classes one each (rows, classes)."""
        first, *others = self.perceptron.layers
        sums = first(rows)
        for table, own in zip(self.tables, codes.unbind(dim=1), strict=True):
            sums = sums + looked_up(table, own)
        for place, layer in enumerate(others):
            inputs = torch.relu(sums)
            sums = layer(self.dropped(inputs) if place < len(others) - 1 else inputs)
        return single(sums)


def single(outputs: Tensor) -> Tensor:
    """Outputs (rows, outputs) without the second dimension where it has one place."""
    return outputs[:, 0] if outputs.shape[1] == 1 else outputs


def looked_up(table: Tensor, codes: Tensor, otherwise: Tensor | None = None) -> Tensor:
    """Line of a table for each code; zeros, or what is given, where the code is negative.

    Args:
        table: lines (levels, width).
        codes: (rows,).
        otherwise: (width,).
    """
    if len(table) and not bool((codes < 0).any()):
        return nn.functional.embedding(codes, table)
    other = table.new_zeros(table.shape[1]) if otherwise is None else otherwise
    return nn.functional.embedding(torch.where(codes < 0, len(table), codes), torch.cat([table, other[None]]))
