"""The permutation distribution of n x HSIC with the observed value in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses import wording
from analyses.figures.labels import number
from analyses.figures.palette import INK, VERMILION
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.screen_style import axis, screen_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

    from analyses.hsic import HsicResult

BINS = 40
CALM_BAR = "#AEB8C2"


def tidy(result: HsicResult, *, bins: int = BINS) -> pd.DataFrame:
    """One row per bar: left, right, count, beyond (at least as large as observed), statistic, pvalue, permutations.

    The observed value is an edge of two bars, so that the coloured bars are exactly the permutations that reach it.
    """
    null, observed = np.asarray(result.null, dtype=float), float(result.statistic)
    # ties are counted by >= within a tolerance, as the p-value counts them
    reached = null >= observed - 1e-9 * max(1.0, abs(observed))
    edges = _edges(null, observed, bins)
    clipped = np.clip(np.where(reached & (null < observed), observed, null), edges[0], edges[-1])
    counts = np.histogram(clipped, edges)[0]
    return pd.DataFrame(
        {
            "left": edges[:-1],
            "right": edges[1:],
            "count": counts,
            "beyond": edges[:-1] >= observed,
            "statistic": observed,
            "pvalue": float(result.pvalue),
            "permutations": len(null),
        }
    )


def _edges(null: np.ndarray, observed: float, bins: int) -> np.ndarray:
    low, high = min(float(null.min()), observed), max(float(null.max()), observed)
    if high - low < 1e-12:
        return np.array([low - 0.5, low, low + 0.5])
    width = (high - low) / bins
    left = np.arange(np.ceil((observed - low) / width - 1e-9), 0, -1)
    right = np.arange(0, np.ceil((high - observed) / width - 1e-9) + 1)
    if len(right) == 1:
        right = np.array([0.0, 1.0])
    return observed + width * np.concatenate([-left, right])


def screen(frame: pd.DataFrame, *, height: int = 260) -> go.Figure:
    """Bars for the permutations, a line and a word for the observed value."""
    import plotly.graph_objects as go

    figure = screen_figure(height, showlegend=False, bargap=0.06)
    for beyond, name, colour in ((False, "smaller than observed", CALM_BAR), (True, "as large as observed", VERMILION)):
        part = frame[frame["beyond"] == beyond]
        figure.add_trace(
            go.Bar(
                x=(part["left"] + part["right"]) / 2,
                y=part["count"],
                width=part["right"] - part["left"],
                marker={"color": colour},
                name=name,
                hovertemplate="%{y} permutations near %{x:.2f}<extra></extra>",
            )
        )
    observed = float(frame["statistic"].iloc[0])
    figure.add_vline(x=observed, line={"color": INK, "width": 2})
    right_half = observed > (frame["left"].min() + frame["right"].max()) / 2
    figure.add_annotation(
        x=observed, y=1.0, yref="paper", yanchor="bottom", showarrow=False, xanchor="right" if right_half else "left",
        text=f"<b>observed {number(observed)}</b>", font={"color": INK, "size": 14},
    )  # fmt: skip
    figure.update_xaxes(axis("n × HSIC when group labels are shuffled", showgrid=False, zeroline=False))
    figure.update_yaxes(axis("Permutations"))
    return figure


@print_settings()
def print_figure(frame: pd.DataFrame, *, width_mm: float = 127.0) -> Figure:
    """The same for print."""
    figure = print_canvas(width_mm, 0.42 * width_mm)
    axes = figure.subplots()
    widths = frame["right"] - frame["left"]
    colours = [VERMILION if beyond else CALM_BAR for beyond in frame["beyond"]]
    axes.bar(frame["left"], frame["count"], width=0.94 * widths, align="edge", color=colours)
    observed = float(frame["statistic"].iloc[0])
    axes.axvline(observed, color=INK, linewidth=1.2)
    right_half = observed > (frame["left"].min() + frame["right"].max()) / 2
    axes.annotate(
        f"observed {number(observed)}", (observed, 1.0), xycoords=("data", "axes fraction"), va="top", color=INK,
        xytext=(-3 if right_half else 3, -1), textcoords="offset points", ha="right" if right_half else "left",
        fontweight="bold",
    )  # fmt: skip
    axes.set(xlabel="n × HSIC when group labels are shuffled", ylabel="Permutations")
    axes.set_ylim(top=1.14 * float(frame["count"].max()))
    calm(axes, grid="y")
    return figure


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with the observed value, the number of permutations that reach it, and p."""
    reached, total = int(frame.loc[frame["beyond"], "count"].sum()), int(frame["permutations"].iloc[0])
    observed, pvalue = float(frame["statistic"].iloc[0]), float(frame["pvalue"].iloc[0])
    return (
        f"Histogram of n times HSIC under {total:,} permutations of the group labels. The observed value is "
        f"{number(observed)}; {reached:,} permutations are at least as large, {wording.p_text(pvalue)}."
    )
