"""Persons: how far persons differ in one parameter, with intervals, by group."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from analyses import wording
from analyses.figures import caterpillar, effect_distributions
from analyses.figures.labels import parameter_label
from analyses.report import sentences
from analyses.report.guard import guarded_table, small_groups
from app import inputs, views
from app.inputs import Settings
from app.state import OpenRun


def page() -> None:
    """The persons page."""
    opened: OpenRun | None = st.session_state["opened"]
    settings: Settings = st.session_state["settings"]
    if opened is None:
        st.info("Open a run on the Start page first.")
        return
    views.header(opened, settings)
    if not opened.is_personal:
        st.info(
            "This model has the same parameters for everybody, so there are no person effects to show. "
            "Choose a run whose name starts with nme in the sidebar."
        )
        return
    chosen = inputs.persons_settings(opened, by_group=settings.by_group)
    frame = _frame(opened, settings, chosen)
    views.unstable(opened, [chosen.parameter])
    views.sentence(
        f"{sentences.spread_sentence(frame, opened.components)} {sentences.group_reliability_sentence(frame)}"
    )
    _figures(frame, settings)
    _tables(opened, frame, settings)


def _frame(opened: OpenRun, settings: Settings, chosen: inputs.PersonsSettings) -> pd.DataFrame:
    persons = opened.persons if settings.by_group else opened.persons.assign(group=None)
    effects = views.with_level(opened.effects[opened.effects["parameter"] == chosen.parameter], settings.level)
    return caterpillar.tidy(effects, persons, chosen.parameter, order=chosen.order, group_names=opened.group_names)


def _figures(frame: pd.DataFrame, settings: Settings) -> None:
    left, right = st.columns([2, 1], gap="small")
    distribution = effect_distributions.tidy(frame)
    with left:
        views.chart(
            caterpillar.screen(frame, names=settings.identifiable, height=390),
            caterpillar.alt_text(frame),
            "caterpillar",
        )
    with right:
        alt = effect_distributions.alt_text(distribution)
        views.chart(
            effect_distributions.screen(distribution, span=caterpillar.span(frame), height=390), alt, "distribution"
        )
    columns = st.columns([1, 1, 1.5])
    with columns[0]:
        views.explanation("caterpillar", "effect_distributions")
    with columns[1]:
        views.described(f"{caterpillar.alt_text(frame)} {effect_distributions.alt_text(distribution)}")
    sizes = {str(group): int(count) for group, count in frame["group"].value_counts().items()}
    if settings.by_group and small_groups(sizes):
        columns[2].caption(
            "A group has 10 persons or fewer, so figures by group cannot be saved. Choose “no grouping” in the sidebar."
        )
        return
    with columns[2], st.container(horizontal=True):
        views.downloads("persons", figure=(caterpillar, frame), label="Save left figure")
        views.downloads("distribution", figure=(effect_distributions, distribution), label="Save right figure")


def _tables(opened: OpenRun, frame: pd.DataFrame, settings: Settings) -> None:
    st.subheader("By group" if settings.by_group else "All together", anchor=False)
    groups = _group_table(frame)
    headings = {"group": "Group", "persons": "Persons", "median": "Median", "lower_quartile": "Lower quartile",
                "upper_quartile": "Upper quartile", "reliability": "Mean reliability"}  # fmt: skip
    views.table(groups, headings, key="groups")
    small = small_groups(
        {str(name): int(count) for name, count in zip(groups["group"], groups["persons"], strict=True)}
    )
    note = "Groups of 1 to 10 persons are suppressed in the file, and one more with them." if small else ""
    values = ["median", "lower_quartile", "upper_quartile", "reliability"]
    views.downloads("effects-by-group", frame=guarded_table(groups, count="persons", values=values), note=note)
    _persons_table(opened, frame, settings)
    _components(opened)


def _group_table(frame: pd.DataFrame) -> pd.DataFrame:
    rows = [
        {
            "group": group or "all",
            "persons": len(part),
            "median": part["estimate"].median(),
            "lower_quartile": part["estimate"].quantile(0.25),
            "upper_quartile": part["estimate"].quantile(0.75),
            "reliability": part["reliability"].mean(),
        }
        for group, part in frame.groupby("group", sort=True)
    ]
    return pd.DataFrame(rows)


def _persons_table(opened: OpenRun, frame: pd.DataFrame, settings: Settings) -> None:
    st.subheader("Every person", anchor=False)
    rows = opened.persons.set_index("person")["rows_train"].reindex(frame["person"]).to_numpy()
    shown = frame.assign(rests_on=[sentences.reliability_words(value) for value in frame["reliability"]], rows=rows)
    interval = f"{wording.percent(settings.level)} interval"
    headings = {"position": "No.", "group": "Group", "estimate": "Effect", "low": f"{interval}, from", "high": "to",
                "reliability": "Reliability", "rests_on": "The estimate is", "rows": "Rows used"}  # fmt: skip
    if not settings.identifiable:
        views.table(shown, headings, key="persons table", height=280)
        st.caption(
            "Pseudonyms are left out. Turn on “Identifiable view” in the sidebar to see them and to open a person."
        )
        return
    picked = views.table(
        shown, {"person": "Pseudonym"} | headings, key="persons table named", height=280,
        on_select="rerun", selection_mode="single-row",
    )  # fmt: skip
    chosen = picked.selection.rows
    if chosen:
        st.session_state["wanted_person"] = str(shown["person"].iloc[chosen[0]])
        st.switch_page(Path(__file__).parent / "one_person.py")
    st.caption("Tick a row to open that person.")
    if st.checkbox(
        "Save the table with one row per person. I know that this file is identifiable.", key="persons tick"
    ):
        views.downloads("persons-identifiable", frame=shown[["person", *headings]])


def _components(opened: OpenRun) -> None:
    with st.expander("How far persons differ in every parameter", icon=":material/table:"):
        table = opened.components.sort_values("variance", ascending=False, kind="stable")
        table = table.assign(parameter=[parameter_label(str(name)) for name in table["parameter"]])
        headings = {"parameter": "Parameter", "sd": "SD between persons", "share": "Share of variance",
                    "at_boundary": "Too small to tell from zero"}  # fmt: skip
        views.table(table, headings, key="components")


views.guarded(page)
