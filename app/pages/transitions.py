"""Transitions: the groups' average matrices, their difference, and who drives a single step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st

from analyses.figures import group_cells, group_persons, transition_network
from analyses.figures.labels import number, signed
from analyses.figures.rows import largest
from analyses.report.gallery_words import READING
from analyses.report.guard import SMALLEST_SHOWN
from app import cell_drivers, group_comparison, group_matrices, inputs, obstacles, result_files, views
from app.basket import Pinned
from app.group_matrices import Averages
from app.inputs import Settings
from app.state import OpenRun
from toolkit.runs.kept import Recipe

MATRICES, NETWORK, PERSONS = "Matrices", "Network", "Every person"
VIEWS = (MATRICES, NETWORK, PERSONS)
FROM, INTO = "cell_from", "cell_into"
CELLS, CLICKED = "cells", "clicked cell"


def page(opened: OpenRun, settings: Settings) -> None:
    """The page of transitions."""
    obstacle = obstacles.without_states(opened)
    if obstacle:
        st.info(views.plain(obstacle))
        return
    _follow_click()
    value, pair, how = _choices(opened, settings)
    shown = group_matrices.averages(opened, value, pair)
    difference = None if shown.difference is None else (shown.minus(), shown.difference)
    cells = group_cells.tidy(shown.panels(), shown.states, difference=difference)
    _default_cell(opened, cells)
    said = _sentence(shown, cells)
    views.sentence(said)
    recipe = Recipe(command="group-means", options={"value": value, "groups": list(pair or ())})
    if how == MATRICES:
        pinned, few = _matrices(shown, cells, said)
    elif how == NETWORK:
        pinned, few = _network(shown, said)
    else:
        pinned, few = _every_person(opened, settings, value)
    if pinned is not None:
        pinned = replace(pinned, recipe=recipe)
        sentence = result_files.FEW.format("its average") if few < SMALLEST_SHOWN else ""
        result_files.below(opened, pinned, can_save=sentence)
    _cell(opened, settings, shown, value)
    _table(cells)
    result_files.code(opened, recipe, what="the averages")


def _choices(opened: OpenRun, settings: Settings) -> tuple[str, tuple[str, str] | None, str]:
    """What is averaged, of which groups, and how it is drawn."""
    values = [value for value in group_comparison.available_values(opened) if value != "score"]
    groups = group_comparison.group_names(opened) if settings.by_group else {}
    columns = st.columns([1.35, 1.85, 1.8], vertical_alignment="bottom")
    value = columns[0].selectbox(
        "Which transitions?", values, format_func=inputs.VALUES.__getitem__, help=inputs.VALUE_HELP,
        key=f"transition value {opened.path}",
    )  # fmt: skip
    pair = None
    if len(groups) >= 2:
        pairs = [(b, a) for a in groups for b in groups if a < b] + [(a, b) for a in groups for b in groups if a < b]
        place = columns[1].selectbox(
            "Difference", range(len(pairs)), key=f"transition pair {opened.path}",
            format_func=lambda k: f"{groups[pairs[k][0]]} minus {groups[pairs[k][1]]}",
        )  # fmt: skip
        pair = pairs[int(place or 0)]
    how = columns[2].segmented_control("View", VIEWS, default=MATRICES, required=True, key="transition view")
    return str(value), pair, str(how or MATRICES)


def _default_cell(opened: OpenRun, cells: pd.DataFrame) -> None:
    """The step that is looked at first: the largest difference, or the most likely step between two states."""
    states = [str(state) for state in opened.run.states or ()]
    if st.session_state.get(FROM) in states and st.session_state.get(INTO) in states:
        return
    differences = cells[cells["kind"] == "difference"]
    if differences.empty:
        differences = cells[cells["from_state"] != cells["to_state"]]
    top = largest(differences if len(differences) else cells, "value")
    st.session_state[FROM], st.session_state[INTO] = str(top["from_state"]), str(top["to_state"])


def _sentence(shown: Averages, cells: pd.DataFrame) -> str:
    """The largest difference between the groups, or what is most likely, in one sentence."""
    if shown.pair is None:
        between = cells[cells["from_state"] != cells["to_state"]].dropna(subset=["value"])
        if between.empty:
            return "No step between two states was made."
        top = largest(between, "value")
        return (
            f"Averaged over {shown.means[''].persons} persons, the most likely step between two states is from "
            f"{top['from_state']} to {top['to_state']} ({number(100 * top['value'], 0)} % of the steps out of "
            f"{top['from_state']})."
        )
    differences = cells[cells["kind"] == "difference"].dropna(subset=["value"])
    if differences.empty:
        return "The groups have no step in common, so there is no difference to show."
    top = largest(differences, "value")
    first, second = (shown.names[label] for label in shown.pair)
    step = f"from {top['from_state']} to {top['to_state']}"
    if top["from_state"] == top["to_state"]:
        step = f"staying in {top['from_state']}"
    return (
        f"The groups’ averages differ most in the step {step}: {signed(100 * top['value'])} percentage points "
        f"({first} minus {second}). The page Group test says whether that is more than chance."
    )


def _matrices(shown: Averages, cells: pd.DataFrame, said: str) -> tuple[Pinned, int]:
    chosen = (str(st.session_state[FROM]), str(st.session_state[INTO]))
    pinned = Pinned(
        name="group-matrices", title="Average transitions by group", text=[said], figure=(group_cells, cells),
        saved=cells[["panel", "from_state", "to_state", "value"]], reading_text=READING["group-matrices"],
    )  # fmt: skip
    views.chart(group_cells.screen(cells, chosen=chosen), pinned.in_words, CELLS, selectable="points")
    return pinned, shown.smallest


def _follow_click() -> None:
    """Takes over a cell that was clicked since the last look; the select boxes below follow."""
    event: Any = st.session_state.get(CELLS)
    points = event["selection"]["points"] if event else []
    names = tuple(str(name) for name in (points[0].get("customdata") or [])[:2]) if points else ()
    if names != st.session_state.get(CLICKED, ()):
        st.session_state[CLICKED] = names
        if len(names) == 2:
            st.session_state[FROM], st.session_state[INTO] = names


def _network(shown: Averages, said: str) -> tuple[Pinned, int]:
    frame = transition_network.tidy(shown.panels(), shown.states, difference=shown.difference)
    pinned = Pinned(
        name="network", title="Transitions as networks", text=[said], figure=(transition_network, frame),
        saved=frame[["panel", "from_state", "to_state", "value"]], reading_text=READING["network"],
    )  # fmt: skip
    views.chart(transition_network.screen(frame, height=360), pinned.in_words, "network")
    return pinned, shown.smallest


def _every_person(opened: OpenRun, settings: Settings, value: str) -> tuple[Pinned | None, int]:
    """One small map per person; drawn without names, and saved only where no group is small."""
    if value == "observed":
        st.info("Small maps need modelled transitions: choose probabilities or expected transitions on the left.")
        return None, 0
    labels = opened.persons["group"]
    words = [opened.group_of(label) if settings.by_group and pd.notna(label) else "" for label in labels]
    frame = group_persons.tidy(opened.transitions, opened.persons[["person"]].assign(group=words), value=value)
    pinned = Pinned(
        name="every-person", title="Transition matrices of all persons", figure=(group_persons, frame),
        reading_text=READING["person-matrices"],
    )  # fmt: skip
    views.chart(group_persons.screen(frame), pinned.in_words, "small multiples")
    return pinned, min(int(part["n"].iloc[0]) for _, part in frame.groupby("group"))


def _table(cells: pd.DataFrame) -> None:
    with st.expander("Table of all average transitions", icon=":material/table:"):
        wide = cells.assign(value=100 * cells["value"])
        wide = wide.pivot_table(index=["from_state", "to_state"], columns="panel", values="value", sort=False)
        wide = wide.reset_index()
        headings = {"from_state": "From", "to_state": "Into"}
        headings |= {str(name): str(name) for name in dict.fromkeys(cells["panel"]) if name in wide}
        views.table(wide, headings, key="cells table", digits=1)
        st.caption("Percent; differences in percentage points.")


def _cell(opened: OpenRun, settings: Settings, shown: Averages, value: str) -> None:
    """The step that is looked into: chosen by a click above, or here."""
    states = list(shown.states)
    left, middle, right = st.columns([1, 1, 2], vertical_alignment="bottom")
    start = left.selectbox("From", states, key=FROM)
    end = middle.selectbox("Into", states, key=INTO)
    right.caption("Click a cell in the matrices, or choose a step here, to see who drives it.")
    obstacle = obstacles.first_of(
        obstacles.without_group_choice(settings),
        obstacles.too_few_groups(len(group_comparison.group_names(opened))),
        obstacles.without_units(opened, settings),
    )
    if obstacle or shown.pair is None:
        st.info(views.plain(f"Who drives a difference cannot be shown. {obstacle}"))
        return
    asked = cell_drivers.question(settings, (str(start), str(end)), value, shown.pair)
    cell_drivers.show(opened, settings, asked)


views.of_run(page)
