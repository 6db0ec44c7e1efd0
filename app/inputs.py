"""Widgets in, frozen settings out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from analyses.figures.labels import is_transition, parameter_label
from analyses.grouping_factors import Factor
from analyses.stability_marks import MARK
from app.state import FactorTables, FoundRun, OpenRun

PERSONS = "persons"
PERSON = Factor(term="person", noun="person", is_person=True)
LEVELS = (0.90, 0.95, 0.99)
ORDERS = {"estimate": "smallest to largest", "group": "by group", "certainty": "most reliable first"}
VALUES = {
    "probability": "Modelled probabilities",
    "score": "Modelled scores",
    "expected": "Expected transitions",
    "observed": "Observed transitions",
}
SUBJECTS = {
    "probability": "modelled transition probabilities",
    "score": "modelled transition scores",
    "expected": "transitions expected under the model",
    "observed": "observed transitions",
}
VALUE_HELP = (
    "Probabilities: what the model's transition scores alone imply. Scores: the person parameters themselves. "
    "Expected: "
    "transitions given the whole record, with what else was known at each prompt. Observed: counts, with half a count "
    "added to each cell; no model involved."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the sidebar says; the same on every page."""

    path: Path | None
    by_group: bool
    unit: str
    level: float
    identifiable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonsSettings:
    """What the Persons page shows."""

    parameter: str
    order: str


def choose_run(found: Sequence[FoundRun]) -> Path | None:
    """The run picker at the top of the sidebar."""
    if not found:
        return None
    paths = {run.label: run.path for run in found}
    names = list(paths)
    # a personal model of states can fill every page, so it is what opens first
    first = next((index for index, name in enumerate(names) if name.startswith("nme-crf")), 0)
    wanted = st.session_state.get("wanted_run")
    if wanted in names:
        st.session_state["run"] = wanted
        st.session_state["wanted_run"] = None
    label = st.sidebar.selectbox("Study run", names, index=first, key="run")
    return paths.get(label) if label else None


def sidebar(path: Path | None, opened: OpenRun | None) -> Settings:
    """Everything below the run picker; only choices that exist are offered."""
    by_group, unit = True, PERSONS
    if opened is not None:
        by_group = _group_choice(opened)
        unit = _unit_choice(opened)
    level = st.sidebar.selectbox(
        "Interval level", LEVELS, index=LEVELS.index(0.95), format_func=lambda value: f"{value:.0%}", key="level"
    )
    identifiable = st.sidebar.toggle(
        "Identifiable view",
        key="identifiable",
        help="Off: lists and figures leave pseudonyms out. On: pseudonyms are shown, and files about single persons "
        "can be saved after a tick. Keep it off when others can see the screen.",
    )
    st.sidebar.caption(
        "Colours can be told apart by colour-blind readers, and every group also has its own mark. "
        "Nothing leaves this computer."
    )
    return Settings(path=path, by_group=by_group, unit=unit, level=float(level or 0.95), identifiable=identifiable)


def _group_choice(opened: OpenRun) -> bool:
    if opened.group_name is None:
        st.sidebar.caption("This study has no groups to compare.")
        return False
    options = [opened.group_name, "no grouping"]
    return st.sidebar.selectbox("Group variable", options, key="group_variable") != "no grouping"


def _unit_choice(opened: OpenRun) -> str:
    if opened.cluster_name is None:
        st.sidebar.selectbox(
            "Resampling unit",
            [PERSONS],
            key="unit_persons",
            help="What is shuffled and drawn as a whole in tests. This study has no families or sites, so: persons.",
        )
        return PERSONS
    name = opened.cluster_name
    chosen = st.sidebar.selectbox(
        "Resampling unit",
        [name, PERSONS],
        key="unit_cluster",
        help=f"What is shuffled and drawn as a whole in tests. Persons of one {name} resemble each other; testing "
        "them as if they did not makes differences look surer than they are.",
    )
    return PERSONS if chosen == PERSONS else name


def default_parameter(shown: FactorTables) -> str:
    """What the Persons page opens with: the transition that varies most, or the last bias."""
    names = [str(name) for name in shown.effects["parameter"].unique()]
    known = shown.components[shown.components["parameter"].isin(names)]
    moves = known[known["parameter"].astype(str).map(is_transition).astype(bool)]
    if not moves.empty:
        return str(moves.sort_values("variance", ascending=False, kind="stable")["parameter"].iloc[0])
    biases = [name for name in names if "bias" in name]
    return (biases or names)[-1]


def chosen_factor(opened: OpenRun) -> FactorTables:
    """Whose effects are shown: asked for where families or items have effects beside the persons."""
    if len(opened.factors) < 2:
        return FactorTables(PERSON, opened.effects, opened.components, opened.persons)
    place = st.segmented_control(
        "Whose effects?",
        list(range(len(opened.factors))),
        default=0,
        required=True,
        format_func=lambda place: opened.factors[place].nouns.capitalize(),
        help="In this model persons have effects of their own, and so have the others named here. A row’s parameters "
        "are the shared ones plus the effects of each.",
        key=f"factor {opened.path}",
    )
    return opened.of_factor(opened.factors[place or 0])


def persons_settings(opened: OpenRun, shown: FactorTables, *, by_group: bool) -> PersonsSettings:
    """Parameter and order, side by side."""
    names = [str(name) for name in shown.effects["parameter"].unique()]
    # transitions first: they are what a reader looks for
    names.sort(key=lambda name: not is_transition(name))
    orders = [order for order in ORDERS if by_group or order != "group"]
    nouns, unstable = shown.factor.nouns, opened.unstable if shown.factor.is_person else frozenset()
    left, right = st.columns([2, 1])
    parameter = left.selectbox(
        f"In what do {nouns} differ?",
        names,
        index=names.index(default_parameter(shown)),
        format_func=lambda name: f"{parameter_label(name)} {MARK}" if name in unstable else parameter_label(name),
        key=f"parameter {opened.path} {shown.factor.term}",
    )
    order = right.selectbox(f"Order of {nouns}", orders, format_func=ORDERS.__getitem__, key="order")
    return PersonsSettings(parameter=str(parameter), order=str(order))
