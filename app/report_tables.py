"""Tables of a paper on a page: shown, saved as Word, LaTeX, web page, spreadsheet or csv, and pinned to the report."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import streamlit as st

from analyses.report.document import Report
from analyses.report.tables import ReportTable, heading_rows, table_cells
from app import views
from app.basket import Pinned
from app.state import OpenRun

KINDS = {
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "tex": "application/x-tex",
    "html": "text/html",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "csv": "text/csv",
}
INDENT = "\u2003"


def as_frame(table: ReportTable) -> pd.DataFrame:
    """The table as text with one row of headings; a heading over several columns stands before each of them."""
    rows = heading_rows(table)
    names = [heading.text for heading in rows[-1]]
    above = (
        [heading.text for heading in rows[0] for _ in range(heading.columns)] if len(rows) > 1 else [""] * len(names)
    )
    cells = [[f"{INDENT * cell.indented}{cell.text}{cell.mark}" for cell in line] for line in table_cells(table)]
    columns: dict[str, list[str]] = {}
    for place, (first, name) in enumerate(zip(above, names, strict=True)):
        values = [line[place] for line in cells]
        if name == "SD" and first and f"{first}: M" in columns:  # mean and SD in one column are easier to read
            means = columns.pop(f"{first}: M")
            columns[f"{first}: M (SD)"] = [
                f"{mean} ({sd})" if any(map(str.isdigit, mean)) else mean
                for mean, sd in zip(means, values, strict=True)
            ]
            continue
        label = f"{first}: {name}" if first else name
        while label in columns:  # two columns of one name could not be told apart
            label += " "
        columns[label] = values
    return pd.DataFrame(columns)


def show(opened: OpenRun | None, table: ReportTable, *, name: str, title: str, text: tuple[str, ...] = ()) -> None:
    """Sentences, the table with its note, files and the pin.

    Args:
        opened: the run it is about; None for a study alone.
        table: without numbers that must not leave the computer.
        name: start of file names.
        title: heading in the report.
        text: plain sentences above it.
    """
    for sentence in text:
        views.sentence(sentence)
    frame = as_frame(table)
    headings = {str(column): str(column) for column in frame.columns}
    views.table(frame, headings, key=f"table {name}", height=35 * (len(frame) + 1) + 3 if len(frame) < 16 else 420)
    note = " ".join([table.note, *table.specific.values()]).strip()
    if note:
        st.caption(views.plain(note))
    with st.container(horizontal=True):
        _files(table, name)
        views.pin(opened, Pinned(name=name, title=title, text=text, table=frame, headings=headings, saved=frame,
                                 note=note))  # fmt: skip


def _files(table: ReportTable, name: str) -> None:
    with st.popover("Save table", icon=":material/download:"):
        st.markdown(":small[Made when pressed; numbers of small groups are left out.]")
        for column, kind in zip(st.columns(len(KINDS)), KINDS, strict=True):
            with column:
                button(kind, _maker(table, kind, name), f"{name}.{kind}", KINDS[kind])


def _maker(table: ReportTable, kind: str, name: str) -> Callable[[], bytes]:
    def made() -> bytes:
        from analyses.report.table_files import table_file

        return table_file(table, kind, name=name)

    return made


def button(label: str, content: Callable[[], bytes], file_name: str, mime: str) -> None:
    """A button that makes its file when it is pressed."""
    st.download_button(
        label.upper(), content, file_name, mime, key=f"save {file_name}", on_click="ignore", width="stretch"
    )


def document_files(make: Callable[[], Report], name: str, label: str, note: str = "") -> None:
    """Buttons for a document as a web page and for Word, made when pressed.

    Args:
        make: builds the document.
        name: start of the file names.
        label: of the button that opens the list.
        note: what was left out.
    """

    def page() -> bytes:
        from analyses.report.document import render

        return render(make()).encode("utf-8")

    def word() -> bytes:
        from analyses.report.word import docx_bytes

        return docx_bytes(make())

    with st.popover(label, icon=":material/download:"):
        first, second = st.columns(2)
        with first:
            button("html", page, f"{name}.html", KINDS["html"])
        with second:
            button("docx", word, f"{name}.docx", KINDS["docx"])
        if note:
            st.caption(views.plain(note))
