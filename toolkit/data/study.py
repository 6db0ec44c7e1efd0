"""A study: its data file, what each column is for, and where it comes from."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from toolkit.data.columns import empty_cells, numbered_as_before, require_columns, require_unique_names
from toolkit.data.constructing import with_constructions
from toolkit.data.constructions import TABLES, Constructions
from toolkit.data.dates import with_day_first
from toolkit.data.derivations import DERIVATIONS
from toolkit.data.further_factors import FurtherFactor, effects_of_factors, further_factors, id_columns, of_new_rows
from toolkit.data.grouped import GroupedDataset
from toolkit.data.pseudonyms import key_folder, pseudonymised, read_key, unpredictable, write_key
from toolkit.data.readers import ReadOptions, read_table
from toolkit.data.sequences import SequenceBatch
from toolkit.data.study_file import READING, nearest_name, read_settings
from toolkit.errors import ConfigError, DataError, ToolkitWarning


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
        keeps_empty_targets: rows in which some of several targets are empty count for the others.
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
        groupings: further columns whose levels have effects of their own, beside the persons.
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
    keeps_empty_targets: bool = False
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
    groupings: tuple[FurtherFactor, ...] = ()

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
        groupings = further_factors(settings.pop("groupings", {}), roles)
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
            drops_empty=_chosen(data, "empty_cells", "drop"),
            keeps_empty_targets=_chosen(data, "empty_targets", "keep"),
            day_first=data.get("day_first"),
            planned_per_day=data.get("planned_per_day"),
            planned_days=data.get("planned_days"),
            derive=derive,
            constructions=made,
            orders=orders,
            groupings=groupings,
        )

    def frame(self, *, rng: np.random.Generator | None = None) -> pd.DataFrame:
        """The table with pseudonyms in place of persons, clusters and levels of further grouping factors.

        A file that holds pseudonyms already is given as it is. Otherwise new persons get a pseudonym, and the key file
        is written; persons seen before keep theirs.

        Args:
            rng: order of new pseudonyms; unpredictable by default, as it should be outside tests.

        Raises:
            DataError: as :func:`read_table`; E103 or E104 for the id columns; E305 if the key cannot be kept.
        """
        derivation = DERIVATIONS[self.derive] if self.derive else None
        ids = id_columns(self.person, self.cluster, self.group, self.groupings, pseudonymous=self.pseudonymous)
        text = [name for name in (self.person, self.cluster, *self.grouping_names) if name]
        text_columns = derivation.text_columns if derivation else list(dict.fromkeys(text))
        frame = read_table(self.data_file, text_columns=text_columns, options=self.read_options)
        if derivation:
            frame = derivation.make(frame)
        require_unique_names(list(frame.columns))
        require_columns(frame, {"person": self.person, "cluster": self.cluster, "grouping": self.grouping_names})
        if self.time is not None and self.day_first is not None and self.time in frame.columns:
            frame[self.time] = with_day_first(frame[self.time], day_first=self.day_first)
        frame = with_constructions(
            frame, self.constructions, person=self.person, time=self.time, sequence=self.sequence
        )
        if not ids:
            return frame
        known = read_key(self.key_path)
        frame, key, notices = pseudonymised(frame, ids, known, rng=unpredictable() if rng is None else rng)
        if key != known:
            write_key(self.key_path, key)
        for notice in notices:
            warnings.warn(notice, stacklevel=2)
        return frame

    @property
    def grouping_names(self) -> tuple[str, ...]:
        """Columns of the further grouping factors."""
        return tuple(factor.name for factor in self.groupings)

    def of_new_rows(self, data_file: Path) -> Study:
        """The study with rows of another file, which holds ids and labels where its own holds pseudonyms.

        Raises:
            DataError: E100 if an imported study's key is not on this computer.
        """
        key = read_key(self.key_path)
        if self.pseudonymous and not key:
            raise DataError(
                "who is who in new rows stands in the key of the study, which is not on this computer",
                code="E100",
                remedy="predict where the study was imported",
            )
        return replace(self, data_file=data_file, pseudonymous=False, groupings=of_new_rows(self.groupings, key))

    def effects(self, person: str | tuple[str, ...], covariance: str = "diagonal") -> dict[str, Any]:
        """The settings ``effects`` and ``covariance`` of a model with the study's grouping factors.

        ``NmeMlp(**study.effects("last"))`` has persons' effects in the last layer, and those of families and items
        where the study file says.

        Args:
            person: where the persons' effects sit.
            covariance: of the persons' effects, ``diagonal`` or ``full``.
        """
        if not self.groupings:
            return {"effects": person, "covariance": covariance}
        return dict(effects_of_factors(self.groupings, self.person, person, covariance))

    def grouped(
        self,
        target: str | Sequence[str] | None = None,
        features: Sequence[str] | None = None,
        *,
        groupings: Sequence[str] | None = None,
    ) -> GroupedDataset:
        """The rows for a model of single observations; ``target`` is the study's first one by default.

        Several targets are for the models that take several; rows in which some of them are empty stay if the study
        file says so (``empty_targets = "keep"``).

        Args:
            target: the column to predict.
            features: the predictors; the study's by default.
            groupings: further grouping factors; all of the study by default, ``()`` for the persons alone.

        Raises:
            DataError: as :meth:`frame` and :meth:`GroupedDataset.from_frame`.
        """
        target = target or self._first_target()
        roles = self._roles(target, features, groupings)
        targets = [target] if isinstance(target, str) else list(target)
        some = self.keeps_empty_targets and len(targets) > 1
        needed = roles["features"] if some else [*targets, *roles["features"]]
        frame, kept = self._complete(self.frame(), list(needed), either=targets if some else ())
        with numbered_as_before(kept):
            return GroupedDataset.from_frame(frame, **roles, allow_missing_target=some)

    def sequences(
        self,
        target: str | None = None,
        features: Sequence[str] | None = None,
        *,
        groupings: Sequence[str] | None = None,
    ) -> SequenceBatch:
        """The sequences for a chain model; ``target`` is the study's state column by default, the rest as `grouped`.

        Raises:
            DataError: as :meth:`frame` and :meth:`SequenceBatch.from_frame`.
        """
        target = target or self.state or self._first_target()
        if self.time is None:
            raise ConfigError("sequences need a time column", code="E302", column="time", remedy="Name it in [roles]")
        roles = self._roles(target, features, groupings)
        frame, kept = self._complete(self.frame(), list(roles["features"]))  # a state may be missing in a sequence
        with numbered_as_before(kept):
            return SequenceBatch.from_frame(frame, **roles)

    def definitions(self) -> list[str]:
        """How the study's columns are made, one sentence each, for reports."""
        return [*self.constructions.sentences(), *([DERIVATIONS[self.derive].text] if self.derive else [])]

    def _complete(
        self, frame: pd.DataFrame, needed: Sequence[str], *, either: Sequence[str] = ()
    ) -> tuple[pd.DataFrame, np.ndarray | None]:
        """The frame without the rows that have empty cells, if the study drops them; and which rows are left.

        One of the columns in ``either`` has to be filled, all in ``needed``.
        """
        if not self.drops_empty:
            return frame, None
        require_columns(frame, {"target or feature": [*needed, *either]})
        empty = np.zeros(len(frame), dtype=bool)
        for name in needed:
            empty |= empty_cells(frame[name])
        if either:
            empty |= np.all([empty_cells(frame[name]) for name in either], axis=0)
        if empty.any():
            warnings.warn(
                ToolkitWarning(f"{int(empty.sum())} row(s) with empty cells were left out", code="W223"), stacklevel=3
            )
        return frame[~empty].reset_index(drop=True), np.flatnonzero(~empty)

    def _first_target(self) -> str:
        if not self.targets:
            raise ConfigError("the study names no target", code="E302", column="targets", remedy="Name it in [roles]")
        return self.targets[0]

    def _roles(
        self, target: str | Sequence[str], features: Sequence[str] | None, groupings: Sequence[str] | None
    ) -> dict[str, Any]:
        """The keywords of ``from_frame``."""
        further = self.grouping_names if groupings is None else tuple(groupings)
        return {
            "target": target,
            "features": self.features if features is None else self.constructions.expanded(features),
            "groups": (self.person, *further),
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


def _chosen(data: Mapping[str, Any], key: str, word: str) -> bool:
    """Whether the study file has the word for a key; empty cells are refused unless it says so."""
    choice = data.get(key, "refuse")
    if choice not in ("refuse", word):
        raise ConfigError(f'\'{key}\' in [data] must be "refuse" or "{word}"', code="E302", column=key)
    return choice == word
