"""How often each state occurs in each group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analyses.figures.labels import listed, number, print_text, screen_text
from analyses.figures.palette import GRID, MUTED, group_styles
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.screen_style import axis, screen_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure


def tidy(counts: pd.DataFrame) -> pd.DataFrame:
    """Shares from counts (state, group, count): the same rows with ``share``, 0 to 1 within the group."""
    frame = counts[["state", "group", "count"]].copy()
    frame["share"] = frame["count"] / frame.groupby("group")["count"].transform("sum")
    return frame


def screen(frame: pd.DataFrame, *, height: int = 260) -> go.Figure:
    """One line per state, one mark per group: the distance between the marks is the difference."""
    import plotly.graph_objects as go

    figure = screen_figure(height)
    styles = group_styles(sorted(frame["group"].unique()))
    for state, part in frame.groupby("state", sort=False):
        ends = {"x": 100 * part["share"], "y": [screen_text(state)] * len(part)}
        figure.add_trace(
            go.Scatter(**ends, mode="lines", line={"color": GRID, "width": 6}, showlegend=False, hoverinfo="skip")
        )
    for group, part in frame.groupby("group", sort=True):
        style = styles[str(group)]
        figure.add_trace(
            go.Scatter(
                x=100 * part["share"],
                y=[screen_text(state) for state in part["state"]],
                mode="markers",
                name=screen_text(group),
                marker={"symbol": style.symbol, "size": 13, "color": style.fill},
                hovertemplate="%{y}: %{x:.1f} %<extra></extra>",
            )
        )
    figure.update_xaxes(axis("Share of prompts, %", rangemode="tozero"))
    figure.update_yaxes(axis(autorange="reversed", showgrid=False))
    return figure


@print_settings()
def print_figure(frame: pd.DataFrame, *, width_mm: float = 127.0) -> Figure:
    """The same for print."""
    states = list(dict.fromkeys(frame["state"]))
    figure = print_canvas(width_mm, 18.0 + 7 * len(states))
    axes = figure.subplots()
    for state, part in frame.groupby("state", sort=False):
        axes.plot(100 * part["share"], [states.index(state)] * len(part), color=GRID, linewidth=3, zorder=1)
    styles = group_styles(sorted(frame["group"].unique()))
    for index, (group, part) in enumerate(frame.groupby("group", sort=True)):
        style, above = styles[str(group)], index % 2 == 0
        places = [states.index(state) for state in part["state"]]
        axes.scatter(
            100 * part["share"], places, marker=style.marker, color=style.fill, s=24, label=print_text(group), zorder=2
        )
        for share, place in zip(part["share"], places, strict=True):
            axes.annotate(
                number(100 * share, 0), (100 * share, place), xytext=(0, 5 if above else -5),
                textcoords="offset points", ha="center", va="bottom" if above else "top", color=MUTED,
            )  # fmt: skip
    axes.set_yticks(range(len(states)), [print_text(state) for state in states])
    axes.set(xlabel="Share of prompts, %", ylim=(len(states) - 0.4, -0.7))
    axes.set_xlim(left=0)
    axes.legend(frameon=False, loc="best")
    calm(axes, grid="x")
    return figure


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with every share."""
    parts = []
    for state, part in frame.groupby("state", sort=False):
        shares = [
            f"{number(100 * share, 0)} % ({group})" for group, share in zip(part["group"], part["share"], strict=True)
        ]
        parts.append(f"{state} {listed(shares)}")
    return f"How often each state occurs by group: {'; '.join(parts)}."
