"""How one person parameter is distributed in each group: every person as a point, with quartiles."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.figures.caterpillar import centre, difference_label, noun_of
from analyses.figures.labels import listed, number, parameter_label, print_text, screen_text
from analyses.figures.palette import INK, group_styles
from analyses.figures.print_room import wrapped
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.screen_style import axis, screen_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

GOLDEN = 0.6180339887498949
SPREAD = 0.22
FEWEST_FOR_BOX = 5


def tidy(caterpillar: pd.DataFrame) -> pd.DataFrame:
    """One row per person of a caterpillar frame: group, n (its size), estimate, offset (sideways), parameter.

    Every person is drawn at the same size in every group, so that 26 and 74 persons look like 26 and 74.
    """
    noun = noun_of(caterpillar)
    kept = ["group", "estimate", "parameter", *(["shared"] if "shared" in caterpillar else [])]
    frame = caterpillar[kept].copy()
    frame = frame.sort_values(["group", "estimate"], kind="stable").reset_index(drop=True)
    frame["n"] = frame.groupby("group")["estimate"].transform("size")
    # low-discrepancy offsets: spread out like random ones, and the same in every drawing
    within = frame.groupby("group").cumcount()
    frame["offset"] = SPREAD * (2 * np.mod((within + 1) * GOLDEN, 1.0) - 1)
    frame = frame[["group", "n", "estimate", "offset", *kept[2:]]]
    return frame if noun == "person" else frame.assign(noun=noun)


def screen(frame: pd.DataFrame, *, span: tuple[float, float] | None = None, height: int = 380) -> go.Figure:
    """A strip of points per group, with a box of quartiles over it where a group has at least five persons.

    Args:
        frame: from ``tidy``.
        span: ends of the value axis, to share it with a caterpillar plot beside it.
        height: in pixels.
    """
    import plotly.graph_objects as go

    figure = screen_figure(height, showlegend=False)
    groups = sorted(frame["group"].unique())
    styles = group_styles(groups)
    for place, group in enumerate(groups):
        part, style = frame[frame["group"] == group], styles[group]
        figure.add_trace(
            go.Scatter(
                x=place + part["offset"],
                y=part["estimate"],
                mode="markers",
                name=screen_text(group or "no group"),
                marker={"symbol": style.symbol, "size": 7, "color": style.fill, "opacity": 0.75},
                hovertemplate="effect %{y:.2f}<extra></extra>",
            )
        )
        if len(part) >= FEWEST_FOR_BOX:
            low, middle, high = part["estimate"].quantile([0.25, 0.5, 0.75])
            corners = {"x0": place - 0.36, "x1": place + 0.36, "y0": low, "y1": high}
            figure.add_shape(type="rect", **corners, line={"color": INK, "width": 1.5}, fillcolor="rgba(0,0,0,0)")
            line = {"x0": place - 0.36, "x1": place + 0.36, "y0": middle, "y1": middle}
            figure.add_shape(type="line", **line, line={"color": INK, "width": 3})
    ticks = [
        f"{_broken(screen_text(group or 'no group'))}<br>n = {(frame['group'] == group).sum()}" for group in groups
    ]
    figure.update_xaxes(
        axis(
            tickvals=list(range(len(groups))),
            ticktext=ticks,
            range=[-0.6, len(groups) - 0.4],
            tickangle=0,
            showgrid=False,
            zeroline=False,
        )
    )
    figure.update_yaxes(axis("" if span else screen_text(difference_label(frame)), range=list(span) if span else None))
    figure.update_layout(margin={"b": 64, "l": 48})
    return figure


@print_settings()
def print_figure(frame: pd.DataFrame, *, width_mm: float = 89.0) -> Figure:
    """The same for print."""
    figure = print_canvas(width_mm, min(0.75 * width_mm, 70.0))
    axes = figure.subplots()
    groups = sorted(frame["group"].unique())
    styles = group_styles(groups)
    for place, group in enumerate(groups):
        part, style = frame[frame["group"] == group], styles[group]
        axes.scatter(
            place + part["offset"],
            part["estimate"],
            s=7,
            marker=style.marker,
            color=style.fill,
            linewidths=0,
        )
        if len(part) >= FEWEST_FOR_BOX:
            low, middle, high = part["estimate"].quantile([0.25, 0.5, 0.75])
            axes.plot(
                [place - 0.36, place + 0.36, place + 0.36, place - 0.36, place - 0.36],
                [low, low, high, high, low],
                color=INK,
            )
            axes.plot([place - 0.36, place + 0.36], [middle, middle], color=INK, linewidth=1.6)
    room = 0.8 * (width_mm - 14) / max(len(groups), 1)
    labels = [
        print_text(f"{wrapped(group or 'no group', room)}\nn = {(frame['group'] == group).sum()}") for group in groups
    ]
    axes.set_xticks(range(len(groups)), labels)
    axes.set(
        ylabel=print_text(difference_label(frame)).replace("from the", "from\nthe"), xlim=(-0.6, len(groups) - 0.4)
    )
    axes.axhline(centre(frame), color=INK, linewidth=0.6)
    calm(axes, grid="y")
    return figure


def _broken(label: str) -> str:
    """A long label over several lines: slanted labels are hard to read."""
    return "<br>".join(textwrap.wrap(label, 16))


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with the median and the quartiles of each group."""
    if frame.empty:
        return "No person effects to show."
    parts = []
    for group, part in frame.groupby("group", sort=True):
        low, middle, high = (number(float(part["estimate"].quantile(share))) for share in (0.25, 0.5, 0.75))
        parts.append(f"{group or 'no group'} (n = {len(part)}) median {middle}, quartiles {low} to {high}")
    what = parameter_label(frame["parameter"].iloc[0])
    return f"Distribution of {noun_of(frame)} effects on {what} by group: {listed(parts)}."
