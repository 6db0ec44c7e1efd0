"""Rows of points with intervals (a forest plot), in panels: shared by model comparison, stability and slopes.

A frame has one row per point: block (panels below one another), panel (beside one another), row (label), value, low,
high, wide_low, wide_high (a second, wider interval; NaN for none), clear (drawn filled, else open), text (to the right
of the panel, often empty). Rows appear in the order of the frame, the first at the top.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses.figures.labels import number, print_text, screen_text
from analyses.figures.long_labels import broken, distinct, shortened
from analyses.figures.palette import BLUE, GRID, INK, MUTED, PAPER, VERMILION
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.rows import records
from analyses.figures.screen_style import axis, screen_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = ("block", "panel", "row", "value", "low", "high", "wide_low", "wide_high", "clear", "text")
ROW_PX, ROW_MM, DENSE_MM, MANY_ROWS = 26, 4.6, 3.8, 24
NARROWEST_MM = 22.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsLook:
    """What stands at the axes: per panel a title below, a line such as zero, and fixed ends; words of the legend."""

    x_titles: Mapping[str, str] = field(default_factory=dict)
    lines: Mapping[str, float] = field(default_factory=dict)
    ends: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    narrow_words: str = ""
    wide_words: str = ""
    clear_words: str = ""
    open_words: str = ""


def limits(part: pd.DataFrame, look: RowsLook) -> tuple[float, float]:
    """Ends of a panel's axis: all intervals and the line."""
    panel = str(part["panel"].iloc[0])
    if panel in look.ends:
        return look.ends[panel]
    seen = part[["value", "low", "high", "wide_low", "wide_high"]].to_numpy(dtype=float).ravel()
    seen = np.append(seen[np.isfinite(seen)], look.lines.get(panel, np.nan))
    seen = seen[np.isfinite(seen)]
    if not seen.size:
        return -1.0, 1.0
    width = float(seen.max() - seen.min()) or 1.0
    return float(seen.min()) - 0.06 * width, float(seen.max()) + 0.06 * width


def _layout(frame: pd.DataFrame) -> tuple[list[str], list[str], dict[str, list[str]]]:
    blocks, panels = list(dict.fromkeys(frame["block"])), list(dict.fromkeys(frame["panel"]))
    rows = {block: list(dict.fromkeys(frame.loc[frame["block"] == block, "row"])) for block in blocks}
    return blocks, panels, rows


def screen(frame: pd.DataFrame, look: RowsLook) -> go.Figure:
    """Panels beside one another, one row of panels per block; the full label appears on hovering."""
    blocks, panels, rows = _layout(frame)
    heights = [ROW_PX * max(len(rows[block]), 1) + 20 for block in blocks]
    height = sum(heights) + 92 * len(blocks) + 70
    figure = screen_figure(height, hovermode="closest")
    total = sum(heights) + 92 * max(len(blocks) - 1, 0) or 1
    top = 1.0
    for number_of_block, block in enumerate(blocks):
        bottom = max(top - heights[number_of_block] / total, 0.0)
        for index, panel in enumerate(panels):
            part = frame[(frame["block"] == block) & (frame["panel"] == panel)]
            if part.empty:
                continue
            k = number_of_block * len(panels) + index
            room = min(0.009 * max(frame["text"].str.len()), 0.22)
            width = (1 - 0.04 * (len(panels) - 1)) / len(panels)
            left = index * (width + 0.04)
            place = ([left, left + width - room], [bottom, top])
            _screen_panel(figure, part, look, rows[block], k, place, first=index == 0)
        top = bottom - 92 / total
    _screen_legend(figure, look)
    figure.update_layout(margin={"t": 70, "l": 40}, legend={"y": 1 + 34 / height})
    return figure


def _screen_panel(
    figure: go.Figure,
    part: pd.DataFrame,
    look: RowsLook,
    rows: list[str],
    k: int,
    place: tuple[list[float], list[float]],
    *,
    first: bool,
) -> None:
    import plotly.graph_objects as go

    suffix = "" if k == 0 else str(k + 1)
    axes = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
    at = {row: index for index, row in enumerate(rows)}
    y = part["row"].map(at).astype(float)
    for low, high, width, colour in (("wide_low", "wide_high", 1.5, INK), ("low", "high", 4, BLUE)):
        if part[low].isna().all():
            continue
        xs = [v for a, b in zip(part[low], part[high], strict=True) for v in (a, b, None)]
        ys = [v for value in y for v in (value, value, None)]
        line = {"width": width, "color": colour}
        figure.add_trace(go.Scatter(x=xs, y=ys, mode="lines", line=line, hoverinfo="skip", showlegend=False, **axes))
    words = [[screen_text(shortened(r.row, 120)), number(r.value, 3), number(r.low, 3), number(r.high, 3)]
             for r in records(part)]  # fmt: skip
    fills = [VERMILION if clear else PAPER for clear in part["clear"]]
    dots = {"size": 9, "symbol": "diamond", "color": fills, "line": {"color": VERMILION, "width": 1.5}}
    figure.add_trace(
        go.Scatter(
            x=part["value"], y=y, mode="markers", marker=dots, customdata=words, showlegend=False, **axes,
            hovertemplate="%{customdata[0]}<br>%{customdata[1]} [%{customdata[2]}, %{customdata[3]}]<extra></extra>",
        )
    )  # fmt: skip
    _screen_axes(figure, part, look, rows, (f"x{suffix}", f"y{suffix}"), place, first=first)


