"""The description of a study in words and as a page of its own; small groups are not shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analyses.report.document import Report, Section
from analyses.report.guard import COMPLEMENTARY, SMALLEST_SHOWN, small_label, suppressed_counts
from analyses.report.tables import ReportTable
from toolkit.data.description import ALL

if TYPE_CHECKING:
    from toolkit.data.description import Description
    from toolkit.data.study import Study

HIDDEN = "–"


def hidden_groups(found: Description) -> set[str]:
    """Groups of 1 to 10 persons, and the one that would give a single small group away."""
    shown = suppressed_counts(found.group_sizes)
    return {name for name, text in shown.items() if text != str(found.group_sizes[name])}


def sentences(found: Description, study: Study, hidden: set[str]) -> list[str]:
    """The description in words."""
    per = found.rows_per_person
    clusters = f" in {found.clusters} clusters" if found.clusters else ""
    lines = [
        f"{found.title}: {found.persons} persons{clusters}, {found.rows} rows.",
        f"Rows a person: median {per['median']:g}, from {per['least']:g} to {per['most']:g}.",
        *_compliance_lines(found),
    ]
    gaps = found.by_item[found.by_item["missing"] > 0]
    listed = ", ".join(f"{row.item} {row.missing_share:.0%}" for row in gaps.itertuples())
    lines.append(f"Empty cells: {listed}." if listed else "No empty cells in targets and features.")
    lines += _state_lines(found, study, hidden)
    if found.gaps:
        count = found.gaps["longer_than_three_medians"]
        median = duration(found.gaps["median"]) if found.gaps["unit"] == "seconds" else f"{found.gaps['median']:g}"
        lines.append(f"Time between rows: median {median}; {count} longer than three medians.")
    lines += [
        f"{row.column}: the value {row.value} occurs {row.count} times far outside the others; is it a missing answer?"
        for row in found.sentinels.itertuples(index=False)
    ]
    return [*lines, *study.definitions()]


def _compliance_lines(found: Description) -> list[str]:
    """Answered rows, relative to what, and what would make it better."""
    shares, plan = found.by_person["compliance"], found.plan
    if plan["planned"]:
        base = f"the {plan['rows']} planned for a person ({plan['per_day']} a day, {plan['days']} days)"
    else:
        base = f"the {plan['rows']} rows of the person with most"
    below = _few_are_few(int((shares < 0.5).sum()))
    lines = [f"Answered: {shares.mean():.0%} of {base}, on average; {below} person(s) below half."]
    if not plan["planned"]:
        lines.append("How many were planned is not said: planned_per_day and planned_days in [data] of study.toml.")
    elif (shares > 1).any():
        lines.append(
            f"{_few_are_few(int((shares > 1).sum()))} person(s) answered more than planned: is the plan right?"
        )
    return lines


def _few_are_few(persons: int) -> str:
    """A number of persons, or that it is a small one."""
    return small_label() if 0 < persons < SMALLEST_SHOWN else str(persons)


def guarded_days(by_day: pd.DataFrame) -> pd.DataFrame:
    """Answers by day without the numbers of days on which only a few persons took part."""
    few = (by_day["persons"] < SMALLEST_SHOWN).to_numpy(dtype=bool)
    if not few.any():
        return by_day
    shown = by_day.astype({"persons": object, "answered": object, "compliance": object})
    shown.loc[few, "persons"] = small_label()
    shown.loc[few, ["answered", "compliance"]] = COMPLEMENTARY
    return shown


def duration(seconds: float) -> str:
    """Seconds in the largest unit that gives at least one: ``1.5 hours``."""
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            value = f"{seconds / size:.3g}"
            return f"{value} {unit}" if value == "1" else f"{value} {unit}s"
    return f"{seconds:.3g} seconds"


def _state_lines(found: Description, study: Study, hidden: set[str]) -> list[str]:
    """Base rates by group and the check of self-transitions."""
    lines = []
    for group, table in found.states.groupby("group", sort=False):
        if group not in hidden:
            name = "all persons" if group == ALL else study.group_labels.get(str(group), str(group))
            shares = ", ".join(f"{row.state} {row.share:.0%}" for row in table.itertuples())
            lines.append(f"States, {name}: {shares}.")
    if found.steps:
        steps, repeated = found.steps["steps"], found.steps["repeated"]
        told = f"Steps within sequences: {steps}, of which {repeated} stay in the same state."
        if found.steps["onset_coded"]:
            told += " No state follows itself: states are coded by their onset, and the diagonal is empty by design."
        lines.append(told)
    return lines


def table_one(found: Description, study: Study, hidden: set[str]) -> pd.DataFrame:
    """Table 1 with the groups' words, without the numbers of small groups."""
    table = found.table_one.copy()
    for name in hidden:
        table[name] = HIDDEN
    shown = suppressed_counts(found.group_sizes)
    for name in found.group_sizes:
        table.loc[0, name] = shown[name]
    return table.rename(columns={name: study.group_labels.get(name, name) for name in found.group_sizes})


def page(found: Description, study: Study, hidden: set[str]) -> Report:
    """The description as one page."""
    small = f"Groups of fewer than {SMALLEST_SHOWN} persons, and one that would give them away, are not shown."
    definitions = study.definitions()
    summary = sentences(found, study, hidden)
    blocks = [
        Section(title="In short", text=summary[: len(summary) - len(definitions)]),
        *([Section(title="How columns are made", text=definitions)] if definitions else []),
        _table("Table 1", "Persons and Measures", table_one(found, study, hidden), note=small if hidden else ""),
        _table("Missing answers by item", "Empty Cells by Item", found.by_item),
    ]
    if len(found.by_day):
        blocks.append(_table("Answers by day", "Answered Rows by Day of the Record", guarded_days(found.by_day)))
    if len(found.states):
        states = found.states[~found.states["group"].isin(hidden)]
        words = study.group_labels
        states = states.assign(group=[words.get(name, name) for name in states["group"]])
        blocks.append(_table("States by group", "How Often States Occur", states))
    spread = found.by_person["compliance"].describe(percentiles=[0.1, 0.25, 0.5, 0.75, 0.9]).drop("count")
    persons = pd.DataFrame({"statistic": spread.index, "compliance": spread.to_numpy()})
    blocks.append(_table("Answers by person", "Spread of Compliance over Persons", persons))
    licence = " ".join(text for text in (study.citation, study.licence) if text)
    return Report(title=f"Description of the study: {study.title}", blocks=blocks, footer=licence)


def _table(title: str, caption: str, frame: pd.DataFrame, note: str = "") -> Section:
    headings = {name: name.replace("_", " ") for name in map(str, frame.columns)}
    return Section(title=title, table=ReportTable(frame=frame, title=caption, note=note, headings=headings))
