"""A perceptron in which every level of the grouping factors has a place in a space of few dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from toolkit.errors import ConfigError
from toolkit.models.comparators.levels import LevelsConfig
from toolkit.models.comparators.one_hot import looked_up, single
from toolkit.models.dropping import DroppableMlp
from toolkit.models.plain import (
    Reading,
    Units,
    draw_parameters,
)

START = 0.05
LARGEST = 100


class EmbeddingMlp(LevelsConfig):
    """Multilayer perceptron on the features and the embeddings of a row's levels (Guo and Berkhahn, 2016).

    A level without training rows, and the population, have the mean embedding of the levels that have some.

    Attributes:
        size: numbers of every embedding; None takes ``min(100, 1.6 q^.56)`` for a factor of q levels.
    """

    several_classes: ClassVar[bool] = True

    size: int | None = None

    def model_post_init(self, context: Any, /) -> None:
        """An embedding has numbers."""
        super().model_post_init(context)
        if self.size is not None and self.size < 1:
            raise ConfigError("an embedding needs at least one number", code="E302", column="size")

    def build(self, reading: Reading) -> nn.Module:
        """The network."""
        levels = [len(factor.levels) for factor in reading.factors]
        sizes = [self.size or embedding_size(count) for count in levels]
        return EmbeddingNetwork(reading.scaler.width, levels, sizes, self.hidden, reading.outputs)

    def start(self, module: nn.Module, generator: torch.Generator, reading: Reading, units: Units) -> None:
        """Embeddings start close to each other."""
        draw_parameters(module, generator)
        assert isinstance(module, EmbeddingNetwork)
        with torch.no_grad():
            for table in module.tables:
                table *= START * table.shape[1] ** 0.5

    def finish(self, module: nn.Module) -> None:
        """Keep the mean embeddings."""
        assert isinstance(module, EmbeddingNetwork)
        for place, table in enumerate(module.tables):
            module.get_buffer(f"mean_{place}").copy_(table.detach().mean(dim=0))


class EmbeddingNetwork(nn.Module):
    """Perceptron on features and embeddings."""

    def __init__(
        self, inputs: int, levels: Sequence[int], sizes: Sequence[int], hidden: Sequence[int], outputs: int = 1
    ) -> None:
        """Lay out the layers; parameters are set later."""
        super().__init__()
        self.perceptron = DroppableMlp(inputs + sum(sizes), hidden, outputs)
        self.tables = nn.ParameterList(
            nn.Parameter(torch.zeros(count, size)) for count, size in zip(levels, sizes, strict=True)
        )
        for place, size in enumerate(sizes):
            self.register_buffer(f"mean_{place}", torch.zeros(size))

    def forward(self, rows: Tensor, codes: Tensor) -> Tensor:
        """Output of each row; of several classes one each (rows, classes)."""
        own = [
            looked_up(table, own, self._mean(place, table))
            for place, (table, own) in enumerate(zip(self.tables, codes.unbind(dim=1), strict=True))
        ]
        return single(self.perceptron(torch.cat([rows, *own], dim=1)))

    def _mean(self, place: int, table: Tensor) -> Tensor:
        """Mean embedding: kept after training, for copies of a model that hold nobody's."""
        return table.mean(dim=0) if len(table) else self.get_buffer(f"mean_{place}")


def embedding_size(levels: int) -> int:
    """``min(100, 1.6 q^.56)``, at least 1 (the rule of AutoGluon and fastai, but for its lower end of 2)."""
    return max(1, min(LARGEST, round(1.6 * levels**0.56)))
