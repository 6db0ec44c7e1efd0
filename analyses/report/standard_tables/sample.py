"""Table 1: who took part, by group; measures as mean and SD of the persons' means, states as percent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses.report.guard import COMPLEMENTARY, suppressed_counts, total_gives_away
from analyses.report.standard_tables.entry import TableEntry, TableOptions, small_note
from analyses.report.tables import ReportTable, Spanner, two_cell

if TYPE_CHECKING:
    from toolkit.data.description import Description
    from toolkit.runs.folder import SavedRun

ALL = "All persons"
STATES = "States, % of rows"


def sample_table(
    measures: pd.DataFrame, sizes: dict[str, int], total: int, *, smallest: int, rows: str = "rows"
) -> ReportTable:
    """Table 1 from means per group.

    Args:
        measures: tidy, one row per variable and group: variable, indented (bool), group (ALL for everybody), persons
            (with a value), mean, sd. A variable without persons is a heading.
        sizes: persons per group, in the order of the columns.
        total: persons in all, with or without a group.
        smallest: the smallest group that is shown.
        rows: what a row of the data is, plural.
    """
    groups = [*sizes, ALL]
    shown = suppressed_counts(sizes, smallest=smallest)
    gone = {name for name in sizes if shown[name] != str(sizes[name])}
    if total_gives_away(sizes, smallest=smallest) or total < smallest:
        gone |= {ALL}
    lines, plain = [], []
    variables = list(dict.fromkeys(measures["variable"]))
    for variable in variables:
        mine = measures[measures["variable"] == variable].set_index("group")
        hidden = gone | _few(mine, list(sizes), smallest)
        line: dict[str, Any] = {"variable": variable}
        for place, group in enumerate(groups):
            line[f"mean {place}"], line[f"sd {place}"] = _cells(mine, group, hidden)
            plain.append(
                {"variable": variable, "group": group, "mean": line[f"mean {place}"], "sd": line[f"sd {place}"]}
            )
        lines.append(line)
    indented = {
        row for row, name in enumerate(variables) if measures.loc[measures["variable"] == name, "indented"].any()
    }
    labels = [_label(name, shown.get(name, str(total)), name in gone) for name in groups]
    names = [f"{kind} {k}" for k in range(len(groups)) for kind in ("mean", "sd")]
    any_hidden = any(COMPLEMENTARY in line.values() for line in lines)
    return ReportTable(
        frame=pd.DataFrame(lines, dtype=object),  # an empty cell is not a missing number
        title="Characteristics of the Sample" + (", by Group" if sizes else ""),
        note=f"M and SD are over persons, of each person’s mean or percentage of {rows}."
        f"{f' {small_note(smallest)}' if any_hidden else ''}",
        headings={"variable": "Variable"} | {name: "M" if name.startswith("mean") else "SD" for name in names},
        formats=dict.fromkeys(names, two_cell),
        numbers=set(names),
        spanners=[Spanner(label=label, columns=(f"mean {k}", f"sd {k}")) for k, label in enumerate(labels)],
        indented=indented,
        data=pd.DataFrame(plain).dropna(subset=["mean"]).reset_index(drop=True),
    )


def run_measures(run: SavedRun) -> pd.DataFrame:
    """What a run knows of its sample: rows a person, the target or the states; tidy as `sample_table` takes it."""
    persons = run.persons()
    labels = group_words(run)
    group = persons["group"].map(lambda label: None if pd.isna(label) else labels.get(str(label), str(label)))
    parts = [measure("Rows per person", persons["rows"].to_numpy(dtype=float), group)]
    predictions = run.predictions()
    truth = predictions["truth"]
    if pd.api.types.is_numeric_dtype(truth):
        means = truth.groupby(predictions["person"]).mean().reindex(persons["person"]).to_numpy(dtype=float)
        parts.append(measure(str(run.manifest["target"]), means, group))
        return pd.concat(parts, ignore_index=True)
    states = run.states or tuple(sorted(truth.dropna().unique()))
    known = predictions[truth.notna()]
    shares = pd.crosstab(known["person"], known["truth"], normalize="index").reindex(persons["person"])
    parts.append(heading(STATES))
    parts += [
        measure(str(s), 100 * shares.get(s, pd.Series(0.0, shares.index)).to_numpy(float), group, indented=True)
        for s in states
    ]
    return pd.concat(parts, ignore_index=True)


def study_measures(found: Description, labels: Mapping[str, str]) -> pd.DataFrame:
    """What a study's description knows of its sample: rows, answered rows, every number, states; as `sample_table`."""
    persons = found.by_person
    group = persons["group"].map(lambda label: None if pd.isna(label) else labels.get(str(label), str(label)))
    parts = [measure("Rows per person", persons["rows"].to_numpy(dtype=float), group)]
    if found.plan["planned"]:
        parts.append(measure("Compliance, %", 100 * persons["compliance"].to_numpy(dtype=float), group))
    parts += [measure(str(n), found.person_means[n].to_numpy(dtype=float), group) for n in found.person_means.columns]
    if len(found.person_shares.columns):
        parts.append(heading(STATES))
    for name in found.person_shares.columns:
        parts.append(measure(str(name), 100 * found.person_shares[name].to_numpy(float), group, indented=True))
    return pd.concat(parts, ignore_index=True)


