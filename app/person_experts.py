"""One person in a network of experts: through which experts the person is predicted, and their own expert's weights."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from analyses.figures import gate_shares
from analyses.figures.labels import parameter_label
from analyses.likeness import likeness
from app import views
from app.person_shown import Person, save

READING = (
    "Each bar is one expert, a part of the model that belongs to one person or several; its length is how much it "
    "counts, on average, when this person is predicted. One long bar: the model recognises the person. Many short "
    "ones: it mixes what it has learnt from others."
)


def experts(person: Person) -> None:
    """Weights of the gate and of the own expert."""
    gate = person.opened.run.gate()
    mine = gate[gate["person"] == person.name]
    if mine.empty:
        st.info("The gate saw no rows of this person.")
        return
    known = list(dict.fromkeys(mine["split"]))
    split = "test" if "test" in known else str(known[0])
    hidden = gate.assign(expert=_named(gate, person))
    views.sentence(likeness(hidden, split=split).of(person.name).replace(f"takes {person.name}", "takes this person"))
    frame = gate_shares.tidy(hidden[hidden["person"] == person.name], split=split, own=person.name)
    views.chart(gate_shares.screen(frame), gate_shares.alt_text(frame), "gate of a person")
    left, right = st.columns(2)
    with left:
        views.explanation(text=READING)
    with right:
        views.described(gate_shares.alt_text(frame))
    _weights(person)
    save(person, "experts", (gate_shares, frame), frame, gate_shares.alt_text(frame))


def _named(gate: pd.DataFrame, person: Person) -> pd.Series:
    """Experts of other persons by number, unless pseudonyms are shown."""
    if person.settings.identifiable:
        return gate["expert"]
    names = {name: f"expert {place}" for place, name in enumerate(dict.fromkeys(gate["expert"]), start=1)}
    names[person.name] = person.name
    return gate["expert"].map(names)


def _weights(person: Person) -> None:
    table = person.opened.run.experts()
    own = table[[person.name in str(members).split(", ") for members in table["persons"]]]
    if own.empty:
        own = table[table["expert"] == person.name]
    if own.empty:
        return
    with st.expander("Weights of this person’s expert", icon=":material/table:"):
        shown = own.assign(parameter=[parameter_label(str(name)) for name in own["parameter"]])
        headings = {"parameter": "Parameter", "weight": "This expert", "shared": "Shared", "difference": "Difference"}
        views.table(shown, headings, key="own expert")
