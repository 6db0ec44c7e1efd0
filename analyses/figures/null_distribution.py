"""The permutation distribution of a statistic (n x HSIC, a correlation) with the observed value in it."""

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
X_TITLE, WHAT = "n × HSIC when group labels are shuffled", "n times HSIC under {} permutations of the group labels"


def tidy(result: HsicResult, *, bins: int = BINS) -> pd.DataFrame:
    """One row per bar: left, right, count, beyond (at least as large as observed), statistic, pvalue, permutations.

    The observed value is an edge of two bars, so that the coloured bars are exactly the permutations that reach it.
    """
    observed = float(result.statistic)
    null = np.asarray(result.null, dtype=float)
    # ties are counted by >= within a tolerance, as the p-value counts them
    reached = null >= observed - 1e-9 * max(1.0, abs(observed))
    edges = _edges(null, observed, bins)
    frame = _bars(np.where(reached & (null < observed), observed, null), edges, observed, float(result.pvalue))
    return frame.assign(beyond=frame["left"] >= observed, x_title=X_TITLE, what=WHAT)


def tidy_two_sided(
    null: np.ndarray, observed: float, pvalue: float, *, x_title: str, what: str, bins: int = BINS
) -> pd.DataFrame:
    """The same for a statistic that counts in both directions: coloured are values as far from zero as observed.

    Args:
        null: the statistic under each permutation.
        observed: its value in the data.
        pvalue: two-sided.
        x_title: words below the axis.
        what: words for the figure in words, with ``{}`` for the number of permutations.
        bins: bars between the smallest and the largest value.
    """
    size = abs(observed)
    reach = max(float(np.abs(null).max()), size)
    within = np.linspace(-size, size, max(2, 2 * round(bins * size / (2 * reach)) + 1)) if size > 0 else np.array([0.0])
    width = 2 * reach / bins
    further = np.arange(1, int(np.ceil((reach - size) / width - 1e-9)) + 1) * width
    edges = np.concatenate([-(size + further[::-1]), within, size + further])
    if len(edges) < 2:
        edges = np.array([-0.5, 0.5])
    # a value equal to the observed one belongs to the coloured side
    slack = 1e-9 * max(1.0, size)
    moved = np.where(np.isclose(np.abs(null), size, rtol=0, atol=slack), np.sign(null) * (size + slack), null)
    frame = _bars(moved, edges, observed, pvalue)
    middle = (frame["left"] + frame["right"]) / 2
    return frame.assign(beyond=middle.abs() > size, x_title=x_title, what=what)


def _bars(null: np.ndarray, edges: np.ndarray, observed: float, pvalue: float) -> pd.DataFrame:
    counts = np.histogram(np.clip(null, edges[0], edges[-1]), edges)[0]
    return pd.DataFrame(
        {
            "left": edges[:-1],
            "right": edges[1:],
            "count": counts,
            "beyond": False,
            "statistic": observed,
            "pvalue": pvalue,
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
    figure.update_xaxes(axis(str(frame["x_title"].iloc[0]), showgrid=False, zeroline=False))
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
    axes.set(xlabel=str(frame["x_title"].iloc[0]), ylabel="Permutations")
    axes.set_ylim(top=1.14 * float(frame["count"].max()))
    calm(axes, grid="y")
    return figure


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with the observed value, the number of permutations that reach it, and p."""
    reached, total = int(frame.loc[frame["beyond"], "count"].sum()), int(frame["permutations"].iloc[0])
    observed, pvalue = float(frame["statistic"].iloc[0]), float(frame["pvalue"].iloc[0])
    return (
        f"Histogram of {str(frame['what'].iloc[0]).format(f'{total:,}')}. The observed value is "
        f"{number(observed)}; {reached:,} permutations are at least as large, {wording.p_text(pvalue)}."
    )
