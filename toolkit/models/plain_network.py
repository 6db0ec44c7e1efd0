"""A fitted network without random effects: predictions, and how training went."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ConfigError, DataError
from toolkit.models.fitted import Level
from toolkit.models.nme_crf import Prediction
from toolkit.models.outcomes import predicted
from toolkit.models.plain import LevelTable, PlainConfig, Reading, Units
from toolkit.models.prepare import Scaler, Task
from toolkit.optimise.minimise import Outcome

UNITS_AT_ONCE = 16_384


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlainNetwork:
    """Everything a prediction needs.

    Attributes:
        config: the settings it was fitted with.
        task: kind of outcome.
        reading: how rows become numbers.
        classes: class names; None for numbers.
        grouping: name of the grouping factor (person).
        levels: persons with training rows.
        further: levels of further grouping factors that have numbers of their own.
        module: the network, with its parameters.
    """

    config: PlainConfig
    task: Task
    reading: Reading
    classes: tuple[str, ...] | None
    grouping: str
    levels: tuple[str, ...]
    further: tuple[LevelTable, ...]
    module: nn.Module

    @property
    def scaler(self) -> Scaler:
        """Standardisation of features and target."""
        return self.reading.scaler

    @property
    def shared(self) -> dict[str, Tensor]:
        """Every parameter and buffer by name."""
        return {name: value.detach() for name, value in self.module.state_dict().items()}

    @property
    def tables(self) -> tuple[LevelTable, ...]:
        """Levels that have numbers of their own, by factor, the person first; none in most networks."""
        if not self.reading.factors:
            return ()
        return (LevelTable(grouping=self.grouping, levels=self.levels), *self.further)

    def codes(self, data: GroupedDataset) -> np.ndarray:
        """Code of each row's person among the trained ones; -1 for a person who was not in training."""
        return LevelTable(grouping=self.grouping, levels=self.levels).codes(data.groupings[0])

    def predict(
        self,
        data: GroupedDataset,
        level: Level = "person",
        *,
        strict: bool = False,
        prediction: Prediction | None = None,
    ) -> np.ndarray:
        """Predictions in the order of the rows.

        Args:
            data: rows to predict; features are matched by name, persons by label.
            level: ``person`` uses what the network knows of the row's person (and of other factors' levels);
                ``population`` does as if it knew none.
            strict: refuse persons who were not in training.
            prediction: only chains have one.

        Returns:
            Values (rows,) in the units of the target, or class probabilities (rows, classes).

        Raises:
            DataError: E119 for unknown persons if strict; E405 for missing features; E302 for an unknown level.
        """
        if prediction is not None:
            raise ConfigError("only chain models forecast", code="E302", column="prediction")
        if level not in ("person", "population"):
            raise DataError("level is neither 'person' nor 'population'", code="E302", column="level")
        if strict and level == "person":
            self._refuse_unknown(data)
        reading = replace(self.reading, factors=self.tables)  # with the labels that stand in for pseudonyms
        units = self.config.units(reading, data, level)
        outputs = all_outputs(self.module, tensors_of(self.module, units)).cpu().numpy().astype(np.float64)
        return predicted(self.task, outputs.reshape(-1, self.reading.outputs)[units.place], self.scaler)

    def predict_frame(self, data: GroupedDataset, level: Level = "person", *, strict: bool = False) -> pd.DataFrame:
        """Predictions as a table; ``person_known`` is False for persons who were not in training.

        Classes have one column ``probability_<class>`` each. Errors as in `predict`.
        """
        values = self.predict(data, level, strict=strict)
        frame = pd.DataFrame(
            {
                "row": np.asarray(data.row_numbers),
                "person": np.array(data.persons, dtype=object)[np.asarray(data.person)],
                "person_known": self.codes(data) >= 0,
            }
        )
        if self.classes is None:
            return frame.assign(prediction=values)
        frame["prediction"] = np.array(self.classes, dtype=object)[values.argmax(axis=1)]
        return frame.assign(**{f"probability_{name}": values[:, code] for code, name in enumerate(self.classes)})

    def _refuse_unknown(self, data: GroupedDataset) -> None:
        codes = self.codes(data)
        if (codes < 0).any():
            count = np.unique(np.asarray(data.person)[codes < 0]).size
            raise DataError(
                f"{count} {'person was' if count == 1 else 'persons were'} not in training",
                code="E119",
                column=self.grouping,
                rows=(np.asarray(data.row_numbers)[codes < 0] + 2).tolist(),  # as a spreadsheet counts
                remedy="predict without strict: they are then predicted as an average person is",
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlainTrained:
    """A fitted network and how training went.

    Attributes:
        network: the network.
        outcome: how training ended, with its trace.
        training_rows: number of rows it was fitted to.
        residual_variance: mean squared error of the training rows in units of the target; None for classes.
    """

    network: PlainNetwork
    outcome: Outcome
    training_rows: int
    residual_variance: float | None

    @property
    def effect_names(self) -> tuple[str, ...]:
        """Nothing has random effects."""
        return ()

    @property
    def status_details(self) -> dict[str, Any]:
        """Further words on how the fit ended, for the manifest."""
        return {"posterior": "none"}


def tensors_of(module: nn.Module, units: Units) -> tuple[Tensor, ...]:
    """A network's arguments as tensors beside its parameters; whole numbers stay whole."""
    like = next(value for value in module.parameters() if value.is_floating_point())
    return tuple(
        torch.as_tensor(np.array(values)).to(
            device=like.device, dtype=like.dtype if values.dtype.kind == "f" else torch.int64
        )
        for values in units.arrays
    )


@torch.no_grad()
def all_outputs(module: nn.Module, arrays: tuple[Tensor, ...]) -> Tensor:
    """Outputs of all units, some at a time, as the network gives them when it predicts."""
    was = module.training
    module.eval()
    parts = zip(*(values.split(UNITS_AT_ONCE) for values in arrays), strict=True)
    found = torch.cat([module(*part) for part in parts])
    module.train(was)
    return found
