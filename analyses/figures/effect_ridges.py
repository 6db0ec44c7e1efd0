"""How person effects are distributed in each group, one parameter above the other, every person as a tick."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.figures.caterpillar import difference_label, noun_of
from analyses.figures.labels import listed, number, parameter_label, print_text, screen_text
from analyses.figures.long_labels import shortened
from analyses.figures.palette import GRID, INK, Style, group_styles
from analyses.figures.print_room import cut, legend_above
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.screen_style import axis, screen_figure
from analyses.figures.series_styles import line_dash

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GRID_POINTS = 121
FEWEST_FOR_CURVE = 5
RIDGE, TICKS = 0.72, 0.24
SHRUNKEN = "Estimates are pulled towards the average person: persons differ more than these distributions show."


def tidy(caterpillars: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Long frame from one caterpillar frame per parameter.

    Returns:
        parameter, group, n (persons of the group), kind (``person`` or ``curve``), x (estimate, or point of the
        curve), density (of curves: Gaussian kernel, Silverman's bandwidth 0.9 min(SD, IQR/1.34) n^(-1/5); NaN for
        persons). Groups of fewer than five persons have no curve. The column ``noun`` where it is not persons.
    """
    blocks = []
    for frame in caterpillars:
        for group, part in frame.groupby("group", sort=True):
            x = np.sort(part["estimate"].to_numpy(dtype=float))
            shared = {"parameter": str(part["parameter"].iloc[0]), "group": str(group), "n": len(x)}
            shared |= {"noun": noun_of(frame)} if noun_of(frame) != "person" else {}
            blocks.append(pd.DataFrame({**shared, "kind": "person", "x": x, "density": np.nan}))
            if len(x) >= FEWEST_FOR_CURVE and np.ptp(x) > 0:
                at, density = _curve(x)
                blocks.append(pd.DataFrame({**shared, "kind": "curve", "x": at, "density": density}))
    return pd.concat(blocks, ignore_index=True)


