"""The group difference under every combination of choices, sorted, and which choices each one made (multiverse)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses import wording
from analyses.figures.labels import number, print_text, screen_text
from analyses.figures.long_labels import shortened
from analyses.figures.palette import INK, MUTED, PAPER, VERMILION
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.screen_style import axis, screen_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

    from analyses.multiverse import Multiverse

FACTORS = {
    "states": "States",
    "value": "Transitions",
    "kernel": "Kernel",
    "bandwidth": "Bandwidth",
    "diagonal": "Stays in a state",
    "unit": "Shuffled",
}
CALM = "#8A94A0"


def tidy(result: Multiverse | pd.DataFrame, *, summary: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """One row per specification, smallest effect first, with its place and its choices in words.

    Args:
        result: a specification curve, or its kept table.
        summary: needed with a table: median_effect, p_median, alpha, permutations, unit_name.

    Returns:
        place (1, 2, ...), effect, expected (by chance), pvalue, significant, one text column per factor that was
        varied, and median_effect, p_median, alpha in every row.
    """
    table = result if isinstance(result, pd.DataFrame) else result.to_frame()
    facts = summary if summary is not None else {} if isinstance(result, pd.DataFrame) else result.summary()
    table = table.sort_values("effect", kind="stable", ignore_index=True)
    frame = table[["effect", "expected", "pvalue"]].astype(float).assign(significant=table["significant"].astype(bool))
    frame.insert(0, "place", np.arange(1, len(table) + 1))
    words = {
        "bandwidth": lambda v: "none" if pd.isna(v) else "median" if v == 1 else f"{v:g} × median",
        "diagonal": lambda v: "with" if v else "without",
    }
    for factor in FACTORS:
        column = [words.get(factor, str)(value) for value in table[factor]]
        if len(set(column)) > 1:
            frame[factor] = column
    return frame.assign(
        median_effect=float(facts.get("median_effect", table["effect"].median())),
        p_median=float(facts.get("p_median", np.nan)),
        alpha=float(facts.get("alpha", 0.05)),
    )


def choices(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """Factor and option of every row below the curve, from top to bottom."""
    return [(factor, option) for factor in FACTORS if factor in frame for option in sorted(frame[factor].unique())]


def _parts(frame: pd.DataFrame) -> list[tuple[pd.DataFrame, bool, str]]:
    alpha = wording.bounded(float(frame["alpha"].iloc[0])) if len(frame) else ".05"
    words = ((True, f"p below {alpha}"), (False, f"p of {alpha} or more"))
    return [(frame[frame["significant"] == found], found, label) for found, label in words]


def screen(frame: pd.DataFrame) -> go.Figure:
    """The curve above, one line of marks per option below; hovering names all choices of a specification."""
    import plotly.graph_objects as go

    rows = choices(frame)
    place = {row: index for index, row in enumerate(rows)}
    height = 300 + 20 * len(rows)
    figure = screen_figure(height, hovermode="closest")
    gap = 190 / height * 1.25
    factors = [factor for factor in FACTORS if factor in frame]
    for part, found, label in _parts(frame):
        told = part[factors].map(screen_text).agg("<br>".join, axis=1) if factors and len(part) else [""] * len(part)
        fill = VERMILION if found else PAPER
        dot = {"symbol": "diamond" if found else "circle", "size": 7, "color": fill}
        dot["line"] = {"width": 1.2, "color": VERMILION if found else CALM}
        figure.add_trace(
            go.Scatter(
                x=part["place"], y=part["effect"], mode="markers", name=label, marker=dot, customdata=told,
                hovertemplate="effect %{y:.3f}<br>%{customdata}<extra></extra>",
            )
        )  # fmt: skip
        for factor in factors:
            ys = [place[factor, option] for option in part[factor]]
            tick = {"symbol": "line-ns", "size": 9, "line": {"width": 2, "color": VERMILION if found else CALM}}
            figure.add_trace(
                go.Scatter(
                    x=part["place"], y=ys, mode="markers", marker=tick, showlegend=False, hoverinfo="skip", yaxis="y2"
                )
            )
    dash = {"symbol": "line-ew", "size": 7, "line": {"width": 1.5, "color": INK}}
    chance = {"x": frame["place"], "y": frame["expected"], "mode": "markers", "marker": dash, "hoverinfo": "skip"}
    figure.add_trace(go.Scatter(**chance, name="expected by chance"))
    names = [f"{FACTORS[factor]}: {screen_text(shortened(option, 30))}" for factor, option in rows]
    figure.update_layout(
        xaxis=axis("Specifications, sorted by effect", range=[0, len(frame) + 1], anchor="y2", showgrid=False),
        yaxis=axis("Normalised HSIC", domain=[1 - gap, 1.0], rangemode="tozero"),
        yaxis2=axis(
            domain=[0.0, max(1 - gap - 0.03, 0.05)], range=[len(rows) - 0.4, -0.6], tickvals=list(range(len(rows))),
            ticktext=names, zeroline=False,
        ),
        margin={"t": 64, "l": 40}, legend={"y": 1.02},
    )  # fmt: skip
    return figure


@print_settings()
def print_figure(frame: pd.DataFrame, *, width_mm: float = 183.0) -> Figure:
    """The same for print."""
    rows = choices(frame)
    curve = min(0.32 * width_mm, 52.0)
    below = 3.6 * len(rows) + 2
    figure = print_canvas(width_mm, curve + below + 18)
    grid = figure.subplots(2, 1, sharex=True, height_ratios=[curve, max(below, 1.0)])
    top, bottom = grid
    size = min(3.4, 2.2 + 60 / max(len(frame), 1))
    for part, found, label in _parts(frame):
        colour = VERMILION if found else CALM
        look = {"markerfacecolor": colour if found else PAPER, "markeredgecolor": colour, "markeredgewidth": 0.5}
        marker = "D" if found else "o"
        top.plot(part["place"], part["effect"], linestyle="none", marker=marker, markersize=size, label=label, **look)
        for index, (factor, option) in enumerate(rows):
            mine = part.loc[part[factor] == option, "place"]
            bottom.vlines(mine, index - 0.34, index + 0.34, color=colour, linewidth=1.0 if len(frame) < 150 else 0.6)
    half = 0.42
    top.hlines(
        frame["expected"], frame["place"] - half, frame["place"] + half, color=INK, linewidth=0.8,
        label="expected by chance",
    )  # fmt: skip
    top.set_ylim(bottom=min(0.0, float(frame["expected"].min()) if len(frame) else 0.0))
    top.set_ylabel("Normalised HSIC")
    calm(top, grid="y")
    top.tick_params(axis="x", length=0)
    most = max(12, int(width_mm / 6))
    options = [shortened(option, most) for _, option in rows]
    bottom.set_yticks(range(len(rows)), [print_text(name) for name in options])
    bottom.set(ylim=(len(rows) - 0.4, -0.6), xlim=(0, len(frame) + 1), xlabel="Specifications, sorted by effect")
    _name_factors(bottom, rows)
    calm(bottom)
    bottom.tick_params(axis="y", length=0, labelsize=6.5)
    bottom.spines["left"].set_visible(False)
    figure.legend(
        *top.get_legend_handles_labels(), loc="outside upper left", ncols=3 if width_mm > 110 else 2, frameon=False
    )
    return figure


def _name_factors(axes: Any, rows: list[tuple[str, str]]) -> None:
    """A thin line between factors, and the name of each at the right of its first option."""
    for index, (factor, _) in enumerate(rows):
        if index and rows[index - 1][0] == factor:
            continue
        if index:
            axes.axhline(index - 0.5, color=MUTED, linewidth=0.5)
        axes.annotate(
            FACTORS[factor], (1.0, index), xycoords=("axes fraction", "data"), xytext=(3, 0), color=MUTED,
            textcoords="offset points", va="center", fontsize=6.5,
        )  # fmt: skip


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with the number of specifications that find a difference, and the joint test."""
    if frame.empty:
        return "No specification was tried."
    first = frame.iloc[0]
    joint = (
        "" if np.isnan(first["p_median"]) else f", joint test of the median {wording.p_text(float(first['p_median']))}"
    )
    return (
        f"Effects of {len(frame)} specifications, sorted: normalised HSIC from {number(frame['effect'].min(), 3)} to "
        f"{number(frame['effect'].max(), 3)}, median {number(float(first['median_effect']), 3)}{joint}. "
        f"{int(frame['significant'].sum())} have p below {wording.bounded(float(first['alpha']))}; "
        f"{number(float(frame['expected'].median()), 3)} is expected by chance."
    )