def _screen_axes(
    figure: go.Figure,
    part: pd.DataFrame,
    look: RowsLook,
    rows: list[str],
    axes: tuple[str, str],
    place: tuple[list[float], list[float]],
    *,
    first: bool,
) -> None:
    """Texts, the line, labels and titles of one panel."""
    at, (x_axis, y_axis) = {row: index for index, row in enumerate(rows)}, axes
    panel, ends = str(part["panel"].iloc[0]), limits(part, look)
    for row in records(part[part["text"] != ""]):
        figure.add_annotation(
            x=place[0][1], xref="paper", y=at[row.row], yref=y_axis, xanchor="left", showarrow=False, xshift=6,
            text=screen_text(row.text), font={"size": 13},
        )  # fmt: skip
    if panel in look.lines:
        x = look.lines[panel]
        figure.add_shape(
            type="line", x0=x, x1=x, y0=-0.5, y1=len(rows) - 0.5, xref=x_axis, yref=y_axis,
            line={"color": INK, "width": 1, "dash": "dot"}, layer="below",
        )  # fmt: skip
    names = [screen_text(label) for label in distinct(rows, 34)] if first else [""] * len(rows)
    title = look.x_titles.get(panel, "")
    figure.update_layout(
        {
            f"xaxis{x_axis[1:]}": axis(title, domain=place[0], anchor=y_axis, range=list(ends), zeroline=False),
            f"yaxis{y_axis[1:]}": axis(
                domain=place[1], anchor=x_axis, range=[len(rows) - 0.5, -0.5], tickvals=list(range(len(rows))),
                ticktext=names, showgrid=False, zeroline=False,
            ),
        }
    )  # fmt: skip
    heading = str(part["block"].iloc[0]) if first else ""
    if heading:
        figure.add_annotation(
            x=place[0][0], y=place[1][1], xref="paper", yref="paper", xanchor="left", yanchor="bottom", showarrow=False,
            text=f"<b>{screen_text(shortened(heading, 60))}</b>", font={"size": 14, "color": INK},
        )  # fmt: skip


def _screen_legend(figure: go.Figure, look: RowsLook) -> None:
    """Entries that explain thick and thin intervals, filled and open points; they belong to no panel."""
    import plotly.graph_objects as go

    dots = {"size": 9, "symbol": "diamond", "line": {"color": VERMILION, "width": 1.5}}
    kinds: list[tuple[str, dict[str, Any]]] = [
        (look.narrow_words, {"mode": "lines", "line": {"width": 4, "color": BLUE}}),
        (look.wide_words, {"mode": "lines", "line": {"width": 1.5, "color": INK}}),
        (look.clear_words, {"mode": "markers", "marker": dots | {"color": VERMILION}}),
        (look.open_words, {"mode": "markers", "marker": dots | {"color": PAPER}}),
    ]
    for words, style in kinds:
        if words:
            figure.add_trace(go.Scatter(x=[None], y=[None], name=words, showlegend=True, **style))


