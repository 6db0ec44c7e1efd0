"""One person: own transitions beside the average ones, states over time, effects beside those of the others."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import streamlit as st

from analyses.report import sentences
from app import (
    person_effects,
    person_experts,
    person_over_time,
    person_page,
    person_prediction,
    person_transitions,
    views,
)
from app.inputs import Settings
from app.person_shown import Person
from app.state import OpenRun

View = Callable[[Person], None]
IDENTIFIABLE = (
    ":orange-badge[:material/visibility: Identifiable] :small[Mind who can see the screen; keep what you save like the "
    "raw data.]  \n"
)


def page(opened: OpenRun, settings: Settings) -> None:
    """The page of one person."""
    if opened.persons.empty:
        st.info("This run holds no persons.")
        return
    person = _picked(opened, settings)
    known = _views(person)
    if not known:
        st.info("This run holds nothing about this person but the rows counted above.")
        return
    names = list(known)
    shown = st.segmented_control(
        "What to look at", names, default=names[0], required=True, key=f"person view {opened.path}",
        label_visibility="collapsed",
    )  # fmt: skip
    known.get(str(shown), known[names[0]])(person)
    person_page.offer(person)


def _picked(opened: OpenRun, settings: Settings) -> Person:
    """The person chosen; what another page asked for comes first."""
    names = [str(name) for name in opened.persons["person"]]
    wanted = st.session_state.pop("wanted_person", None)
    key = f"person {opened.path}"
    if wanted in names:
        st.session_state[key] = wanted
    left, right = st.columns([1, 2.8], vertical_alignment="bottom", gap="medium")
    chosen = left.selectbox("Pseudonym", names, key=key)
    person = Person(opened=opened, settings=settings, name=str(chosen) if chosen in names else names[0])
    with right:
        st.markdown(f"{IDENTIFIABLE} {views.plain(_introduction(person))}")
    return person


def _introduction(person: Person) -> str:
    """Rows, group, and how far the estimates rest on the person's own data."""
    row, opened = person.row, person.opened
    group = "" if not person.settings.by_group or pd.isna(row["group"]) else f" Group: {opened.group_of(row['group'])}."
    said = (
        f"{int(row['rows'])} {opened.observation}: {int(row['rows_train'])} used for fitting, "
        f"{int(row['rows_validation'])} for deciding when to stop, {int(row['rows_test'])} kept for testing.{group}"
    )
    if not person.effects.empty and person.varying["reliability"].notna().any():
        return f"{said} {sentences.reliability_sentence(person.varying, int(row['rows_train']))}"
    return said


def _views(person: Person) -> dict[str, View]:
    """What can be looked at, the most telling first; only what the run has."""
    opened = person.opened
    found: dict[str, View] = {}
    if opened.has_states:
        found["Transitions"] = person_transitions.matrices
        found["Network"] = person_transitions.network
        found["Over time"] = person_over_time.paths
    elif (opened.predictions["person"] == person.name).any():
        found["Over time"] = person_over_time.series
    if not person.effects.empty:
        found["Beside the others"] = person_effects.beside_others
        found["All effects"] = person_effects.table
        if person_prediction.is_sum(opened):
            found["One prediction"] = person_prediction.prediction
    if "gate.parquet" in (opened.manifest.get("files") or {}):
        found["Experts"] = person_experts.experts
    return found


views.of_run(page)
