"""How each transition changes with a number per person (age, a symptom score), with single and joint intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.figures import interval_rows
from analyses.figures.interval_rows import RowsLook
from analyses.figures.labels import ARROW, number, signed
from analyses.figures.long_labels import shortened
from analyses.figures.rows import largest
from analyses.transition_scales import IN_POINTS

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

    from analyses.covariate_slopes import TransitionSlopes

MOST = 40
ENDS = ("slope", "low", "high", "low_simultaneous", "high_simultaneous")


def tidy(
    result: TransitionSlopes | pd.DataFrame,
    *,
    covariate: str = "the covariate",
    per: float = 1.0,
    scale: str = "probability",
) -> pd.DataFrame:
    """One row per tested cell, in the schema of ``interval_rows``; probabilities in percentage points.

    Args:
        result: of `transition_slopes`, or its kept table.
        covariate: name of the covariate, where a table is given.
        per: units of it that a slope of the table stands for.
        scale: of the table's slopes, as `TransitionSlopes.scale`.

    Returns:
        With the columns from_state, to_state, covariate, per, unit, n_cells (tested) and pvalue. Of more than 40 cells
        the 40 with the smallest p are drawn.
    """
    if not isinstance(result, pd.DataFrame):
        covariate, per, scale = result.covariate, result.per, result.scale
        result = result.to_frame()
    points = scale in IN_POINTS
    table = result.dropna(subset=["pvalue"])
    few = table.sort_values("pvalue", kind="stable").head(MOST).index if len(table) > MOST else table.index
    one_list = len(few) < len(table)
    frame = table.loc[few].reset_index(drop=True)
    numbers = {name: frame[name].astype(float) * (100 if points else 1) for name in ENDS}
    cells = list(zip(frame["from_state"], frame["to_state"], strict=True))
    return pd.DataFrame(
        {
            "block": ["" if one_list else f"From {a}" for a, _ in cells],
            "panel": "slope",
            "row": [f"{a}{ARROW}{b}" if one_list else f"into {b}" for a, b in cells],
            "value": numbers["slope"],
            "low": numbers["low"],
            "high": numbers["high"],
            "wide_low": numbers["low_simultaneous"],
            "wide_high": numbers["high_simultaneous"],
            "clear": (numbers["low_simultaneous"] > 0) | (numbers["high_simultaneous"] < 0),
            "text": [signed(value, 2) for value in numbers["slope"]],
            "from_state": frame["from_state"],
            "to_state": frame["to_state"],
            "pvalue": frame["pvalue"],
            "covariate": covariate,
            "per": float(per),
            "unit": "percentage points" if points else "score units",
            "n_cells": len(table),
        }
    )


def _step(frame: pd.DataFrame) -> str:
    per = float(frame["per"].iloc[0])
    name = shortened(frame["covariate"].iloc[0], 40)
    return f"one unit more of {name}" if per == 1 else f"{per:g} more of {name}"


def _look(frame: pd.DataFrame) -> RowsLook:
    if frame.empty:
        return RowsLook()
    ends = frame[["low", "high", "wide_low", "wide_high"]].to_numpy(dtype=float)
    reach = 1.05 * float(np.nanmax(np.abs(ends), initial=1e-9))
    return RowsLook(
        x_titles={"slope": f"Change in {frame['unit'].iloc[0]} with {_step(frame)}"},
        lines={"slope": 0.0},
        ends={"slope": (-reach, reach)},
        narrow_words="interval of this cell alone",
        wide_words="simultaneous interval (all cells together)",
        clear_words="clear in all cells together",
        open_words="not clear",
    )


def screen(frame: pd.DataFrame) -> go.Figure:
    """One row per transition, from state by from state, on one scale."""
    return interval_rows.screen(frame, _look(frame))


def print_figure(frame: pd.DataFrame, *, width_mm: float = 127.0) -> Figure:
    """The same for print."""
    return interval_rows.print_figure(frame, _look(frame), width_mm=width_mm)


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with the steepest slope and how many leave out zero."""
    if frame.empty:
        return "No transition varies between persons, so nothing can change with the covariate."
    top = largest(frame, "value")
    raw = int(((frame["low"] > 0) | (frame["high"] < 0)).sum())
    from_state, to_state = (shortened(top[name], 40) for name in ("from_state", "to_state"))
    few = f" ({len(frame)} of {int(top['n_cells'])} are drawn)" if len(frame) < top["n_cells"] else ""
    return (
        f"Change of {int(top['n_cells'])} transitions with {_step(frame)}{few}. Steepest: "
        f"{from_state} to {to_state}, {signed(top['value'], 2)} {top['unit']} "
        f"(interval {number(top['low'])} to {number(top['high'])}, simultaneous {number(top['wide_low'])} to "
        f"{number(top['wide_high'])}). {raw} single and {int(frame['clear'].sum())} simultaneous intervals leave out "
        "zero."
    )
