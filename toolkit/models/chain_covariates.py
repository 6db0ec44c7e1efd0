"""Columns that shift the transitions of a sequence: read from features or the comparison group, and standardised."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from toolkit.data.grouped import GroupedDataset
from toolkit.data.labels import natural_order, row_numbers
from toolkit.data.sequences import SequenceBatch
from toolkit.errors import DataError
from toolkit.results import read_only


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Covariates:
    """Transition covariates, with what the training sequences fixed.

    Attributes:
        names: columns, in the order of ``z``.
        centre, scale: of each, ``z = (x - centre) / scale``; 0 and 1 for a column of 0 and 1.
        labels: of each, the two labels that stand for 0 and 1 where it is a group in words; else empty.
    """

    names: tuple[str, ...]
    centre: Float[np.ndarray, " covariates"]
    scale: Float[np.ndarray, " covariates"]
    labels: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        """Freeze the arrays."""
        for name in ("centre", "scale"):
            object.__setattr__(self, name, read_only(getattr(self, name), np.float64))

    def values(self, data: GroupedDataset, sequences: SequenceBatch) -> Float[np.ndarray, "batch covariates"]:
        """Standardised values of each sequence.

        Raises:
            DataError: E405 for a missing column, E111 for a person without a group, E120 for a group the model does not
                know, E161 for a value that changes within a sequence.
        """
        return (_of_sequences(data, sequences, self.names, self.labels) - self.centre) / self.scale


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChainParts:
    """What a chain has beside its parameters.

    Attributes:
        forbidden: transitions that cannot occur (state, state).
        covariates: of the transitions.
        by_rows: multiply each person's loss by the person's number of rows, as published.
    """

    forbidden: Bool[np.ndarray, "S S"] | None = None
    covariates: Covariates | None = None
    by_rows: bool = False


def fit_covariates(names: tuple[str, ...], data: GroupedDataset, labels: np.ndarray) -> Covariates | None:
    """Read the columns of the training rows, and fix how they are standardised; None without any.

    Args:
        names: columns among the features, or the column of the comparison group.
        data: the whole data set.
        labels: part of each row.

    Raises:
        DataError: E405, E111 and E161 as `Covariates.values`; E161 also for a column that does not vary, or a group of
            more than two labels that are no numbers.
    """
    if not names:
        return None
    words = tuple(_two_labels(name, data) for name in names)
    _of_sequences(data, SequenceBatch.from_grouped(data), names, words)  # held-out rows have to be fit to read, too
    train = data.take(np.flatnonzero(labels == "train"))
    values = _of_sequences(train, SequenceBatch.from_grouped(train), names, words)
    spread = values.std(axis=0)
    for name, sd, size in zip(names, spread, np.abs(values).max(axis=0), strict=True):
        if sd <= 1e-12 * max(1.0, size):
            raise DataError(
                f"transition covariate '{name}' is the same in every training sequence",
                code="E161",
                column=name,
                remedy="leave it out",
            )
    plain = np.array([set(np.unique(column)) <= {0.0, 1.0} for column in values.T])
    return Covariates(
        names=names,
        centre=np.where(plain, 0.0, values.mean(axis=0)),
        scale=np.where(plain, 1.0, spread),
        labels=words,
    )


def without_columns(data: GroupedDataset, names: tuple[str, ...]) -> GroupedDataset:
    """The same rows without some of the features."""
    kept = [place for place, name in enumerate(data.feature_names) if name not in names]
    if len(kept) == data.n_features:
        return data
    columns = tuple(data.feature_names[place] for place in kept)
    return replace(data, features=np.asarray(data.features)[:, kept], feature_names=columns)


def _two_labels(name: str, data: GroupedDataset) -> tuple[str, ...]:
    """The labels of a group in words; empty for numbers."""
    if name in data.feature_names or name != data.group_name:
        return ()
    found = sorted({label for label in data.person_group if label is not None}, key=natural_order)
    if all(_is_number(label) for label in found):
        return ()
    if len(found) != 2:
        raise DataError(
            f"transition covariate '{name}' has {len(found)} groups in words",
            code="E161",
            column=name,
            remedy="use a column of numbers, or one column of 0 and 1 for each group but the first",
        )
    return tuple(found)


def _is_number(label: str) -> bool:
    try:
        return bool(np.isfinite(float(label)))
    except ValueError:
        return False


def _of_sequences(
    data: GroupedDataset, sequences: SequenceBatch, names: tuple[str, ...], labels: tuple[tuple[str, ...], ...]
) -> Float[np.ndarray, "batch covariates"]:
    """Values of each sequence, as they are in the data."""
    rows, mask = np.asarray(sequences.rows), np.asarray(sequences.mask)
    found = np.empty((len(rows), len(names)))
    for place, (name, words) in enumerate(zip(names, labels, strict=True)):
        column = _column(name, words, data)
        values = column[np.maximum(rows, 0)]
        differs = mask & (values != values[:, :1])
        if differs.any():
            wrong = np.zeros(data.n_rows, dtype=bool)
            wrong[rows[differs]] = True
            raise DataError(
                f"transition covariate '{name}' changes within a sequence",
                code="E161",
                column=name,
                rows=row_numbers(wrong, np.asarray(data.row_numbers)),
                remedy="use a value of the person or the whole sequence; what changes by row belongs to the features",
            )
        found[:, place] = values[:, 0]
    return found


def _column(name: str, words: tuple[str, ...], data: GroupedDataset) -> Float[np.ndarray, " rows"]:
    """One column as numbers, by row."""
    if name in data.feature_names:
        return np.asarray(data.features)[:, data.feature_names.index(name)]
    if name != data.group_name:
        raise DataError(
            f"transition covariate missing: {name}",
            code="E405",
            column=name,
            remedy="name it among the features, or as the comparison group",
        )
    person = np.asarray(data.person)
    given = np.array([label is not None for label in data.person_group])[person]
    if not given.all():
        raise DataError(
            f"persons without a value of the transition covariate '{name}'",
            code="E111",
            column=name,
            rows=row_numbers(~given, np.asarray(data.row_numbers)),
            remedy="leave these persons out, or fit without the covariate",
        )
    known = [label in words if words else _is_number(str(label)) for label in data.person_group]
    strange = ~np.array(known)[person]
    if strange.any():
        raise DataError(
            f"transition covariate '{name}' holds a group the model was not fitted with",
            code="E120",
            column=name,
            rows=row_numbers(strange, np.asarray(data.row_numbers)),
        )
    present = np.isin(np.arange(data.n_persons), person)
    numbers = [
        (float(words.index(label)) if words else float(label)) if there and label is not None else np.nan
        for label, there in zip(data.person_group, present, strict=True)
    ]
    return np.array(numbers)[person]
