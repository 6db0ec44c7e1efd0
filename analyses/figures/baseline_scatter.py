"""Person-specific bias against the person's baseline (NME, figure 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.figures.labels import number, print_text, screen_text
from analyses.figures.palette import INK, Style, group_styles
from analyses.figures.print_room import cut, legend_above
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.screen_style import axis, screen_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure


def tidy(
    random_effects: pd.DataFrame, persons: pd.DataFrame, parameter: str, *, group_names: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """One row per person with a baseline: person, group, baseline (outcome units), bias (the person's effect)."""
    bias = random_effects.loc[random_effects["parameter"] == parameter, ["level", "estimate"]]
    frame = persons[["person", "group", "baseline"]].merge(bias, left_on="person", right_on="level")
    frame = frame.dropna(subset=["baseline"]).rename(columns={"estimate": "bias"})
    names = dict(group_names or {})
    frame["group"] = ["" if pd.isna(label) else names.get(str(label), str(label)) for label in frame["group"]]
    return frame[["person", "group", "baseline", "bias"]].reset_index(drop=True)


def tidy_scatter(
    scatter: pd.DataFrame, *, rows: str, of_state: bool, group_names: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """`tidy` from a frame of `analyses.baseline_levels.scatter_frames`, with the words below the axis in ``x_title``.

    Args:
        scatter: person, group, target, baseline, bias.
        rows: where the baseline is from, in words, such as "held-out rows".
        of_state: whether the baseline is a state's share, in percent.
        group_names: how groups are called.
    """
    names = dict(group_names or {})
    frame = scatter[["person", "group", "baseline", "bias"]].dropna(subset=["baseline", "bias"]).copy()
    frame["group"] = ["" if pd.isna(label) else names.get(str(label), str(label)) for label in frame["group"]]
    target = str(scatter["target"].iloc[0]) if len(scatter) else "outcome"
    what = f"share of {target}, %," if of_state else f"mean {target}"
    return frame.assign(x_title=f"Baseline: {what} in the {rows}").reset_index(drop=True)


def _x_title(frame: pd.DataFrame, outcome: str) -> str:
    if "x_title" in frame and len(frame):
        return str(frame["x_title"].iloc[0])
    return f"Baseline: mean {outcome} in the training rows"


def screen(frame: pd.DataFrame, *, outcome: str = "outcome", height: int = 380) -> go.Figure:
    """Points by group and the least-squares line through all of them."""
    import plotly.graph_objects as go

    figure = screen_figure(height, hovermode="closest")
    for group, part, style in _by_group(frame):
        figure.add_trace(
            go.Scatter(
                x=part["baseline"],
                y=part["bias"],
                mode="markers",
                name=f"{screen_text(group or 'no group')} ({len(part)})",
                marker={"symbol": style.symbol, "size": 8, "color": style.fill, "opacity": 0.85},
                hovertemplate="baseline %{x:.1f}, bias %{y:.2f}<extra></extra>",
            )
        )
    ends = _line(frame)
    figure.add_trace(
        go.Scatter(x=ends[0], y=ends[1], mode="lines", name="linear trend", line={"color": INK, "width": 1.5})
    )
    figure.update_xaxes(axis(screen_text(_x_title(frame, outcome))))
    figure.update_yaxes(axis("Person-specific bias"))
    return figure


@print_settings()
def print_figure(frame: pd.DataFrame, *, outcome: str = "outcome", width_mm: float = 89.0) -> Figure:
    """The same for print."""
    figure = print_canvas(width_mm, min(0.75 * width_mm, 80.0) + 4)
    axes = figure.subplots()
    for group, part, style in _by_group(frame):
        label = print_text(f"{group or 'no group'} (n = {len(part)})")
        axes.scatter(
            part["baseline"],
            part["bias"],
            s=9,
            marker=style.marker,
            color=style.fill,
            linewidths=0,
            label=label,
        )
    axes.plot(*_line(frame), color=INK, label="linear trend")
    axes.set(
        xlabel=print_text(cut(_x_title(frame, cut(outcome, 0.36 * width_mm)), 0.8 * width_mm)),
        ylabel="Person-specific bias",
    )
    legend_above(figure, width_mm)
    calm(axes, grid="both")
    return figure


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with the ranges and the direction of the trend."""
    if len(frame) < 2:
        return "Too few persons with a baseline to show."
    xs, ys = _line(frame)
    direction = "rises" if ys[1] > ys[0] else "falls"
    return (
        f"Scatter plot of {len(frame)} persons: bias {direction} from {number(ys[0])} at a baseline of "
        f"{number(xs[0], 1)} to {number(ys[1])} at {number(xs[1], 1)} along the linear trend."
    )


def _by_group(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame, Style]]:
    styles = group_styles(sorted(frame["group"].unique()))
    return [(str(group), part, styles[str(group)]) for group, part in frame.groupby("group", sort=True)]


def _line(frame: pd.DataFrame) -> tuple[list[float], list[float]]:
    """The trend's two ends; a guide for the eye, the numbers come from ``bias_baseline``."""
    x = frame["baseline"].to_numpy(dtype=float)
    ends = [float(x.min()), float(x.max())]
    if ends[0] == ends[1]:
        return ends, [float(frame["bias"].mean())] * 2
    slope, intercept = np.polyfit(x, frame["bias"].to_numpy(dtype=float), 1)
    return ends, [float(intercept + slope * end) for end in ends]