@print_settings()
def print_figure(frame: pd.DataFrame, look: RowsLook, *, width_mm: float) -> Figure:
    """The same for print; on a narrow page the panels of a block stand below one another."""
    blocks, panels, rows = _layout(frame)
    characters = max(24, int(width_mm * 0.32 / 1.5))
    room = _room(frame, width_mm, characters)
    columns = max(len(panels), 1) if room >= NARROWEST_MM * len(panels) else 1
    places = [(block, panel) for block in blocks for panel in panels]
    labels = {b: ["\n".join(broken(label, characters)) for label in distinct(rows[b], 90)] for b in blocks}
    each = DENSE_MM if sum(map(len, rows.values())) > MANY_ROWS else ROW_MM
    heights = [_height(labels[block], each) for block, _ in places[::columns]] or [20.0]
    legend = _legend_words(look)
    across = max(1, min(len(legend), int(width_mm // (1.4 * max((len(w) for w, _ in legend), default=1) + 12))))
    total = sum(heights) + 13 * len(heights) + 4.4 * -(-len(legend) // across) + 3
    figure = print_canvas(width_mm, total)
    grid = figure.subplots(len(heights), columns, squeeze=False, height_ratios=heights)
    for k, axes in enumerate(grid.ravel()):
        block, panel = places[k] if k < len(places) else ("", "")
        part = frame[(frame["block"] == block) & (frame["panel"] == panel)]
        if part.empty:
            axes.set_visible(False)
            continue
        _print_panel(axes, part, look, rows[block], int(1.05 * room / columns / 1.45))
        if panel in look.ends and block != blocks[-1] and columns == len(panels):
            axes.set_xlabel("")  # the same axis stands below
        first = k % columns == 0
        axes.set_yticks(range(len(rows[block])), [print_text(n) for n in labels[block]] if first else [])
        if first and block and panel == panels[0]:
            axes.set_title("\n".join(print_text(line) for line in broken(block, characters * 2)), loc="left")
    _print_legend(figure, legend, across)
    return figure


def _room(frame: pd.DataFrame, width_mm: float, characters: int) -> float:
    """Millimetres that labels and texts leave to all panels together when these stand side by side."""
    texts = sum(float(part["text"].str.len().max()) for _, part in frame.groupby("panel")) * 1.4
    labels = min(float(frame["row"].str.len().max()), characters) * 1.45 if len(frame) else 0.0
    return max(width_mm - labels - texts, 0.3 * width_mm)


def _height(labels: list[str], each: float) -> float:
    """Millimetres for the rows of one panel; a label over two lines takes more."""
    return each * len(labels) + 2.3 * sum("\n" in label for label in labels) + 3


def _print_legend(figure: Figure, legend: list[tuple[str, dict[str, Any]]], across: int) -> None:
    from matplotlib.lines import Line2D

    if legend:
        handles = [Line2D([], [], **style) for _, style in legend]
        words = [print_text(words) for words, _ in legend]
        figure.legend(handles, words, loc="outside upper left", ncols=across, frameon=False)


def _legend_words(look: RowsLook) -> list[tuple[str, dict[str, Any]]]:
    dot = {"marker": "D", "markersize": 3.6, "linestyle": "none", "markeredgecolor": VERMILION, "markeredgewidth": 0.7}
    kinds = (
        (look.narrow_words, {"color": BLUE, "linewidth": 2.2}),
        (look.wide_words, {"color": INK, "linewidth": 0.7}),
        (look.clear_words, dot | {"markerfacecolor": VERMILION}),
        (look.open_words, dot | {"markerfacecolor": PAPER}),
    )
    return [(words, style) for words, style in kinds if words]


def _print_panel(axes: Axes, part: pd.DataFrame, look: RowsLook, rows: list[str], characters: int) -> None:
    at = {row: index for index, row in enumerate(rows)}
    y = part["row"].map(at).to_numpy(dtype=float)
    axes.hlines(y, part["wide_low"], part["wide_high"], color=INK, linewidth=0.7)
    axes.hlines(y, part["low"], part["high"], color=BLUE, linewidth=2.2)
    for clear, fill in ((True, VERMILION), (False, PAPER)):
        mine = part["clear"].to_numpy(dtype=bool) == clear
        axes.plot(
            part["value"].to_numpy(dtype=float)[mine], y[mine], marker="D", linestyle="none", markersize=3.6,
            markerfacecolor=fill, markeredgecolor=VERMILION, markeredgewidth=0.7, zorder=3,
        )  # fmt: skip
    panel, ends = str(part["panel"].iloc[0]), limits(part, look)
    if panel in look.lines:
        axes.axvline(look.lines[panel], color=INK, linewidth=0.6, linestyle=":", zorder=0)
    for row in records(part[part["text"] != ""]):
        axes.annotate(
            print_text(row.text), (1.0, at[row.row]), xycoords=("axes fraction", "data"), xytext=(3, 0),
            textcoords="offset points", ha="left", va="center", fontsize=7,
        )  # fmt: skip
    axes.set(xlim=ends, ylim=(len(rows) - 0.5, -0.5))
    title = look.x_titles.get(panel, "")
    axes.set_xlabel("\n".join(print_text(line) for line in broken(title, max(characters, 14), 3)))
    axes.hlines(np.arange(len(rows)), *ends, color=GRID, linewidth=0.5, zorder=-1)
    calm(axes)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.xaxis.label.set_color(MUTED)
