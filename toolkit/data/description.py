"""What is in a study: persons and rows, missing answers, states by group, steps, gaps in time, Table 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from toolkit.data.columns import empty_cells, numeric, require_columns, time_seconds
from toolkit.data.groupings import Grouping, grouping, person_labels
from toolkit.data.labels import label_codes, number_as_text
from toolkit.data.oddities import sentinel_candidates
from toolkit.errors import DataError, ToolkitWarning

if TYPE_CHECKING:
    from toolkit.data.study import Study

QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
QUANTILE_NAMES = ("least", "lower_quartile", "median", "upper_quartile", "most")
ALL = "all persons"
ONSET_STEPS = 30  # with fewer steps, the absence of a repeated state says nothing


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Description:
    """The description of a study; every table is a frame, empty where the study has no such column.

    Attributes:
        title: of the study.
        rows, persons, clusters: counts; clusters is 0 where there are none.
        rows_per_person: least, lower quartile, median, upper quartile, most, mean.
        by_person: person (pseudonym), group, rows, answered, compliance.
        by_item: item, role, missing (cells), missing_share.
        plan: relative to what compliance is: rows (of a person; the share of answered rows among these), per_day (of a
            person on a day; ``None`` without a sequence column or plan), days, planned (whether the study says so).
        by_day: day (its number within the person's record), persons, answered, compliance.
        states: group, persons, state, share (mean of the persons' shares), rows.
        steps: number of steps from one row to the next, of repeated states, and whether states are coded by onset.
        gaps: quartiles of the time between rows, and how many are longer than three medians.
        sentinels: column, value, count.
        table_one: variable, kind, and for each group and the total mean (SD) of person means, or percent.
        person_means: each person's mean of every number, in the order of `by_person`. person_shares: the same for how
            often each state occurs, 0 to 1; no columns where there are no states.
        group_sizes: label -> persons.
    """

    title: str
    rows: int
    persons: int
    clusters: int
    rows_per_person: dict[str, float]
    by_person: pd.DataFrame
    by_item: pd.DataFrame
    plan: dict[str, Any]
    by_day: pd.DataFrame
    states: pd.DataFrame
    steps: dict[str, Any]
    gaps: dict[str, Any]
    sentinels: pd.DataFrame
    table_one: pd.DataFrame
    person_means: pd.DataFrame
    person_shares: pd.DataFrame
    group_sizes: dict[str, int]

    def as_data(self) -> dict[str, Any]:
        """Everything but single persons, as plain values for JSON."""
        tables = ("by_item", "by_day", "states", "sentinels", "table_one")
        plain = ("title", "rows", "persons", "clusters", "rows_per_person", "plan", "steps", "gaps", "group_sizes")
        return {name: getattr(self, name) for name in plain} | {
            name: [
                {key: None if isinstance(value, float) and np.isnan(value) else value for key, value in row.items()}
                for row in getattr(self, name).to_dict("records")
            ]
            for name in tables
        }


def describe_study(study: Study) -> Description:
    """Describe a study as it is read.

    Raises:
        DataError: as :meth:`Study.frame`; E103 for a missing column, E112 for rows without a person, E123 for a person
            in two groups.
    """
    frame = study.frame()
    roles = {"target": study.targets, "feature": study.features, "person": study.person, "time": study.time}
    require_columns(frame, {**roles, "sequence": study.sequence, "group": study.group, "cluster": study.cluster})
    notices: list[ToolkitWarning] = []
    person = grouping(frame[study.person], notices)
    groups = _labels(frame, study.group, person, "group", notices)
    clusters = _labels(frame, study.cluster, person, "cluster", notices)
    order = _order(frame, study, person)
    answered = _answered(frame, study)
    days = None if study.sequence is None else day_numbers(frame, study.sequence, person.codes, order)
    plan = _plan(study, person, days)
    by_person = _by_person(person, groups, answered, plan["rows"])
    counts = by_person["rows"].to_numpy()
    return Description(
        title=study.title,
        rows=len(frame),
        persons=len(person.levels),
        clusters=len({label for label in clusters if label is not None}),
        rows_per_person=_quantiles(counts) | {"mean": float(counts.mean())},
        by_person=by_person,
        by_item=_by_item(frame, study),
        plan=plan,
        by_day=_by_day(days, person, answered, plan["per_day"]),
        states=_states(frame, study, person, groups),
        steps=_steps(frame, study, person, order),
        gaps=_gaps(frame, study, person, order),
        sentinels=_sentinels(frame, study),
        table_one=_table_one(frame, study, person, groups),
        person_means=_person_means(frame, study, person),
        person_shares=_person_shares(frame, study, person),
        group_sizes={name: groups.count(name) for name in sorted({label for label in groups if label is not None})},
    )


def _labels(
    frame: pd.DataFrame, column: str | None, person: Grouping, kind: str, notices: list[ToolkitWarning]
) -> tuple[str | None, ...]:
    return (None,) * len(person.levels) if column is None else person_labels(frame[column], person, kind, notices)


def _order(frame: pd.DataFrame, study: Study, person: Grouping) -> Int[np.ndarray, " rows"]:
    """Rows by person and time."""
    rows = np.arange(len(frame))
    return np.lexsort((rows, rows if study.time is None else time_seconds(frame[study.time]), person.codes))


def _answered(frame: pd.DataFrame, study: Study) -> np.ndarray:
    """Rows in which every target is filled."""
    return ~np.any([empty_cells(frame[name]) for name in study.targets] or [np.zeros(len(frame), dtype=bool)], axis=0)


def _quantiles(values: np.ndarray) -> dict[str, float]:
    found = np.quantile(values, QUANTILES)
    return dict(zip(QUANTILE_NAMES, map(float, found), strict=True))


def _plan(study: Study, person: Grouping, days: Int[np.ndarray, " rows"] | None) -> dict[str, Any]:
    """Rows of a person and of a day that compliance is relative to: those planned, else the most anybody has.

    Without ``planned_days``, the days are the most days anybody has; without ``planned_per_day``, nothing is planned.
    """
    per_day, seen = study.planned_per_day, None if days is None else int(days.max())
    lasted = study.planned_days or seen
    if per_day is not None and lasted is not None:
        return {"rows": per_day * lasted, "per_day": per_day, "days": lasted, "planned": True}
    most = int(np.bincount(person.codes).max())
    on_a_day = None if days is None else int(pd.Series(days).groupby([days, person.codes]).size().max())
    return {"rows": most, "per_day": on_a_day, "days": seen, "planned": False}


def _by_person(person: Grouping, groups: Sequence[str | None], answered: np.ndarray, planned: int) -> pd.DataFrame:
    """Compliance is the share of answered rows among those planned, or the most anybody has."""
    rows = np.bincount(person.codes, minlength=len(person.levels))
    filled = np.bincount(person.codes[answered], minlength=len(person.levels))
    return pd.DataFrame(
        {"person": person.levels, "group": groups, "rows": rows, "answered": filled, "compliance": filled / planned}
    )


def _by_item(frame: pd.DataFrame, study: Study) -> pd.DataFrame:
    roles = {**dict.fromkeys(study.features, "feature"), **dict.fromkeys(study.targets, "target")}
    rows = []
    for name, role in roles.items():
        missing = int(empty_cells(frame[name]).sum())
        rows.append((name, role, missing, missing / len(frame)))
    return pd.DataFrame(rows, columns=["item", "role", "missing", "missing_share"])


def day_numbers(
    frame: pd.DataFrame, sequence: str, person: Int[np.ndarray, " rows"], order: Int[np.ndarray, " rows"]
) -> Int[np.ndarray, " rows"]:
    """Number of the day (or session) of each row within the person's record: 1, 2, ... in the order of time."""
    codes = label_codes(frame[sequence], kind="sequence")[0][order]
    new = np.concatenate([[True], (np.diff(codes) != 0) | (np.diff(person[order]) != 0)])
    running = np.cumsum(new)
    first = np.full(int(person.max()) + 1, len(running) + 1)
    np.minimum.at(first, person[order], running)
    numbers = np.empty(len(order), dtype=np.int64)
    numbers[order] = running - first[person[order]] + 1
    return numbers


def _by_day(
    days: Int[np.ndarray, " rows"] | None, person: Grouping, answered: np.ndarray, per_day: int | None
) -> pd.DataFrame:
    """Compliance is the share of answered rows among those planned for a day (or the most), times the persons."""
    if days is None or per_day is None:
        return pd.DataFrame(columns=["day", "persons", "answered", "compliance"])
    table = pd.DataFrame({"day": days, "person": person.codes, "answered": answered})
    found = table.groupby("day").agg(persons=("person", "nunique"), answered=("answered", "sum")).reset_index()
    return found.assign(compliance=found["answered"] / (len(person.levels) * per_day))


def _states(frame: pd.DataFrame, study: Study, person: Grouping, groups: Sequence[str | None]) -> pd.DataFrame:
    """How often each state occurs, by group and overall: the mean of the persons' shares, and the rows."""
    columns = ["group", "persons", "state", "share", "rows"]
    if study.state is None:
        return pd.DataFrame(columns=columns)
    names, counts = _state_counts(frame, study, study.state, person)
    some = counts.sum(axis=1) > 0
    rows = []
    for group in [None, *sorted({label for label in groups if label is not None})]:
        chosen = some if group is None else some & np.array([label == group for label in groups])
        shares = (counts[chosen] / counts[chosen].sum(axis=1, keepdims=True)).mean(axis=0) if chosen.any() else None
        for place, name in enumerate(names):
            share = float("nan") if shares is None else float(shares[place])
            rows.append((group or ALL, int(chosen.sum()), name, share, int(counts[chosen, place].sum())))
    return pd.DataFrame(rows, columns=columns)


def _state_counts(frame: pd.DataFrame, study: Study, state: str, person: Grouping) -> tuple[list[str], np.ndarray]:
    """Names of the states in their order, and rows of each person in each of them."""
    codes, labels, _ = label_codes(frame[state], kind="state")
    names = [name for name in study.states if name in labels] or list(labels)
    counts = np.zeros((len(person.levels), len(labels)))
    known = codes >= 0
    np.add.at(counts, (person.codes[known], codes[known]), 1)
    return names, counts[:, [labels.index(name) for name in names]]


def _person_shares(frame: pd.DataFrame, study: Study, person: Grouping) -> pd.DataFrame:
    """How often each state occurs in each person; empty cells for persons without any."""
    if study.state is None:
        return pd.DataFrame(index=range(len(person.levels)))
    names, counts = _state_counts(frame, study, study.state, person)
    total = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, total, out=np.full_like(counts, np.nan), where=total > 0)
    return pd.DataFrame(shares, columns=names)


def _person_means(frame: pd.DataFrame, study: Study, person: Grouping) -> pd.DataFrame:
    """Mean of every number over each person's rows."""
    everybody = range(len(person.levels))
    means = {n: pd.Series(v).groupby(person.codes).mean().reindex(everybody) for n, v in _numbers(frame, study).items()}
    return pd.DataFrame(means, index=everybody)


def _steps(frame: pd.DataFrame, study: Study, person: Grouping, order: Int[np.ndarray, " rows"]) -> dict[str, Any]:
    """Steps from a state to the next within a sequence; states coded by their onset never follow themselves."""
    if study.state is None:
        return {}
    codes = label_codes(frame[study.state], kind="state")[0][order]
    follows = np.diff(person.codes[order]) == 0
    if study.sequence is not None:
        follows &= np.diff(label_codes(frame[study.sequence], kind="sequence")[0][order]) == 0
    follows &= (codes[1:] >= 0) & (codes[:-1] >= 0)
    repeated = int((follows & (np.diff(codes) == 0)).sum())
    count = int(follows.sum())
    return {"steps": count, "repeated": repeated, "onset_coded": bool(count >= ONSET_STEPS and repeated == 0)}


def _gaps(frame: pd.DataFrame, study: Study, person: Grouping, order: Int[np.ndarray, " rows"]) -> dict[str, Any]:
    """Time from one row of a person to the next, within sequences: in the column's numbers, or seconds for dates."""
    if study.time is None:
        return {}
    time = time_seconds(frame[study.time])[order]
    follows = np.diff(person.codes[order]) == 0
    if study.sequence is not None:
        follows &= np.diff(label_codes(frame[study.sequence], kind="sequence")[0][order]) == 0
    gaps = np.diff(time)[follows]
    if not len(gaps):
        return {}
    long = int((gaps > 3 * np.median(gaps)).sum())
    seconds = not pd.api.types.is_numeric_dtype(frame[study.time].dtype)
    found = {"count": len(gaps), **_quantiles(gaps), "longer_than_three_medians": long}
    return found | {"unit": "seconds" if seconds else "as in the time column"}


def _sentinels(frame: pd.DataFrame, study: Study) -> pd.DataFrame:
    rows = [
        (name, number_as_text(code), count)
        for name, values in _numbers(frame, study).items()
        for code, count in sentinel_candidates(values).items()
    ]
    return pd.DataFrame(rows, columns=["column", "value", "count"])


def _numbers(frame: pd.DataFrame, study: Study) -> dict[str, np.ndarray]:
    """Targets and features that are numbers."""
    found = {}
    for name in dict.fromkeys((*study.targets, *study.features)):
        try:
            found[name] = np.where(np.isfinite(values := numeric(frame[name])), values, np.nan)
        except DataError:  # words; a check says where they should not be
            continue
    return found


def _table_one(frame: pd.DataFrame, study: Study, person: Grouping, groups: Sequence[str | None]) -> pd.DataFrame:
    """Persons, rows, and each number as mean (SD) of the persons' means; one column per group and one for all."""
    labels = sorted({label for label in groups if label is not None})
    members = {ALL: np.ones(len(person.levels), dtype=bool)}
    members |= {label: np.array([group == label for group in groups]) for label in labels}
    rows = np.bincount(person.codes, minlength=len(person.levels))
    lines: list[dict[str, str]] = [
        {"variable": "Persons", **{name: str(int(chosen.sum())) for name, chosen in members.items()}},
        {"variable": "Rows a person, mean (SD)", **{name: _mean_sd(rows[chosen]) for name, chosen in members.items()}},
    ]
    for name, values in _person_means(frame, study, person).items():
        means = values.to_numpy()
        cells = {label: _mean_sd(means[chosen]) for label, chosen in members.items()}
        lines.append({"variable": f"{name}, mean (SD)", **cells})
    return pd.DataFrame(lines)[["variable", *labels, ALL]]


def _mean_sd(values: np.ndarray) -> str:
    values = values[~np.isnan(np.asarray(values, dtype=np.float64))]
    if not len(values):
        return "–"
    sd = f"{np.std(values, ddof=1):.2f}" if len(values) > 1 else "–"
    return f"{np.mean(values):.2f} ({sd})".replace("-", "−")
