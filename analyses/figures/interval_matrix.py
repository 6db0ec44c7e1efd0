"""Each transition's difference between two groups with raw and simultaneous interval, arranged as the matrix is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses.figures import matrix_panels
from analyses.figures.labels import number, print_text, screen_text, signed
from analyses.figures.palette import BLUE, GRID, INK, MUTED, VERMILION
from analyses.figures.print_room import cut_apart, legend_columns
from analyses.figures.print_style import print_canvas, print_settings
from analyses.figures.rows import largest, records
from analyses.figures.screen_style import Marks, screen_figure
from analyses.transition_scales import IN_POINTS

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analyses.transitions import TransitionComparison

# half of a cell's width that the scale may use
HALF = 0.44
# with more states there is no room for a plot in every cell
MOST_FORESTS = 7
CLEAR = "clear"
HINT = "hint"
NONE = "none"
GROUND = {CLEAR: "#FFF3C4", HINT: "#F4F6F8", NONE: "#FFFFFF"}
NUMBERS = ("difference", "low", "high", "low_simultaneous", "high_simultaneous")
CORRECTIONS = ("simultaneous", "fdr", "raw")


def tidy(comparison: TransitionComparison, *, correction: str = "simultaneous") -> pd.DataFrame:
    """One row per cell; probabilities in percentage points, scores in their own units.

    Args:
        comparison: a finished comparison.
        correction: what counts as clear: "simultaneous" (that interval leaves out zero), "fdr" (the adjusted p lies
            below 1 - level) or "raw" (the raw interval leaves out zero).

    Returns:
        from_state, to_state, difference, low, high, low_simultaneous, high_simultaneous (percentage points), pvalue,
        pvalue_fdr, verdict (``clear``, as the correction says; ``hint``: only the raw interval leaves out zero;
        ``none``), correction, true_name, false_name, unit.

    Raises:
        ValueError: for another correction.
    """
    if correction not in CORRECTIONS:
        raise ValueError(f"correction must be one of {', '.join(CORRECTIONS)}, not {correction!r}")
    frame = comparison.to_frame().copy()
    points = comparison.scale in IN_POINTS
    for column in NUMBERS:
        frame[column] = frame[column].astype(float) * (100 if points else 1)
    frame["unit"] = "percentage points" if points else "score units"
    hint = (frame["low"] > 0) | (frame["high"] < 0)
    clear = {
        "simultaneous": (frame["low_simultaneous"] > 0) | (frame["high_simultaneous"] < 0),
        "fdr": frame["pvalue_fdr"] < 1 - comparison.level,
        "raw": hint,
    }[correction]
    frame["correction"] = correction
    frame["verdict"] = np.where(clear, CLEAR, np.where(hint, HINT, NONE))
    frame["true_name"], frame["false_name"] = comparison.group_names
    return frame


def half_range(frame: pd.DataFrame) -> float:
    """Percentage points from a cell's middle to its edge, so that every interval fits."""
    return 1.05 * float(np.nanmax(np.abs(frame[list(NUMBERS)].to_numpy(dtype=float)), initial=1.0))


def tick_value(scale: float) -> float:
    """The largest of 1, 2, 5, 10, ... percentage points that leaves room for its label inside a cell."""
    step = 10.0 ** math.floor(math.log10(0.75 * scale))
    return max(step * factor for factor in (1, 2, 5) if step * factor <= 0.75 * scale)


