"""Robustness: does the finding hold under other choices, other seeds and the right unit; how large must a study be?"""

from __future__ import annotations

import streamlit as st

from app import (
    both_units_part,
    group_comparison,
    multiverse_part,
    obstacles,
    power_part,
    robustness_files,
    stability_part,
    views,
)
from app.inputs import Settings
from app.state import OpenRun

CHOICES, SEEDS, UNITS, POWER = "Other choices", "Fitted again", "Families or persons", "How many persons"
PARTS = (CHOICES, UNITS, SEEDS, POWER)
QUESTIONS = {
    CHOICES: "Would the group difference be found under other reasonable choices?",
    SEEDS: "Do persons’ estimates come out alike when the model is fitted again?",
    UNITS: "What would the group test say if relatives were taken for strangers?",
    POWER: "How many persons and transitions would a study need?",
}


def page(opened: OpenRun, settings: Settings) -> None:
    """The page of robustness."""
    left, right = st.columns([3.4, 1], vertical_alignment="bottom")
    part = left.segmented_control(
        "Question", PARTS, default=CHOICES if opened.has_states else SEEDS, required=True,
        label_visibility="collapsed", key=f"robustness part {opened.has_states}",
    )  # fmt: skip
    st.markdown(f"**{QUESTIONS[str(part)]}**")
    _part(opened, settings, str(part))
    with right:  # last, so that what was made a moment ago is in it
        robustness_files.appendix(opened)


def _part(opened: OpenRun, settings: Settings, part: str) -> None:
    if part == SEEDS:
        stability_part.show(opened)
        return
    obstacle = obstacles.first_of(
        obstacles.without_states(opened), "" if part == POWER else _without_groups(opened, settings)
    )
    if obstacle:
        st.info(views.plain(obstacle))
    elif part == CHOICES:
        multiverse_part.show(opened, settings)
    elif part == UNITS:
        both_units_part.show(opened, settings)
    else:
        power_part.show(opened)


def _without_groups(opened: OpenRun, settings: Settings) -> str:
    groups = group_comparison.group_names(opened)
    return obstacles.first_of(
        obstacles.without_group_choice(settings) if groups else "", obstacles.too_few_groups(len(groups))
    )


views.of_run(page)
