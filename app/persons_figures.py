"""Figures of the Persons page: sorted effects beside their distribution, ridges, shrinkage, layer by layer."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pandas as pd
import streamlit as st

from analyses.figures import caterpillar, effect_distributions, effect_layers, effect_ridges, shrinkage_funnel
from analyses.figures.labels import is_transition, transition_of
from analyses.report import sentences
from analyses.wording import plural
from app import persons_effects, views
from app.basket import Pinned
from app.persons_effects import Shown
from app.state import FactorTables, OpenRun

MOST_RIDGES = 8
CHART = "caterpillar"
RIDGE_READING = (
    "Each row is one parameter; a curve shows how the persons of a group are spread, each tick is one person. Curves "
    "that lie over each other: the groups hardly differ. Estimates are pulled towards the average, so persons differ "
    "more than the curves show."
)
FUNNEL_READING = (
    "The open mark is what a person’s own rows say alone, the filled mark what the model says; the line between them "
    "is how far the model pulls the person towards the average. Persons with few rows (left) are pulled more: their "
    "extreme values are mostly chance."
)
LAYER_READING = (
    "One panel for each part of the model, one line for each parameter in which persons differ most. The mark is the "
    "median person of a group, the thick line its middle half, the thin line holds nine of ten persons. Long lines: "
    "here persons differ. The panels have scales of their own."
)


def sorted_effects(opened: OpenRun, shown: FactorTables, effects: Shown, *, marked: Collection[int]) -> list[int]:
    """Sorted marks beside their distribution; returns the positions of the marks picked in the figure."""
    frame, noun = effects.frame, shown.factor.noun
    distribution = effect_distributions.tidy(frame)
    words = f"{caterpillar.alt_text(frame)} {effect_distributions.alt_text(distribution)}"
    left, right = st.columns([2, 1], gap="small")
    with left:
        drawn = caterpillar.screen(frame, names=effects.settings.identifiable, height=340, marked=marked)
        drawn.update_layout(dragmode="lasso")
        event = views.chart(drawn, caterpillar.alt_text(frame), f"{CHART} {effects.parameter}",
                            selectable=("points", "box", "lasso"))  # fmt: skip
    with right:
        span = caterpillar.span(frame)
        views.chart(effect_distributions.screen(distribution, span=span, height=340),
                    effect_distributions.alt_text(distribution), "distribution")  # fmt: skip
    columns = st.columns([1, 1, 1.9])
    with columns[0]:
        if noun == "person":
            views.explanation("caterpillar", "effect_distributions")
        else:
            views.explanation(text=sentences.caterpillar_reading(noun))
    with columns[1]:
        views.described(words)
    with columns[2]:
        _files(opened, shown, effects, distribution)
    return _positions(event, len(frame))


def _files(opened: OpenRun, shown: FactorTables, effects: Shown, distribution: pd.DataFrame) -> None:
    if effects.cannot_save:
        st.caption(views.plain(effects.cannot_save))
        return
    nouns = shown.factor.nouns
    with st.container(horizontal=True):
        views.downloads(nouns, figure=(caterpillar, effects.frame), label="Save left figure")
        views.downloads("distribution", figure=(effect_distributions, distribution), label="Save right figure")
        said = persons_effects.spread_words(shown, effects)
        pinned = Pinned(
            name="person-effects", title=f"How far {nouns} differ", text=[said],
            figure=(caterpillar, effects.frame.assign(person="")), reading=("caterpillar",),
        )  # fmt: skip
        views.pin(opened, pinned)


def _positions(event: Any, count: int) -> list[int]:
    """Positions of the marks picked."""
    points = ((event or {}).get("selection") or {}).get("points") or []
    found = {round(float(point["x"])) for point in points if point.get("x") is not None}
    return sorted(place for place in found if 1 <= place <= count)


def ridges(opened: OpenRun, shown: FactorTables, effects: Shown) -> None:
    """Distributions of the parameters of the same kind in which persons differ most."""
    names = _alike(shown, effects.parameter)
    rows = [persons_effects.sorted_effects(opened, shown, effects.settings, name) for name in names]
    frame = effect_ridges.tidy(rows)
    nouns = shown.factor.nouns
    pinned = Pinned(
        name="ridges",
        title="Distributions of person effects by group",
        text=[f"The {len(names)} parameters of this kind in which {nouns} differ most."],
        figure=(effect_ridges, frame),
        reading_text=RIDGE_READING.replace("persons", nouns).replace("person", shown.factor.noun),
    )
    views.result(opened, pinned, height=130 + 44 * len(names), can_save=effects.cannot_save)


def _alike(shown: FactorTables, parameter: str) -> list[str]:
    """Transitions for a transition, else parameters of the same layer: the one asked for, then the widest."""
    table = shown.effects
    spread = table.groupby("parameter")["estimate"].std().fillna(0.0).sort_values(ascending=False)
    names = [str(name) for name in spread.index]
    kind = effect_layers.layer_of(parameter)
    same = [name for name in names if effect_layers.layer_of(name) == kind and name != parameter]
    # beside the widest distribution, one of a twentieth of its spread is a spike
    wide = [name for name in same if float(spread[name]) >= 0.05 * float(spread.max())]
    return [parameter, *wide[: MOST_RIDGES - 1]]


def shrinkage(opened: OpenRun, effects: Shown) -> None:
    """How far each person is pulled towards the average, against their rows."""
    persons = opened.persons
    words = [opened.group_of(g) if pd.notna(g) and effects.settings.by_group else "" for g in persons["group"]]
    persons = persons.assign(group=words)
    cell = transition_of(effects.parameter)
    if opened.has_states and cell is None:
        st.info("For a model of states, shrinkage is shown for transitions. Choose one above, such as “a → b”.")
        return
    if not pd.api.types.is_numeric_dtype(opened.predictions["truth"].dtype) and not opened.has_states:
        st.info("Shrinkage is shown for transitions, and for models of a number; this run predicts classes.")
        return
    if cell is not None and is_transition(effects.parameter):
        frame = shrinkage_funnel.of_transition(opened.transitions, persons, cell)
    else:
        frame = shrinkage_funnel.of_level(opened.predictions, persons, opened.outcome)
    if frame.empty:
        st.info("Nobody has rows from which this could be seen.")
        return
    pinned = Pinned(
        name="shrinkage",
        title="How far persons are pulled towards the average",
        text=[shrinkage_funnel.alt_text(frame)],
        figure=(shrinkage_funnel, frame.assign(person="")),
        reading_text=FUNNEL_READING,
    )
    views.result(opened, pinned, height=360, can_save=effects.cannot_save)


def layers(opened: OpenRun, shown: FactorTables, effects: Shown) -> None:
    """The widest parameters of every part of the model."""
    levels = shown.levels[["person", "group"]]
    known = [opened.group_of(g) if pd.notna(g) and effects.settings.by_group else "" for g in levels["group"]]
    frame = effect_layers.tidy(shown.effects, levels.assign(group=known))
    nouns = plural(shown.factor.noun)
    pinned = Pinned(
        name="layers",
        title="Person effects layer by layer",
        text=[effect_layers.alt_text(frame).replace("persons", nouns)],
        figure=(effect_layers, frame),
        saved=frame.drop(columns=["row", "left_out"]),
        reading_text=LAYER_READING.replace("persons", nouns),
    )
    views.result(opened, pinned, can_save=effects.cannot_save)
