"""The data report: Table 1, answers, states, as a document; of the study, or of the rows a run kept."""

from __future__ import annotations

import pandas as pd

from analyses import wording
from analyses.report.document import Report, Section
from analyses.report.guard import COMPLEMENTARY, SMALLEST_SHOWN, suppressed_counts
from analyses.report.standard_tables.sample import ALL, STATES, heading, measure, sample_table, study_measures
from analyses.report.study_description import hidden_groups, page
from analyses.report.tables import ReportTable
from analyses.self_transitions import self_transitions
from app import report_tables
from app.state import OpenRun
from app.studies import OpenStudy
from app.study_rows import StudyRows

GUARDED = f"Groups of fewer than {SMALLEST_SHOWN} persons, and one that would give them away, are left out."


def offer(opened: OpenRun | None, rows: StudyRows, study: OpenStudy | None) -> None:
    """The button at the end of the page."""

    def make() -> Report:
        found = rows.description
        if found is not None and study is not None:
            return page(found, study.study, hidden_groups(found))
        return report_of_rows(rows)

    report_tables.document_files(make, "data-report", "Save the data report", GUARDED)


def measures_of_rows(rows: StudyRows) -> pd.DataFrame:
    """What Table 1 says, tidy as `sample_table` takes it."""
    grouped = bool(rows.group_sizes)
    if rows.description is not None:
        found = study_measures(rows.description, rows.group_labels)
        return found if grouped else found[found["group"] == ALL].reset_index(drop=True)
    group = [label or None for label in rows.persons["group"]]
    parts = [measure("Rows per person", rows.persons["rows"].to_numpy(dtype=float), group)]
    known = rows.rows[rows.rows["answered"].to_numpy(dtype=bool)]
    if not rows.states:
        means = known.groupby("person")["truth"].mean().reindex(rows.persons["person"]).to_numpy(dtype=float)
        return pd.concat([*parts, measure(rows.outcome, means, group)], ignore_index=True)
    shares = pd.crosstab(known["person"], known["truth"], normalize="index").reindex(rows.persons["person"])
    empty = pd.Series(0.0, index=shares.index)
    parts.append(heading(STATES))
    parts += [
        measure(state, 100 * shares.get(state, empty).to_numpy(dtype=float), group, indented=True)
        for state in rows.states
    ]
    return pd.concat(parts, ignore_index=True)


def report_of_rows(rows: StudyRows) -> Report:
    """A data report from the rows a run kept."""
    counts = rows.persons["answered"]
    sizes = rows.group_sizes
    said = [
        f"{rows.title}: {len(counts)} persons, {wording.thousands(int(counts.sum()))} {rows.unit} answered.",
        f"{rows.unit.capitalize()} a person: median {counts.median():g}, from {counts.min()} to {counts.max()}.",
    ]
    if rows.states:
        table = rows.rows
        said.append(self_transitions(table["truth"], table["person"], table["sequence"], states=rows.states).text())
    measures = measures_of_rows(rows)
    sample = sample_table(measures, sizes, len(counts), smallest=SMALLEST_SHOWN, rows=rows.unit)
    blocks = [
        Section(title="In short", text=said),
        Section(title="Table 1", table=sample),
        *_state_section(rows),
        Section(title="What is not in this report", text=[rows.note]),
    ]
    return Report(title=f"Description of the study: {rows.title}", blocks=blocks)


def _state_section(rows: StudyRows) -> list[Section]:
    """How often states occur in all rows by group, small groups left out."""
    if not rows.states:
        return []
    groups = rows.rows["person"].map(rows.persons.set_index("person")["group"])
    shares = pd.crosstab(groups, rows.rows["truth"], normalize="index").reindex(columns=list(rows.states))
    shown = suppressed_counts(rows.group_sizes)
    lines = []
    for group, line in shares.iterrows():
        hidden = bool(group) and shown.get(str(group)) != str(rows.group_sizes.get(str(group)))
        if not group and (rows.group_sizes or len(rows.persons) < SMALLEST_SHOWN):
            continue
        values = [COMPLEMENTARY if hidden else 100 * float(value) for value in line.fillna(0.0)]
        lines.append([str(group) or "All persons", *values])
    if not lines:
        return []
    frame = pd.DataFrame(lines, columns=["Group", *rows.states])
    return [Section(title="States by group", table=ReportTable(frame=frame, title="Percent of Rows in Each State"))]
