"""What stands below a result: how to read it, the figure in words, files (figure, csv, Word, LaTeX), pin, code."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import partial

import streamlit as st

from analyses.report import kept_records, snippets
from analyses.report.table_files import table_file
from analyses.report.tables import ReportTable
from app import views
from app.basket import Pinned
from app.keeping import Keep
from app.state import OpenRun
from toolkit.runs.kept import Recipe

KINDS: Mapping[str, str] = {
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "tex": "text/x-tex",
    "html": "text/html",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
FEW = "A group has 10 persons or fewer, so {} cannot be saved."


def slug(*parts: object) -> str:
    """Settings as a piece of a folder's name: letters, digits and hyphens."""
    words = "-".join(str(part) for part in parts)
    return re.sub(r"[^A-Za-z0-9.]+", "-", words).strip("-").lower()


def short_hash(text: str) -> str:
    """Eight letters that tell settings apart, for a folder's name."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def not_kept(keep: Keep) -> None:
    """A warning when the result on the page could not be written into the run folder."""
    if not (keep.opened.path / "analyses" / keep.name / kept_records.RECORD).is_file():
        st.warning(
            "This result could not be written into the run folder, so it will be gone when this window is closed. "
            "Check whether the disk is full, or whether the folder may not be written."
        )


def below(
    opened: OpenRun, pinned: Pinned, *, can_save: str = "", tables: Mapping[str, ReportTable] | None = None
) -> None:
    """One row: how to read it, the figure in words, files and pin.

    Args:
        opened: the run.
        pinned: the result.
        can_save: why nothing may leave the computer, as a sentence; empty where it may.
        tables: as in a paper, by the start of the file name; offered as Word, LaTeX, web page and spreadsheet.
    """
    columns = st.columns([1.1, 1.1, 1.8])
    with columns[0]:
        if pinned.reading or pinned.reading_text:
            views.explanation(*pinned.reading, text=pinned.reading_text)
    with columns[1]:
        if pinned.in_words:
            views.described(pinned.in_words)
    with columns[2]:
        if can_save:
            st.caption(views.plain(can_save))
            return
        with st.container(horizontal=True):
            said = "\n\n".join([*pinned.text, *pinned.apa])
            views.downloads(pinned.name, figure=pinned.figure, frame=pinned.saved, text=said, note=pinned.note)
            if tables:
                paper_tables(tables)
            views.pin(opened, pinned)


def paper_tables(tables: Mapping[str, ReportTable]) -> None:
    """Tables in APA style as files, by the start of the file name; each is made when its button is pressed."""
    with st.popover("Table", icon=":material/table_view:"):
        for name, made in tables.items():
            st.markdown(f":small[**{views.plain(made.title)}** (APA style)]")
            for column, (kind, mime) in zip(st.columns(len(KINDS)), KINDS.items(), strict=True):
                column.download_button(
                    kind.upper(), partial(table_file, made, kind, name=name), f"{name}.{kind}", mime,
                    key=f"save table {name} {kind}", on_click="ignore", width="stretch",
                )  # fmt: skip


def code(opened: OpenRun, recipe: Recipe, *, what: str = "this result", others: tuple[str, ...] | None = None) -> None:
    """The Python code that gives the same numbers."""
    with st.expander(f"Python code behind {what}", icon=":material/code:"):
        st.markdown("Runs as it stands and gives the same numbers.")
        st.code(snippets.snippet(recipe, opened.path, others=others), language="python")