def screen(frame: pd.DataFrame, *, height: int = 470) -> go.Figure:
    """One small forest plot per cell on a common scale; a yellow ground marks what survives the correction."""
    if frame["from_state"].nunique() > MOST_FORESTS:
        return matrix_panels.screen(difference_map(frame), height=height)
    figure = screen_figure(height, hovermode="closest", showlegend=True)
    over = Marks()
    states, scale = list(dict.fromkeys(frame["from_state"])), half_range(frame)
    place = {state: index for index, state in enumerate(states)}
    for cell in records(frame):
        x, y = place[cell.to_state], place[cell.from_state]
        box = {"x0": x - 0.48, "x1": x + 0.48, "y0": y - 0.46, "y1": y + 0.46}
        over.add_shape(
            type="rect", **box, fillcolor=GROUND[cell.verdict], line={"color": GRID, "width": 1}, layer="below"
        )
        zero = {"x0": x, "x1": x, "y0": y - 0.46, "y1": y + 0.46}
        over.add_shape(type="line", **zero, line={"color": MUTED, "width": 1, "dash": "dot"}, layer="below")
        strength = "<b>{}</b>" if cell.verdict == CLEAR else "{}"
        label = {"text": strength.format(signed(cell.difference)), "bgcolor": GROUND[cell.verdict]}
        over.add_annotation(x=x, y=y - 0.24, **label, showarrow=False, font={"size": 14})
    for trace in _screen_traces(frame, place, scale):
        figure.add_trace(trace)
    ticks = [-tick_value(scale), 0.0, tick_value(scale)]
    names = [screen_text(state) for state in states]
    figure.update_layout(
        xaxis={
            "tickvals": [index + HALF * tick / scale for index in range(len(states)) for tick in ticks],
            "ticktext": [signed(tick, 0 if ticks[-1] >= 1 else 1) for _ in states for tick in ticks],
            "range": [-0.5, len(states) - 0.5], "showgrid": False, "zeroline": False, "fixedrange": True,
            "tickfont": {"size": 12, "color": MUTED}, "tickangle": 0,
            "title": {"text": f"Difference in {frame['unit'].iloc[0]}", "font": {"size": 13, "color": MUTED}},
        },
        yaxis={
            "tickvals": list(range(len(states))), "ticktext": [f"from {name}" for name in names], "fixedrange": True,
            "range": [len(states) - 0.5, -0.5], "showgrid": False, "zeroline": False,
        },
        margin={"l": 120, "r": 8, "t": 70, "b": 56}, legend={"y": 1.07},
    )  # fmt: skip
    for index, name in enumerate(names):
        over.add_annotation(
            x=index,
            y=1.0,
            yref="paper",
            xanchor="center",
            yanchor="bottom",
            text=f"into {name}",
            showarrow=False,
            font={"size": 14},
        )
    over.put_on(figure)
    return figure


def _screen_traces(frame: pd.DataFrame, place: dict[str, int], scale: float) -> list[go.Scatter]:
    """Simultaneous intervals (thin), raw intervals (thick), estimates (dots)."""
    import plotly.graph_objects as go

    x = frame["to_state"].map(place).astype(float)
    y = frame["from_state"].map(place).astype(float) + 0.14
    traces = []
    for low, high, name, width, colour in (
        ("low_simultaneous", "high_simultaneous", "simultaneous interval (all cells together)", 1.5, INK),
        ("low", "high", "raw interval (this cell alone)", 5, BLUE),
    ):
        left, right = x + HALF * frame[low] / scale, x + HALF * frame[high] / scale
        gaps = [None] * len(frame)
        line_x = [value for triple in zip(left, right, gaps, strict=True) for value in triple]
        line_y = [value for triple in zip(y, y, gaps, strict=True) for value in triple]
        line = {"width": width, "color": colour}
        traces.append(go.Scatter(x=line_x, y=line_y, mode="lines", line=line, name=name, hoverinfo="skip"))
    columns = ["from_state", "to_state", *NUMBERS]
    words = [
        [screen_text(row[0]), screen_text(row[1]), signed(row[2]), *(number(value, 1) for value in row[3:])]
        for row in records(frame[columns])
    ]
    hover = (
        "%{customdata[0]} → %{customdata[1]}<br>difference %{customdata[2]}<br>raw [%{customdata[3]}, %{customdata[4]}]"
        "<br>simultaneous [%{customdata[5]}, %{customdata[6]}]<extra></extra>"
    )
    dots = {"size": 9, "color": VERMILION, "symbol": "diamond", "line": {"color": "white", "width": 1}}
    centre = x + HALF * frame["difference"] / scale
    traces.append(
        go.Scatter(x=centre, y=y, mode="markers", marker=dots, name="difference", customdata=words, hovertemplate=hover)
    )
    return traces


def print_figure(frame: pd.DataFrame, *, width_mm: float = 183.0) -> Figure:
    """The same for print; with more than seven states a map of the differences, clear ones dotted."""
    if frame["from_state"].nunique() > MOST_FORESTS:
        return matrix_panels.print_figure(difference_map(frame), width_mm=width_mm)
    return _forests(frame, width_mm)


def difference_map(frame: pd.DataFrame) -> pd.DataFrame:
    """One panel in the schema of ``matrix_panels``: the differences as colours, a dot where the verdict is clear."""
    scale = 100.0 if frame["unit"].iloc[0] == "percentage points" else 1.0
    return pd.DataFrame(
        {
            "panel": f"{frame['true_name'].iloc[0]} minus {frame['false_name'].iloc[0]}",
            "from_state": frame["from_state"],
            "to_state": frame["to_state"],
            "value": frame["difference"] / scale,
            "text": np.where(frame["verdict"] == CLEAR, "•", ""),
            "kind": "difference",
            "unobserved": False,
        }
    )