def _curve(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    spread = float(x.std(ddof=1))
    quartiles = float(np.subtract(*np.quantile(x, [0.75, 0.25]))) / 1.34
    width = 0.9 * (min(spread, quartiles) or spread) * len(x) ** -0.2
    at = np.linspace(x[0] - 3 * width, x[-1] + 3 * width, GRID_POINTS)
    kernels = np.exp(-0.5 * ((at[:, None] - x) / width) ** 2)
    return at, kernels.sum(axis=1) / (len(x) * width * np.sqrt(2 * np.pi))


def _rows(frame: pd.DataFrame) -> list[tuple[int, str, pd.DataFrame, float]]:
    """Place from the top, parameter, its rows, and its highest density."""
    return [
        (place, str(parameter), part, float(np.nanmax(part["density"].to_numpy(dtype=float), initial=1e-12)))
        for place, (parameter, part) in enumerate(frame.groupby("parameter", sort=False))
    ]


def _groups(frame: pd.DataFrame) -> tuple[list[str], dict[str, Style]]:
    groups = sorted(frame["group"].unique())
    return groups, group_styles(groups)


def screen(frame: pd.DataFrame, *, height: int | None = None) -> go.Figure:
    """A curve per group in every row, ticks for the persons below it."""
    import plotly.graph_objects as go

    groups, styles = _groups(frame)
    parameters = frame["parameter"].nunique()
    figure = screen_figure(height or max(130 + 66 * parameters, 260), hovermode="closest")
    for place, _, part, highest in _rows(frame):
        for index, group in enumerate(groups):
            rows, style = part[part["group"] == group], styles[group]
            curve, persons = rows[rows["kind"] == "curve"], rows[rows["kind"] == "person"]
            size = f" (n = {int(rows['n'].max())})" if len(rows) else ""
            name = f"{screen_text(shortened(group or 'no group', 40))}{size}"
            shared = {"legendgroup": str(index), "hoverinfo": "skip", "showlegend": place == 0, "name": name}
            line = {"color": style.fill, "width": 2, "dash": style.dash}
            ys = place - RIDGE * curve["density"] / highest
            figure.add_trace(go.Scatter(x=curve["x"], y=ys, mode="lines", line=line, **shared))
            marker = {"symbol": "line-ns-open", "size": 7, "color": style.edge, "line": {"width": 1}}
            at = [place + TICKS * (index + 0.8) / max(len(groups), 2)] * len(persons)
            figure.add_trace(
                go.Scatter(
                    x=persons["x"], y=at, mode="markers", marker=marker, legendgroup=str(index),
                    showlegend=False, hovertemplate="effect %{x:.2f}<extra></extra>",
                )
            )  # fmt: skip
    figure.add_vline(x=0, line={"color": INK, "width": 1})
    labels = [screen_text(shortened(parameter_label(name), 34)) for _, name, _, _ in _rows(frame)]
    figure.update_yaxes(
        axis(tickvals=list(range(parameters)), ticktext=labels, range=[parameters - 0.6, -0.95], zeroline=False)
    )
    figure.update_xaxes(axis(screen_text(difference_label(frame)), zeroline=False))
    return figure


@print_settings()
def print_figure(frame: pd.DataFrame, *, width_mm: float = 165.0) -> Figure:
    """The same for print."""
    parameters = frame["parameter"].nunique()
    each = 30.0 if parameters == 1 else 13.0 if parameters <= 6 else 9.5
    figure = print_canvas(width_mm, 22.0 + each * parameters)
    axes = figure.subplots()
    for place, _, part, highest in _rows(frame):
        _ridge(axes, part, place, highest, first=place == 0)
    axes.axvline(0, color=INK, linewidth=0.6, zorder=1)
    labels = [print_text(cut(parameter_label(name), 0.34 * width_mm)) for _, name, _, _ in _rows(frame)]
    axes.set_yticks(range(parameters), labels)
    axes.set(ylim=(parameters - 0.6, -0.9), xlabel=print_text(difference_label(frame)))
    calm(axes)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    legend_above(figure, width_mm)
    return figure


def _ridge(axes: Axes, part: pd.DataFrame, place: int, highest: float, *, first: bool) -> None:
    """Curves and ticks of one parameter."""
    groups, styles = _groups(part)
    axes.axhline(place, color=GRID, linewidth=0.5, zorder=0)
    for index, group in enumerate(groups):
        rows, style = part[part["group"] == group], styles[group]
        curve, persons = rows[rows["kind"] == "curve"], rows[rows["kind"] == "person"]
        name = print_text(f"{group or 'no group'} (n = {int(rows['n'].max())})")
        dash = line_dash(style)
        axes.plot(
            curve["x"], place - RIDGE * curve["density"] / highest, color=style.fill, linewidth=1.1, linestyle=dash,
            label=name if first else None, zorder=3,
        )  # fmt: skip
        lane = TICKS / max(len(groups), 2)
        low = place + lane * (index + 0.3)
        axes.vlines(persons["x"], low, low + 0.85 * lane, color=style.edge, linewidth=0.5, zorder=2)


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence per parameter with median and quartiles of each group; the first four of many."""
    if frame.empty:
        return "No person effects to show."
    said = []
    persons = frame[frame["kind"] == "person"]
    for parameter, part in list(persons.groupby("parameter", sort=False))[:4]:
        parts = []
        for group, rows in part.groupby("group", sort=True):
            low, middle, high = (number(float(rows["x"].quantile(share))) for share in (0.25, 0.5, 0.75))
            parts.append(f"{group or 'no group'} (n = {len(rows)}) median {middle}, quartiles {low} to {high}")
        said.append(f"{parameter_label(str(parameter))}: {listed(parts)}")
    more = persons["parameter"].nunique() - len(said)
    rest = f" {more} more parameters are drawn." if more else ""
    return f"Distributions of {noun_of(frame)} effects by group. {'. '.join(said)}.{rest}"
