"""Widgets in, frozen settings out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from analyses.figures.colour_sets import DEFAULT_SET
from analyses.figures.labels import is_transition, parameter_label
from analyses.grouping_factors import Factor
from analyses.stability_marks import MARK
from app.state import FactorTables, OpenRun

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
    palette: str = DEFAULT_SET


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonsSettings:
    """What the Persons page shows."""

    parameter: str
    order: str


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