def group_words(run: SavedRun) -> dict[str, str]:
    """How the groups of a run are called."""
    return {str(key): str(text) for key, text in (run.manifest["study"].get("group_labels") or {}).items()}


def measure(
    name: str, values: np.ndarray, group: pd.Series | Sequence[str | None], *, indented: bool = False
) -> pd.DataFrame:
    """One variable by group, from one value per person (NaN where there is none)."""
    labels = pd.Series(list(group), dtype=object)
    rows = []
    for label in [*sorted({str(g) for g in labels.dropna()}), ALL]:
        inside = np.ones(len(values), dtype=bool) if label == ALL else (labels == label).to_numpy(dtype=bool)
        mine = values[inside & np.isfinite(values)]
        sd = float(mine.std(ddof=1)) if mine.size > 1 else float("nan")
        rows.append((name, indented, label, mine.size, float(mine.mean()) if mine.size else float("nan"), sd))
    return pd.DataFrame(rows, columns=["variable", "indented", "group", "persons", "mean", "sd"])


def heading(name: str) -> pd.DataFrame:
    """A line without numbers, over indented ones."""
    nan = float("nan")
    return pd.DataFrame(
        [(name, False, ALL, 0, nan, nan)], columns=["variable", "indented", "group", "persons", "mean", "sd"]
    )


def _few(mine: pd.DataFrame, groups: list[str], smallest: int) -> set[str]:
    """Groups in which too few persons have a value of this variable, and those that would give them away."""
    persons = {name: int(mine["persons"].get(name, 0)) for name in groups}
    shown = suppressed_counts(persons, smallest=smallest)
    hidden = {name for name in groups if shown[name] != str(persons[name])}
    everybody = int(mine["persons"].get(ALL, 0))
    return hidden | ({ALL} if 0 < everybody < smallest or total_gives_away(persons, smallest=smallest) else set())


def _cells(mine: pd.DataFrame, group: str, hidden: set[str]) -> tuple[Any, Any]:
    """Mean and SD of a variable in a group; empty for a heading, a word where they are hidden."""
    if int(mine["persons"].sum()) == 0:
        return None, None
    if group in hidden:
        return COMPLEMENTARY, COMPLEMENTARY
    if group not in mine.index:
        return float("nan"), float("nan")
    return float(mine["mean"][group]), float(mine["sd"][group])


def _label(name: str, size: str, hidden: bool) -> str:
    if hidden or size == COMPLEMENTARY:
        small = size.replace("<", "<\u00a0")
        return name if size == COMPLEMENTARY or name == ALL else f"{name} (n\u00a0{small})"
    return f"{name} ({'N' if name == ALL else 'n'}\u00a0=\u00a0{size})"


def _build(run: SavedRun, options: TableOptions) -> ReportTable:
    labels, unit = group_words(run), str(run.manifest["study"].get("unit") or "row")
    if options.sample is not None:
        found = options.sample
        sizes = {labels.get(name, name): size for name, size in found.group_sizes.items()}
        measures, total = study_measures(found, labels), found.persons
    else:
        known = [str(label) for label in run.persons()["group"].dropna()]
        sizes = {labels.get(name, name): known.count(name) for name in sorted(set(known))}
        measures, total = run_measures(run), len(run.persons())
    return sample_table(measures, sizes, total, smallest=options.smallest, rows=f"{unit}s")


SAMPLE_TABLES = (
    TableEntry(
        name="sample",
        title="Table 1: the sample by group (with --study: all measures of the study)",
        needs="any run",
        build=_build,
    ),
)
