"""The frame of the dashboard: pages, the sidebar, and one open run for all of them."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from analyses.figures.colour_sets import choose_set
from app import sidebar, state, studies, views
from app.state import OpenRun
from app.studies import OpenStudy
from toolkit.errors import ToolkitError

PAGES = Path(__file__).parent / "pages"
# a blue disc; without it, or by name, the icon of the page would be fetched from another server
ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E"
    "%3Ccircle cx='16' cy='16' r='14' fill='%230B5C94'/%3E%3C/svg%3E"
)
NAMES = (
    ("start", "Start", "home"),
    ("data", "Data", "table_view"),
    ("model", "Model", "model_training"),
    ("persons", "Persons", "groups"),
    ("one_person", "One person", "person"),
    ("baseline", "Baseline", "scatter_plot"),
    ("transitions", "Transitions", "grid_on"),
    ("group_test", "Group test", "balance"),
    ("robustness", "Robustness", "verified"),
    ("compare", "Compare", "compare_arrows"),
    ("report", "Report", "description"),
    ("about", "About", "info"),
)


def _study(opened: OpenRun | None) -> OpenStudy | None:
    """The study beside the run; a page that needs one that cannot be read says so itself."""
    try:
        return studies.current_study(opened)
    except (ToolkitError, OSError):
        return None


def main() -> None:
    """Draw the sidebar, open the chosen run, and hand over to the page."""
    st.set_page_config(page_title="Personalised models", page_icon=ICON, layout="wide")
    page = st.navigation([st.Page(PAGES / f"{name}.py", title=title, icon=f":material/{icon}:", default=name == "start")
                          for name, title, icon in NAMES])  # fmt: skip
    path = sidebar.choose_run(state.found_runs())
    opened, problem = None, ""
    if path is not None:
        try:
            opened = state.open_run(path)
        except ToolkitError as error:
            problem = views.spoken(error)
    settings = sidebar.settings(path, opened)
    choose_set(settings.palette)
    st.session_state["settings"] = settings
    st.session_state["opened"] = opened
    # finding the study of a run takes a moment, and the first page says nothing about it
    spared = opened is not None and page.title == NAMES[0][1]
    st.session_state["opened_study"] = None if problem or spared else _study(opened)
    views.style()
    st.header(page.title, anchor=False)
    if problem:
        st.error(views.plain(f"This run cannot be opened: {problem}"))
    page.run()
