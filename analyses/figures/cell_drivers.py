"""Who carries a group difference in one transition: every person's value, and the difference without each unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses.figures.labels import ARROW, listed, number, print_text, screen_text, signed
from analyses.figures.long_labels import broken, shortened
from analyses.figures.palette import BLUE, INK, MUTED, PAPER, VERMILION, group_styles
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.rows import records
from analyses.figures.screen_style import axis, screen_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analyses.drivers import CellDrivers

GOLDEN = 0.6180339887498949
MARKED = 5


def tidy(result: CellDrivers) -> pd.DataFrame:
    """Persons and units of one cell; probabilities in percent and percentage points.

    Returns:
        kind ``person`` (group, value, offset sideways, share of the difference, marked: one of the five who push it
        most) and ``unit`` (value: the difference without the unit, low, high, sorted; marked: the five that move it
        most, or that turn the verdict); position; the cell, the whole difference with low_all and high_all, unit_name
        and scale in every row.
    """
    size = 100 if result.scale == "probability" else 1
    persons = result.to_frame().assign(kind="person", marked=np.arange(len(result.persons)) < MARKED)
    persons["value"] *= size
    within = persons.groupby("group", sort=False).cumcount()
    persons["offset"] = 0.25 * (2 * np.mod((within + 1) * GOLDEN, 1.0) - 1)
    units = result.influence_frame()
    clear = result.low > 0 or result.high < 0
    turned = ((units["low"] > 0) | (units["high"] < 0)) != clear
    units = units.assign(kind="unit", marked=(np.arange(len(units)) < MARKED) | turned)
    units = units.assign(value=units["difference"] * size, low=units["low"] * size, high=units["high"] * size)
    units = units.sort_values("value", kind="stable").assign(position=np.arange(1, len(units) + 1))
    columns = ["kind", "person", "group", "unit", "value", "low", "high", "offset", "share", "position", "marked"]
    frame = pd.concat([persons, units], ignore_index=True).reindex(columns=columns)
    return frame.assign(
        marked=frame["marked"].astype(bool),
        true_name=result.group_names[0],
        false_name=result.group_names[1],
        from_state=result.cell[0],
        to_state=result.cell[1],
        difference=result.difference * size,
        low_all=result.low * size,
        high_all=result.high * size,
        mean_true=result.mean_true * size,
        mean_false=result.mean_false * size,
        unit_name=result.unit_name,
        scale=result.scale,
    )


def _titles(frame: pd.DataFrame) -> tuple[str, str]:
    top = frame.iloc[0]
    cell = f"{shortened(top['from_state'], 24)}{ARROW}{shortened(top['to_state'], 24)}"
    percent = top["scale"] == "probability"
    return (
        f"{cell} (%)" if percent else f"{cell} (score)",
        f"Difference without one of the {shortened(top['unit_name'], 24)}" + (" (points)" if percent else ""),
    )


def _groups(frame: pd.DataFrame) -> list[tuple[str, float]]:
    top = frame.iloc[0]
    return [(str(top["true_name"]), float(top["mean_true"])), (str(top["false_name"]), float(top["mean_false"]))]


def screen(frame: pd.DataFrame, *, names: bool = False, height: int = 420) -> go.Figure:
    """Left every person's value by group, right the difference without each unit; pseudonyms only with ``names``."""
    import plotly.graph_objects as go

    figure = screen_figure(height, hovermode="closest", showlegend=False)
    if frame.empty:
        return figure
    value, without = (screen_text(title) for title in _titles(frame))
    styles = group_styles(sorted(name for name, _ in _groups(frame)))
    for place, (group, mean) in enumerate(_groups(frame)):
        part = frame[(frame["kind"] == "person") & (frame["group"] == group)]
        edges = [INK if marked else PAPER for marked in part["marked"]]
        words = [[screen_text(r.person) if names else "", number(100 * r.share, 0)] for r in records(part)]
        dot = {"symbol": styles[group].symbol, "size": 8, "color": styles[group].fill}
        figure.add_trace(
            go.Scatter(
                x=place + part["offset"], y=part["value"], mode="markers", customdata=words,
                marker=dot | {"line": {"width": 1.5, "color": edges}},
                hovertemplate="%{customdata[0]} %{y:.1f}<br>carries %{customdata[1]} % of the difference"
                "<extra></extra>",
            )
        )  # fmt: skip
        line = {"x0": place - 0.36, "x1": place + 0.36, "y0": mean, "y1": mean}
        figure.add_shape(type="line", **line, line={"color": INK, "width": 3})
    _screen_units(figure, frame, names=names)
    ticks = ["<br>".join(screen_text(line) for line in broken(group, 22)) for group, _ in _groups(frame)]
    figure.update_layout(
        xaxis=axis(
            domain=[0, 0.36], tickvals=[0, 1], ticktext=ticks, range=[-0.6, 1.6], showgrid=False, zeroline=False
        ),
        yaxis=axis(value, zeroline=False),
        xaxis2=axis("Left out, sorted", domain=[0.47, 1], anchor="y2", showgrid=False, zeroline=False),
        yaxis2=axis(without, anchor="x2"),
        margin={"t": 24, "l": 64},
    )
    return figure


