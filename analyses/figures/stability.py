"""Which person effects come out alike when the model is fitted again: with other seeds, and to fewer rows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses import wording
from analyses.figures import interval_rows
from analyses.figures.interval_rows import RowsLook
from analyses.figures.labels import ARROW, listed, parameter_label
from analyses.figures.long_labels import shortened
from analyses.stability import STABLE_CS, STABLE_ICC

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

    from analyses.stability import StabilityResult

ICC, CS = "icc", "cs"
MOST = 20
KINDS = {"probability": "Transition probabilities", "expected": "Expected transitions"}
OTHER = "Levels and weights"
_CELL = re.compile(r"^(probability|expected)\[([^,\]]*),\s*([^\]]*)\]$")


def tidy(result: StabilityResult | pd.DataFrame) -> pd.DataFrame:
    """One row per parameter and measure, in the schema of ``interval_rows``, least stable last.

    Args:
        result: of a stability analysis, or its kept table (parameter, stable, icc, icc_low, icc_high, cs, reason).

    Returns:
        With the columns parameter, stable, reason, measure (``icc``: agreement over seeds, ``cs``: share of rows that
        can be dropped) and n_left_out: of each kind at most 20 parameters are drawn, the least stable ones.
    """
    table = result if isinstance(result, pd.DataFrame) else result.to_frame()
    frame = table.assign(block=[_kind(str(name)) for name in table["parameter"]])
    frame["row"] = [_label(str(name)) for name in frame["parameter"]]
    judged = frame["icc"] if frame["icc"].notna().any() else frame["cs"]
    frame = frame.assign(judged=judged.fillna(-np.inf)).sort_values("judged", ascending=False, kind="stable")
    kept = pd.concat([part.tail(MOST) for _, part in frame.groupby("block", sort=False)]) if len(frame) else frame
    blocks = []
    for measure in (ICC, CS):
        if table[measure].isna().all():
            continue
        ends = {"low": kept["icc_low"], "high": kept["icc_high"]} if measure == ICC else {"low": np.nan, "high": np.nan}
        drawn = kept.assign(panel=measure, measure=measure, value=kept[measure].astype(float), text="", **ends)
        blocks.append(drawn.assign(wide_low=np.nan, wide_high=np.nan, clear=kept["stable"].astype(bool)))
    columns = [*interval_rows.COLUMNS, "parameter", "stable", "reason", "measure", "n_left_out"]
    if not blocks:
        return pd.DataFrame(columns=columns)
    return pd.concat(blocks, ignore_index=True).assign(n_left_out=len(table) - len(kept))[columns]


def _kind(parameter: str) -> str:
    cell = _CELL.match(parameter)
    return KINDS[cell[1]] if cell else OTHER


def _label(parameter: str) -> str:
    cell = _CELL.match(parameter)
    return f"{cell[2].strip()}{ARROW}{cell[3].strip()}" if cell else parameter_label(parameter)


def _look(frame: pd.DataFrame) -> RowsLook:
    lowest = float(np.nanmin(frame[["value", "low"]].to_numpy(dtype=float))) if len(frame) else 0.0
    return RowsLook(
        x_titles={
            ICC: "Agreement between fits with other seeds, ICC(2,1)",
            CS: "Share of rows that can be dropped (CS)",
        },
        lines={ICC: STABLE_ICC, CS: STABLE_CS},
        ends={ICC: (min(0.0, lowest) - 0.02, 1.03), CS: (-0.03, 1.03)},
        narrow_words="95% interval" if len(frame) and frame["low"].notna().any() else "",
        clear_words="stable",
        open_words="not stable",
    )


def screen(frame: pd.DataFrame) -> go.Figure:
    """One row per parameter; dotted lines stand where a parameter begins to count as stable."""
    return interval_rows.screen(frame, _look(frame))


def print_figure(frame: pd.DataFrame, *, width_mm: float = 127.0) -> Figure:
    """The same for print."""
    return interval_rows.print_figure(frame, _look(frame), width_mm=width_mm)


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with how many parameters are stable, and which are not."""
    if frame.empty:
        return "No parameter could be compared between fits."
    one = frame[frame["measure"] == frame["measure"].iloc[0]]
    shaky = [f"{row} ({block.lower()})" for row, block in zip(one["row"], one["block"], strict=True)]
    shaky = [shortened(name, 60) for name, good in zip(shaky, one["stable"], strict=True) if not good]
    seen = one["value"].dropna()
    measure = "ICC over seeds" if one["measure"].iloc[0] == ICC else "share of rows that can be dropped"
    spread = (
        f"{measure} from {wording.bounded(float(seen.min()))} to {wording.bounded(float(seen.max()))}"
        if len(seen)
        else f"{measure} not defined"
    )
    left = int(frame["n_left_out"].iloc[0])
    more = f" The {left} most stable ones are not drawn." if left else ""
    named = listed(shaky[:4]) + (f" and {len(shaky) - 4} more" if len(shaky) > 4 else "")
    verdict = f"Not stable: {named}." if shaky else "All are stable."
    return f"Agreement of {len(one)} person parameters between fits: {spread}. {verdict}{more}"
