"""Robustness: do persons' estimates come out alike when the model is fitted again?"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from analyses.figures import stability
from analyses.figures.labels import parameter_label
from analyses.report.gallery_words import READING
from app import kept_list, kept_result, obstacles, views
from app.state import OpenRun

COMMAND = "stability"


def show(opened: OpenRun) -> None:
    """The kept analysis, or how to make it."""
    obstacle = obstacles.without_effects(opened)
    if obstacle:
        st.info(views.plain(obstacle))
        return
    found = kept_list.newest(opened, COMMAND)
    if found is None:
        _how(opened)
        return
    headings = {"parameter": "Parameter", "stable": "Stable", "icc": "Agreement over seeds (ICC)", "icc_low": "from",
                "icc_high": "to", "cs": "Rows that can be dropped"}  # fmt: skip
    kept_result.show(
        opened, found, title="Stability of the person estimates", module=stability,
        tidy=lambda one: stability.tidy(one.frame), reading=READING["stability"], headings=headings,
        table=_readable,
    )  # fmt: skip


def _readable(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(parameter=[parameter_label(str(name)) for name in frame["parameter"]])


def _how(opened: OpenRun) -> None:
    """Fitting again takes minutes to hours, so it is left to the command line; the page finds the result."""
    st.info(
        "Nothing is kept about stability in this run folder yet. The model has to be fitted again several times for "
        "it, with other seeds and to fewer rows, which takes about ten times as long as the fit itself. Type the "
        "command below in a terminal; this page then shows the result."
    )
    study = st.session_state.get("opened_study")
    place = "study.toml" if study is None else str(study.path)
    st.code(f'nme analyze stability "{opened.path}" --study "{place}"', language=None, wrap_lines=True)
    st.caption("Runs of the same model with other seeds do as well: name them one after the other, without --study.")
