"""The rows behind the Data page: of the open study, or what a run kept of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from app.state import OpenRun

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
        rows: person, sequence, time, row, answered, truth (states as text, or numbers), in order of person and time.
        persons: person, group (written out, ``""`` where unknown), cluster, rows, answered; by group, most rows first.
        states: in their order; empty where the outcome is a number.
        outcome: its name. unit: what a row is called, plural. group_name: of the comparison variable, if there is one.
        cluster_name: of what persons are nested in, if anything.
        description: what a study file tells beyond its rows; None for the rows of a run.
        note: what these rows leave out.
    """

    title: str
    rows: pd.DataFrame
    persons: pd.DataFrame
    states: tuple[str, ...]
    outcome: str
    unit: str
    group_name: str | None
    cluster_name: str | None
    description: Description | None = None
    note: str = ""

    def of_persons(self, chosen: Sequence[str]) -> StudyRows:
        """The rows of some persons only."""
        keep = set(chosen)
        if len(keep) == len(self.persons):
            return self
        return StudyRows(
            title=self.title,
            rows=self.rows[self.rows["person"].isin(keep)].reset_index(drop=True),
            persons=self.persons[self.persons["person"].isin(keep)].reset_index(drop=True),
            states=self.states,
            outcome=self.outcome,
            unit=self.unit,
            group_name=self.group_name,
            cluster_name=self.cluster_name,
            description=self.description,
            note=self.note,
        )

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
    seen = () if numeric else tuple(sorted(str(name) for name in table["truth"].dropna().unique()))
    groups = [opened.group_of(label) if pd.notna(label) else "" for label in opened.persons["group"]]
    persons = opened.persons[["person", "cluster"]].assign(group=groups)
    return StudyRows(
        title=str(opened.study.get("title") or opened.study.get("name") or "This study"),
        rows=_ordered(rows),
        persons=_counted(persons, rows),
        states=tuple(str(state) for state in opened.run.states or ()) or seen,
        outcome=opened.outcome,
        unit=opened.observation,
        group_name=opened.group_name,
        cluster_name=opened.cluster_name,
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
    rows = pd.DataFrame(
        {
            "person": frame[study.person].astype("string"),
            "sequence": label_codes(frame[study.sequence], kind="sequence")[0] if study.sequence else 0,
            "time": time_seconds(frame[study.time]) if study.time else number.astype(float),
            "row": number,
            "truth": codes,
            "answered": answered,
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
        unit=f"{study.unit}s",
        group_name=study.group,
        cluster_name=study.cluster,
        description=description,
    )


def _states(truth: pd.Series, answered: np.ndarray) -> tuple[Any, tuple[str, ...]]:
    """Numbers as numbers; anything else as text, with its labels."""
    if pd.api.types.is_numeric_dtype(truth.dtype) and not pd.api.types.is_bool_dtype(truth.dtype):
        return truth.astype(float).to_numpy(), ()
    text = truth.astype("string").where(answered)
    return text.to_numpy(dtype=object), tuple(sorted(str(name) for name in text.dropna().unique()))


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
