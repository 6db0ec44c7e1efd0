"""One person's transitions: own matrix beside another, difference, counts; the same as networks."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
import streamlit as st

from analyses.figures import person_matrix, transition_network
from analyses.figures.labels import is_transition, signed
from analyses.figures.rows import largest
from analyses.report import sentences
from analyses.stability_marks import cell_labels, cell_names
from app import views
from app.person_shown import AVERAGE, Person, compared_with, save

EXPECTED, SCORES = "Expected of this person", "Transition scores alone"
WHICH_HELP = (
    "Expected: how this person moves between states according to the whole model, their usual states included. "
    "Transition scores alone: the part of the model that says which state follows which, everything else being equal."
)
NETWORK_READING = (
    "Each dot is a state, each arrow a step from one state to the next; the wider the arrow, the more likely the step, "
    "with the percentage on it. Loops: the state stays. Unlikely steps are left out. In the difference, solid orange "
    "arrows are steps this person makes more often, dashed blue ones less often."
)
Value = Literal["probability", "expected"]


def _chosen(person: Person) -> tuple[pd.DataFrame, Value, str] | None:
    """The matrices asked for; None where the run holds none of this person."""
    table = person.opened.transitions
    if person.name not in set(table["person"]):
        st.info("This run holds no transitions for this person.")
        return None
    left, right = st.columns([1.5, 1], vertical_alignment="bottom")
    with left:
        which = st.radio("Which transitions?", [EXPECTED, SCORES], horizontal=True, help=WHICH_HELP, key="which")
    with right:
        other = compared_with(person, "person beside")
    value: Value = "probability" if which == SCORES else "expected"
    return matrix_frame(person, value, other), value, other


def matrix_frame(person: Person, value: Value, other: str) -> pd.DataFrame:
    """Own matrix, the other, difference and counts."""
    beside = person_matrix.GENERIC if other == AVERAGE else other[:1].upper() + other[1:]
    return person_matrix.tidy(
        person.opened.transitions, person.name, value=value, members=person.members(other), beside=beside
    )


def matrices(person: Person) -> None:
    """Four matrices side by side."""
    chosen = _chosen(person)
    if chosen is None:
        return
    frame, value, other = chosen
    views.sentence(f"{difference_words(frame, other)} {_reliability(person, value)}")
    states = person.opened.run.states or ()
    views.unstable(person.opened, cell_names(states, value), cell_labels(states))
    views.chart(person_matrix.screen(frame, height=330), person_matrix.alt_text(frame), "matrices")
    st.caption(
        "Percent; rows are where a step starts, columns where it leads. Hatched: never observed for this person."
    )
    _reading(frame)
    table = _table(frame)
    with st.expander("Table of all transitions", icon=":material/table:"):
        names = list(dict.fromkeys(frame["panel"]))
        headings = {"from_state": "From", "to_state": "Into", names[0]: names[0], names[1]: names[1],
                    names[2]: names[2], names[3]: names[3]}  # fmt: skip
        views.table(table, headings, key="transitions table")
    save(person, "one-person", (person_matrix, frame), table, person_matrix.alt_text(frame))


def _table(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per transition."""
    wide = frame.pivot_table(index=["from_state", "to_state"], columns="panel", values="value", sort=False)
    return wide.reset_index()


def _reading(frame: pd.DataFrame) -> None:
    left, right = st.columns(2)
    with left:
        views.explanation("person_matrix")
    with right:
        views.described(person_matrix.alt_text(frame))


def _reliability(person: Person, value: Value) -> str:
    """How well this person's transitions are known."""
    moves = person.varying
    if value == "probability":
        moves = moves[[is_transition(str(name)) for name in moves["parameter"]]]
    if person.effects.empty:
        return "This model is the same for everybody: only what was observed differs between persons."
    known = moves["reliability"].dropna()
    if known.empty:
        return "No differences between persons were found here: every person gets the average."
    return f"For these transitions the estimate is {sentences.reliability_words(float(known.mean()))}."


def difference_words(frame: pd.DataFrame, other: str = AVERAGE) -> str:
    """The largest difference from the other matrix, and how much was observed."""
    top = largest(frame[frame["panel"] == person_matrix.DIFFERENCE], "value")
    counts = frame[frame["panel"] == person_matrix.OBSERVED]
    never = int(counts["unobserved"].sum())
    seen = f"{int(counts['value'].sum())} transitions were observed; {never} of {len(counts)} kinds never occurred."
    if pd.isna(top["value"]) or abs(top["value"]) < 0.005:
        if other == AVERAGE:
            return f"This person moves between states as the average person does. {seen}"
        return f"This person moves between states like {other}. {seen}"
    start, end = str(top["from_state"]), str(top["to_state"])
    step = f"staying in {start}" if start == end else f"moving from {start} to {end}"
    return f"The largest difference from {other}: {step}, {signed(100 * top['value'], 0)} percentage points. {seen}"


def network_frame(frame: pd.DataFrame, states: tuple[str, ...]) -> pd.DataFrame:
    """Networks of the first two panels and of their difference."""
    panels = list(dict.fromkeys(frame["panel"]))
    square = {
        name: np.nan_to_num(
            frame[frame["panel"] == name]
            .pivot(index="from_state", columns="to_state", values="value")
            .reindex(index=list(states), columns=list(states))
            .to_numpy(dtype=float)
        )
        for name in panels[:3]
    }
    return transition_network.tidy(
        {name: square[name] for name in panels[:2]}, states, difference=square[person_matrix.DIFFERENCE]
    )


def network(person: Person) -> None:
    """States as dots, steps as arrows: this person, the other, the difference."""
    chosen = _chosen(person)
    if chosen is None:
        return
    frame, _, other = chosen
    drawn = network_frame(frame, person.opened.run.states or ())
    views.sentence(difference_words(frame, other))
    views.chart(transition_network.screen(drawn, height=380), transition_network.alt_text(drawn), "person network")
    left, right = st.columns(2)
    with left:
        views.explanation(text=NETWORK_READING)
    with right:
        views.described(transition_network.alt_text(drawn))
    save(person, "network", (transition_network, drawn), drawn, transition_network.alt_text(drawn))
