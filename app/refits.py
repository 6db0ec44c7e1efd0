"""Analyses for which models are fitted again: run beside the page where the study is at hand, or in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app import processes
from app.state import OpenRun

FILL_IN = "study.toml"


def offer(opened: OpenRun, command: str, *, others: Sequence[str], why: str, label: str) -> None:
    """Say that a result is not there yet, run what makes it, or show how a terminal does.

    Args:
        opened: the run whose folder will keep the result.
        command: of ``nme analyze``.
        others: further run folders that it takes.
        why: what it does, in a sentence.
        label: for the bar.
    """
    study = st.session_state.get("opened_study")
    arguments = ["analyze", command, str(opened.path), *others]
    key = (command, str(opened.path), *others)
    if processes.watch(key, lambda: None):
        st.rerun()
    if processes.is_running(key):
        st.caption("Other pages can be read meanwhile. The result is kept in the run folder.")
        return
    here = study is not None
    st.info(
        f"No run folder keeps this result yet. {why} "
        + (
            "Start it here, or type the command below in a terminal; "
            if here
            else "Type the command below in a terminal; "
        )
        + "the result is kept in the run folder, and this page then shows it."
    )
    place = FILL_IN if study is None else str(study.path)
    if here and st.button("Fit again here", icon=":material/replay:", key=f"refit {command} {opened.path}"):
        processes.start(key, [*arguments, "--study", place], label)
        st.rerun()
    runs = " ".join(f'"{path}"' for path in arguments[2:])
    st.code(f'nme analyze {command} {runs} --study "{place}"', language=None, wrap_lines=True)
