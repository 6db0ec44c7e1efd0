"""The appendix of the Robustness page: everything kept about it, as a page or a Word document."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from analyses.report.document import render
from analyses.report.robustness_appendix import KINDS, robustness_appendix
from analyses.report.word import docx_bytes
from app import kept_list
from app.state import OpenRun

if TYPE_CHECKING:
    from toolkit.runs.kept import KeptAnalysis

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def appendix(opened: OpenRun) -> None:
    """The button that saves an appendix of the results kept in the run folder."""
    found, _ = kept_list.kept(opened)
    mine = [one for one in found if one.recipe is not None and one.recipe.command in KINDS]
    with st.popover("Save appendix", icon=":material/download:", width="stretch"):
        if not mine:
            st.caption("Nothing is kept about robustness yet. Run one of the analyses on this page first.")
            return
        kinds = dict.fromkeys(KINDS[one.recipe.command].title for one in mine if one.recipe is not None)
        st.markdown("The newest result of each kind, with figures, tables and code:")
        st.markdown("\n".join(f"- {title}" for title in kinds))
        left, right = st.columns(2)
        left.download_button(
            "DOCX", partial(_docx, opened, mine), "robustness.docx", DOCX, key="appendix docx", on_click="ignore",
            width="stretch",
        )  # fmt: skip
        right.download_button(
            "HTML", partial(_html, opened, mine), "robustness.html", "text/html", key="appendix html",
            on_click="ignore", width="stretch",
        )  # fmt: skip


def _docx(opened: OpenRun, found: list[KeptAnalysis]) -> bytes:
    return docx_bytes(robustness_appendix(opened.run, found))


def _html(opened: OpenRun, found: list[KeptAnalysis]) -> bytes:
    return render(robustness_appendix(opened.run, found)).encode("utf-8")
