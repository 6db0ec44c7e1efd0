"""Predicted against observed, in bins: points on the diagonal are predictions that come true."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from analyses.figures.labels import listed, number, print_text, screen_text
from analyses.figures.long_labels import shortened
from analyses.figures.palette import INK, MUTED, Style, group_styles, state_styles
from analyses.figures.print_room import wrapped
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.rows import largest, records
from analyses.figures.screen_style import axis, screen_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 8


def tidy(bins: Mapping[str, pd.DataFrame], *, probability: bool = True, fewest: int = 11) -> pd.DataFrame:
    """One row per panel and bin from `analyses.calibration.calibration_bins`.

    Args:
        bins: table of bins by panel: a state, or the outcome.
        probability: probabilities are shown in percent.
        fewest: bins with fewer persons are left out.

    Returns:
        panel, bin, predicted, observed, low, high (percent, or units of the outcome), rows, persons, probability.
    """
    scale = 100.0 if probability else 1.0
    blocks = []
    for panel, table in bins.items():
        part = table[table["persons"] >= fewest].copy()
        part[["predicted", "observed", "low", "high"]] *= scale
        part.insert(0, "panel", str(panel))
        blocks.append(part)
    frame = pd.concat(blocks, ignore_index=True)
    return frame.assign(probability=probability)


def _ends(frame: pd.DataFrame) -> tuple[float, float]:
    """Both axes of a panel, equal: 0 to 100 percent or what the numbers need."""
    columns = frame[["predicted", "observed", "low", "high"]]
    low, high = float(columns.min().min()), float(columns.max().max())
    margin = 0.05 * (high - low) or 1.0
    if bool(frame["probability"].iloc[0]):
        return 0.0, min(100.0, high + margin)
    return low - margin, high + margin


def _styles(frame: pd.DataFrame) -> dict[str, Style]:
    panels = list(dict.fromkeys(frame["panel"]))
    if bool(frame["probability"].iloc[0]):
        return state_styles(panels)
    return {name: group_styles([name])[name] for name in panels}


def screen(frame: pd.DataFrame, *, height: int | None = None) -> go.Figure:
    """One panel per state, at most four in a row."""
    import plotly.graph_objects as go

    panels = list(dict.fromkeys(frame["panel"]))
    columns = min(len(panels), 4)
    lines = math.ceil(len(panels) / columns)
    figure, styles = screen_figure(height or 60 + 300 * lines, showlegend=False), _styles(frame)
    unit = " %" if bool(frame["probability"].iloc[0]) else ""
    for index, panel in enumerate(panels):
        part, suffix = frame[frame["panel"] == panel], "" if index == 0 else str(index + 1)
        ends, style, axes = list(_ends(part)), styles[panel], {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
        line = {"color": MUTED, "width": 1, "dash": "dot"}
        figure.add_trace(go.Scatter(x=ends, y=ends, mode="lines", line=line, hoverinfo="skip", **axes))
        outline = {"color": style.edge, "width": 1}
        spread = {"array": part["high"] - part["observed"], "arrayminus": part["observed"] - part["low"]}
        figure.add_trace(
            go.Scatter(
                x=part["predicted"], y=part["observed"], mode="lines+markers", name=screen_text(panel),
                line=outline,
                marker={"symbol": style.symbol, "size": 9, "color": style.fill, "line": outline},
                error_y=spread | {"type": "data", "symmetric": False, "color": style.edge, "width": 0},
                hovertemplate=f"predicted %{{x:.1f}}{unit}, observed %{{y:.1f}}{unit}<extra></extra>", **axes,
            )
        )  # fmt: skip
        column, row = index % columns, index // columns
        left, top = column / columns, 1 - row / lines
        x_domain, y_domain = [left + (0.05 if column else 0), left + 1 / columns], [top - 1 / lines + 0.16, top - 0.06]
        titles = (f"Predicted{unit and ', %'}", f"Observed{unit and ', %'}" if column == 0 else "")
        figure.update_layout(
            {
                f"xaxis{suffix}": axis(titles[0], domain=x_domain, anchor=f"y{suffix}", range=ends, zeroline=False),
                f"yaxis{suffix}": axis(titles[1], domain=y_domain, anchor=f"x{suffix}", range=ends, zeroline=False),
            }
        )
        figure.add_annotation(
            x=sum(x_domain) / 2, y=y_domain[1], xref="paper", yref="paper", yanchor="bottom", showarrow=False,
            text=f"<b>{screen_text(shortened(panel, 28))}</b>", font={"size": 14, "color": INK},
        )  # fmt: skip
    return figure


@print_settings()
def print_figure(frame: pd.DataFrame, *, width_mm: float = 165.0) -> Figure:
    """The same for print."""
    panels = list(dict.fromkeys(frame["panel"]))
    columns = max(1, min(len(panels), 4, int(width_mm / 38)))
    columns = math.ceil(len(panels) / math.ceil(len(panels) / columns))
    lines, side = math.ceil(len(panels) / columns), min((width_mm - 8) / columns, 90.0)
    figure = print_canvas(width_mm, lines * (side + 8))
    grid, styles = figure.subplots(lines, columns, squeeze=False), _styles(frame)
    unit = ", %" if bool(frame["probability"].iloc[0]) else ""
    for index, axes in enumerate(grid.flat):
        if index >= len(panels):
            axes.remove()
            continue
        part = frame[frame["panel"] == panels[index]]
        _print_panel(axes, part, styles[panels[index]])
        axes.set_title(print_text(wrapped(panels[index], side - 6, 8.0)))
        axes.set_xlabel(f"Predicted{unit}" if index >= len(panels) - columns else "")
        axes.set_ylabel(f"Observed{unit}" if index % columns == 0 else "")
    return figure


def _print_panel(axes: Axes, part: pd.DataFrame, style: Style) -> None:
    ends = _ends(part)
    axes.plot(ends, ends, color=MUTED, linewidth=0.6, linestyle=":", zorder=1)
    known = part[part["low"].notna()]
    axes.vlines(known["predicted"], known["low"], known["high"], color=style.edge, linewidth=0.8, zorder=2)
    look = {"marker": style.marker, "markersize": 3.5, "markerfacecolor": style.fill, "markeredgecolor": style.edge}
    axes.plot(
        part["predicted"], part["observed"], color=style.edge, linewidth=0.6, markeredgewidth=0.5, zorder=3, **look
    )
    axes.set(xlim=ends, ylim=ends, aspect="equal")
    axes.locator_params(nbins=5)
    calm(axes, grid="both")


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence per panel with the largest gap between predicted and observed."""
    if frame.empty:
        return "Too few persons in each bin to show how predictions come true."
    said = []
    unit = " %" if bool(frame["probability"].iloc[0]) else ""
    for panel, part in frame.groupby("panel", sort=False):
        top = largest(part.assign(gap=part["observed"] - part["predicted"]), "gap")
        off = sum(1 for row in records(part) if row.low == row.low and not row.low <= row.predicted <= row.high)
        said.append(
            f"{panel}: furthest off where {number(top['predicted'], 0)}{unit} were predicted and "
            f"{number(top['observed'], 0)}{unit} observed; {off} of {len(part)} intervals miss the diagonal"
        )
    return f"Predicted against observed in bins. {listed(said) if len(said) == 1 else '. '.join(said)}."
