"""Power of a group comparison by the number of clusters (or persons) and of transitions, from simulated studies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from analyses import wording
from analyses.figures import curve_panels
from analyses.figures.curve_panels import CurveAxes
from analyses.figures.long_labels import shortened

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

    from analyses.power import PowerCurve

TESTS = {"cell": "This transition alone", "hsic": "All transitions together (HSIC)"}


def tidy(result: PowerCurve | pd.DataFrame, *, summary: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """One row per test and design, in the schema of ``curve_panels``, with what was simulated in every row.

    Args:
        result: a power curve, or its kept table.
        summary: needed with a table: cell, difference, cluster_size, target, simulations, alpha.
    """
    table = result if isinstance(result, pd.DataFrame) else result.to_frame()
    facts = summary if summary is not None else {} if isinstance(result, pd.DataFrame) else result.summary()
    blocks = [
        pd.DataFrame(
            {
                "panel": words,
                "series": [f"{int(moves):,}" for moves in table["transitions"]],
                "x": table["clusters_per_group"].astype(float),
                "value": table[f"{test}_power"].astype(float),
                "low": table[f"{test}_low"].astype(float),
                "high": table[f"{test}_high"].astype(float),
                "mark": "",
                "persons": table["persons"].astype(int),
                "transitions": table["transitions"].astype(int),
            }
        )
        for test, words in TESTS.items()
    ]
    frame = pd.concat(blocks).dropna(subset=["value"])
    frame = frame.assign(
        cell=" → ".join(map(str, facts.get("cell", ("one state", "another")))),
        difference=float(facts.get("difference", float("nan"))),
        cluster_size=int(facts.get("cluster_size", 1)),
        target=float(facts.get("target", 0.8)),
        simulations=int(facts.get("simulations", 0)),
        alpha=float(facts.get("alpha", 0.05)),
    )
    return frame.sort_values(["panel", "transitions", "x"], ascending=[False, True, True], ignore_index=True)


def _look(frame: pd.DataFrame) -> CurveAxes:
    size = int(frame["cluster_size"].iloc[0]) if len(frame) else 1
    target = float(frame["target"].iloc[0]) if len(frame) else 0.8
    return CurveAxes(
        x_title="Persons in each group" if size == 1 else f"Clusters of {size} persons in each group",
        y_title="Power",
        level=target,
        level_words=f"power wanted: {wording.bounded(target)}",
        y_range=(0.0, 1.04),
        series_title="Transitions per person",
    )


def screen(frame: pd.DataFrame, *, height: int = 400) -> go.Figure:
    """One panel per test, one line per number of transitions, with Monte Carlo intervals."""
    return curve_panels.screen(frame, _look(frame), height=height)


def print_figure(frame: pd.DataFrame, *, width_mm: float = 183.0) -> Figure:
    """The same for print."""
    return curve_panels.print_figure(frame, _look(frame), width_mm=width_mm)


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with the smallest design that reaches the power wanted, for each test."""
    if frame.empty:
        return "No design was simulated."
    first = frame.iloc[0]
    what = "persons" if first["cluster_size"] == 1 else "clusters"
    said = []
    for panel, part in frame.groupby("panel", sort=False):
        enough = part[part["value"] >= part["target"]]
        reached = not enough.empty
        effort = (enough["x"] * enough["transitions"]).to_numpy(dtype=float)
        best = enough.iloc[int(effort.argmin())] if reached else part.iloc[int(part["value"].to_numpy().argmax())]
        words = "the smallest design that reaches it has" if reached else "no design reaches it; the best has"
        said.append(
            f"{panel}: {words} {int(best['x'])} {what} per group and {int(best['transitions']):,} transitions per "
            f"person (power {wording.bounded(float(best['value']))})"
        )
    return (
        f"Power to find a difference of {wording.points(float(first['difference']))} percentage points in "
        f"{shortened(first['cell'], 80)}, by group size, in {int(first['simulations']):,} simulated studies per "
        f"design; wanted is {wording.bounded(float(first['target']))}. {'. '.join(said)}."
    )
