"""The Data page on what is missing: answers by person, by day and by item; Table 1."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from analyses.figures import answered_by_person, answers_by_day
from analyses.report.guard import SMALLEST_SHOWN, small_groups
from analyses.report.standard_tables.sample import sample_table
from analyses.report.tables import ReportTable
from app import report_tables, views
from app.basket import Pinned
from app.data_over_time import SMALL
from app.data_report import measures_of_rows
from app.state import OpenRun
from app.study_rows import StudyRows

CHART = "chart answers-by-person"
POSITIONS = "data positions"
READING = (
    "Each mark is one person, sorted by how much they answered; the dotted line is all there could be. Persons far on "
    "the left have little data: what a model says about them is mostly the average. Draw around persons to look "
    "at them alone on this page; a double click beside the marks brings everybody back."
)


def persons_marked(event: Any) -> list[str]:
    """Pseudonyms of the persons selected in the chart of answers."""
    order = st.session_state.get(POSITIONS, [])
    points = ((event or {}).get("selection") or {}).get("points") or []
    places = sorted({round(float(point["x"])) for point in points if point.get("x") is not None})
    return [order[place - 1] for place in places if 0 < place <= len(order)]


def missing(opened: OpenRun | None, rows: StudyRows) -> None:
    """Answers by person; by day and by item where the study itself is open.

    Always of everybody, so that a place in the chart means the same person whoever was picked before.
    """
    found = rows.description
    planned = int(found.plan["rows"]) if found is not None else int(rows.persons["answered"].max())
    is_plan = bool(found is not None and found.plan["planned"])
    frame = answered_by_person.tidy(rows.persons, planned=planned, unit=rows.unit, is_plan=is_plan)
    st.session_state[POSITIONS] = [str(name) for name in frame["person"]]
    share = float(frame["percent"].mean())
    of = f"the {planned} planned" if is_plan else f"the {planned} of the person with most"
    said = f"On average a person answered {share:.0f} % of {of}. {answered_by_person.alt_text(frame)}"
    pinned = Pinned(
        name="answers-by-person",
        title="How much every person answered",
        text=[said],
        figure=(answered_by_person, frame.assign(person="")),
        reading_text=READING,
    )
    can_save = SMALL if small_groups(rows.group_sizes) else ""
    views.result(opened, pinned, selectable=("box", "lasso"), height=290, can_save=can_save)
    if found is None:
        return
    if not is_plan:
        st.caption("How many prompts were planned is not said: planned_per_day and planned_days in the study file.")
    _by_day(opened, rows)
    _by_item(found.by_item)


def _by_day(opened: OpenRun | None, rows: StudyRows) -> None:
    found = rows.description
    if found is None or found.by_day.empty:
        return
    st.subheader("By day", anchor=False)
    base = f"{found.plan['per_day']} {rows.unit} a day for each of {found.persons} persons"
    frame = answers_by_day.tidy(found.by_day, relative_to=base, fewest=SMALLEST_SHOWN)
    if frame.empty:
        st.caption("On no day did 11 persons answer, so days are not shown.")
        return
    pinned = Pinned(
        name="answers-by-day",
        title="Answers by day of the record",
        text=[answers_by_day.alt_text(frame)],
        figure=(answers_by_day, frame),
        table=frame,
        headings={"day": "Day", "persons": "Persons", "percent": "Answered, %"},
        saved=frame[["day", "persons", "percent"]],
        reading_text="Each bar is a day of the record, over all persons of the study. Bars that fall towards the "
        "right: persons tire. A single low bar: something went wrong on that day.",
    )
    views.result(opened, pinned, digits=1)


def _by_item(by_item: pd.DataFrame) -> None:
    st.subheader("By item", anchor=False)
    missing_some = by_item[by_item["missing"] > 0]
    if missing_some.empty:
        st.markdown("No cell of the outcome or the predictors is empty.")
        return
    table = missing_some.sort_values("missing_share", ascending=False, kind="stable")
    table = table.assign(percent=100 * table["missing_share"])
    headings = {"item": "Column", "role": "Role", "missing": "Empty cells", "percent": "Percent"}
    views.table(table, headings, key="missing items", digits=1)


def table_one(opened: OpenRun | None, rows: StudyRows, *, whole: bool) -> None:
    """Table 1 by group, without the numbers of small groups."""
    if not whole:
        st.caption("Table 1 is of all persons of the study, whoever is picked above.")
    report_tables.show(opened, _sample(rows), name="table-1", title="Table 1: who took part")


def _sample(rows: StudyRows) -> ReportTable:
    measures = measures_of_rows(rows)
    persons = rows.description.persons if rows.description is not None else len(rows.persons)
    return sample_table(measures, rows.group_sizes, persons, smallest=SMALLEST_SHOWN, rows=rows.unit)
