"""Baseline: whether person-specific parts follow the persons’ usual level."""

from __future__ import annotations

import streamlit as st

from app import views
from app.inputs import Settings
from app.state import OpenRun


def page() -> None:
    """The page."""
    opened: OpenRun | None = st.session_state["opened"]
    settings: Settings = st.session_state["settings"]
    if opened is not None:
        views.header(opened, settings)
    st.info("This page is not filled yet.")


views.guarded(page)
