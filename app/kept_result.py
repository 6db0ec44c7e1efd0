"""A result that is drawn from its kept table: made now or found in the run folder, shown the same way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import streamlit as st

from app import result_files, views
from app.basket import Pinned
from app.state import OpenRun
from toolkit.runs.kept import KeptAnalysis


def show(
    opened: OpenRun,
    found: KeptAnalysis,
    *,
    title: str,
    module: Any,
    tidy: Callable[[KeptAnalysis], pd.DataFrame],
    reading: str,
    headings: Mapping[str, str],
    digits: int = 2,
    table: Callable[[pd.DataFrame], pd.DataFrame] = lambda frame: frame,
) -> None:
    """Sentence, figure, APA sentence, how to read it, files, table and code.

    Args:
        opened: the run.
        found: the result.
        title: heading in the report.
        module: of ``analyses.figures``.
        tidy: the frame that the module draws.
        reading: how to read the figure.
        headings: columns of the table that are shown.
        digits: decimals in the table.
        table: makes the kept table fit to show.
    """
    frame = tidy(found)
    said, notes = _apart(found)
    pinned = Pinned(
        name=found.name,
        title=title,
        text=[*said, *notes],
        apa=[found.apa],
        figure=(module, frame),
        saved=found.frame,
        reading_text=reading,
        recipe=found.recipe,
    )
    for text in said:
        views.sentence(text)
    views.chart(module.screen(frame), pinned.in_words, f"chart {found.name}")
    for text in notes:
        st.caption(views.plain(text))
    views.apa(*pinned.apa, key=found.name)
    result_files.below(opened, pinned)
    with st.expander("Table", icon=":material/table:"):
        views.table(table(found.frame), headings, key=f"table {found.name}", digits=digits, height=280)
    if found.recipe is not None:
        others = tuple(str((opened.path / path).resolve()) for path in found.recipe.runs) or None
        result_files.code(opened, found.recipe, others=others)


def _apart(found: KeptAnalysis) -> tuple[list[str], list[str]]:
    """What was found, and the notes on how: they stand below the figure."""
    notes = [str(note) for note in found.summary.get("notes") or []]
    text = found.text
    for note in notes:
        text = text.replace(note, "")
    return [" ".join(part.split()) for part in text.split("\n") if part.strip()] or [found.apa], notes
