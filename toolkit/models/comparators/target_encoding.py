"""A perceptron that sees how the outcome was in each level of the grouping factors in other rows (target encoding)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn

from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ConfigError
from toolkit.models.comparators.levels import LevelsConfig
from toolkit.models.comparators.one_hot import looked_up, single
from toolkit.models.dropping import DroppableMlp
from toolkit.models.plain import (
    Reading,
    Units,
    codes_of,
    draw_parameters,
    rows_as_units,
)


class TargetEncodingMlp(LevelsConfig):
    """Multilayer perceptron on the features and the smoothed mean outcome of a row's levels (Micci-Barreca, 2001).

    A level with n training rows of mean m is read as ``(n m + smoothing p) / (n + smoothing) - p``, where ``p`` is the
    mean of all training rows, in standard deviations of the outcome: zero is the mean, and what a level without
    training rows has. Of several classes there is one such number for each class. While the network learns, a row's
    levels are read from the rows of other folds only: its own outcome is never among its inputs.

    Attributes:
        smoothing: rows that the mean of all rows counts as.
        folds: parts of the training rows, drawn at random, that are read from the other parts.
    """

    several_classes: ClassVar[bool] = True

    smoothing: float = Field(default=10.0, ge=0, allow_inf_nan=False)
    folds: int = Field(default=5, ge=2)

    def check(self, data: GroupedDataset) -> None:
        """Every fold needs rows beside it (E302)."""
        if self.folds > data.n_rows:
            raise ConfigError("there are more folds than rows", code="E302", column="folds", remedy="use fewer")

    def training_units(
        self, module: nn.Module, reading: Reading, data: GroupedDataset, generator: torch.Generator
    ) -> Units:
        """Beside these, what is read of a row's levels in other folds; the network keeps what all rows say."""
        assert isinstance(module, EncodingNetwork)
        outcomes, codes = self._outcomes(reading, data), codes_of(reading, data, "person")
        fold = torch.randperm(data.n_rows, generator=generator).numpy() % min(self.folds, data.n_rows)
        spread = np.maximum(outcomes.std(axis=0), 1e-8)
        crossed = []
        for place, table in enumerate(module.tables):
            own, levels = codes[:, place], len(table)
            crossed.append(cross_fitted(outcomes, own, levels, fold, self.smoothing) / spread)
            whole = encodings(outcomes, own, levels, self.smoothing) / spread
            with torch.no_grad():
                table.copy_(torch.as_tensor(whole))
        return rows_as_units(data.n_rows, reading.scaler.features(data), codes, np.concatenate(crossed, axis=1))

    def _outcomes(self, reading: Reading, data: GroupedDataset) -> Float[np.ndarray, "rows outcome"]:
        """The standardised number, 1 for the second of two classes, or a column of zeros and ones for every class."""
        target = reading.scaler.target(data)
        if self.task != "multiclass":
            return target[:, None]
        return np.eye(reading.outputs)[target.astype(np.int64)]

    def build(self, reading: Reading) -> nn.Module:
        """The network."""
        levels = [len(factor.levels) for factor in reading.factors]
        return EncodingNetwork(reading.scaler.width, levels, self.hidden, reading.outputs)

    def start(self, module: nn.Module, generator: torch.Generator, reading: Reading, units: Units) -> None:
        """The perceptron's weights; encodings are there already."""
        assert isinstance(module, EncodingNetwork)
        draw_parameters(module.perceptron, generator)


class EncodingNetwork(nn.Module):
    """Perceptron on features and encodings, which are looked up or given."""

    def __init__(self, inputs: int, levels: Sequence[int], hidden: Sequence[int], outputs: int) -> None:
        """Lay out the layers; parameters are set later."""
        super().__init__()
        self.perceptron = DroppableMlp(inputs + len(levels) * outputs, hidden, outputs)
        self.tables = nn.ParameterList(
            nn.Parameter(torch.zeros(count, outputs), requires_grad=False) for count in levels
        )

    def forward(self, rows: Tensor, codes: Tensor, given: Tensor | None = None) -> Tensor:
        """Output of each row; of several classes one each (rows, classes).

        Args:
            rows: features (rows, features).
            codes: place of each row's levels (rows, factors); -1 for an unknown one.
            given: encodings of these rows, where they are not those of their levels (rows, factors times outputs).
        """
        if given is None:
            looked = [looked_up(table, own) for table, own in zip(self.tables, codes.unbind(dim=1), strict=True)]
            given = torch.cat(looked, dim=1)
        return single(self.perceptron(torch.cat([rows, given], dim=1)))


def encodings(
    outcomes: Float[np.ndarray, "rows outcome"], codes: Int[np.ndarray, " rows"], levels: int, smoothing: float
) -> Float[np.ndarray, "level outcome"]:
    """Smoothed mean of each level, less the mean of all rows; zero for a level without rows."""
    mean = outcomes.mean(axis=0)
    counts = np.bincount(codes, minlength=levels)[:, None]
    sums = np.column_stack([np.bincount(codes, weights=column, minlength=levels) for column in (outcomes - mean).T])
    return np.where(counts > 0, sums / np.maximum(counts + smoothing, 1e-300), 0.0)


def cross_fitted(
    outcomes: Float[np.ndarray, "rows outcome"],
    codes: Int[np.ndarray, " rows"],
    levels: int,
    fold: Int[np.ndarray, " rows"],
    smoothing: float,
) -> Float[np.ndarray, "rows outcome"]:
    """Encoding of each row's level from the rows of other folds."""
    found = np.zeros_like(outcomes)
    for number in np.unique(fold):
        here = fold == number
        found[here] = encodings(outcomes[~here], codes[~here], levels, smoothing)[codes[here]]
    return found
