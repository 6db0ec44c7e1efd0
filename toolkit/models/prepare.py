"""From a data set to tensors: standardised by the training rows, grouped by person, cut into sequences."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from toolkit.data.grouped import GroupedDataset
from toolkit.data.sequences import SequenceBatch
from toolkit.effects.problem import PersonLoss, Problem, RowGroups, group_rows
from toolkit.errors import ConfigError, DataError, ToolkitWarning
from toolkit.models.chain_covariates import ChainParts
from toolkit.models.row_losses import ChainLoss, Criterion, curved_loss, row_loss

Task = Literal["regression", "binary", "multiclass", "ordinal", "count", "sequence"]
CODED = {"multiclass", "ordinal"}  # tasks whose loss looks classes up by their code
AT_ONCE = 16_384  # rows standardised at a time
FAR = 100  # standard deviations; among n training rows none can be further than the square root of n


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TargetScale:
    """Means and standard deviations of the targets in the training rows; 0 and 1 for classes."""

    mean: np.ndarray
    scale: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scaler:
    """Standardisation fixed by the training rows.

    Attributes:
        names: features used, in order; dropped: those constant in the training rows.
        elsewhere: columns that the model uses in another place (transition covariates).
        mean, scale: of each used feature (features,).
        target_mean, target_scale: of a numeric target, the first of several; 0 and 1 for classes and counts.
        several: of all targets, where there are several.
        exposure: feature whose logarithm is added to the log of a count's mean; not among ``names``.
    """

    names: tuple[str, ...]
    dropped: tuple[str, ...]
    mean: np.ndarray
    scale: np.ndarray
    target_mean: float
    target_scale: float
    elsewhere: tuple[str, ...] = ()
    exposure: str | None = None
    several: TargetScale | None = None

    @property
    def targets(self) -> TargetScale:
        """Standardisation of every target."""
        if self.several is not None:
            return self.several
        return TargetScale(mean=np.array([self.target_mean]), scale=np.array([self.target_scale]))

    @property
    def width(self) -> int:
        """Number of inputs of a row: the used features, and the log of the exposure if there is one."""
        return len(self.names) + (self.exposure is not None)

    def features(self, data: GroupedDataset) -> np.ndarray:
        """Standardised features (rows, features), matched by name; the log of the exposure comes last, if there is one.

        Raises:
            DataError: E405 when a feature is missing; E139 for an exposure that is not above zero.
        """
        values = np.empty((data.n_rows, self.width))
        self.fill(values, data, None)
        return values

    def fill(self, values: np.ndarray, data: GroupedDataset, rows: np.ndarray | None) -> None:
        """Write standardised features of some rows (None: all), some at a time: nothing of their size is made.

        Args:
            values: where they go (rows, features).
            data: all rows.
            rows: numbers of those to take.

        Raises:
            DataError: E405 when a feature is missing; E139 for an exposure that is not above zero.
        """
        columns, raw = self._columns(data), np.asarray(data.features)
        far = np.zeros(len(columns), dtype=np.int64)
        for start in range(0, len(values), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            chosen = raw[part] if rows is None else raw[rows[part]]
            done = (chosen[:, columns] - self.mean) / self.scale
            far += (np.abs(done) > FAR).sum(axis=0)
            values[part, : len(columns)] = done
        if self.exposure is not None:
            logs = log_exposure(data, self.exposure)
            values[:, -1] = logs if rows is None else logs[rows]
        if self.mean.any() or (self.scale != 1.0).any():  # features as they are have no usual size
            _warn_of_far_values(far, self.names)

    def _columns(self, data: GroupedDataset) -> list[int]:
        """Place of each used feature among those of the data."""
        place = {name: column for column, name in enumerate(data.feature_names)}
        exposed = () if self.exposure is None else (self.exposure,)
        missing = [name for name in (*self.names, *exposed) if name not in place]
        if missing:
            raise DataError(
                f"features missing: {', '.join(missing)}",
                code="E405",
                column=missing[0],
                remedy=f"the data hold: {', '.join(data.feature_names)}",
            )
        extra = [
            name for name in data.feature_names if name not in (*self.names, *self.dropped, *self.elsewhere, *exposed)
        ]
        if extra:
            message = f"features the model does not know were ignored: {', '.join(extra)}"
            warnings.warn(ToolkitWarning(message, code="W218"), stacklevel=5)
        return [place[name] for name in self.names]

    def target(self, data: GroupedDataset) -> np.ndarray:
        """Standardised numeric target (rows,), several (rows, targets), or the class codes."""
        if self.several is not None:
            return (np.asarray(data.targets) - self.several.mean) / self.several.scale
        return (np.asarray(data.target) - self.target_mean) / self.target_scale


def _warn_of_far_values(far: np.ndarray, names: tuple[str, ...]) -> None:
    """W210 where values lie so far from the training rows that another unit is likely; ``far`` counts them."""
    if far.any():
        listed = ", ".join(f"{name} ({count})" for name, count in zip(names, far, strict=True) if count)
        message = f"values more than {FAR} standard deviations from the training mean: {listed}; is the unit the same?"
        warnings.warn(ToolkitWarning(message, code="W210"), stacklevel=5)


def log_exposure(data: GroupedDataset, name: str) -> np.ndarray:
    """Logarithm of the exposure of each row (rows,).

    Raises:
        DataError: E139 for values that are not above zero.
    """
    values = np.asarray(data.features)[:, data.feature_names.index(name)]
    if (values <= 0).any():
        raise DataError(
            "an exposure has to be above zero",
            code="E139",
            column=name,
            rows=(np.asarray(data.row_numbers)[values <= 0] + 2).tolist(),
            remedy="Leave rows out in which nothing could be counted",
        )
    return np.log(values)


def fit_scaler(data: GroupedDataset, train: np.ndarray, *, task: Task, exposure: str | None = None) -> Scaler:
    """Means and standard deviations of the training rows.

    Args:
        data: the whole data set.
        train: numbers of the training rows.
        task: the target is standardised for regression only.
        exposure: feature that is an exposure, see `Scaler`.

    Raises:
        ConfigError: E302 for an exposure that is no feature.
    """
    if exposure is not None and exposure not in data.feature_names:
        raise ConfigError(
            "the exposure is not among the features",
            code="E302",
            column="exposure",
            remedy=f"name one of {', '.join(data.feature_names)}",
        )
    mean, spread, largest = _moments(np.asarray(data.features), train)
    varies = spread > 1e-12 * np.maximum(1.0, largest)
    predictor = np.array([name != exposure for name in data.feature_names], dtype=bool)
    kept = varies & predictor
    dropped = tuple(name for name, no in zip(data.feature_names, predictor & ~varies, strict=True) if no)
    if dropped:
        warnings.warn(
            ToolkitWarning(f"constant in the training rows and left out: {', '.join(dropped)}", code="W205"),
            stacklevel=3,
        )
    targets = scale_of_targets(data, train) if task == "regression" else TargetScale(mean=np.zeros(1), scale=np.ones(1))
    return Scaler(
        names=tuple(name for name, keep in zip(data.feature_names, kept, strict=True) if keep),
        dropped=dropped,
        mean=mean[kept],
        scale=spread[kept],
        target_mean=float(targets.mean[0]),
        target_scale=float(targets.scale[0]),
        exposure=exposure,
        several=targets if len(targets.mean) > 1 else None,
    )


def scale_of_targets(data: GroupedDataset, rows: np.ndarray) -> TargetScale:
    """Means and SDs of numeric targets in some rows, each over the rows in which it is known."""
    columns = (values[~np.isnan(values)] for values in np.asarray(data.targets)[rows].T)
    found = [(float(known.mean()), float(known.std()) or 1.0) if len(known) else (0.0, 1.0) for known in columns]
    mean, scale = np.array(found).T
    return TargetScale(mean=mean, scale=scale)


def _moments(features: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, standard deviation and largest size of each feature, one column at a time: the table is not copied."""
    columns = (features[rows, column] for column in range(features.shape[1]))
    found = [(values.mean(), values.std(), np.abs(values).max(initial=0.0)) for values in columns]
    mean, spread, largest = np.array(found).reshape(-1, 3).T
    return mean, spread, largest


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layout:
    """Rows of a data set as padded lines, and its sequences as places among them."""

    groups: RowGroups
    sequences: SequenceBatch | None

    @property
    def steps(self) -> np.ndarray:
        """Place of every sequence step among the flattened padded rows (batch, time); -1 where padded."""
        assert self.sequences is not None
        rows = np.asarray(self.sequences.rows)
        flat = self.groups.line * self.groups.index.shape[1] + self.groups.place
        return np.where(rows >= 0, flat[np.maximum(rows, 0)], -1)

    @property
    def sequence_lines(self) -> np.ndarray:
        """Line of each sequence (batch,)."""
        assert self.sequences is not None
        return self.groups.line[np.asarray(self.sequences.rows)[:, 0]]


