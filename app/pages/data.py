"""Data: what is in the rows: who answered when, what is missing, which states."""

from __future__ import annotations

import streamlit as st

from analyses import wording
from app import data_missing, data_over_time, data_report, data_states, study_rows, views
from app.inputs import Settings
from app.state import OpenRun
from app.studies import OpenStudy
from app.study_rows import StudyRows

ANSWERS, LEVELS, STATES = "Answers", "Levels", "States"
RATES, MISSING, TABLE, REPEATS = "Base rates", "Missing data", "Table 1", "Self-transitions"
CHOSEN, SEEN = "data persons", "data selection seen"


def page() -> None:
    """The page."""
    opened: OpenRun | None = st.session_state["opened"]
    study: OpenStudy | None = st.session_state.get("opened_study")
    settings: Settings = st.session_state["settings"]
    if opened is not None:
        views.header(opened, settings)
    found, problem = study_rows.current_rows(opened, study)
    if problem:
        st.warning(views.plain(f"The study itself cannot be read: {problem}"))
    if found is None:
        st.info("Open a run, or a study, on the Start page first.")
        return
    if found.persons.empty:
        st.info("There are no rows of persons here.")
        return
    everybody = found if settings.by_group else found.without_groups()
    left, right = st.columns([4.4, 1])
    with left:
        view = _view(everybody)
    with right:
        rows = _chosen(everybody, settings)
    if len(rows.persons) < len(everybody.persons):
        st.caption(f"Shown: {len(rows.persons)} of {wording.thousands(len(everybody.persons))} persons.")
    if rows.persons.empty:
        st.info("No person has that many rows. Lower the number, or pick other persons.")
        return
    _draw(opened, rows, everybody, settings, view)
    data_report.offer(opened, everybody, study)


def _view(rows: StudyRows) -> str:
    """What to look at; only what the study has."""
    of_states = [STATES, RATES, REPEATS] if rows.states else []
    views_ = [ANSWERS, *of_states[:1], *([LEVELS] if rows.number else []), *of_states[1:], MISSING, TABLE]
    shown = st.segmented_control("What to look at", views_, default=views_[0], required=True, key="data view",
                                 label_visibility="collapsed")  # fmt: skip
    return shown if shown in views_ else views_[0]


def _chosen(rows: StudyRows, settings: Settings) -> StudyRows:
    """Persons with enough rows, or those that were picked; nobody where none is left."""
    persons = rows.persons
    names = sorted(str(name) for name in persons["person"])
    labels = {name: name if settings.identifiable else f"No. {place}" for place, name in enumerate(names, start=1)}
    _take_selection(names)
    with st.popover("Choose persons", icon=":material/filter_alt:", width="stretch"):
        most = max(int(persons["answered"].max()), 1)
        fewest = st.number_input(
            f"At least so many {rows.unit} answered", min_value=0, max_value=most, value=0, step=5, key="data fewest"
        )
        picked = st.multiselect(
            "Persons", names, format_func=lambda name: labels.get(name, "No."), key=CHOSEN, placeholder="Everybody"
        )
        st.caption("Nobody picked: everybody. Drawing around marks in the chart of “Missing data” picks persons, too.")
    kept = persons["answered"] >= int(fewest)
    if picked:
        kept &= persons["person"].isin(picked)
    return rows.of_persons([str(name) for name in persons.loc[kept, "person"]])


def _take_selection(names: list[str]) -> None:
    """Persons marked in the chart of answers become the persons picked, once for each new selection."""
    st.session_state[CHOSEN] = [name for name in st.session_state.get(CHOSEN, []) if name in set(names)]
    marked = data_missing.persons_marked(st.session_state.get(data_missing.CHART))
    if marked != st.session_state.get(SEEN, []):
        st.session_state[SEEN] = marked
        st.session_state[CHOSEN] = [name for name in names if name in set(marked)]


def _draw(opened: OpenRun | None, rows: StudyRows, everybody: StudyRows, settings: Settings, view: str) -> None:
    if view == ANSWERS:
        data_over_time.answers(opened, rows)
    elif view == LEVELS:
        data_over_time.levels(opened, rows)
    elif view == STATES:
        data_over_time.states(opened, rows)
    elif view == RATES:
        data_states.rates(opened, rows, settings)
    elif view == REPEATS:
        data_states.repeats(opened, rows)
    elif view == MISSING:
        data_missing.missing(opened, everybody)
    else:
        data_missing.table_one(opened, everybody, whole=len(rows.persons) == len(everybody.persons))
    if rows.note:
        st.caption(views.plain(rows.note))


views.guarded(page)
