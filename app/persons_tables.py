"""Tables of the Persons page: by group, every person (the twin of the figure), all variance components."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from analyses import wording
from analyses.figures.labels import listed, parameter_label
from analyses.grouping_factors import shares_text
from analyses.report import sentences
from analyses.report.guard import guarded_table, small_groups
from app import views
from app.persons_effects import Shown
from app.state import FactorTables, OpenRun

ONE_PERSON = Path(__file__).parent / "pages" / "one_person.py"
ORDER = "persons table order"


def by_group(shown: FactorTables, effects: Shown) -> None:
    """Median and quartiles of each group."""
    st.subheader("By group" if effects.settings.by_group else "All together", anchor=False)
    groups = _group_table(effects.frame)
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


def _key(effects: Shown) -> str:
    """Of the table of everybody: another parameter, order or view is another table, with nothing ticked."""
    named = "named" if effects.settings.identifiable else "plain"
    return f"persons table {named} {effects.parameter}"


def ticked(effects: Shown) -> list[int]:
    """Positions of the persons ticked in the table, for a ring in the figure drawn before it."""
    event = st.session_state.get(_key(effects))
    rows = ((event or {}).get("selection") or {}).get("rows") or []
    order = st.session_state.get(ORDER, [])
    return [order[row] for row in rows if row < len(order)]


def everybody(opened: OpenRun, shown: FactorTables, effects: Shown, picked: list[int]) -> None:
    """One row per person in the order of the figure; those picked in the figure alone, if any."""
    noun, nouns = shown.factor.noun, shown.factor.nouns
    st.subheader(f"Every {noun}" if not picked else f"{len(picked)} {nouns if len(picked) > 1 else noun} picked",
                 anchor=False)  # fmt: skip
    table = _persons_table(shown, effects)
    if picked:
        table = table[table["position"].isin(picked)].reset_index(drop=True)
        st.caption(views.plain(_picked_words(table, shown, len(effects.frame))))
    st.session_state[ORDER] = [int(place) for place in table["position"]]
    headings = _headings(shown, effects)
    view = views.table(
        table, headings, key=_key(effects), height=280, on_select="rerun", selection_mode="multi-row",
    )  # fmt: skip
    rows = [int(row) for row in view.selection.rows if row < len(table)]
    if len(rows) > 1:
        st.caption(views.plain(_words_on(table.iloc[rows], shown, len(effects.frame), "ticked")))
    _below(shown, effects, table, rows)
    may_save = effects.settings.identifiable and shown.factor.is_person
    words = "Save the table with one row per person. I know that this file is identifiable."
    if may_save and st.checkbox(words, key="persons tick"):
        views.downloads("persons-identifiable", frame=table[list(headings)])


def _persons_table(shown: FactorTables, effects: Shown) -> pd.DataFrame:
    frame = effects.frame
    rows = shown.levels.set_index("person")["rows_train"].reindex(frame["person"]).to_numpy()
    words = [sentences.reliability_words(value, shown.factor.noun) for value in frame["reliability"]]
    return frame.assign(rests_on=words, rows=pd.array(rows, dtype="Int64"))


def _headings(shown: FactorTables, effects: Shown) -> dict[str, str]:
    interval = f"{wording.percent(effects.settings.level)} interval"
    value = "Value" if "shared" in effects.frame else "Effect"
    headings = {"position": "No.", "group": "Group", "estimate": value, "low": f"{interval}, from", "high": "to",
                "reliability": "Reliability", "rests_on": "The estimate is", "rows": "Rows used"}  # fmt: skip
    gone = [] if effects.settings.by_group else ["group"]
    gone += ["rows"] if shown.levels["rows_train"].isna().all() else []
    gone += ["low", "high"] if effects.trouble else []
    kept = {name: words for name, words in headings.items() if name not in gone}
    return {"person": "Pseudonym"} | kept if effects.settings.identifiable else kept


def _picked_words(table: pd.DataFrame, shown: FactorTables, total: int) -> str:
    """Who was picked in the figure, and how to see everybody again."""
    said = _words_on(table, shown, total, "picked in the figure")
    return f"{said} Click twice beside the marks to see everybody again."


def _words_on(table: pd.DataFrame, shown: FactorTables, total: int, how: str) -> str:
    """Some persons in a sentence: how many, of which groups, their mean."""
    counts = table["group"].value_counts()
    named = [f"{count} {name}" for name, count in counts.items() if name]
    groups = f" ({listed(named)})" if named else ""
    mean = wording.number(float(table["estimate"].mean()))
    return f"{len(table)} of {total} {shown.factor.nouns} {how}{groups}, mean {mean}."


def _below(shown: FactorTables, effects: Shown, table: pd.DataFrame, rows: list[int]) -> None:
    """What can be done with the rows ticked."""
    if not effects.settings.identifiable:
        st.caption(
            "Pseudonyms are left out; tick rows to mark them in the figure. Turn on “Identifiable view” in the sidebar "
            + ("to see pseudonyms and to open a person." if shown.factor.is_person else "to see pseudonyms.")
        )
        return
    if not shown.factor.is_person:
        return
    if len(rows) != 1:
        st.caption("Tick rows to mark them in the figure, one alone to open that person.")
        return
    if st.button("Open this person", icon=":material/person:", key="open person"):
        st.session_state["wanted_person"] = str(table["person"].iloc[rows[0]])
        st.switch_page(ONE_PERSON)


def components(opened: OpenRun) -> None:
    """Variance components of every parameter and factor."""
    several = len(opened.factors) > 1
    who = listed([factor.nouns for factor in opened.factors]) if several else "persons"
    if opened.all_components.empty:
        return
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
