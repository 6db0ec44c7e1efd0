"""A study: its data file, what each column is for, and where it comes from."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from toolkit.data.columns import empty_cells, numbered_as_before, require_columns, require_unique_names
from toolkit.data.constructing import with_constructions
from toolkit.data.constructions import TABLES, Constructions
from toolkit.data.dates import with_day_first
from toolkit.data.derivations import DERIVATIONS
from toolkit.data.grouped import GroupedDataset
from toolkit.data.pseudonyms import key_folder, pseudonymised, read_key, unpredictable, write_key
from toolkit.data.readers import ReadOptions, read_table
from toolkit.data.sequences import SequenceBatch
from toolkit.data.study_file import READING, nearest_name, read_settings
from toolkit.errors import ConfigError, ToolkitWarning


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Study:
    """Roles of the columns of a data file, as study.toml gives them. Built by :meth:`read`.

    Attributes:
        name: short name, the file's stem by default.
        title: for headings and reports.
        citation: how to cite the data.
        licence: under which terms they may be used.
        unit: what one row is ("prompt", "day").
        data_file: the table.
        read_options: how the file is written, where it should not be found by looking.
        key_path: private file that holds the pseudonyms.
        pseudonymous: the file holds pseudonyms already ('nme import' writes such files); no key is read or written.
        drops_empty: rows with an empty cell in the target or a feature are left out, instead of refused.
        day_first: dates like 01/02/2026 are the first of February; without it such dates are refused.
        planned_per_day: rows (prompts) planned for each person on each day, where the study had a plan.
        planned_days: days planned for each person.
        derive: name of the derivation that makes the columns, if they are not in the file as such.
        constructions: columns made from others, as the study file defines them.
        person: id column.
        cluster: family, site, ... of a person.
        group: comparison group of a person.
        group_labels: what a group label means, for figures and sentences.
        time: order of a person's rows.
        sequence: column that changes where a sequence ends.
        targets: columns to predict; the first is the default.
        features: predictor columns.
        state: the target that holds states.
        states: the states in their order.
        orders: of targets that are words with an order: the words from low to high.
    """

    name: str
    title: str
    citation: str = ""
    licence: str = ""
    unit: str = "row"
    data_file: Path
    read_options: ReadOptions = field(default_factory=ReadOptions)
    key_path: Path
    pseudonymous: bool = False
    drops_empty: bool = False
    day_first: bool | None = None
    planned_per_day: int | None = None
    planned_days: int | None = None
    derive: str | None = None
    constructions: Constructions = field(default_factory=Constructions)
    person: str
    cluster: str | None = None
    group: str | None = None
    group_labels: Mapping[str, str] = field(default_factory=dict)
    time: str | None = None
    sequence: str | None = None
    targets: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    state: str | None = None
    states: tuple[str, ...] = ()
    orders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str | Path, *, key_path: str | Path | None = None) -> Study:
        """The study of a study.toml. Files it names are looked for beside it.

        Args:
            path: the study file.
            key_path: where the pseudonyms are kept; ``<study>.key.csv`` beside the study file by default.

        Raises:
            DataError: E100 or E106 if the file cannot be read.
            ConfigError: E302 for an unknown key or derivation (with the nearest name), or a wrong value; E132 for a
                feature made from the same answers as a target.
        """
        path = Path(path)
        settings = read_settings(path)
        data, roles = settings.pop("data"), settings.pop("roles")
        orders = _with_tuples(settings.pop("orders"))
        made = Constructions.from_settings({table: settings.pop(table) for table in TABLES if table in settings})
        roles["features"] = made.expanded(roles.get("features", ()))
        made.refuse_giveaways(roles.get("targets", ()), roles["features"])
        derive = data.get("derive")
        if derive is not None and derive not in DERIVATIONS:
            remedy = nearest_name(derive, DERIVATIONS)
            raise ConfigError(f"unknown derivation '{derive}' in [data]", code="E302", column="derive", remedy=remedy)
        return cls(
            **{"name": path.stem, "title": path.stem, **settings, **_with_tuples(roles)},
            data_file=path.parent / data["file"],
            read_options=ReadOptions(**_with_tuples({key: data[key] for key in READING if key in data})),
            key_path=Path(key_path) if key_path else _key_path(path, data),
            pseudonymous=data.get("pseudonymous", False),
            drops_empty=_drops_empty(data),
            day_first=data.get("day_first"),
            planned_per_day=data.get("planned_per_day"),
            planned_days=data.get("planned_days"),
            derive=derive,
            constructions=made,
            orders=orders,
        )

    def frame(self, *, rng: np.random.Generator | None = None) -> pd.DataFrame:
        """The table with pseudonyms in place of persons and clusters.

        A file that holds pseudonyms already is given as it is. Otherwise new persons get a pseudonym, and the key file
        is written; persons seen before keep theirs.

        Args:
            rng: order of new pseudonyms; unpredictable by default, as it should be outside tests.

        Raises:
            DataError: as :func:`read_table`; E103 or E104 for the id columns; E305 if the key cannot be kept.
        """
        derivation = DERIVATIONS[self.derive] if self.derive else None
        ids = {"person": self.person, "cluster": self.cluster}
        text_columns = derivation.text_columns if derivation else [column for column in ids.values() if column]
        frame = read_table(self.data_file, text_columns=text_columns, options=self.read_options)
        if derivation:
            frame = derivation.make(frame)
        require_unique_names(list(frame.columns))
        require_columns(frame, ids)
        if self.time is not None and self.day_first is not None and self.time in frame.columns:
            frame[self.time] = with_day_first(frame[self.time], day_first=self.day_first)
        frame = with_constructions(
            frame, self.constructions, person=self.person, time=self.time, sequence=self.sequence
        )
        if self.pseudonymous:
            return frame
        known = read_key(self.key_path)
        frame, key, notices = pseudonymised(frame, ids, known, rng=unpredictable() if rng is None else rng)
        if key != known:
            write_key(self.key_path, key)
        for notice in notices:
            warnings.warn(notice, stacklevel=2)
        return frame

    def grouped(
        self, target: str | Sequence[str] | None = None, features: Sequence[str] | None = None
    ) -> GroupedDataset:
        """The rows for a model of single observations; ``target`` is the study's first one by default.

        Several targets are for the models that take several.

        Raises:
            DataError: as :meth:`frame` and :meth:`GroupedDataset.from_frame`.
        """
        target = target or self._first_target()
        roles = self._roles(target, features)
        targets = [target] if isinstance(target, str) else list(target)
        frame, kept = self._complete(self.frame(), [*targets, *roles["features"]])
        with numbered_as_before(kept):
            return GroupedDataset.from_frame(frame, **roles)

    def sequences(self, target: str | None = None, features: Sequence[str] | None = None) -> SequenceBatch:
        """The sequences for a chain model; ``target`` is the study's state column by default.

        Raises:
            DataError: as :meth:`frame` and :meth:`SequenceBatch.from_frame`.
        """
        target = target or self.state or self._first_target()
        if self.time is None:
            raise ConfigError("sequences need a time column", code="E302", column="time", remedy="Name it in [roles]")
        roles = self._roles(target, features)
        frame, kept = self._complete(self.frame(), list(roles["features"]))  # a state may be missing in a sequence
        with numbered_as_before(kept):
            return SequenceBatch.from_frame(frame, **roles)

    def definitions(self) -> list[str]:
        """How the study's columns are made, one sentence each, for reports."""
        return [*self.constructions.sentences(), *([DERIVATIONS[self.derive].text] if self.derive else [])]

    def _complete(self, frame: pd.DataFrame, needed: Sequence[str]) -> tuple[pd.DataFrame, np.ndarray | None]:
        """The frame without the rows that have empty cells, if the study drops them; and which rows are left."""
        if not self.drops_empty:
            return frame, None
        require_columns(frame, {"target or feature": needed})
        empty = np.zeros(len(frame), dtype=bool)
        for name in needed:
            empty |= empty_cells(frame[name])
        if empty.any():
            warnings.warn(
                ToolkitWarning(f"{int(empty.sum())} row(s) with empty cells were left out", code="W223"), stacklevel=3
            )
        return frame[~empty].reset_index(drop=True), np.flatnonzero(~empty)

    def _first_target(self) -> str:
        if not self.targets:
            raise ConfigError("the study names no target", code="E302", column="targets", remedy="Name it in [roles]")
        return self.targets[0]

    def _roles(self, target: str | Sequence[str], features: Sequence[str] | None) -> dict[str, Any]:
        """The keywords of ``from_frame``."""
        return {
            "target": target,
            "features": self.features if features is None else self.constructions.expanded(features),
            "groups": self.person,
            "time": self.time,
            "sequence": self.sequence,
            "group": self.group,
            "cluster": self.cluster,
            "classes": self._classes(target),
            "pseudonymous": True,
        }

    def _classes(self, target: str | Sequence[str]) -> tuple[str, ...] | None:
        """The order of a target's classes, where the study file gives it."""
        if target == self.state and self.states:
            return self.states
        return self.orders.get(target) if isinstance(target, str) else None


def _with_tuples(table: Mapping[str, Any]) -> dict[str, Any]:
    """Lists of a settings file as tuples, which nobody can change."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}


def _key_path(path: Path, data: Mapping[str, Any]) -> Path:
    """Where the pseudonyms are kept: a file beside the study, or one of the private key folder."""
    if "key_name" in data:
        return key_folder() / f"{data['key_name']}.key.csv"
    return path.parent / data.get("key", f"{path.stem}.key.csv")


def _drops_empty(data: Mapping[str, Any]) -> bool:
    """Whether rows with empty cells are dropped; they are refused unless the study file says so."""
    choice = data.get("empty_cells", "refuse")
    if choice not in ("refuse", "drop"):
        raise ConfigError('\'empty_cells\' in [data] must be "refuse" or "drop"', code="E302", column="empty_cells")
    return choice == "drop"
