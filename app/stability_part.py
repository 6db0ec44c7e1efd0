"""Robustness: do persons' estimates come out alike when the model is fitted again?"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from analyses.figures import stability
from analyses.figures.labels import parameter_label
from analyses.report.gallery_words import READING
from app import kept_list, kept_result, obstacles, refits, views
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
    refits.offer(
        opened, COMMAND, others=(), label="Fitting again with other seeds and fewer rows",
        why="The model is fitted again several times for it, with other seeds and to fewer rows, which takes about ten "
        "times as long as the fit itself.",
    )  # fmt: skip
    st.caption("Runs of the same model with other seeds do as well: name them one after the other, without --study.")
