"""Several runs side by side on the start page: what each is, how it went, how well it predicts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from analyses.report import sentences
from app import state, views
from app.sidebar import want_run
from app.state import FoundRun, OpenRun
from toolkit.errors import ToolkitError

MOST = 12
_PICKED = "tick in the list of runs"
HEADINGS = {
    "run": "Run", "model": "Model", "outcome": "Outcome", "persons": "Persons", "rows": "Rows",
    "metric": "Metric", "with": "With person effects", "without": "Without", "settled": "Settled",
    "seed": "Seed", "study": "Study",
}  # fmt: skip


def draw(opened: OpenRun | None) -> None:
    """Choose runs, see them as rows of one table, open one."""
    found = state.found_runs()
    if not found:
        st.info("No run is known yet. Type the path of a folder that holds runs on the right.")
        return
    labels = [run.label for run in found]
    chosen = st.multiselect("Runs to lay side by side", labels, default=labels[:MOST], key="runs beside")
    shown = [run for run in found if run.label in chosen]
    rows, problems = _rows(shown)
    if rows:
        table = pd.DataFrame(rows)
        picked = views.table(
            table, HEADINGS, key="runs side by side", height=min(35 * (len(table) + 1) + 3, 360),
            on_select="rerun", selection_mode="single-row",
        )  # fmt: skip
        st.caption(
            "Predictions of rows the model never saw, pooled over persons. Tick a row to open that run, or choose it "
            "in the sidebar."
        )
        _open_picked(picked, [run for run in shown if run.label in set(table["run"])], opened)
    for label, sentence in problems:
        st.warning(views.plain(f"{label} cannot be opened: {sentence}"))


def _open_picked(picked: Any, shown: Sequence[FoundRun], opened: OpenRun | None) -> None:
    rows = list(picked.selection.rows)
    # a tick counts once: it stays while another run is chosen in the sidebar
    if rows == st.session_state.get(_PICKED):
        return
    st.session_state[_PICKED] = rows
    if rows and (opened is None or shown[rows[0]].path != opened.path.resolve()):
        want_run(shown[rows[0]])
        st.rerun()


def _rows(shown: Sequence[FoundRun]) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """One row per run that can be opened, and a sentence for every other."""
    rows, problems = [], []
    for run in shown:
        try:
            rows.append(_row(run, state.open_run(run.path)))
        except ToolkitError as problem:
            problems.append((run.label, views.spoken(problem)))
    return rows, problems


def _row(run: FoundRun, opened: OpenRun) -> dict[str, Any]:
    manifest = opened.manifest
    table = sentences.metric_table(opened.metrics)
    first = table[table["metric"] == table["metric"].iloc[0]] if len(table) else table
    pooled = dict(zip(first["level"], first["pooled"], strict=True)) if len(first) else {}
    return {
        "run": run.label,
        "study": run.title,
        "model": str(manifest.get("model", "")),
        "outcome": opened.outcome,
        "persons": len(opened.persons),
        "rows": int((manifest.get("data") or {}).get("rows") or 0),
        "metric": str(first["metric"].iloc[0]) if len(first) else "",
        "with": _number(pooled.get("with person effects")),
        "without": _number(pooled.get("without person effects")),
        "settled": "yes" if (manifest.get("status") or {}).get("converged") else "no",
        "seed": str(manifest.get("seed", "")),
    }


def _number(value: float | None) -> str:
    """Two decimals; a dash where a model has no such prediction."""
    return "–" if value is None or math.isnan(value) else f"{value:.2f}".replace("-", "−")
