"""A fitted network of experts (or its shared network): predictions, and which experts speak for a row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ConfigError, DataError
from toolkit.models.expert_groups import ExpertGroups
from toolkit.models.experts import (
    EXPERT_WEIGHT,
    HEAD_WEIGHT,
    class_scores,
    gate_scores,
    head_outputs,
    log_probabilities,
    mixed_outputs,
    mixture,
)
from toolkit.models.extractors import Extractor, FeatureMap
from toolkit.models.fitted import Level
from toolkit.models.nme_crf import Prediction
from toolkit.models.pen import PenConfig
from toolkit.models.prepare import Scaler, TargetScale, Task

ROWS_AT_ONCE = 16_384


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PenNetwork:
    """Everything a prediction needs.

    Attributes:
        config: the settings it was fitted with.
        task: kind of outcome.
        scaler: standardisation of the features.
        targets: standardisation of the targets.
        target_names: the targets of a numeric outcome.
        classes: class names; None for numbers.
        grouping: name of the grouping factor (person).
        levels: persons it was trained with.
        groups: the experts, and whose they are; without any for the shared network.
        features: the extractor.
        shared: every parameter by name: extractor, head, experts, gate, variances.
    """

    config: PenConfig
    task: Task
    scaler: Scaler
    targets: TargetScale
    target_names: tuple[str, ...]
    classes: tuple[str, ...] | None
    grouping: str
    levels: tuple[str, ...]
    groups: ExpertGroups
    features: FeatureMap
    shared: dict[str, Tensor]

    @property
    def has_experts(self) -> bool:
        """Whether there are experts beside the shared head."""
        return EXPERT_WEIGHT in self.shared

    def codes(self, data: GroupedDataset) -> np.ndarray:
        """Code of each row's person among the trained ones; -1 for a person who was not in training."""
        place = {level: code for code, level in enumerate(self.levels)}
        known = np.array([place.get(level, -1) for level in data.persons], dtype=np.int64)
        return known[np.asarray(data.person)]

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
            data: rows to predict; features are matched by name.
            level: ``person`` mixes the experts as the gate finds them in the row's features, whoever the person is;
                ``population`` is the shared head.
            strict: refuse persons who were not in training.
            prediction: only chains have one.

        Returns:
            Values (rows,) in the units of the target, (rows, targets) for several, or class probabilities (rows,
            classes).

        Raises:
            DataError: E119 for unknown persons if strict; E405 for missing features; E302 for an unknown level.
        """
        if prediction is not None:
            raise ConfigError("only chain models forecast", code="E302", column="prediction")
        if level not in ("person", "population"):
            raise DataError("level is neither 'person' nor 'population'", code="E302", column="level")
        if strict and level == "person":
            self._refuse_unknown(data)
        with torch.no_grad():
            found = [self._outputs(z, level) for z in self.extracted(data).split(ROWS_AT_ONCE)]
        values = torch.cat(found).cpu().numpy().astype(np.float64)
        if self.task != "regression":
            return values
        raw = values * self.targets.scale + self.targets.mean
        return raw[:, 0] if raw.shape[1] == 1 else raw

    def predict_frame(self, data: GroupedDataset, level: Level = "person", *, strict: bool = False) -> pd.DataFrame:
        """Predictions as a table; ``person_known`` is False for persons who were not in training.

        Classes have one column ``probability_<class>`` each, several targets one column ``prediction_<target>`` each
        (``prediction`` is the first). Errors as in `predict`.
        """
        values = self.predict(data, level, strict=strict)
        frame = pd.DataFrame(
            {
                "row": np.asarray(data.row_numbers),
                "person": np.array(data.persons, dtype=object)[np.asarray(data.person)],
                "person_known": self.codes(data) >= 0,
            }
        )
        if self.classes is not None:
            frame["prediction"] = np.array(self.classes, dtype=object)[values.argmax(axis=1)]
            return frame.assign(**{f"probability_{name}": values[:, code] for code, name in enumerate(self.classes)})
        if values.ndim == 1:
            return frame.assign(prediction=values)
        named = {f"prediction_{name}": values[:, place] for place, name in enumerate(self.target_names)}
        return frame.assign(prediction=values[:, 0], **named)

    @torch.no_grad()
    def gate(self, data: GroupedDataset) -> np.ndarray:
        """Weight of each expert in each row (rows, experts); each row adds up to 1.

        Raises:
            DataError: E406 for a network without experts.
        """
        if not self.has_experts:
            raise DataError("the shared network has no gate", code="E406", remedy="fit Pen")
        found = [torch.softmax(gate_scores(self.shared, z), dim=1) for z in self.extracted(data).split(ROWS_AT_ONCE)]
        return torch.cat(found).cpu().numpy().astype(np.float64)

    def extracted(self, data: GroupedDataset) -> Tensor:
        """Extracted features of every row (rows, z).

        Raises:
            DataError: E405 if a feature is missing, or the run was fitted with a module that is not at hand.
        """
        if isinstance(self.config.extractor, dict):
            raise DataError(
                "the run was fitted with a feature extractor of your own, which is not in the run folder",
                code="E405",
                column="extractor",
                remedy="give it: restore_network(run, extractor=Extractor(...)), or adapt(..., extractor=...)",
            )
        like = self.shared[HEAD_WEIGHT]  # an extractor may hold whole numbers too
        rows = torch.as_tensor(np.array(self.scaler.features(data))).to(device=like.device, dtype=like.dtype)
        return self.features.all_outputs(self.shared, rows)

    def _outputs(self, z: Tensor, level: Level) -> Tensor:
        """Standardised values, or class probabilities."""
        if level == "population" or not self.has_experts:
            outputs = head_outputs(self.shared, z)
            return outputs if self.task == "regression" else class_scores(outputs, self.task).exp()
        mixed = mixture(self.shared, z)
        return mixed_outputs(mixed) if self.task == "regression" else log_probabilities(mixed, self.task).exp()

    def _refuse_unknown(self, data: GroupedDataset) -> None:
        codes = self.codes(data)
        if (codes < 0).any():
            count = np.unique(np.asarray(data.person)[codes < 0]).size
            raise DataError(
                f"{count} {'person was' if count == 1 else 'persons were'} not in training",
                code="E119",
                column=self.grouping,
                rows=(np.asarray(data.row_numbers)[codes < 0] + 2).tolist(),  # as a spreadsheet counts
                remedy="predict without strict: the gate needs no identity",
            )


def own_extractor(config: PenConfig) -> Extractor | None:
    """The user's module of a configuration, None for hidden layers or none."""
    return config.extractor if isinstance(config.extractor, Extractor) else None
