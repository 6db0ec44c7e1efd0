"""Report: the results that were pinned, with notes, in order, as one document for one audience."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from analyses.report.pinned_report import AUDIENCES
from app import basket, jobs, views
from app.basket import Item
from app.inputs import Settings
from app.report_making import Asked, Files, made_files
from app.state import OpenRun

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
HERE = Path(__file__).parent
WISHES = "report wishes"


def page() -> None:
    """The page of the report."""
    opened: OpenRun | None = st.session_state["opened"]
    settings: Settings = st.session_state["settings"]
    if opened is not None:
        views.header(opened, settings)
    items = basket.items()
    if not items:
        _empty()
        return
    left, right = st.columns([1.9, 1], gap="medium")
    with left:
        st.subheader(f"What is pinned ({len(items)})", anchor=False)
        for place, item in enumerate(items):
            _item(item, place, len(items))
    with right:
        _documents(items, settings)


def _empty() -> None:
    st.info(
        "Nothing is pinned yet. Every result on the other pages has a button **Pin to report**. What you pin is "
        "collected here: put it in order, write a note beside it, and save it as one document."
    )
    st.markdown("**Where results are**")
    pages = {
        "persons": "Persons: who differs, and how sure we are",
        "transitions": "Transitions: how people move between states",
        "group_test": "Group test: do the groups differ?",
        "baseline": "Baseline: do personal levels follow the usual level?",
        "compare": "Compare: which model predicts best?",
    }
    for name, label in pages.items():
        st.page_link(HERE / f"{name}.py", label=label, icon=":material/arrow_forward:")


def _item(item: Item, place: int, count: int) -> None:
    pinned = item.pinned
    with st.container(border=True, key=f"pinned {item.key}"):
        words, buttons = st.columns([1.2, 1], vertical_alignment="center")
        kinds = [
            *(["figure"] if pinned.figure is not None else []),
            *(["table"] if pinned.saved is not None else []),
            *(["code"] if pinned.recipe is not None else []),
        ]
        run = f" – {item.run.name}" if item.run is not None else ""
        mark = "  \n:orange-badge[identifiable: one person]" if pinned.identifiable else ""
        holds = f"  \n:small[{views.plain(', '.join(['text', *kinds]) + run)}]"
        words.markdown(f"**{place + 1}. {views.plain(pinned.title)}**{holds}{mark}")
        with buttons.container(horizontal=True, horizontal_alignment="right", gap="small"):
            _buttons(item, place, count)
        for text in pinned.text[:1]:
            views.sentence(text)
        note = st.text_area(
            "Your note (printed below the sentences)", item.note, key=f"note {item.key}", height=70,
            placeholder="What this means for your question",
        )  # fmt: skip
        if note != item.note:
            basket.annotate(item.key, note)


def _buttons(item: Item, place: int, count: int) -> None:
    """Move a result up or down, or take it out."""
    if st.button("Up", key=f"up {item.key}", disabled=place == 0):
        basket.move(item.key, -1)
        st.rerun()
    if st.button("Down", key=f"down {item.key}", disabled=place == count - 1):
        basket.move(item.key, 1)
        st.rerun()
    if st.button("Remove", key=f"out {item.key}"):
        basket.take_out(item.key)
        st.rerun()


def _documents(items: list[Item], settings: Settings) -> None:
    """Audience and title, and the three files."""
    st.subheader("The document", anchor=False)
    title = st.text_input("Title", "Results", key="report title")
    audience = st.radio("Who reads it?", list(AUDIENCES), format_func=AUDIENCES.__getitem__, key="audience")
    identifiable = False
    if any(item.pinned.identifiable for item in items):
        identifiable = st.checkbox(
            "It may show single persons. I know that the document is identifiable.", key="report identifiable"
        )
        if not identifiable:
            st.caption("A pinned result shows a single person. Tick the box, or take that result out.")
            return
    asked = Asked(
        audience=str(audience), title=title.strip() or "Results", identifiable=identifiable, palette=settings.palette
    )
    # the notes as they stand now, which `items` may not hold yet
    now = basket.items()
    wish = (asked, tuple((item.key, item.note) for item in now))
    if st.button("Make the document", type="primary", key="make report"):
        st.session_state[WISHES] = wish
    if st.session_state.get(WISHES) != wish:
        st.caption("Word, web page, and a zip with both, tables, figures, the Python code and the runs’ manifests.")
        return
    files = jobs.job(("report", wish), lambda: made_files(now, asked), label="Drawing figures and writing the document")
    if files is not None:
        _save(files)


def _save(files: Files) -> None:
    st.success("The document is made. Groups of 10 persons or fewer are not in it.")
    st.download_button("Save as Word", files.docx, "report.docx", DOCX, on_click="ignore", width="stretch")
    st.download_button("Save as web page", files.html, "report.html", "text/html", on_click="ignore", width="stretch")
    st.download_button(
        "Save everything (zip)", files.packed, "report.zip", "application/zip", on_click="ignore", width="stretch"
    )
    st.caption("The zip also holds every table as csv, every figure as svg, the code and the manifests of the runs.")


views.guarded(page)
