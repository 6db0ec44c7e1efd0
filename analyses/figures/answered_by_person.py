"""How much every person answered: a mark per person, sorted, by group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analyses.figures.labels import number, print_text, screen_text
from analyses.figures.long_labels import shortened
from analyses.figures.palette import INK, group_styles
from analyses.figures.print_room import legend_above
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.screen_style import axis, screen_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure


def tidy(persons: pd.DataFrame, *, planned: int, unit: str = "rows", is_plan: bool = False) -> pd.DataFrame:
    """One row per person, fewest answers first.

    Args:
        persons: person, group (``""`` where unknown), answered.
        planned: answers that make 100 %.
        unit: what is answered, plural.
        is_plan: whether that many were planned; else it is the most anybody has.

    Returns:
        position, person, group, answered, percent, planned, is_plan, unit.
    """
    frame = persons[["person", "group", "answered"]].sort_values(["answered", "person"], kind="stable")
    frame = frame.reset_index(drop=True)
    frame.insert(0, "position", frame.index + 1)
    percent = 100 * frame["answered"] / max(planned, 1)
    return frame.assign(percent=percent, planned=planned, is_plan=is_plan, unit=unit)


def _words(frame: pd.DataFrame) -> str:
    return f"{frame['unit'].iloc[0]} answered"


def screen(frame: pd.DataFrame, *, height: int = 300) -> go.Figure:
    """A trace per group; no pseudonyms."""
    import plotly.graph_objects as go

    figure = screen_figure(height, hovermode="closest", dragmode="lasso")
    styles = group_styles(sorted(frame["group"].unique()))
    for group, part in frame.groupby("group", sort=True):
        style = styles[str(group)]
        marker = {"symbol": style.symbol, "size": 7, "color": style.fill, "line": {"width": 1, "color": style.edge}}
        figure.add_trace(
            go.Scatter(x=part["position"], y=part["answered"], mode="markers", marker=marker,
                       name=f"{screen_text(shortened(group or 'no group', 40))} ({len(part)})",
                       hovertemplate="%{y} answered<extra></extra>")
        )  # fmt: skip
    planned = int(frame["planned"].iloc[0])
    figure.add_hline(y=planned, line={"color": INK, "width": 1, "dash": "dot"})
    unit = screen_text(shortened(_words(frame), 30))
    figure.update_xaxes(axis("Persons, sorted", showgrid=False, zeroline=False, range=[0, len(frame) + 1]))
    figure.update_yaxes(axis(unit[:1].upper() + unit[1:], rangemode="tozero"))
    return figure


@print_settings()
def print_figure(frame: pd.DataFrame, *, width_mm: float = 127.0) -> Figure:
    """The same for print."""
    figure = print_canvas(width_mm, min(0.5 * width_mm, 65.0))
    axes, styles = figure.subplots(), group_styles(sorted(frame["group"].unique()))
    for group, part in frame.groupby("group", sort=True):
        style = styles[str(group)]
        axes.plot(part["position"], part["answered"], linestyle="none", marker=style.marker, markersize=2.6,
                  color=style.fill, markeredgecolor=style.edge, markeredgewidth=0.5,
                  label=print_text(f"{group or 'no group'} (n = {len(part)})"))  # fmt: skip
    axes.axhline(int(frame["planned"].iloc[0]), color=INK, linewidth=0.6, linestyle=":")
    axes.set(xlabel="Persons, sorted", ylabel=print_text(_words(frame)), ylim=(0, None))
    calm(axes, grid="y")
    legend_above(figure, width_mm)
    return figure


def alt_text(frame: pd.DataFrame) -> str:
    """Median and span over persons, and how many answered less than half."""
    if frame.empty:
        return "No persons to show."
    few, total = int((frame["percent"] < 50).sum()), len(frame)
    low, high = int(frame["answered"].min()), int(frame["answered"].max())
    planned = "planned" if bool(frame["is_plan"].iloc[0]) else "that the person with most has"
    said, middle = _words(frame), number(float(frame["answered"].median()), 0)
    return (
        f"{said[:1].upper()}{said[1:]} by each of {total} persons: median {middle}, from {low} to {high}. "
        f"{few} of {total} have less than half of the {int(frame['planned'].iloc[0])} {planned}."
    )