def lay_out(data: GroupedDataset, codes: np.ndarray, *, task: Task) -> Layout:
    """Group the rows by person, or by the levels of several factors (-1: no effects), and cut the sequences.

    Raises:
        DataError: E137 where a level of a further factor changes inside a sequence.
    """
    sequences = SequenceBatch.from_grouped(data) if task == "sequence" else None
    found = Layout(groups=group_rows(codes), sequences=sequences)
    if sequences is not None and codes.ndim == 2:
        refuse_changing(data, np.asarray(sequences.rows), found.groups.line)
    return found


def refuse_changing(data: GroupedDataset, rows: np.ndarray, lines: np.ndarray) -> None:
    """Transitions belong to a whole sequence, so that its levels have to be the same throughout (E137).

    Args:
        data: all rows.
        rows: of each sequence's steps (batch, time); -1 where padded.
        lines: what a row belongs to: a number for each combination of levels (rows,).
    """
    changing = (rows >= 0) & (lines[np.maximum(rows, 0)] != lines[rows[:, 0]][:, None])
    if changing.any():
        raise DataError(
            "a grouping factor changes inside a sequence",
            code="E137",
            column="groups",
            rows=(np.asarray(data.row_numbers)[rows[changing]] + 2).tolist(),  # as a spreadsheet counts
            remedy="cut the sequences where it changes, or leave that factor out",
        )


