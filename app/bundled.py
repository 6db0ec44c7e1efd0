"""The bundled studies on the start page: look at their rows, or fit and analyse them with one button."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from app import import_steps, processes, studies, views
from app.sidebar import want_run, want_study
from app.state import find_runs, open_folder
from toolkit.data.demo import BUNDLED, SIMULATED, copy_study
from toolkit.errors import ToolkitError

DEMO_FITS = 6
PAGES = Path(__file__).parent / "pages"
WORDS = {
    "emotions": "100 persons, seven prompts a day for two weeks: emotions, and depressive symptoms. Real, public data.",
    "emotions-person-centred": "The same prompts, with states relative to each person’s own mean. Real, public data.",
    "panic": "Daily anxiety and mood of outpatients with panic attacks, with heart rate and sleep. Real, public data.",
    "valence-arousal": "Valence and arousal several times a day, two outcomes at once. Real, public data.",
    "dyads": "195 persons in 98 families, with a difference between groups that was put in. Simulated.",
}
TITLES = {"dyads": "Simulated conversations of families"}
DEMO, DYADS = "the demonstration", "the simulated families"


def draw() -> None:
    """One row per study."""
    st.markdown(
        "Studies that come with this program, to try everything on. **Look** opens the rows; **Fit** also fits models "
        "and runs the analyses, in half a minute to a few minutes."
    )
    for name in (*BUNDLED, *SIMULATED):
        _row(name)
    _running()


def _row(name: str) -> None:
    with st.container(border=True):
        words, look, fit = st.columns([4, 1, 1], vertical_alignment="center")
        title = TITLES.get(name) or studies.open_study(BUNDLED[name]).title
        words.markdown(f"**{views.plain(title)}**  \n{views.plain(WORDS[name])}")
        if look.button("Look", key=f"look {name}", width="stretch"):
            _look(name)
        if name == "emotions" and fit.button("Fit", key="fit emotions", width="stretch", disabled=_busy(DEMO)):
            folder = import_steps.studies_folder() / "demonstration"
            processes.start(DEMO, ["demo", "--out", str(folder), "--no-app"], "Fitting six models and analysing them")
            st.rerun()
        if name == "dyads" and fit.button("Fit", key="fit dyads", width="stretch", disabled=_busy(DYADS)):
            file = _study_file(name)
            out = file.parent / "runs" / "nme-crf"
            arguments = ["fit", str(file), "--model", "nme-crf", "--out", str(out), "--overwrite"]
            processes.start(DYADS, arguments, "Fitting a model with personal transitions")
            st.rerun()


def _busy(key: str) -> bool:
    return processes.is_running(key)


def _study_file(name: str) -> Path:
    """The study's file; a simulated study is written into the user's data folder first."""
    if name in BUNDLED:
        return BUNDLED[name]
    folder = import_steps.studies_folder() / name
    return folder / "study.toml" if (folder / "study.toml").is_file() else copy_study(name, folder)


def _look(name: str) -> None:
    try:
        want_study(studies.choose_study(_study_file(name)).title)
    except ToolkitError as problem:
        st.error(views.plain(views.spoken(problem)))
        return
    st.switch_page(PAGES / "data.py")


def _running() -> None:
    """The bars of what runs, and the way to what is done."""
    demo = import_steps.studies_folder() / "demonstration" / "runs"
    if processes.watch(DEMO, lambda: len(find_runs([demo])) / (DEMO_FITS + 1)):
        _open(demo)
    runs = import_steps.studies_folder() / "dyads" / "runs"
    if processes.watch(DYADS, lambda: None):
        _open(runs)


def _open(folder: Path) -> None:
    found = open_folder(folder)
    if found:
        personal = next((run for run in found if run.path.name.startswith("nme-crf")), found[0])
        want_run(personal)
        st.rerun()
