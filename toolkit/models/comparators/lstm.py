"""A recurrent network for repeated measures: it reads what a person did before, in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ConfigError
from toolkit.models.dropping import DroppableMlp
from toolkit.models.plain import PlainConfig, Reading, Units


class Lstm(PlainConfig):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997) over a person's earlier rows, beside a perceptron.

    The memory reads features and outcome of every earlier row whose outcome is known, in time order (rows at the same
    time are not earlier). What it remembers stands beside the features of the row to predict, and both go through the
    hidden layers. Outcomes of later rows never reach a prediction, nor do those of validation and test rows in the
    tables of a run; `predict` uses the outcomes of the rows it is given. The LMMNN paper's network has 5 units; its
    published errors are close to those of a network without memory even where subjects differ in level, so that it
    seems to have read the features alone.

    Attributes:
        memory: numbers that are remembered.
    """

    memory: int = Field(default=5, ge=1)

    @property
    def in_sequence(self) -> bool:
        """Earlier rows count."""
        return True

    def check(self, data: GroupedDataset) -> None:
        """Refuse several grouping factors: a row is in one sequence."""
        if len(data.groupings) > 1:
            raise ConfigError(
                "a memory follows one grouping factor, the person",
                code="E302",
                column="groups",
                remedy="name one column",
            )

    def units(self, reading: Reading, data: GroupedDataset, level: str) -> Units:
        """One unit a person: the rows with a known outcome, and every row with the number of those before it."""
        return person_units(reading, data, remember=level != "population")

    def build(self, reading: Reading) -> nn.Module:
        """The network."""
        return LstmNetwork(reading.scaler.width, self.memory, self.hidden)


class LstmNetwork(nn.Module):
    """Memory of earlier rows beside a perceptron."""

    def __init__(self, inputs: int, size: int, hidden: Sequence[int]) -> None:
        """Lay out the layers; parameters are set later."""
        super().__init__()
        self.memory = nn.LSTM(inputs + 1, size, batch_first=True)
        self.perceptron = DroppableMlp(inputs + size, hidden, 1)

    def forward(self, history: Tensor, rows: Tensor, before: Tensor) -> Tensor:
        """Outputs of each row (persons, rows).

        Args:
            history: features and outcomes of the rows whose outcome is known (persons, known, features + 1).
            rows: features of all rows (persons, rows, features).
            before: number of known rows before each row (persons, rows).
        """
        longest = max(int(before.max()), 1)
        states, _ = self.memory(history[:, :longest])
        states = torch.cat([torch.zeros_like(states[:, :1]), states], dim=1)
        remembered = states.gather(1, before[:, :, None].expand(-1, -1, states.shape[2]))
        return self.perceptron(torch.cat([rows, remembered], dim=2))[:, :, 0]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Lines:
    """Rows laid out in one line a person: which line, which place in it."""

    line: np.ndarray
    place: np.ndarray
    longest: int

    def fill(self, values: np.ndarray, lines: int) -> np.ndarray:
        """Values of the rows (rows, ...) in their lines, zero where a line is shorter (lines, longest, ...)."""
        laid = np.zeros((lines, self.longest, *values.shape[1:]), dtype=values.dtype)
        laid[self.line, self.place] = values
        return laid


def person_units(reading: Reading, data: GroupedDataset, *, remember: bool) -> Units:
    """Persons as units; see `Lstm`."""
    persons, person = np.unique(np.asarray(data.person), return_inverse=True)
    time = np.arange(data.n_rows) if data.time is None else np.unique(np.asarray(data.time), return_inverse=True)[1]
    moment = person * (int(time.max(initial=0)) + 1) + time  # in order of person, then time
    order = np.argsort(moment, kind="stable")
    known = order[~np.isnan(np.asarray(data.target))[order]]
    first = np.searchsorted(person[known], np.arange(len(persons)))
    before = np.searchsorted(moment[known], moment) - first[person]
    features = reading.scaler.features(data)
    outcome = reading.scaler.target(data)
    history = _lines(person[known], len(persons)).fill(np.column_stack([features, outcome])[known], len(persons))
    rows = _lines(person, len(persons))
    laid = rows.fill(before if remember else np.zeros_like(before), len(persons))
    return Units(
        arrays=(history, rows.fill(features, len(persons)), laid),
        place=rows.line * rows.longest + rows.place,
        outputs=(len(persons), rows.longest),
    )


def _lines(person: np.ndarray, persons: int) -> _Lines:
    """Every row behind the earlier ones of its person."""
    order = np.argsort(person, kind="stable")
    counts = np.bincount(person, minlength=persons)
    place = np.empty(len(person), dtype=np.int64)
    place[order] = np.arange(len(person)) - np.repeat(np.cumsum(counts) - counts, counts)
    return _Lines(line=person, place=place, longest=max(int(counts.max(initial=0)), 1))
