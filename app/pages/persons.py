"""Persons: how far persons (families, items) differ in one parameter, with intervals, by group."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from analyses.figures.labels import listed
from app import inputs, persons_effects, persons_figures, persons_tables, views
from app.inputs import PersonsSettings, Settings
from app.persons_effects import Shown
from app.state import FactorTables, OpenRun

FEW_LEVELS = 10
SORTED, RIDGES, ROWS, LAYERS = "Sorted, with intervals", "Ridges by group", "Shrinkage", "Layer by layer"


def page(opened: OpenRun, settings: Settings) -> None:
    """The persons page."""
    if not opened.is_personal:
        st.info(
            "This model has the same parameters for everybody, so there are no person effects to show. "
            "Choose a run whose name starts with nme in the sidebar."
        )
        return
    shown = inputs.chosen_factor(opened)
    if not shown.factor.is_person:
        settings = replace(settings, by_group=settings.by_group and bool(shown.levels["group"].notna().any()))
    left, right = st.columns([3, 1], vertical_alignment="center")
    with left:
        view = _view(opened, shown)
    chosen = _chosen(opened, shown, settings, view)
    with right:
        total = view == SORTED and _as_total(opened, shown, chosen.parameter)
    effects = persons_effects.effects_shown(opened, shown, settings, chosen, total=total)
    if view != LAYERS:
        _said(opened, shown, effects)
    if view == RIDGES:
        persons_figures.ridges(opened, shown, effects)
    elif view == ROWS:
        persons_figures.shrinkage(opened, effects)
    elif view == LAYERS:
        persons_figures.layers(opened, shown, effects)
    else:
        _sorted(opened, shown, effects)
    if view != LAYERS:
        persons_tables.by_group(shown, effects)
    persons_tables.components(opened)


def _view(opened: OpenRun, shown: FactorTables) -> str:
    """Which figure; shrinkage is that of persons."""
    known = [SORTED, RIDGES, *([ROWS] if shown.factor.is_person else []), LAYERS]
    view = st.segmented_control(
        "Figure", known, default=SORTED, required=True, key=f"persons view {shown.factor.term}",
        label_visibility="collapsed",
    )  # fmt: skip
    return str(view) if view in known else SORTED


def _chosen(opened: OpenRun, shown: FactorTables, settings: Settings, view: str) -> PersonsSettings:
    """Parameter and order; the figure of all layers asks for neither."""
    if view == LAYERS:
        return PersonsSettings(parameter=inputs.default_parameter(shown), order="estimate")
    return inputs.persons_settings(opened, shown, by_group=settings.by_group)


def _as_total(opened: OpenRun, shown: FactorTables, parameter: str) -> bool:
    """Whether each person's own value is shown instead of the difference from the average."""
    if persons_effects.shared_of(opened, shown, parameter) is None:
        return False
    return st.toggle(
        "Add the shared part",
        key="persons total",
        help="Off: how far each person lies from the average. On: the value each person has, the shared part and their "
        "own together. Intervals hold the uncertainty of the person’s own part only.",
    )


def _said(opened: OpenRun, shown: FactorTables, effects: Shown) -> None:
    """How far persons differ, and how sure that is."""
    noun = shown.factor.noun
    if shown.factor.is_person:
        views.unstable(opened, [effects.parameter])
    views.sentence(persons_effects.spread_words(shown, effects))
    if len(opened.factors) >= 2:
        st.caption(views.plain(_beside(opened, shown)))
    if effects.trouble:
        st.caption(views.plain(effects.trouble.replace("person", noun)))


def _beside(opened: OpenRun, shown: FactorTables) -> str:
    """What the effects are, where families or items have effects beside the persons."""
    factor = shown.factor
    others = listed([other.nouns for other in opened.factors if other.term != factor.term])
    own = next((one for one in opened.shares if one.factor.term == factor.term), None)
    around = listed([f"their {other.noun}" for other in own.within]) if own and own.within else ""
    said = f"These are the effects of {factor.nouns}, beside those of {others}: "
    if around:
        said += f"what a {factor.noun} shares with {around.replace('their', 'the')} stands there, and not here."
    else:
        said += f"what the {opened.observation} of one {factor.noun} have in common, whoever answered."
    if len(shown.levels) < FEW_LEVELS:
        said += f" With {len(shown.levels)} {factor.nouns}, how far they differ in general is itself uncertain."
    return said


def _sorted(opened: OpenRun, shown: FactorTables, effects: Shown) -> None:
    """The sorted persons beside their distribution, and the table that goes with the marks picked."""
    ticked = persons_tables.ticked(effects)
    picked = persons_figures.sorted_effects(opened, shown, effects, marked=ticked)
    persons_tables.everybody(opened, shown, effects, picked)


views.of_run(page)
