"""The frame of the dashboard: pages, the sidebar, and one open run for all of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import streamlit as st
from PIL import Image

from app import inputs, state, views
from toolkit.errors import ToolkitError

PAGES = Path(__file__).parent / "pages"


def page_icon() -> Image.Image:
    """A blue disc on white, 32 x 32 pixels: an icon given by name would be fetched from another server."""
    place = np.arange(32) - 15.5
    inside = place[:, None] ** 2 + place[None, :] ** 2 < 14**2
    pixels = np.where(inside[:, :, None], np.array([0x0B, 0x5C, 0x94]), 255).astype(np.uint8)
    return Image.fromarray(pixels)


def main() -> None:
    """Draw the sidebar, open the chosen run, and hand over to the page."""
    st.set_page_config(page_title="Personalised models", page_icon=page_icon(), layout="wide")
    page = st.navigation(
        [
            st.Page(PAGES / "start.py", title="Start", icon=":material/home:", default=True),
            st.Page(PAGES / "persons.py", title="Persons", icon=":material/groups:"),
            st.Page(PAGES / "one_person.py", title="One person", icon=":material/person:"),
            st.Page(PAGES / "group_test.py", title="Group test", icon=":material/balance:"),
        ]
    )
    path = inputs.choose_run(state.find_runs(state.folders()))
    opened, problem = None, ""
    if path is not None:
        try:
            opened = state.open_run(path)
        except ToolkitError as error:
            problem = views.spoken(error)
    st.session_state["settings"] = inputs.sidebar(path, opened)
    st.session_state["opened"] = opened
    views.style()
    st.header(page.title, anchor=False)
    if problem:
        st.error(views.plain(f"This run cannot be opened: {problem}"))
    page.run()
