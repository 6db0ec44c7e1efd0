"""The rows behind the Data page: of the open study, or what a run kept of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st

from app.state import OpenRun
from app.studies import OpenStudy
from toolkit.errors import ToolkitError

if TYPE_CHECKING:
    from toolkit.data.description import Description
    from toolkit.data.study import Study

FROM_RUN = (
    "These are the rows that the open run kept. Empty cells of predictors and prompts that were never answered are not "
    "among them; open the study itself on the Start page to see those."
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StudyRows:
    """Rows and persons of a study.

    Attributes:
        title: of the study.
        rows: person, sequence, time, row, answered, truth (states as text, or numbers), level (a number, where the
            study has one), in order of person and time.
        persons: person, group (written out, ``""`` where unknown), cluster, rows, answered; by group, most rows first.
        states: in their order; empty where the outcome is a number.
        outcome: its name. number: name of the number behind ``level``, if any.
        unit: what a row is called, plural. group_name: of the comparison variable, if there is one.
        cluster_name: of what persons are nested in, if anything.
        group_labels: what each label of the file means.
        description: what a study file tells beyond its rows; None for the rows of a run.
        note: what these rows leave out.
    """

    title: str
    rows: pd.DataFrame
    persons: pd.DataFrame
    states: tuple[str, ...]
    outcome: str
    number: str | None
    unit: str
    group_name: str | None
    cluster_name: str | None
    group_labels: Mapping[str, str] = field(default_factory=dict)
    description: Description | None = None
    note: str = ""

    def of_persons(self, chosen: Sequence[str]) -> StudyRows:
        """The rows of some persons only."""
        keep = set(chosen)
        if len(keep) == len(self.persons):
            return self
        rows = self.rows[self.rows["person"].isin(keep)].reset_index(drop=True)
        persons = self.persons[self.persons["person"].isin(keep)].reset_index(drop=True)
        return replace(self, rows=rows, persons=persons)

    def without_groups(self) -> StudyRows:
        """The same with everybody in one group."""
        persons = self.persons.assign(group="").sort_values("answered", ascending=False, kind="stable")
        return replace(self, persons=persons.reset_index(drop=True))

    @property
    def group_sizes(self) -> dict[str, int]:
        """Persons by group; empty where nobody has one."""
        known = self.persons.loc[self.persons["group"] != "", "group"]
        return {str(name): int(count) for name, count in known.value_counts().sort_index().items()}


def rows_of_run(opened: OpenRun) -> StudyRows:
    """What the predictions table of a run tells about its study."""
    table = opened.predictions
    rows = table[["person", "sequence", "time", "row", "truth"]].assign(answered=table["truth"].notna())
    numeric = pd.api.types.is_numeric_dtype(table["truth"].dtype)
    rows["level"] = table["truth"].astype(float) if numeric else float("nan")
    seen = () if numeric else tuple(sorted(str(name) for name in table["truth"].dropna().unique()))
    groups = [opened.group_of(label) if pd.notna(label) else "" for label in opened.persons["group"]]
    persons = opened.persons[["person", "cluster"]].assign(group=groups)
    return StudyRows(
        title=str(opened.study.get("title") or opened.study.get("name") or "This study"),
        rows=_ordered(rows),
        persons=_counted(persons, rows),
        states=tuple(str(state) for state in opened.run.states or ()) or seen,
        outcome=opened.outcome,
        number=opened.outcome if numeric else None,
        unit=opened.observation,
        group_name=opened.group_name,
        cluster_name=opened.cluster_name,
        group_labels=opened.group_names,
        note=FROM_RUN,
    )


def rows_of_study(study: Study, frame: pd.DataFrame, description: Description) -> StudyRows:
    """The rows of a study file, those that were not answered as well.

    Args:
        study: the study.
        frame: its rows, persons by pseudonym (`Study.frame`).
        description: what `describe_study` found.
    """
    from toolkit.data.columns import empty_cells, time_seconds
    from toolkit.data.labels import label_codes

    number = np.arange(len(frame))
    target = study.state or (study.targets[0] if study.targets else None)
    truth = frame[target] if target else pd.Series(pd.NA, index=frame.index, dtype="string")
    states = tuple(study.states) if target == study.state else ()
    answered = ~np.asarray(empty_cells(truth)) if target else np.ones(len(frame), dtype=bool)
    codes, labels = _states(truth, answered)
    number_name = next((name for name in study.targets if _is_number(frame[name])), None)
    rows = pd.DataFrame(
        {
            "person": frame[study.person].astype("string"),
            "sequence": label_codes(frame[study.sequence], kind="sequence")[0] if study.sequence else 0,
            "time": time_seconds(frame[study.time]) if study.time else number.astype(float),
            "row": number,
            "truth": codes,
            "answered": answered,
            "level": frame[number_name].astype(float) if number_name else float("nan"),
        }
    ).dropna(subset=["person"])
    words = study.group_labels
    persons = description.by_person[["person", "group"]].copy()
    persons["group"] = ["" if pd.isna(g) else words.get(str(g), str(g)) for g in persons["group"]]
    persons["cluster"] = _clusters(frame, study, persons["person"])
    return StudyRows(
        title=study.title,
        rows=_ordered(rows),
        persons=_counted(persons, rows),
        states=states or labels,
        outcome=str(target or "outcome"),
        number=number_name,
        unit=f"{study.unit}s",
        group_name=study.group,
        cluster_name=study.cluster,
        group_labels=words,
        description=description,
    )


def _states(truth: pd.Series, answered: np.ndarray) -> tuple[Any, tuple[str, ...]]:
    """Numbers as numbers; anything else as text, with its labels."""
    if _is_number(truth):
        return truth.astype(float).to_numpy(), ()
    text = truth.astype("string").where(answered)
    return text.to_numpy(dtype=object), tuple(sorted(str(name) for name in text.dropna().unique()))


def _is_number(values: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype))


def _clusters(frame: pd.DataFrame, study: Study, persons: pd.Series) -> Any:
    if study.cluster is None:
        return None
    first = frame.drop_duplicates(study.person).set_index(study.person)[study.cluster]
    return first.reindex(persons).to_numpy(dtype=object)


def _ordered(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sort_values(["person", "time", "row"], kind="stable").reset_index(drop=True)


def _counted(persons: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Persons with their numbers of rows and answers, by group, most rows first."""
    count = rows.groupby("person")["answered"].agg(["size", "sum"])
    found = persons.assign(
        person=persons["person"].astype(str),
        rows=count["size"].reindex(persons["person"]).fillna(0).astype(int).to_numpy(),
        answered=count["sum"].reindex(persons["person"]).fillna(0).astype(int).to_numpy(),
    )
    return found.sort_values(["group", "answered"], ascending=[True, False], kind="stable").reset_index(drop=True)


def current_rows(opened: OpenRun | None, study: OpenStudy | None) -> tuple[StudyRows | None, str]:
    """The rows of the open study, else those of the run; and why the study cannot be read, if it cannot."""
    problem = ""
    if study is not None:
        try:
            return _of_study(str(study.path), _changed(study), study), ""
        except (ToolkitError, OSError) as error:
            problem = error.sentence if isinstance(error, ToolkitError) else "the study’s file cannot be read"
    if opened is None:
        return None, problem
    return _of_run(str(opened.path), opened), problem


def _changed(study: OpenStudy) -> tuple[int, ...]:
    files = (study.path, study.study.data_file)
    return tuple(path.stat().st_mtime_ns if path.is_file() else 0 for path in files)


@st.cache_resource(scope="session", show_spinner=False, max_entries=4)
def _of_study(path: str, changed: tuple[int, ...], _study: OpenStudy) -> StudyRows:
    return rows_of_study(_study.study, _study.frame, _study.description)


@st.cache_resource(scope="session", show_spinner=False, max_entries=8)
def _of_run(path: str, _opened: OpenRun) -> StudyRows:
    return rows_of_run(_opened)