def problem(
    data: GroupedDataset,
    codes: np.ndarray,
    scaler: Scaler,
    module: nn.Module,
    *,
    task: Task,
    dtype: torch.dtype,
    device: torch.device,
    parts: ChainParts | None = None,
    criterion: Criterion | None = None,
) -> Problem:
    """Inputs and loss of a data set.

    ``codes`` holds each row's person (rows,), or its levels (rows, factors); ``parts`` is what a chain has beside its
    parameters.
    """
    layout, chosen = lay_out(data, codes, task=task), criterion or Criterion()

    def tensor(values: np.ndarray, kind: torch.dtype = dtype) -> Tensor:
        return torch.as_tensor(np.array(values)).to(device=device, dtype=kind)  # a copy: our arrays are read-only

    inputs = padded(scaler.features(data), layout.groups, repeat=True)
    return Problem(
        module=module,
        inputs=tensor(inputs),
        persons=tensor(layout.groups.persons, torch.int64),
        loss=row_loss(task, chosen, *_rows(data, layout, scaler, task, tensor))
        if layout.sequences is None
        else _chain_loss(data, layout, parts or ChainParts(), tensor),
        rows=data.n_rows,
        curved=None
        if layout.sequences is not None
        else curved_loss(task, chosen, *_rows(data, layout, scaler, task, tensor)),
        further=tensor(layout.groups.further, torch.int64) if layout.groups.further.shape[1] else None,
    )


def padded(values: np.ndarray, groups: RowGroups, *, repeat: bool = False) -> np.ndarray:
    """Values of the rows (rows, ...) as lines (lines, longest, ...), zero where padded, or else the first row again.

    Masks leave padded rows out of every loss; but a network of one's own may not be finite where all is zero.
    """
    present = groups.index >= 0
    if repeat:
        return np.asarray(values)[np.where(present, groups.index, groups.index[:, :1])]
    lines = np.asarray(values)[np.maximum(groups.index, 0)]
    return np.where(present.reshape(*present.shape, *(1,) * (lines.ndim - 2)), lines, 0)


def _rows(
    data: GroupedDataset, layout: Layout, scaler: Scaler, task: Task, tensor: Callable[..., Tensor]
) -> tuple[Tensor, Tensor]:
    """Targets of the padded rows, and which of them are rows."""
    target = padded(scaler.target(data), layout.groups)
    values = tensor(target, torch.int64) if task in CODED else tensor(target)
    return values, tensor(layout.groups.index >= 0, torch.bool)


def _chain_loss(data: GroupedDataset, layout: Layout, parts: ChainParts, tensor: Callable[..., Tensor]) -> PersonLoss:
    """The loss of each line's sequences as a function of outputs and chain parameters."""
    assert layout.sequences is not None
    values = None if parts.covariates is None else parts.covariates.values(data, layout.sequences)
    counts = (layout.groups.index >= 0).sum(axis=1)[layout.sequence_lines]
    return ChainLoss(
        steps=tensor(layout.steps, torch.int64),
        states=tensor(np.asarray(layout.sequences.states), torch.int64),
        lines=tensor(layout.sequence_lines, torch.int64),
        covariates=None if values is None else tensor(values),
        forbidden=None if parts.forbidden is None else tensor(parts.forbidden, torch.bool),
        weights=tensor(counts) if parts.by_rows else None,
    )
