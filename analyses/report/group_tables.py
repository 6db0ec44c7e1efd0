"""What may be told about groups when nothing about persons may leave: means, and counts that give nobody away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analyses.report.guard import SMALLEST_SHOWN, checked_smallest, suppressed_counts, total_gives_away
from toolkit.errors import DataError

if TYPE_CHECKING:
    from toolkit.runs.folder import SavedRun

EVERYBODY = "all persons"
NO_GROUP = "no group"


def group_tables(run: SavedRun, *, smallest: int = SMALLEST_SHOWN) -> dict[str, pd.DataFrame]:
    """Tables of groups by name: ``group_persons``, ``group_effects``, and for chains ``group_transitions``.

    Groups of 1 to ``smallest - 1`` persons, and those that would give them away, have no row.

    Raises:
        ConfigError: E302 for a smallest group outside 5 to 21.
        DataError: E124 for a run with fewer persons than that.
    """
    checked_smallest(smallest)
    persons = run.persons()
    if len(persons) < smallest:
        raise DataError(
            f"the run has fewer than {smallest} persons: nothing about them may leave",
            code="E124",
            column="min-group",
            remedy="keep the run folder to yourself",
        )
    members = _members(persons, smallest)
    tables = {"group_persons": _persons(persons, members), "group_effects": _effects(run, members)}
    if run.states is not None:
        tables["group_transitions"] = _transitions(run, persons, members, smallest)
    return tables


def metrics_of_everybody(metrics: pd.DataFrame, *, smallest: int = SMALLEST_SHOWN) -> pd.DataFrame:
    """Means and pooled values of a run's metrics; counts of few persons, and means over few, are left empty."""
    table = metrics[metrics["scope"] != "person"].drop(columns="person").reset_index(drop=True)
    few = (table["excluded"] > 0) & (table["excluded"] < smallest)
    counts = {name: table[name].astype("Int64").mask(few) for name in ("persons", "excluded")}
    return table.assign(**counts, value=table["value"].mask(table["persons"] < smallest))


def _members(persons: pd.DataFrame, smallest: int) -> dict[str, set[str]]:
    """Persons of everybody and of each group that may be shown."""
    label = persons["group"].astype("object").where(persons["group"].notna(), NO_GROUP).astype(str)
    counts = {str(name): int(count) for name, count in label.value_counts().sort_index().items()}
    members = {EVERYBODY: set(persons["person"])}
    if len(counts) < 2 or total_gives_away(counts, smallest=smallest):
        return members
    shown = suppressed_counts(counts, smallest=smallest)
    for name, count in counts.items():
        if shown[name] == str(count):
            members[name] = set(persons.loc[label == name, "person"])
    return members


def _persons(persons: pd.DataFrame, members: dict[str, set[str]]) -> pd.DataFrame:
    lines = []
    for name, inside in members.items():
        part = persons[persons["person"].isin(inside)]
        rows = {column: int(part[column].sum()) for column in ("rows", "rows_train", "rows_validation", "rows_test")}
        level = part["baseline"].dropna()
        lines.append(
            {"group": name, "persons": len(part), **rows, "baseline_mean": level.mean(), "baseline_sd": level.std()}
        )
    return pd.DataFrame(lines)


def _effects(run: SavedRun, members: dict[str, set[str]]) -> pd.DataFrame:
    effects = run.random_effects()
    tables = []
    for name, inside in members.items():
        part = effects[effects["level"].isin(inside)].groupby("parameter", sort=False)
        found = part["estimate"].agg(mean="mean", sd="std").reset_index()
        tables.append(found.assign(group=name, reliability=part["reliability"].mean().to_numpy()))
    return pd.concat(tables, ignore_index=True)[["group", "parameter", "mean", "sd", "reliability"]]


def _transitions(run: SavedRun, persons: pd.DataFrame, members: dict[str, set[str]], smallest: int) -> pd.DataFrame:
    """Mean transitions of each group; observed counts only where enough persons, of every group, made the step."""
    table, cell = run.transitions(), ["from_state", "to_state"]
    group = table["person"].map(persons.set_index("person")["group"]).astype("object")
    made = table.assign(made=table["observed"] > 0, group=group.where(group.notna(), NO_GROUP))
    by_group = made.groupby([*cell, "group"], sort=False)["made"].sum()
    safe = ((by_group == 0) | (by_group >= smallest)).groupby(level=cell).all()
    tables = []
    for name, inside in members.items():
        part = table[table["person"].isin(inside)].groupby(cell, sort=False)
        found = part[["score", "probability", "expected", "generic"]].mean()
        found["observed"] = part["observed"].sum().astype("Int64").where(safe.reindex(found.index))
        tables.append(found.reset_index().assign(group=name, persons=len(inside)))
    order = ["group", *cell, "persons", "score", "probability", "expected", "generic", "observed"]
    return pd.concat(tables, ignore_index=True)[order]
