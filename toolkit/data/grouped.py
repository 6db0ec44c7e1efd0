"""Rows with features, a target and one integer code per grouping factor: what every model reads."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from toolkit.data import columns
from toolkit.data.groupings import Grouping, grouping, person_labels, present_levels, sequence_codes
from toolkit.data.labels import numbers_as_classes, numbers_in_order, recode
from toolkit.data.targets import further_targets, several_classes, target_values
from toolkit.errors import DataError, ToolkitWarning
from toolkit.results import read_only


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class GroupedDataset:
    """Validated rows of a study, in the caller's order. Built by :meth:`from_frame`.

    Attributes:
        features: raw values without NaN, shape (rows, features).
        feature_names: one name per feature.
        target: values in raw units, or class codes if ``classes`` is given, shape (rows,); NaN where there is none.
        target_name: column of the target, ``None`` for data to predict only.
        classes: labels of the class codes, ``None`` for a numeric target.
        ordered: somebody gave the classes their order; see :attr:`has_order`.
        further_targets: values of the other targets of a model with several, shape (rows, targets - 1), or ``None``.
        further_target_names: their columns.
        groupings: grouping factors; the first is the person.
        time: numbers as given or seconds since 1970, shape (rows,).
        sequence: code per row, shape (rows,); a person's consecutive rows with equal code form one sequence (a day).
        person_group: comparison label of each person level, ``None`` where unknown.
        person_cluster: label of the family, site, ... of each person level.
        group_name: column of the comparison groups.
        cluster_name: column of the clusters.
        row_numbers: position in the caller's frame, counted from 0, shape (rows,).
        pseudonymous: whether the person labels are pseudonyms already.
        notes: what was changed or looks odd, as ``W``-sentences.
    """

    features: Float[np.ndarray, "rows features"]
    feature_names: tuple[str, ...]
    target: Float[np.ndarray, " rows"]
    target_name: str | None = None
    classes: tuple[str, ...] | None = None
    ordered: bool = False
    further_targets: Float[np.ndarray, "rows further"] | None = None
    further_target_names: tuple[str, ...] = ()
    groupings: tuple[Grouping, ...]
    time: Float[np.ndarray, " rows"] | None = None
    sequence: Int[np.ndarray, " rows"] | None = None
    person_group: tuple[str | None, ...] = ()
    person_cluster: tuple[str | None, ...] = ()
    group_name: str | None = None
    cluster_name: str | None = None
    row_numbers: Int[np.ndarray, " rows"]
    pseudonymous: bool = False
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Freeze the arrays and check that they belong together."""
        for name, dtype in _ARRAYS.items():
            values = getattr(self, name)
            if values is not None:
                object.__setattr__(self, name, read_only(values, dtype))
                if len(values) != len(self.features):
                    raise ValueError(f"{name} has {len(values)} rows, features has {len(self.features)}")
        if self.features.shape != (len(self.features), len(self.feature_names)):
            raise ValueError(f"{len(self.feature_names)} feature names for features of shape {self.features.shape}")
        if not self.groupings or any(len(factor.codes) != self.n_rows for factor in self.groupings):
            raise ValueError(f"needs at least one grouping, each with {self.n_rows} codes")
        for name in ("person_group", "person_cluster"):
            if not getattr(self, name):
                object.__setattr__(self, name, (None,) * self.n_persons)
            elif len(getattr(self, name)) != self.n_persons:
                raise ValueError(f"{name} has {len(getattr(self, name))} labels for {self.n_persons} persons")

    def __repr__(self) -> str:
        """Sizes only: what is printed or logged must not hold ids or cells."""
        return f"GroupedDataset({self.n_rows} rows, {self.n_features} features, {self.n_persons} persons)"

    @classmethod
    def from_frame(  # noqa: PLR0913 - one keyword per role of a column
        cls,
        frame: pd.DataFrame,
        *,
        target: str | Sequence[str] | None = None,
        features: str | Sequence[str],
        groups: str | Sequence[str],
        time: str | None = None,
        sequence: str | None = None,
        group: str | None = None,
        cluster: str | None = None,
        classes: Sequence[str] | None = None,
        pseudonymous: bool = False,
        allow_missing_target: bool = False,
    ) -> GroupedDataset:
        """Rows of a frame, checked. The frame is not changed, its row order is kept.

        Args:
            frame: one row per observation.
            target: column to predict; text, true/false and categories become classes, numbers stay numbers. Several
                columns of numbers are several targets, of which the first comes first wherever there is room for one.
            features: predictor columns; empty for a model of intercepts only.
            groups: grouping columns; the first is the person.
            time: numbers, dates or durations; needed for splits by time and for sequences.
            sequence: column that changes where a sequence ends (the day, say).
            group: comparison group of the person, one label per person.
            cluster: family, site, ... of the person, one label per person.
            classes: labels in the order of the codes; needed to read new data as a fitted model does.
            pseudonymous: the person labels are pseudonyms already.
            allow_missing_target: keep rows without a target as NaN.

        Raises:
            DataError: E102 no rows, E103 missing column, E104 column name twice, E109 text among numbers, E110 infinite
                number, E111 empty cell, E112 row without an id, E114 unreadable time, E120 unknown class, E123 a person
                in two groups or clusters, E302 the target among the features, or classes among several targets.
        """
        features, groups = _as_tuple(features), _as_tuple(groups)
        targets = () if target is None else _as_tuple(target)
        target = targets[0] if targets else None
        columns.require_unique_names(list(frame.columns))
        asked = {"target": targets, "feature": features, "person": groups[:1], "grouping": groups[1:]}
        asked |= {"time": time, "sequence": sequence, "group": group, "cluster": cluster}
        columns.require_columns(frame, asked)
        columns.require_rows(frame)
        for name in targets:
            columns.require_known_before(name, features)
        columns.require_person(groups)

        notices: list[ToolkitWarning] = []
        groupings = tuple(
            grouping(frame[name], notices, kind="person" if name == groups[0] else name) for name in groups
        )
        values, labels = np.full(len(frame), np.nan), None
        if target is not None:
            values, labels, found = target_values(
                frame[target], allow_missing=allow_missing_target, as_labels=classes is not None
            )
            notices += found
        further = further_targets(frame, targets, labels, allow_missing=allow_missing_target)
        data = cls(
            features=columns.feature_matrix(frame, features),
            feature_names=features,
            target=values,
            target_name=target,
            classes=labels,
            ordered=labels is not None and (classes is not None or columns.is_ordered(frame[target])),
            further_targets=further,
            further_target_names=targets[1:],
            groupings=groupings,
            time=None if time is None else columns.time_seconds(frame[time]),
            sequence=None if sequence is None else sequence_codes(frame[sequence]),
            person_group=() if group is None else person_labels(frame[group], groupings[0], "group", notices),
            person_cluster=() if cluster is None else person_labels(frame[cluster], groupings[0], "cluster", notices),
            group_name=group,
            cluster_name=cluster,
            row_numbers=np.arange(len(frame)),
            pseudonymous=pseudonymous,
            notes=tuple(str(notice) for notice in notices),
        )
        for notice in notices:
            warnings.warn(notice, stacklevel=2)
        return data if classes is None or target is None else data.as_classes(classes)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.features)

    @property
    def n_features(self) -> int:
        """Number of features."""
        return self.features.shape[1]

    @property
    def person(self) -> Int[np.ndarray, " rows"]:
        """Person code of each row, shape (rows,)."""
        return self.groupings[0].codes

    @property
    def persons(self) -> tuple[str, ...]:
        """Person labels; position is the code."""
        return self.groupings[0].levels

    @property
    def n_persons(self) -> int:
        """Number of person labels (after :meth:`take`, some may have no rows left)."""
        return len(self.persons)

    @property
    def is_classification(self) -> bool:
        """Whether the target holds class codes."""
        return self.classes is not None

    @property
    def has_order(self) -> bool:
        """Whether the order of the classes means something: it was given, or the labels are numbers in their order."""
        return self.classes is not None and (self.ordered or numbers_in_order(self.classes))

    @property
    def target_names(self) -> tuple[str, ...]:
        """Columns of the targets, the first first; empty for data to predict only."""
        return () if self.target_name is None else (self.target_name, *self.further_target_names)

    @property
    def targets(self) -> Float[np.ndarray, "rows targets"]:
        """Every target of a row, shape (rows, targets)."""
        first = np.asarray(self.target)[:, None]
        return first if self.further_targets is None else np.column_stack([first, np.asarray(self.further_targets)])

    def take(self, index: ArrayLike) -> GroupedDataset:
        """The rows at ``index`` (positions, or a boolean per row); levels stay, so codes mean the same everywhere."""
        chosen = np.asarray(index)
        chosen = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.int64)
        cut = {name: _rows_of(values, chosen) for name in _ARRAYS if (values := getattr(self, name)) is not None}
        groupings = tuple(replace(factor, codes=factor.codes[chosen]) for factor in self.groupings)
        return replace(self, **cut, groupings=groupings)

    def of_present_persons(self) -> GroupedDataset:
        """The same rows without the persons (and levels of other factors) that have none."""
        factors, kept = [], np.zeros(0, dtype=np.int64)
        for place, factor in enumerate(self.groupings):
            present, codes = present_levels(factor.codes, len(factor.levels))
            factors.append(replace(factor, codes=codes, levels=tuple(factor.levels[code] for code in present)))
            kept = present if place == 0 else kept
        labels = {
            name: tuple(getattr(self, name)[code] for code in kept) for name in ("person_group", "person_cluster")
        }
        return replace(self, groupings=tuple(factors), **labels)

    def as_classes(self, classes: Sequence[str] | None = None) -> GroupedDataset:
        """The same rows with the target as class codes.

        Args:
            classes: labels in the order of the codes; without it, whole numbers become classes in their own order.

        Raises:
            DataError: E103 without a target, E109 for numbers with decimals, E120 for a label not in ``classes``, E302
                with several targets.
        """
        if self.further_targets is not None:
            raise several_classes(self.further_target_names[0])
        if self.target_name is None:
            raise DataError("no target column was named", code="E103", remedy="Name the target")
        where: dict[str, Any] = {"column": self.target_name, "origin": self.row_numbers}
        codes, labels = self.target, self.classes
        if labels is None:
            codes, labels = numbers_as_classes(self.target, **where)
        if classes is not None:
            codes, labels = recode(codes, labels, classes, **where), tuple(classes)
        return replace(self, target=codes, classes=labels, ordered=self.ordered or classes is not None)

    def of_persons(self) -> GroupedDataset:
        """The same rows without further grouping factors."""
        return self if len(self.groupings) == 1 else replace(self, groupings=self.groupings[:1])

    def content_hash(self) -> str:
        """SHA-256 (hexadecimal) of every value, label and name; equal data give equal hashes on every machine."""
        digest = hashlib.sha256()
        for name, dtype in _ARRAYS.items():
            values = getattr(self, name)
            if values is None and name == "further_targets":
                continue  # one target hashes as it did before there could be several
            digest.update(name.encode())
            if values is not None:
                digest.update(np.ascontiguousarray(values, dtype=np.dtype(dtype).newbyteorder("<")).tobytes())
        for factor in self.groupings:
            digest.update(np.ascontiguousarray(factor.codes, dtype="<i8").tobytes())
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in {*_ARRAYS, *_UNHASHED}}
        if not self.further_target_names:
            del plain["further_target_names"]
        plain["groupings"] = [(factor.name, factor.levels) for factor in self.groupings]
        digest.update(json.dumps(plain, sort_keys=True).encode())
        return digest.hexdigest()


# said in another way (groupings), about the others (notes), or in the order of the classes already (ordered)
_UNHASHED = ("groupings", "notes", "ordered")
_ARRAYS: dict[str, type] = {
    "features": np.float64,
    "target": np.float64,
    "further_targets": np.float64,
    "time": np.float64,
    "sequence": np.int64,
    "row_numbers": np.int64,
}


def _as_tuple(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _rows_of(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Rows as an array of their own that nobody writes into, so that the record takes it as it is."""
    rows = np.take(values, chosen, axis=0)
    rows.setflags(write=False)
    return rows
