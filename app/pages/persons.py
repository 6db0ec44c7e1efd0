"""Persons: how far persons (families, items) differ in one parameter, with intervals, by group."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import streamlit as st

from analyses import wording
from analyses.figures import caterpillar, effect_distributions
from analyses.figures.labels import listed, parameter_label
from analyses.grouping_factors import shares_text
from analyses.report import sentences
from analyses.report.guard import guarded_table, small_groups
from app import inputs, views
from app.inputs import Settings
from app.state import FactorTables, OpenRun

FEW_LEVELS = 10


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
    shown = inputs.chosen_factor(opened)
    if not shown.factor.is_person:
        settings = replace(settings, by_group=settings.by_group and bool(shown.levels["group"].notna().any()))
    chosen = inputs.persons_settings(opened, shown, by_group=settings.by_group)
    frame = _frame(opened, shown, settings, chosen)
    noun = shown.factor.noun
    if shown.factor.is_person:
        views.unstable(opened, [chosen.parameter])
    views.sentence(
        f"{sentences.spread_sentence(frame, shown.components, noun)} "
        f"{sentences.group_reliability_sentence(frame, noun)}"
    )
    _beside(opened, shown)
    _figures(frame, settings, noun)
    _tables(opened, shown, frame, settings)


def _frame(opened: OpenRun, shown: FactorTables, settings: Settings, chosen: inputs.PersonsSettings) -> pd.DataFrame:
    levels = shown.levels if settings.by_group else shown.levels.assign(group=None)
    effects = views.with_level(shown.effects[shown.effects["parameter"] == chosen.parameter], settings.level)
    return caterpillar.tidy(
        effects, levels, chosen.parameter, order=chosen.order, group_names=opened.group_names, noun=shown.factor.noun
    )


def _beside(opened: OpenRun, shown: FactorTables) -> None:
    """What the effects are, where families or items have effects beside the persons."""
    if len(opened.factors) < 2:
        return
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
    st.caption(views.plain(said))


def _figures(frame: pd.DataFrame, settings: Settings, noun: str) -> None:
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
        if noun == "person":
            views.explanation("caterpillar", "effect_distributions")
        else:
            views.explanation(text=sentences.caterpillar_reading(noun))
    with columns[1]:
        views.described(f"{caterpillar.alt_text(frame)} {effect_distributions.alt_text(distribution)}")
    sizes = {str(group): int(count) for group, count in frame["group"].value_counts().items()}
    if settings.by_group and small_groups(sizes):
        few = f"A group has 10 {wording.plural(noun)} or fewer, so figures by group cannot be saved."
        columns[2].caption(f"{few} Choose “no grouping” in the sidebar.")
        return
    with columns[2], st.container(horizontal=True):
        views.downloads(wording.plural(noun), figure=(caterpillar, frame), label="Save left figure")
        views.downloads("distribution", figure=(effect_distributions, distribution), label="Save right figure")


def _tables(opened: OpenRun, shown: FactorTables, frame: pd.DataFrame, settings: Settings) -> None:
    st.subheader("By group" if settings.by_group else "All together", anchor=False)
    groups = _group_table(frame)
    nouns = shown.factor.nouns
    headings = {"group": "Group", "persons": nouns.capitalize(), "median": "Median", "lower_quartile": "Lower quartile",
                "upper_quartile": "Upper quartile", "reliability": "Mean reliability"}  # fmt: skip
    views.table(groups, headings, key="groups")
    small = small_groups(
        {str(name): int(count) for name, count in zip(groups["group"], groups["persons"], strict=True)}
    )
    note = f"Groups of 1 to 10 {nouns} are suppressed in the file, and one more with them." if small else ""
    values = ["median", "lower_quartile", "upper_quartile", "reliability"]
    views.downloads("effects-by-group", frame=guarded_table(groups, count="persons", values=values), note=note)
    _persons_table(shown, frame, settings)
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


def _persons_table(of: FactorTables, frame: pd.DataFrame, settings: Settings) -> None:
    is_person, noun = of.factor.is_person, of.factor.noun
    st.subheader(f"Every {noun}", anchor=False)
    rows = of.levels.set_index("person")["rows_train"].reindex(frame["person"]).to_numpy()
    words = [sentences.reliability_words(value, noun) for value in frame["reliability"]]
    shown = frame.assign(rests_on=words, rows=pd.array(rows, dtype="Int64"))
    interval = f"{wording.percent(settings.level)} interval"
    headings = {"position": "No.", "group": "Group", "estimate": "Effect", "low": f"{interval}, from", "high": "to",
                "reliability": "Reliability", "rests_on": "The estimate is", "rows": "Rows used"}  # fmt: skip
    if not settings.by_group:
        headings.pop("group")
    if of.levels["rows_train"].isna().all():
        headings.pop("rows")
    if not settings.identifiable:
        views.table(shown, headings, key="persons table", height=280)
        st.caption(
            "Pseudonyms are left out. Turn on “Identifiable view” in the sidebar to see them"
            + (" and to open a person." if is_person else ".")
        )
        return
    if not is_person:
        views.table(shown, {"person": "Pseudonym"} | headings, key="levels table named", height=280)
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
    several = len(opened.factors) > 1
    who = listed([factor.nouns for factor in opened.factors]) if several else "persons"
    with st.expander(f"How far {who} differ in every parameter", icon=":material/table:"):
        if opened.shares:
            views.sentence(shares_text(opened.shares))
        nouns = {factor.term: factor.nouns for factor in opened.factors}
        table = opened.all_components
        table = table.assign(
            of=[nouns.get(str(term), "residual") for term in table["term"]],
            place=[list(nouns).index(term) if term in nouns else len(nouns) for term in table["term"]],
        ).sort_values(["place", "variance"], ascending=[True, False], kind="stable")
        table = table.assign(parameter=[parameter_label(str(name)) for name in table["parameter"]])
        spread = "SD between them" if several else "SD between persons"
        headings = {"parameter": "Parameter", "sd": spread, "share": "Share of variance",
                    "at_boundary": "Too small to tell from zero"}  # fmt: skip
        views.table(table, {"of": "Effects of", **headings} if several else headings, key="components")


views.guarded(page)