@print_settings()
def _forests(frame: pd.DataFrame, width_mm: float) -> Figure:
    """A small forest plot in every cell."""
    states, scale = list(dict.fromkeys(frame["from_state"])), half_range(frame)
    room = (width_mm - 24) / len(states)
    figure = print_canvas(width_mm, len(states) * min(max(0.62 * room, 12.0), 24.0) + 22)
    axes = figure.subplots()
    place = {state: index for index, state in enumerate(states)}
    for cell in records(frame):
        _forest(axes, cell, place[cell.to_state], place[cell.from_state], scale)
    names = cut_apart(states, room + 1)
    for index, name in enumerate(names):
        axes.text(index, -0.55, print_text(f"into\n{name}"), ha="center", va="bottom", fontsize=7 if room < 20 else 8)
    tick = tick_value(scale)
    ticks = [-tick, 0.0, tick] if room > 26 else [-tick, tick]
    axes.set_xticks(
        [index + HALF * value / scale for index in range(len(states)) for value in ticks],
        [signed(value, 0 if tick >= 1 else 1) for _ in states for value in ticks],
    )
    axes.set_yticks(range(len(states)), [print_text(f"from\n{name}") for name in names])
    axes.set(xlim=(-0.5, len(states) - 0.5), ylim=(len(states) - 0.5, -0.5))
    axes.set_xlabel(f"Difference in {frame['unit'].iloc[0]}")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    _explained(figure, width_mm)
    return figure


def _forest(axes: Axes, cell: Any, x: int, y: int, scale: float) -> None:
    """Ground, zero line, both intervals, estimate and number of one cell."""
    from matplotlib.patches import Rectangle

    corner = (x - 0.48, y - 0.46)
    axes.add_patch(Rectangle(corner, 0.96, 0.92, facecolor=GROUND[cell.verdict], edgecolor=GRID, linewidth=0.5))
    axes.plot([x, x], [y - 0.46, y + 0.46], color=MUTED, linewidth=0.5, linestyle=":")
    at = y + 0.14
    together = [x + HALF * cell.low_simultaneous / scale, x + HALF * cell.high_simultaneous / scale]
    axes.plot(together, [at, at], color=INK, linewidth=0.8)
    alone = [x + HALF * cell.low / scale, x + HALF * cell.high / scale]
    axes.plot(alone, [at, at], color=BLUE, linewidth=2.6, solid_capstyle="butt")
    middle = x + HALF * cell.difference / scale
    axes.plot([middle], [at], marker="D", color=VERMILION, markersize=3, linestyle="none")
    ground = {"facecolor": GROUND[cell.verdict], "edgecolor": "none", "pad": 0.6}
    weight = "bold" if cell.verdict == CLEAR else "normal"
    look: dict[str, Any] = {"fontsize": 7.5, "fontweight": weight, "bbox": ground}
    axes.text(x, y - 0.24, signed(cell.difference), ha="center", va="center", **look)


def _explained(figure: Figure, width_mm: float) -> None:
    """What the two lines are, above the cells."""
    from matplotlib.lines import Line2D

    looks = (("difference", {"color": VERMILION, "marker": "D", "markersize": 3, "linestyle": "none"}),
             ("interval of this cell alone", {"color": BLUE, "linewidth": 2.6}),
             ("interval of all cells together", {"color": INK, "linewidth": 0.8}))  # fmt: skip
    handles = [Line2D([], [], label=label, **look) for label, look in looks]
    columns = legend_columns([label for label, _ in looks], width_mm)
    figure.legend(handles=handles, loc="outside upper left", ncols=columns, frameon=False)


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with the largest difference and how many survive the correction."""
    top = largest(frame, "difference")
    clear, raw = (_leaving_out_zero(frame, *ends) for ends in (NUMBERS[3:5], NUMBERS[1:3]))
    low, high = number(top["low"], 1), number(top["high"], 1)
    wide_low, wide_high = number(top["low_simultaneous"], 1), number(top["high_simultaneous"], 1)
    return (
        f"Differences of {len(frame)} transition probabilities, {top['true_name']} minus {top['false_name']}, with raw "
        f"and simultaneous intervals. Largest: {top['from_state']} to {top['to_state']}, {signed(top['difference'])} "
        f"{top['unit']} (raw {low} to {high}, simultaneous {wide_low} to {wide_high}). "
        f"{raw} raw and {clear} simultaneous intervals leave out zero."
    )


def _leaving_out_zero(frame: pd.DataFrame, low: str, high: str) -> int:
    return int(((frame[low] > 0) | (frame[high] < 0)).sum())
