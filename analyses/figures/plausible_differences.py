"""Group differences of transitions with estimates taken at face value, and with every person's uncertainty counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses import wording
from analyses.figures import interval_rows
from analyses.figures.interval_rows import RowsLook
from analyses.figures.labels import ARROW, number, signed
from analyses.figures.long_labels import shortened
from analyses.figures.rows import largest
from analyses.transition_scales import IN_POINTS

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

    from analyses.plausible_transitions import PlausibleTransitions

FACE, POOLED = "face value", "plausible values"
MOST = 40


def tidy(
    result: PlausibleTransitions | pd.DataFrame, *, summary: Mapping[str, Any] | None = None, scale: str = "probability"
) -> pd.DataFrame:
    """Two rows per tested cell, in the schema of ``interval_rows``; probabilities in percentage points.

    Args:
        result: of `plausible_transitions`, or its kept table.
        summary: needed with a table: group_names, draws.
        scale: of the table's differences.

    Returns:
        With the columns from_state, to_state, missing (share of the variance owed to not knowing persons exactly),
        true_name, false_name, draws, unit, n_cells. Of more than 40 cells the 40 with the smallest p are drawn.
    """
    facts = summary or {}
    if not isinstance(result, pd.DataFrame):
        facts, scale = result.summary(), result.plug_in.scale
        result = result.to_frame()
    size = 100 if scale in IN_POINTS else 1
    table = result.dropna(subset=["pvalue"])
    few = table.sort_values("pvalue", kind="stable").head(MOST).index if len(table) > MOST else table.index
    shown = table.loc[few].reset_index(drop=True)
    names = facts.get("group_names") or ("first group", "second group")
    blocks = []
    for panel, prefix in ((FACE, "plug_in_"), (POOLED, "")):
        ends = {name: shown[f"{prefix}{name}"].astype(float) * size for name in ("difference", "low", "high")}
        missing = [f" ({number(100 * v, 0)} %)" if prefix == "" else "" for v in shown["missing"].astype(float)]
        words = [signed(v) + share for v, share in zip(ends["difference"], missing, strict=True)]
        part = shown[["from_state", "to_state", "missing"]].assign(
            panel=panel, value=ends["difference"], low=ends["low"], high=ends["high"], wide_low=np.nan,
            wide_high=np.nan, clear=(ends["low"] > 0) | (ends["high"] < 0), text=words,
        )  # fmt: skip
        blocks.append(_rows(part, one_list=len(few) < len(table)))
    frame = pd.concat(blocks, ignore_index=True)
    unit = "percentage points" if scale in IN_POINTS else "score units"
    return frame.assign(
        true_name=str(names[0]), false_name=str(names[1]), draws=int(facts.get("draws", 0)), unit=unit,
        n_cells=len(table),
    )  # fmt: skip


def _rows(part: pd.DataFrame, *, one_list: bool) -> pd.DataFrame:
    """Blocks by from state; one list where cells are left out."""
    cells = list(zip(part["from_state"].astype(str), part["to_state"].astype(str), strict=True))
    return part.assign(
        block=["" if one_list else f"From {a}" for a, _ in cells],
        row=[f"{a}{ARROW}{b}" if one_list else f"into {b}" for a, b in cells],
    )


def _look(frame: pd.DataFrame) -> RowsLook:
    if frame.empty:
        return RowsLook()
    reach = 1.05 * float(np.nanmax(np.abs(frame[["low", "high"]].to_numpy(dtype=float)), initial=1e-9))
    unit = "points" if frame["unit"].iloc[0] == "percentage points" else "score"
    return RowsLook(
        x_titles={
            FACE: f"At face value ({unit})",
            POOLED: f"Uncertainty counted ({unit})",
        },
        lines={FACE: 0.0, POOLED: 0.0},
        ends={FACE: (-reach, reach), POOLED: (-reach, reach)},
        narrow_words="interval of this cell alone",
        clear_words="interval leaves out 0",
        open_words="interval holds 0",
    )


def screen(frame: pd.DataFrame) -> go.Figure:
    """Both ways beside each other on one scale, from state by from state."""
    return interval_rows.screen(frame, _look(frame))


def print_figure(frame: pd.DataFrame, *, width_mm: float = 183.0) -> Figure:
    """The same for print."""
    return interval_rows.print_figure(frame, _look(frame), width_mm=width_mm)


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with how many differences are clear either way, and the largest."""
    if frame.empty:
        return "No transition varies between persons, so the groups cannot be compared."
    face, pooled = (frame[frame["panel"] == panel] for panel in (FACE, POOLED))
    top = largest(pooled, "value")
    ends = " to ".join(shortened(top[name], 40) for name in ("from_state", "to_state"))
    few = f" ({len(pooled)} of {int(top['n_cells'])} are drawn)" if len(pooled) < top["n_cells"] else ""
    missing = pooled["missing"].dropna()
    median = wording.percent(round(float(missing.median()), 2)) if len(missing) else "an unknown share"
    share = f" Not knowing persons exactly makes up {median} of the variance in the median."
    return (
        f"Differences of {int(top['n_cells'])} transitions, {shortened(top['true_name'], 60)} minus "
        f"{shortened(top['false_name'], 60)}{few}: with estimates at face value {int(face['clear'].sum())} intervals "
        f"leave out zero, with the uncertainty of persons counted {int(pooled['clear'].sum())}. Largest then: {ends}, "
        f"{signed(float(top['value']))} {top['unit']} ({number(float(top['low']), 1)} to "
        f"{number(float(top['high']), 1)}).{share}"
    )
