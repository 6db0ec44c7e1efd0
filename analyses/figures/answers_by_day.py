"""How many of the planned (or most possible) answers were given on each day of the record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analyses.figures.labels import number, print_text
from analyses.figures.palette import BLUE, MUTED, SKY
from analyses.figures.print_room import wrapped
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.screen_style import axis, screen_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

FEWEST = 11


def tidy(by_day: pd.DataFrame, *, relative_to: str, fewest: int = FEWEST) -> pd.DataFrame:
    """Percent answered by day.

    Args:
        by_day: day, persons (who answered on it), compliance (0 to 1), as a study's description gives them.
        relative_to: what 100 % is, in words.
        fewest: days with fewer persons are left out.

    Returns:
        day, persons, percent, relative_to.
    """
    kept = by_day[by_day["persons"] >= fewest]
    return pd.DataFrame(
        {
            "day": kept["day"].to_numpy(dtype=int),
            "persons": kept["persons"].to_numpy(dtype=int),
            "percent": 100 * kept["compliance"].to_numpy(dtype=float),
            "relative_to": relative_to,
        }
    )


def screen(frame: pd.DataFrame, *, height: int = 260) -> go.Figure:
    """One bar per day."""
    import plotly.graph_objects as go

    figure = screen_figure(height, showlegend=False, bargap=0.25)
    figure.add_trace(
        go.Bar(
            x=frame["day"], y=frame["percent"], marker={"color": SKY, "line": {"color": BLUE, "width": 1}},
            customdata=frame["persons"], hovertemplate="day %{x}: %{y:.0f} %, %{customdata} persons<extra></extra>",
        )
    )  # fmt: skip
    every = max(1, len(frame) // 15)
    figure.update_xaxes(axis("Day of the record", showgrid=False, zeroline=False, dtick=every))
    top = max(100.0, float(frame["percent"].max())) if len(frame) else 100.0
    figure.update_yaxes(axis("Answered, %", range=[0, top]))
    figure.update_layout(margin={"t": 16})
    return figure


@print_settings()
def print_figure(frame: pd.DataFrame, *, width_mm: float = 127.0) -> Figure:
    """The same for print."""
    figure = print_canvas(width_mm, min(0.5 * width_mm, 62.0))
    axes = figure.subplots()
    axes.bar(frame["day"], frame["percent"], width=0.75, color=SKY, edgecolor=BLUE, linewidth=0.5)
    top = max(100.0, float(frame["percent"].max())) if len(frame) else 100.0
    axes.set(xlabel="Day of the record", ylabel="Answered, %", ylim=(0, top))
    words = f"100 %: {frame['relative_to'].iloc[0]}" if len(frame) else ""
    axes.set_title(print_text(wrapped(words, width_mm - 14, 7.5)), loc="left", color=MUTED, fontsize=7.5)
    calm(axes, grid="y")
    return figure


def alt_text(frame: pd.DataFrame) -> str:
    """The first and the last day, and the lowest between."""
    if frame.empty:
        return "On no day did enough persons answer to show it."
    first, last = frame.iloc[0], frame.iloc[-1]
    low = frame.iloc[int(frame["percent"].to_numpy(dtype=float).argmin())]
    return (
        f"Answered by day, of {frame['relative_to'].iloc[0]}: {number(float(first['percent']), 0)} % on day "
        f"{int(first['day'])}, {number(float(last['percent']), 0)} % on day {int(last['day'])}; lowest on day "
        f"{int(low['day'])} ({number(float(low['percent']), 0)} %)."
    )
