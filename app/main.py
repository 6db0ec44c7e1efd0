"""The frame of the dashboard: pages, the sidebar, and one open run for all of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import streamlit as st
from PIL import Image

from analyses.figures.colour_sets import choose_set
from app import sidebar, state, studies, views
from app.state import OpenRun
from app.studies import OpenStudy
from toolkit.errors import ToolkitError

PAGES = Path(__file__).parent / "pages"
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


def page_icon() -> Image.Image:
    """A blue disc on white, 32 x 32 pixels: an icon given by name would be fetched from another server."""
    place = np.arange(32) - 15.5
    inside = place[:, None] ** 2 + place[None, :] ** 2 < 14**2
    pixels = np.where(inside[:, :, None], np.array([0x0B, 0x5C, 0x94]), 255).astype(np.uint8)
    return Image.fromarray(pixels)


def _study(opened: OpenRun | None) -> OpenStudy | None:
    """The study beside the run; a page that needs one that cannot be read says so itself."""
    try:
        return studies.current_study(opened)
    except (ToolkitError, OSError):
        return None


def main() -> None:
    """Draw the sidebar, open the chosen run, and hand over to the page."""
    st.set_page_config(page_title="Personalised models", page_icon=page_icon(), layout="wide")
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
    st.session_state["opened_study"] = None if problem else _study(opened)
    views.style()
    st.header(page.title, anchor=False)
    if problem:
        st.error(views.plain(f"This run cannot be opened: {problem}"))
    page.run()
