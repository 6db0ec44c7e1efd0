"""One person: own transitions beside the average ones, or own effects and predictions."""

from __future__ import annotations

from typing import Any, Literal

import pandas as pd
import streamlit as st

from analyses.figures import person_matrix, person_series
from analyses.figures.labels import is_transition, listed, parameter_label, signed
from analyses.figures.rows import largest
from analyses.report import sentences
from analyses.stability_marks import cell_labels, cell_names
from app import views
from app.inputs import Settings
from app.state import OpenRun

EXPECTED, SCORES = "Expected of this person", "Transition scores alone"
WHICH = (EXPECTED, SCORES)
WHICH_HELP = (
    "Expected: how this person moves between states according to the whole model, their usual states included. "
    "Transition scores alone: the part of the model that says which state follows which, everything else being equal."
)


def page() -> None:
    """The page of one person."""
    opened: OpenRun | None = st.session_state["opened"]
    settings: Settings = st.session_state["settings"]
    if opened is None:
        st.info("Open a run on the Start page first.")
        return
    views.header(opened, settings)
    person = _picker(opened)
    row = opened.persons.set_index("person").loc[person]
    effects = views.with_level(opened.effects[opened.effects["level"] == person], settings.level)
    _introduction(opened, settings, row)
    if opened.has_states:
        _matrices(opened, person, effects, row)
    else:
        _series(opened, person, effects, row)
    _effects(effects, settings)
    _shared_effects(opened, settings, row)


def _picker(opened: OpenRun) -> str:
    names = [str(name) for name in opened.persons["person"]]
    wanted = st.session_state.pop("wanted_person", None)
    key = f"person {opened.path}"
    if wanted in names:
        st.session_state[key] = wanted
    column, remark = st.columns([1, 2.4], vertical_alignment="bottom")
    person = column.selectbox("Pseudonym", names, key=key)
    remark.caption(
        ":material/visibility: Identifiable: this page shows one person’s data. Mind who can see the screen, and keep "
        "anything saved from it as you keep the raw data."
    )
    return str(person)


def _place(opened: OpenRun, person: str) -> int:
    """Where the person stands in the list: a tick given for one person must not count for the next."""
    return [str(name) for name in opened.persons["person"]].index(person)


def _introduction(opened: OpenRun, settings: Settings, row: Any) -> None:
    group = "" if not settings.by_group or pd.isna(row["group"]) else f" Group: {opened.group_of(row['group'])}."
    st.markdown(
        views.plain(
            f"{int(row['rows'])} {opened.observation}: {int(row['rows_train'])} used for fitting, "
            f"{int(row['rows_validation'])} for deciding when to stop, {int(row['rows_test'])} kept for testing.{group}"
        )
    )


def _matrices(opened: OpenRun, person: str, effects: pd.DataFrame, row: Any) -> None:
    if person not in set(opened.transitions["person"]):
        st.info("This run holds no transitions for this person.")
        return
    value: Literal["probability", "expected"] = "expected"
    if st.radio("Which transitions?", list(WHICH), horizontal=True, help=WHICH_HELP, key="which") == SCORES:
        value = "probability"
    frame = person_matrix.tidy(opened.transitions, person, value=value)
    moves = effects
    if value == "probability":
        moves = effects[[is_transition(str(name)) for name in effects["parameter"]]]
    reliability = sentences.reliability_sentence(_varying(opened, moves), int(row["rows_train"]))
    views.sentence(f"{_difference_sentence(frame)} {reliability}")
    states = opened.run.states or ()
    views.unstable(opened, cell_names(states, value), cell_labels(states))
    views.chart(person_matrix.screen(frame, height=350), person_matrix.alt_text(frame), "matrices")
    st.caption(
        "Percent; rows are where a step starts, columns where it leads. Hatched: never observed for this person."
    )
    table = frame.pivot_table(
        index=["from_state", "to_state"], columns="panel", values="value", sort=False
    ).reset_index()
    _reading(("person_matrix", person_matrix), frame, table, _place(opened, person))
    headings = {"from_state": "From", "to_state": "Into", person_matrix.OWN: "This person",
                person_matrix.GENERIC: "Average", person_matrix.DIFFERENCE: "Difference",
                person_matrix.OBSERVED: "Times observed"}  # fmt: skip
    with st.expander("Table of all transitions", icon=":material/table:"):
        views.table(table, headings, key="transitions table")