def _screen_units(figure: go.Figure, frame: pd.DataFrame, *, names: bool) -> None:
    """The difference without each unit, and the lines of the whole difference and of none."""
    import plotly.graph_objects as go

    units = frame[frame["kind"] == "unit"]
    spread = {"array": units["high"] - units["value"], "arrayminus": units["value"] - units["low"]}
    figure.add_trace(
        go.Scatter(
            x=units["position"], y=units["value"], mode="markers", xaxis="x2", yaxis="y2",
            marker={"size": 7, "symbol": "diamond", "color": [VERMILION if m else BLUE for m in units["marked"]]},
            error_y={"type": "data", "symmetric": False, **spread, "color": MUTED, "thickness": 1, "width": 0},
            customdata=[[screen_text(u) if names else ""] for u in units["unit"]],
            hovertemplate="without %{customdata[0]}: %{y:.2f}<extra></extra>",
        )
    )  # fmt: skip
    whole = float(frame["difference"].iloc[0])
    for y, dash in ((whole, "dash"), (0.0, "solid")):
        line = {"color": INK, "width": 1, "dash": dash}
        figure.add_shape(type="line", xref="x2 domain", yref="y2", x0=0, x1=1, y0=y, y1=y, line=line, layer="below")


@print_settings()
def print_figure(frame: pd.DataFrame, *, width_mm: float = 183.0) -> Figure:
    """The same for print; below one another where the page is narrow."""
    wide = width_mm >= 120
    figure = print_canvas(width_mm, 68.0 if wide else 124.0)
    if frame.empty:
        return figure
    pair: Any = figure.subplots(1, 2, width_ratios=[1, 1.7]) if wide else figure.subplots(2, 1)
    left, right = pair
    value, without = _titles(frame)
    _print_persons(left, frame, 14 if wide else 26)
    left.set_ylabel("\n".join(print_text(line) for line in broken(value, 40)))
    units = frame[frame["kind"] == "unit"]
    right.vlines(units["position"], units["low"], units["high"], color=MUTED, linewidth=0.5)
    for marked, colour in ((False, BLUE), (True, VERMILION)):
        part = units[units["marked"] == marked]
        right.plot(
            part["position"],
            part["value"],
            marker="D",
            markersize=3.2 if marked else 2.4,
            linestyle="none",
            color=colour,
        )
    right.axhline(0, color=INK, linewidth=0.6)
    right.axhline(float(frame["difference"].iloc[0]), color=INK, linewidth=0.6, linestyle=(0, (4, 3)))
    right.set(xlabel="Left out, sorted", xlim=(0, len(units) + 1))
    right.set_ylabel("\n".join(print_text(line) for line in broken(without, 36)))
    for axes in (left, right):
        calm(axes, grid="y")
    return figure


def _print_persons(axes: Axes, frame: pd.DataFrame, characters: int) -> None:
    groups = _groups(frame)
    styles = group_styles(sorted(name for name, _ in groups))
    for place, (group, mean) in enumerate(groups):
        part = frame[(frame["kind"] == "person") & (frame["group"] == group)]
        for marked in (False, True):
            mine = part[part["marked"] == marked]
            axes.scatter(
                place + mine["offset"], mine["value"], s=14 if marked else 8, marker=styles[group].marker,
                color=styles[group].fill, edgecolors=INK if marked else PAPER, linewidths=0.7 if marked else 0.5,
                zorder=3 if marked else 2,
            )  # fmt: skip
        axes.plot([place - 0.36, place + 0.36], [mean, mean], color=INK, linewidth=1.6, zorder=4)
    ticks = ["\n".join(print_text(line) for line in broken(group, characters)) for group, _ in groups]
    axes.set_xticks([0, 1], ticks)
    axes.set(xlim=(-0.6, 1.6))


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with the difference, what the five persons who push it most carry, and how far it moves."""
    if frame.empty:
        return "Nobody has a value in this transition."
    top = frame.iloc[0]
    points = " percentage points" if top["scale"] == "probability" else ""
    units = frame[frame["kind"] == "unit"]["value"].dropna()
    five = frame[(frame["kind"] == "person") & frame["marked"]]["share"]
    carried = (
        f" The {len(five)} persons who push it most carry {number(100 * float(five.sum()), 0)}% of it."
        if np.isfinite(five).all()
        else ""
    )
    ends = " to ".join(shortened(top[name], 40) for name in ("from_state", "to_state"))
    parts = [f"{shortened(name, 40)} {number(mean, 1)}" for name, mean in _groups(frame)]
    return (
        f"{ends}: {listed(parts)} in the mean, difference "
        f"{signed(float(top['difference']))}{points}. Without one of the {shortened(top['unit_name'], 40)} it lies "
        f"between {number(float(units.min()), 1)} and {number(float(units.max()), 1)}.{carried}"
    )
