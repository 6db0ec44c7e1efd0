"""What comparators without random effects have in common: their settings, and how they read rows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from toolkit.data.grouped import GroupedDataset
from toolkit.data.groupings import Grouping
from toolkit.errors import ConfigError, DataError
from toolkit.models.config import LOOP, Config
from toolkit.models.prepare import Scaler, fit_scaler
from toolkit.optimise.minimise import Outcome, Progress

# A loss of a module's outputs that it cannot compute without itself: of arrays, targets and which of these count.
OwnLoss = Callable[[nn.Module, tuple[Tensor, ...], Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LevelTable:
    """The levels of a grouping factor that have training rows."""

    grouping: str
    levels: tuple[str, ...]

    def codes(self, factor: Grouping) -> np.ndarray:
        """Place of each row's level (rows,); -1 where the level had no training rows."""
        place = {level: code for code, level in enumerate(self.levels)}
        return np.array([place.get(level, -1) for level in factor.levels], dtype=np.int64)[np.asarray(factor.codes)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """How rows become numbers, fixed by the training rows.

    Attributes:
        scaler: standardisation of features and target.
        factors: levels that have numbers of their own, by factor; the person first, or none.
        outputs: of the network for a row: one, or one a class where there are several.
        low, high: the least and the largest coordinate of a place in the training rows (2,), where there are places.
    """

    scaler: Scaler
    factors: tuple[LevelTable, ...] = ()
    outputs: int = 1
    low: np.ndarray | None = None
    high: np.ndarray | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Units:
    """Rows as a network takes them: one unit a row, or one a person.

    Attributes:
        arrays: the network's arguments (units, ...).
        place: of each row among the flattened outputs (rows,).
        outputs: shape of the outputs: (units,), or (units, rows of the longest).
    """

    arrays: tuple[np.ndarray, ...]
    place: np.ndarray
    outputs: tuple[int, ...]

    @property
    def count(self) -> int:
        """Number of units."""
        return self.outputs[0]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """Units with their targets.

    Attributes:
        arrays: the network's arguments (units, ...).
        targets: standardised, 0 and 1, or class codes (units, ...).
        counted: which outputs are judged (units, ...).
        rows: how many.
    """

    arrays: tuple[Tensor, ...]
    targets: Tensor
    counted: Tensor
    rows: int


class PlainConfig(Config):
    """Settings of a network without random effects that learns in mini-batches.

    Attributes:
        task: ``regression``, ``binary``, or, where the network has an output for every class, ``multiclass``.
        hidden: widths of the hidden layers (ReLU after each).
        dropout: share of units left out at random after every hidden layer but the last, while training.
        lr: learning rate.
        epochs: most epochs.
        patience: epochs without a better validation loss before stopping; the best state is kept.
        batch: rows of one step.
        optimiser: ``adam``, or ``adamw``, whose weight decay shrinks parameters directly.
        schedule: of the learning rate: ``plateau``, ``constant``, or ``one-cycle`` over all epochs, which are then run.
        precision: floating point type of all tensors.
    """

    several_classes: ClassVar[bool] = False  # whether there may be more than two

    task: Literal["regression", "binary", "multiclass"] = "regression"
    hidden: tuple[int, ...] = (100, 50, 25, 12)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    lr: float = Field(default=1e-3, gt=0, allow_inf_nan=False)
    epochs: int = Field(default=500, ge=1)
    patience: int = Field(default=10, ge=1)
    batch: int = Field(default=256, ge=1)  # pyright: ignore[reportIncompatibleVariableOverride] - frozen, never None
    optimiser: Literal["adam", "adamw"] = "adam"
    schedule: Literal["plateau", "constant", "one-cycle"] = "plateau"  # pyright: ignore[reportIncompatibleVariableOverride]
    precision: Literal["float64", "float32"] = "float32"

    def model_post_init(self, context: Any, /) -> None:
        """Settings of mixed effects networks do not apply."""
        plain = {name: value for name, value in LOOP.items() if name != "schedule"}
        self.refuse_settings(plain, "does not apply to this network")
        super().model_post_init(context)
        if self.task == "multiclass" and not self.several_classes:
            raise ConfigError(
                f"{type(self).__name__} is for numbers or two classes",
                code="E302",
                column="task",
                remedy="use OneHotMlp, EmbeddingMlp or TargetEncodingMlp, or NmeMlp",
            )

    @abstractmethod
    def build(self, reading: Reading) -> nn.Module:
        """The network, without start values."""

    def check(self, data: GroupedDataset) -> None:
        """Refuse data that the network is not for."""

    def read(self, data: GroupedDataset, rows: np.ndarray) -> Reading:
        """How rows are read, fixed by the training rows with the given numbers."""
        return Reading(scaler=fit_scaler(data, rows, task=self.task))

    def units(self, reading: Reading, data: GroupedDataset, level: str) -> Units:
        """Rows as the network takes them; at the level ``population`` as if no level of any factor were known."""
        return rows_as_units(data.n_rows, reading.scaler.features(data))

    def training_units(
        self, module: nn.Module, reading: Reading, data: GroupedDataset, generator: torch.Generator
    ) -> Units:
        """Training rows as the network takes them while it learns; fills what the network keeps of their outcomes."""
        return self.units(reading, data, "person")

    def start(self, module: nn.Module, generator: torch.Generator, reading: Reading, units: Units) -> None:
        """Draw the start values, in place: weights from U(-1, 1) / sqrt(fan in), offsets zero."""
        draw_parameters(module, generator)

    def update(self, module: nn.Module, arrays: tuple[Tensor, ...], targets: Tensor) -> Callable[[int], None] | None:
        """What follows every epoch, in place: called with its number; parameters without gradient are its to change.

        Args:
            module: the network.
            arrays: its arguments, of the training rows.
            targets: as the loss sees them.
        """
        return None

    def optimise(
        self,
        module: nn.Module,
        train: Judged,
        validate: Callable[[], float] | None,
        *,
        generator: torch.Generator,
        progress: Progress | None,
    ) -> Outcome | None:
        """A training of its own, in place of that by gradients in mini-batches; None where there is none.

        Args:
            module: the network, with its start values.
            train: the training rows.
            validate: loss of the validation rows with the parameters as they are; None without such rows.
            generator: what is drawn.
            progress: called after each epoch.
        """
        return None

    def finish(self, module: nn.Module) -> None:
        """What is left to do after training, in place."""

    def own_loss(self, rows: int) -> OwnLoss | None:
        """A loss other than squared error or cross-entropy; ``rows``: number of training rows."""
        return None

    @property
    def in_sequence(self) -> bool:
        """Whether a row's prediction depends on other rows of the same person."""
        return False


def rows_as_units(rows: int, *arrays: np.ndarray) -> Units:
    """One unit a row."""
    return Units(arrays=arrays, place=np.arange(rows), outputs=(rows,))


def draw_parameters(module: nn.Module, generator: torch.Generator) -> None:
    """Weights from U(-1, 1) / sqrt(fan in), zero where there is one dimension; drawn in double precision."""
    with torch.no_grad():
        for value in module.parameters():
            start = torch.zeros(value.shape, dtype=torch.float64)
            if value.dim() > 1 and value.numel():
                bound = (value.numel() / len(value)) ** -0.5
                start = (2.0 * torch.rand(value.shape, generator=generator, dtype=torch.float64) - 1.0) * bound
            value.copy_(start)


def level_tables(data: GroupedDataset, rows: np.ndarray) -> tuple[LevelTable, ...]:
    """The levels of every grouping factor that have training rows."""
    return tuple(
        LevelTable(
            grouping=factor.name,
            levels=tuple(factor.levels[code] for code in np.unique(np.asarray(factor.codes)[rows])),
        )
        for factor in data.groupings
    )


def codes_of(reading: Reading, data: GroupedDataset, level: str) -> np.ndarray:
    """Place of each row's levels (rows, factors); -1 where a level had no training rows or is not to be known.

    Raises:
        DataError: E405 where the data lack a further grouping factor.
    """
    if level == "population":
        return np.full((data.n_rows, len(reading.factors)), -1, dtype=np.int64)
    found = {factor.name: factor for factor in data.groupings[1:]}
    missing = [table.grouping for table in reading.factors[1:] if table.grouping not in found]
    if missing:
        raise DataError(
            f"the data have no grouping factor '{missing[0]}'",
            code="E405",
            column=missing[0],
            remedy=f"name the columns {', '.join(table.grouping for table in reading.factors)} as groups",
        )
    person, *further = reading.factors
    columns = [person.codes(data.groupings[0]), *(table.codes(found[table.grouping]) for table in further)]
    return np.column_stack(columns)


def read_places(config: PlainConfig, data: GroupedDataset, rows: np.ndarray, names: tuple[str, str]) -> Reading:
    """A reading whose coordinates stand beside the features."""
    scaler = fit_scaler(data, rows, task=config.task)
    coordinates = coordinates_of(data, names)[rows]
    kept = np.array([name not in names for name in scaler.names], dtype=bool)
    scaler = replace(
        scaler,
        names=tuple(name for name in scaler.names if name not in names),
        mean=scaler.mean[kept],
        scale=scaler.scale[kept],
        dropped=tuple(name for name in scaler.dropped if name not in names),
        elsewhere=names,
    )
    return Reading(scaler=scaler, low=coordinates.min(axis=0), high=coordinates.max(axis=0))


def coordinates_of(data: GroupedDataset, names: tuple[str, str]) -> np.ndarray:
    """Coordinates of each row (rows, 2).

    Raises:
        DataError: E405 where a coordinate is not among the features.
    """
    missing = [name for name in names if name not in data.feature_names]
    if missing:
        raise DataError(
            f"the coordinate '{missing[0]}' is not among the features",
            code="E405",
            column=missing[0],
            remedy='name the two columns among the features, and as coordinates=("...", "...")',
        )
    return np.asarray(data.features)[:, [data.feature_names.index(name) for name in names]]


def check_places(data: GroupedDataset, names: tuple[str, str]) -> None:
    """Refuse coordinates that are missing (E405), the same column twice, or the same everywhere (E302)."""
    values = coordinates_of(data, names)
    if names[0] == names[1] or (np.ptp(values, axis=0) == 0).any():
        raise ConfigError(
            "places need two coordinates that both vary",
            code="E302",
            column="coordinates",
            remedy="name two different columns, in one unit",
        )