def _varying(opened: OpenRun, effects: pd.DataFrame) -> pd.DataFrame:
    """Parameters in which persons differ at all; the others say nothing about how well this person is known."""
    fixed = opened.components.loc[opened.components["at_boundary"].astype(bool), "parameter"]
    return effects[~effects["parameter"].isin(set(fixed))]


def _difference_sentence(frame: pd.DataFrame) -> str:
    """The largest difference from the average person, and how much was observed."""
    top = largest(frame[frame["panel"] == person_matrix.DIFFERENCE], "value")
    counts = frame[frame["panel"] == person_matrix.OBSERVED]
    never = int(counts["unobserved"].sum())
    seen = f"{int(counts['value'].sum())} transitions were observed; {never} of {len(counts)} kinds never occurred."
    if abs(top["value"]) < 0.005:
        return f"This person moves between states as the average person does. {seen}"
    start, end = str(top["from_state"]), str(top["to_state"])
    step = f"staying in {start}" if start == end else f"moving from {start} to {end}"
    return (
        f"The largest difference from the average person: {step}, "
        f"{signed(100 * top['value'], 0)} percentage points. {seen}"
    )


def _series(opened: OpenRun, person: str, effects: pd.DataFrame, row: Any) -> None:
    frame = person_series.tidy(opened.predictions, person)
    views.sentence(sentences.reliability_sentence(_varying(opened, effects), int(row["rows_train"])))
    views.chart(
        person_series.screen(frame, outcome=opened.outcome, height=350), person_series.alt_text(frame), "series"
    )
    table = frame.pivot_table(index=["step", "split"], columns="series", values="value", sort=False).reset_index()
    _reading(("person_series", person_series), frame, table, _place(opened, person))


def _reading(figure: tuple[str, Any], frame: pd.DataFrame, table: pd.DataFrame, place: int) -> None:
    """Explanation, words, and the files of one person, which need a tick."""
    name, module = figure
    left, right = st.columns(2)
    with left:
        views.explanation(name)
    with right:
        views.described(module.alt_text(frame))
    if st.checkbox(
        "Save this person’s figure or table. I know that these files are identifiable.", key=f"person tick {place}"
    ):
        views.downloads("one-person-identifiable", figure=(module, frame), frame=table, text=module.alt_text(frame))


def _effects(
    effects: pd.DataFrame,
    settings: Settings,
    title: str = "This person’s effects with intervals",
    noun: str = "person",
) -> None:
    if effects.empty:
        return
    with st.expander(title, icon=":material/table:"):
        shown = effects.assign(
            parameter=[parameter_label(str(name)) for name in effects["parameter"]],
            rests_on=[sentences.reliability_words(value, noun) for value in effects["reliability"]],
        )
        headings = {"parameter": "Parameter", "estimate": "Difference from average",
                    "low": f"{settings.level:.0%} interval, from", "high": "to", "reliability": "Reliability",
                    "rests_on": "The estimate is"}  # fmt: skip
        views.table(shown, headings, key=f"effects table {noun}")


def _shared_effects(opened: OpenRun, settings: Settings, row: Any) -> None:
    """Effects that this person shares with others: those of the family, and what else has some."""
    further = opened.factors[1:]
    if not further:
        return
    named = listed([factor.nouns for factor in further])
    st.caption(
        views.plain(
            f"This model also has effects of {named}. What is predicted or expected of this person holds them; the "
            "effects above are the person’s own. All of them stand on the page Persons, under “Whose effects?”."
        )
    )
    for factor in further:
        if factor.term != opened.study.get("cluster_name") or pd.isna(row["cluster"]):
            continue
        effects = opened.of_factor(factor).effects
        mine = views.with_level(effects[effects["level"] == str(row["cluster"])], settings.level)
        _effects(mine, settings, title=f"Effects of this person’s {factor.noun}", noun=factor.noun)


views.guarded(page)
