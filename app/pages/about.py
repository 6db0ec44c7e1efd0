"""About: what the words mean, where the methods come from, limits, versions, licence."""

from __future__ import annotations

import importlib.metadata
import platform

import streamlit as st

import toolkit
from analyses.report.glossary import GLOSSARY, matching
from analyses.report.references import WORKS
from analyses.report.report_facts import ReportOptions, RunFacts, gather
from analyses.report.report_limits import limits
from analyses.report.report_methods import methods_sections, reference_line, works_of
from app import views
from app.inputs import Settings
from app.state import OpenRun
from toolkit.errors import ToolkitError

PACKAGES = ("numpy", "pandas", "scipy", "torch", "streamlit", "plotly", "matplotlib")
WORDS, METHODS, LIMITS, PROGRAM = "Glossary", "Methods and references", "Limits", "This program"
IN_GENERAL = (
    "Estimates of single persons rest on few rows, and are pulled towards the average. They say what is likely, not "
    "what is so.",
    "A difference between groups is not the effect of a treatment or of a disorder: persons were not dealt to groups "
    "by chance.",
    "How well a model foresees later rows of persons it knows says nothing about new persons.",
    "Missing answers are seldom missing by chance. Look at the Data page before you read anything into states.",
    "A result found by looking at many things needs new data. The Robustness page shows how far it depends on choices.",
)


def page() -> None:
    """The page about the program."""
    opened: OpenRun | None = st.session_state["opened"]
    settings: Settings = st.session_state["settings"]
    st.warning("**For research, not for diagnosis.** Nothing here is meant for decisions about a single person.")
    if opened is not None:
        views.header(opened, settings)
    view = st.segmented_control(
        "What to see", [WORDS, METHODS, LIMITS, PROGRAM], default=WORDS, required=True, key="about view",
        label_visibility="collapsed",
    )  # fmt: skip
    facts = _facts(opened)
    if view == METHODS:
        _methods(facts)
    elif view == LIMITS:
        _limits(facts)
    elif view == PROGRAM:
        _program(opened)
    else:
        _glossary()


def _glossary() -> None:
    search = st.text_input("Look for a word", placeholder="interval, family, p", key="search")
    found = matching(search or "")
    if not found:
        st.info("No entry holds these words. Try fewer, or another one.")
        return
    if search:
        st.caption(f"{len(found)} of {len(GLOSSARY)} entries.")
    left, right = st.columns(2, gap="medium")
    entries = list(found.items())
    half = (len(entries) + 1) // 2
    for column, part in ((left, entries[:half]), (right, entries[half:])):
        for name, text in part:
            column.markdown(f"**{views.plain(name)}**  \n{views.plain(text)}")


def _facts(opened: OpenRun | None) -> list[RunFacts]:
    """The open run as reports read it; none where it cannot be read so."""
    if opened is None:
        return []
    try:
        return gather([opened.run], ReportOptions(audience="internal"))
    except ToolkitError:
        return []


def _methods(facts: list[RunFacts]) -> None:
    if facts:
        st.markdown("What was done in the open run and in the analyses kept in it, as a paper would say it.")
        for section in methods_sections(facts, ReportOptions(audience="internal")):
            st.markdown(f"**{views.plain(section.title)}**")
            for text in section.text:
                views.sentence(text)
        st.subheader("References of this run", anchor=False)
        for work in works_of(facts):
            views.sentence(reference_line(work))
    with st.expander("Every work this program rests on", expanded=not facts):
        for work in sorted(WORKS.values(), key=lambda one: one.short()):
            views.sentence(reference_line(work))


def _limits(facts: list[RunFacts]) -> None:
    if facts:
        st.subheader("Of the open run", anchor=False)
        for text in limits(facts, ReportOptions(audience="internal")).text:
            st.markdown(f"- {views.plain(text)}")
    st.subheader("In general", anchor=False)
    for text in IN_GENERAL:
        st.markdown(f"- {views.plain(text)}")


def _program(opened: OpenRun | None) -> None:
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Versions", anchor=False)
        st.markdown(f"This program {toolkit.__version__}, Python {platform.python_version()}.")
        st.markdown(", ".join(f"{name} {_version(name)}" for name in PACKAGES) + ".")
        if opened is not None:
            made = opened.manifest.get("versions") or {}
            listed = ", ".join(f"{name} {version}" for name, version in made.items())
            st.markdown(views.plain(f"The open run was made with: {listed}." if listed else ""))
        st.subheader("Licence", anchor=False)
        st.markdown(
            "GNU General Public License, version 3 or later: you may use, study, change and pass on this program, and "
            "what you pass on stays under this licence. It comes without any warranty. Bundled studies have licences "
            "of their own, which stand in their folders."
        )
    with right:
        st.subheader("Your data", anchor=False)
        st.markdown(
            "The dashboard listens on this computer only (127.0.0.1). It sends nothing, loads nothing from elsewhere, "
            "and keeps no statistics of use. Uploaded files lie in a private folder and are deleted when the window is "
            "closed. Results are written into the run folder, documents only where you save them. Addresses and logs "
            "hold no names, ids or pseudonyms."
        )
        st.markdown(
            "Persons are pseudonyms, dealt at random. Files leave out groups of 1 to 10 persons, and one more where it "
            "would give a small group away. What shows a single person is marked, and needs a tick."
        )


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


views.guarded(page)
