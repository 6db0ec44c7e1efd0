"""How the fitting went: training loss and validation metric by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analyses.figures.labels import listed, number
from analyses.figures.palette import BLUE, VERMILION
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.screen_style import axis, screen_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

SERIES = {"loss": "Training loss", "validation": "Validation metric"}
COLOURS = {"Training loss": BLUE, "Validation metric": VERMILION}


def tidy(trace: pd.DataFrame) -> pd.DataFrame:
    """Long frame of the run's trace: epoch, series (training loss or validation metric), defined values."""
    blocks = [
        pd.DataFrame({"epoch": trace["epoch"], "series": label, "value": trace[column].astype(float)})
        for column, label in SERIES.items()
        if column in trace and trace[column].notna().any()
    ]
    if not blocks:
        return pd.DataFrame(columns=["epoch", "series", "value"])
    return pd.concat(blocks, ignore_index=True).dropna(subset=["value"]).reset_index(drop=True)


def screen(frame: pd.DataFrame, *, height: int = 280) -> go.Figure:
    """One small panel per series beside each other, since their units differ."""
    import plotly.graph_objects as go

    figure = screen_figure(height, showlegend=False)
    names = list(dict.fromkeys(frame["series"]))
    for index, name in enumerate(names):
        part, suffix = frame[frame["series"] == name], "" if index == 0 else str(index + 1)
        left = index / max(len(names), 1)
        line = {"color": COLOURS[name], "width": 2}
        hover = "epoch %{x}: %{y:.3f}<extra></extra>"
        figure.add_trace(
            go.Scatter(x=part["epoch"], y=part["value"], mode="lines", line=line, name=name, hovertemplate=hover,
                       xaxis=f"x{suffix}", yaxis=f"y{suffix}")
        )  # fmt: skip
        domain = [left + (0.07 if index else 0), left + 1 / len(names)]
        figure.update_layout(
            {
                f"xaxis{suffix}": axis("Epoch", anchor=f"y{suffix}", domain=domain, showgrid=False, zeroline=False),
                f"yaxis{suffix}": axis(name, anchor=f"x{suffix}", zeroline=False),
            }
        )
    return figure


@print_settings()
def print_figure(frame: pd.DataFrame, *, width_mm: float = 127.0) -> Figure:
    """The same for print."""
    names = list(dict.fromkeys(frame["series"])) or [""]
    figure = print_canvas(width_mm, 0.4 * width_mm)
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        part = frame[frame["series"] == name]
        axes.plot(part["epoch"], part["value"], color=COLOURS.get(name, BLUE))
        axes.set(xlabel="Epoch", ylabel=name)
        calm(axes, grid="y")
    return figure


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with the first and the last value of each series."""
    if frame.empty:
        return "No training record to show."
    parts = [
        f"{str(name).lower()} from {number(part['value'].iloc[0], 3)} to {number(part['value'].iloc[-1], 3)}"
        for name, part in frame.groupby("series", sort=False)
    ]
    return f"Training over {int(frame['epoch'].max())} epochs: {listed(parts)}."
