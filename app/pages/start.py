"""Start: which runs there are, what is in the open one, and what happens to the data (nothing)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from analyses.figures import training_curve
from analyses.report import sentences
from app import state, views
from app.inputs import Settings
from app.state import OpenRun


def page() -> None:
    """The start page."""
    opened: OpenRun | None = st.session_state["opened"]
    settings: Settings = st.session_state["settings"]
    found = state.find_runs(state.folders())
    st.markdown(
        "Look at a study through models in which every person has their own parameters: who differs, how, how sure "
        "we are, "
        "and whether groups differ."
    )
    if opened is not None:
        views.header(opened, settings)
    left, right = st.columns([1.9, 1], gap="medium")
    with left:
        if opened is not None:
            _contents(opened)
        elif not found:
            st.info(
                "No run is open yet. Type the path of a run folder on the right, or "
                "start with the bundled study: nme demo"
            )
    with right:
        _privacy()
        _report()
        _open_folder()
    if opened is not None:
        _fitting(opened)


def _contents(opened: OpenRun) -> None:
    st.subheader(views.plain(opened.study.get("title") or opened.study.get("name") or "This run"), anchor=False)
    views.sentence(sentences.model_sentence(opened.manifest))
    outcome = f"Outcome: {opened.outcome}"
    if opened.has_states:
        outcome += f" (states: {', '.join(str(state) for state in opened.run.states or ())})"
    views.sentence(f"{outcome}.")
    st.markdown("**How well it predicts, on rows it never saw**")
    table = sentences.metric_table(opened.metrics)
    if table.empty:
        st.caption("This run has no test rows.")
    else:
        headings = {"metric": "Metric", "level": "Prediction", "pooled": "Pooled", "mean_per_person": "Per person",
                    "persons": "Persons", "excluded": "Undefined"}  # fmt: skip
        views.table(table, headings, key="metrics")
        st.caption(
            "Per person: mean over persons. Undefined: persons whose test rows hold one value only; "
            "they are left out of the mean, and counted."
        )
        several = sentences.effects_note(opened.manifest)
        if several:
            st.caption(views.plain(several))
    _next_steps(opened)


def _next_steps(opened: OpenRun) -> None:
    st.markdown("**Where to look next**")
    steps = {
        "persons.py": "Persons: who differs, and how sure we are",
        "one_person.py": "One person: own pattern beside the average",
        "group_test.py": "Group test: do the groups differ?",
    }
    for name, label in steps.items():
        if name != "group_test.py" or opened.has_states:
            st.page_link(Path(__file__).parent / name, label=label, icon=":material/arrow_forward:")


def _open_folder() -> None:
    st.subheader("Open a run", anchor=False)
    with st.form("open", border=False):
        typed = st.text_input("Folder on this computer", placeholder="/home/me/study/runs", key="folder")
        pressed = st.form_submit_button("Open folder")
    if not pressed or not typed.strip():
        return
    folder = Path(typed.strip()).expanduser()
    found = state.find_runs([folder])
    if not found:
        st.error("There is no run in this folder: a run folder holds a file manifest.json.")
        return
    st.session_state["opened_folders"] = [*st.session_state.get("opened_folders", []), folder]
    st.session_state["wanted_run"] = found[0].label
    st.rerun()


def _report() -> None:
    for path in state.find_reports(state.folders())[:1]:
        st.subheader("The report", anchor=False)
        st.markdown("All results of the demonstration on one page, to read or to print.")
        st.download_button("Save report.html", path.read_bytes, "report.html", "text/html", on_click="ignore")


def _privacy() -> None:
    st.subheader("Your data", anchor=False)
    st.success(
        "**Nothing leaves this computer.** The dashboard answers this computer only (127.0.0.1), sends nothing, and "
        "loads "
        "nothing from elsewhere. Persons are pseudonyms.",
        icon=":material/lock:",
    )
    st.caption("For research, not for diagnosis.")


def _fitting(opened: OpenRun) -> None:
    with st.expander("How the fitting went", icon=":material/show_chart:"):
        frame = training_curve.tidy(opened.trace)
        if frame.empty:
            st.caption("This run kept no record of its fitting.")
            return
        views.sentence(sentences.status_words(opened.manifest))
        views.chart(training_curve.screen(frame), training_curve.alt_text(frame), "training")
        views.explanation("training_curve")
        settings = pd.DataFrame(
            {
                "Setting": list(opened.manifest.get("config") or {}),
                "Value": [str(v) for v in (opened.manifest.get("config") or {}).values()],
            }
        )
        st.dataframe(settings, hide_index=True, key="config")


views.guarded(page)
