"""One person's effects beside those of the others: distributions with the person marked, and the table of all."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from analyses.figures import effect_layers, marked_case
from analyses.figures.labels import listed, parameter_label
from analyses.figures.rows import records
from analyses.report import sentences
from app import views
from app.person_shown import AVERAGE, Person, compared_with, save

MOST = 10
READING = (
    "Each grey hill is how one parameter is spread over all the persons compared with; the diamond is this person, its "
    "line the interval. A diamond at the edge of a hill: the person is unusual in this. A line that crosses zero: the "
    "person may well be average."
)


def beside_others(person: Person) -> None:
    """The person in the distribution of the others, one part of the model at a time."""
    layers = list(dict.fromkeys(effect_layers.layer_of(str(name)) for name in person.effects["parameter"]))
    layers.sort(key=lambda name: (name != "Transitions", name))
    left, right = st.columns(2)
    with left:
        layer = st.selectbox("Part of the model", layers, key=f"person layer {person.opened.path}")
    with right:
        other = compared_with(person, "person others")
    frame = marked_frame(person, str(layer), other)
    own = frame[frame["kind"] == "case"]
    whom = "all persons" if other == AVERAGE else other.removeprefix("the mean of ")
    views.sentence(_words(own, whom))
    rows = int(frame["row"].max()) + 1
    views.chart(marked_case.screen(frame, height=110 + 34 * rows), marked_case.alt_text(frame), "beside")
    one, two = st.columns(2)
    with one:
        views.explanation(text=READING)
    with two:
        views.described(marked_case.alt_text(frame))
    table = own[["label", "value", "low", "high", "below", "n"]].assign(below=100 * own["below"])
    headings = {"label": "Parameter", "value": "Difference from average", "low": "Interval, from", "high": "to",
                "below": "Larger than in, % of persons"}  # fmt: skip
    with st.expander("Table of these parameters", icon=":material/table:"):
        views.table(table, headings, key="beside table")
    save(person, "beside-others", (marked_case, frame), table, marked_case.alt_text(frame))


def marked_frame(person: Person, layer: str, other: str) -> pd.DataFrame:
    """Distributions of the parameters of a layer in which persons differ most, with the person marked."""
    table = views.with_level(person.opened.effects, person.settings.level)
    members = person.members(other)
    if members is not None:
        table = table[table["level"].isin({*members, person.name})]
    # a run without intervals (experts) has marks without lines
    table = table.assign(low=table["low"].fillna(table["estimate"]), high=table["high"].fillna(table["estimate"]))
    spread = table.groupby("parameter", sort=False)["estimate"].std().fillna(0.0).sort_values(ascending=False)
    names = [str(name) for name in spread.index if effect_layers.layer_of(str(name)) == layer][:MOST]
    return marked_case.tidy(table, person.name, parameters=names)


def _words(own: pd.DataFrame, whom: str) -> str:
    """Where the person stands out."""
    clear = own[(own["low"] > 0) | (own["high"] < 0)]
    far = own.assign(far=(own["below"] - 0.5).abs()).sort_values("far", ascending=False, kind="stable").head(2)
    said = [f"{row.label} (larger than in {100 * row.below:.0f} % of {whom})" for row in records(far)]
    known = bool((own["low"] < own["high"]).any())
    sure = f" For {len(clear)} of {len(own)} parameters the interval leaves out the average." if known else ""
    return f"Furthest from the middle: {listed(said)}.{sure}"


def table(person: Person) -> None:
    """Every effect of this person, then of their family where that has some."""
    _effects(person, person.effects, "person")
    _shared(person)


def _effects(person: Person, effects: pd.DataFrame, noun: str) -> None:
    shown = effects.assign(
        parameter=[parameter_label(str(name)) for name in effects["parameter"]],
        rests_on=[sentences.reliability_words(value, noun) for value in effects["reliability"]],
    )
    level = f"{person.settings.level:.0%}"
    headings = {"parameter": "Parameter", "estimate": "Difference from average", "low": f"{level} interval, from",
                "high": "to", "reliability": "Reliability", "rests_on": "The estimate is"}  # fmt: skip
    if effects["sd"].isna().all():
        headings = {"parameter": "Parameter", "estimate": "Difference from average"}
    views.table(shown, headings, key=f"effects table {noun}", height=380)
    if noun == "person":
        save(person, "effects", None, shown[list(headings)], "")


def _shared(person: Person) -> None:
    """Effects that this person shares with others: those of the family, and what else has some."""
    opened, row = person.opened, person.row
    further = opened.factors[1:]
    if not further:
        return
    named = listed([factor.nouns for factor in further])
    st.caption(
        views.plain(
            f"This model also has effects of {named}. What is predicted or expected of this person holds them; the "
            "effects above are the person’s own. All of them stand on the page Persons, under “Whose effects?”."
        )
    )
    for factor in further:
        if factor.term != opened.study.get("cluster_name") or pd.isna(row["cluster"]):
            continue
        effects = opened.of_factor(factor).effects
        mine = views.with_level(effects[effects["level"] == str(row["cluster"])], person.settings.level)
        if len(mine):
            st.subheader(f"Effects of this person’s {factor.noun}", anchor=False)
            _effects(person, mine, factor.noun)
