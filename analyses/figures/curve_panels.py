"""Lines with intervals over a number on the x axis, in panels: shared by less data, power and adaptation.

A frame has one row per point: panel, series, x, value, low, high (NaN without an interval), mark (often empty; marks
stand at the top of the panel, above their x, so that no line crosses them).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses.figures.labels import number, print_text, screen_text
from analyses.figures.long_labels import broken, distinct, shortened
from analyses.figures.palette import INK, MUTED, PAPER
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.rows import records
from analyses.figures.screen_style import axis, screen_figure
from analyses.figures.series_styles import is_open, line_dash, series_styles

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = ("panel", "series", "x", "value", "low", "high", "mark")
STEP = 0.012
MOST_IN_LEGEND = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveAxes:
    """What stands at the axes.

    Attributes:
        x_title, y_title: titles. percent: x is a share, written in percent.
        level: a horizontal line such as the power wanted, and level_words beside it; None for none.
        y_range: fixed ends of the value axis; None: those of the data. series_title: what the lines are, in the legend.
    """

    x_title: str
    y_title: str
    percent: bool = False
    level: float | None = None
    level_words: str = ""
    y_range: tuple[float, float] | None = None
    series_title: str = ""
    panel_titles: dict[str, str] = field(default_factory=dict)


def dodged(frame: pd.DataFrame) -> pd.Series:
    """Places on the x axis, one per cent apart for each series, so that intervals do not hide each other."""
    names = list(dict.fromkeys(frame["series"]))
    ends = float(frame["x"].max() - frame["x"].min()) or 1.0
    place = frame["series"].map({name: k - (len(names) - 1) / 2 for k, name in enumerate(names)}).astype(float)
    return frame["x"] + place * STEP * ends * min(1.0, 4 / len(names))


def x_ticks(frame: pd.DataFrame, look: CurveAxes) -> tuple[list[float], list[str]]:
    """A tick at every value that was tried, as long as they are few."""
    values = sorted({float(value) for value in frame["x"]})
    if len(values) > 10:
        values = [float(value) for value in np.linspace(values[0], values[-1], 6)]
    words = [f"{100 * value:.3g}" if look.percent else f"{value:,.6g}" for value in values]
    return values, words


def _x_title(look: CurveAxes) -> str:
    return f"{look.x_title} (%)" if look.percent else look.x_title


def y_limits(frame: pd.DataFrame, look: CurveAxes) -> tuple[float, float]:
    """Ends of the value axis, with room for a line of marks per series that has any."""
    if look.y_range is not None:
        return look.y_range
    seen = frame[["value", "low", "high"]].to_numpy(dtype=float)
    seen = seen[np.isfinite(seen)]
    if not seen.size:
        return 0.0, 1.0
    room = 0.08 * (float(seen.max() - seen.min()) or 1.0)
    lines = max((len(words.split("\n")) for _, words in marks(frame)), default=0)
    return float(seen.min()) - room, float(seen.max()) + room * (1 + 1.1 * lines)


def marks(frame: pd.DataFrame) -> list[tuple[float, str]]:
    """Each x and the marks of all series there, one line each, at most four."""
    found = []
    for x, part in frame[frame["mark"] != ""].groupby("x", sort=True):
        lines = [str(mark) for mark in part["mark"]]
        found.append((float(str(x)), "\n".join(lines[:3] + (["…"] if len(lines) > 3 else []))))
    return found


def columns_of(panels: int, most: int) -> int:
    """Panels in a row: as few rows as fit, filled evenly."""
    rows = math.ceil(panels / max(most, 1)) or 1
    return math.ceil(panels / rows) or 1


def screen(frame: pd.DataFrame, look: CurveAxes, *, height: int = 380) -> go.Figure:
    """One panel beside the other, at most three in a row; the legend switches series on and off."""
    panels = list(dict.fromkeys(frame["panel"]))
    columns = columns_of(len(panels), 3)
    rows = math.ceil(len(panels) / columns) or 1
    height = height if rows == 1 else 300 * rows + 60
    figure = screen_figure(height, hovermode="closest")
    styles, values = series_styles(frame["series"]), x_ticks(frame, look) if len(frame) else ([], [])
    labels = _legend(list(styles), 40)
    frame = frame.assign(shown=dodged(frame)) if len(frame) else frame
    for index, panel in enumerate(panels):
        part, suffix = frame[frame["panel"] == panel], "" if index == 0 else str(index + 1)
        for name, series in part.groupby("series", sort=False):
            figure.add_trace(_trace(series, str(name), labels, styles, suffix, first=index == 0))
        _screen_axes(figure, part, look, suffix, _place(index, columns, rows), values, first=index % columns == 0)
        _screen_title(figure, look.panel_titles.get(str(panel), str(panel)), _place(index, columns, rows))
    lines = max((len(broken(look.panel_titles.get(str(p), str(p)), 44)) for p in panels if p), default=0)
    figure.update_layout(
        margin={"t": 60 + 20 * lines, "l": 70},
        legend={"y": 1 + (14 + 20 * lines) / height, "title": {"text": screen_text(look.series_title)}},
    )
    return figure


def _place(index: int, columns: int, rows: int) -> tuple[list[float], list[float]]:
    """Domains of one panel on both axes."""
    gap_x, gap_y = 0.07, 0.16
    width, height = (1 - gap_x * (columns - 1)) / columns, (1 - gap_y * (rows - 1)) / rows
    left, top = (index % columns) * (width + gap_x), 1 - (index // columns) * (height + gap_y)
    return [left, min(left + width, 1.0)], [max(top - height, 0.0), top]


def _legend(names: list[str], most: int) -> dict[str, str]:
    return dict(zip(names, distinct(names, most), strict=True))


def _trace(
    series: pd.DataFrame, name: str, labels: dict[str, str], styles: dict[str, Any], suffix: str, *, first: bool
) -> go.Scatter:
    import plotly.graph_objects as go

    style = styles[name]
    words = [
        [screen_text(shortened(name, 80)), number(r.value, 3), number(r.low, 3), number(r.high, 3), r.x]
        for r in records(series)
    ]
    spread = {"array": series["high"] - series["value"], "arrayminus": series["value"] - series["low"]}
    return go.Scatter(
        x=series["shown"],
        y=series["value"],
        mode="lines+markers",
        name=screen_text(labels[name]),
        legendgroup=name,
        showlegend=first,
        line={"color": style.fill, "width": 2, "dash": style.dash},
        marker={"symbol": style.symbol, "size": 9, "color": style.fill, "line": {"width": 1.5, "color": style.edge}},
        error_y={"type": "data", "symmetric": False, **spread, "color": style.edge, "thickness": 1.3, "width": 3},
        customdata=words,
        hovertemplate="%{customdata[0]}<br>at %{customdata[4]}: %{customdata[1]} [%{customdata[2]}, %{customdata[3]}]"
        "<extra></extra>",
        xaxis=f"x{suffix}",
        yaxis=f"y{suffix}",
    )


def _screen_axes(
    figure: go.Figure,
    part: pd.DataFrame,
    look: CurveAxes,
    suffix: str,
    place: tuple[list[float], list[float]],
    ticks: tuple[list[float], list[str]],
    *,
    first: bool,
) -> None:
    named = {"tickvals": ticks[0], "ticktext": ticks[1]}
    figure.update_layout(
        {
            f"xaxis{suffix}": axis(
                _x_title(look), domain=place[0], anchor=f"y{suffix}", zeroline=False, tickangle=0, **named
            ),
            f"yaxis{suffix}": axis(
                look.y_title if first else "", domain=place[1], anchor=f"x{suffix}", range=list(y_limits(part, look))
            ),
        }
    )
    for x, words in marks(part):
        figure.add_annotation(
            x=x, xref=f"x{suffix}", y=place[1][1], yref="paper", yanchor="top", showarrow=False, align="left",
            text="<br>".join(screen_text(line) for line in words.split("\n")), font={"size": 12, "color": INK},
        )  # fmt: skip
    if look.level is None:
        return
    ends = {"x0": place[0][0], "x1": place[0][1], "y0": look.level, "y1": look.level}
    figure.add_shape(
        type="line", xref="paper", yref=f"y{suffix}", **ends, line={"color": INK, "width": 1, "dash": "dash"}
    )
    figure.add_annotation(
        x=place[0][0], xref="paper", y=look.level, yref=f"y{suffix}", text=screen_text(look.level_words),
        showarrow=False, xanchor="left", yanchor="bottom", font={"size": 12, "color": MUTED}, bgcolor=PAPER,
    )  # fmt: skip


def _screen_title(figure: go.Figure, title: str, place: tuple[list[float], list[float]]) -> None:
    if not title:
        return
    words = "<br>".join(screen_text(part) for part in broken(title, 44))
    figure.add_annotation(
        x=place[0][0], y=place[1][1], xref="paper", yref="paper", xanchor="left", yanchor="bottom", align="left",
        showarrow=False, text=f"<b>{words}</b>", font={"size": 14, "color": INK},
    )  # fmt: skip


LETTER_MM = 1.45  # of an axis title


@print_settings()
def print_figure(frame: pd.DataFrame, look: CurveAxes, *, width_mm: float) -> Figure:
    """The same for print: panels in rows of as many as fit at 52 mm each."""
    panels = list(dict.fromkeys(frame["panel"])) or [""]
    columns = columns_of(len(panels), int(width_mm // 52))
    rows = math.ceil(len(panels) / columns)
    names = list(series_styles(frame["series"])) if len(frame) else []
    longest = min(max((len(name) for name in names), default=0), 40)
    across = max(1, min(len(names), int(width_mm // (1.35 * longest + 13))))
    legend_mm = 4.2 * (math.ceil(min(len(names), MOST_IN_LEGEND) / across) + bool(look.series_title))
    each = min(0.75 * width_mm / columns, 62.0 if rows == 1 else 48.0)
    figure = print_canvas(width_mm, rows * (each + 8) + legend_mm)
    grid = figure.subplots(rows, columns, squeeze=False)
    frame = frame.assign(shown=dodged(frame)) if len(frame) else frame
    for index, axes in enumerate(grid.ravel()):
        if index >= len(panels):
            axes.set_visible(False)
            continue
        _print_panel(axes, frame, panels[index], look, characters=int(width_mm / columns / 1.75))
        lines = broken(_x_title(look), int((width_mm / columns - 12) / LETTER_MM))
        axes.set_xlabel("\n".join(map(print_text, lines)) if index + columns >= len(panels) else "")
        title = "\n".join(print_text(line) for line in broken(look.y_title, int(each / 1.7)))
        axes.set_ylabel(title if index % columns == 0 else "")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    if len(labels) > 1 or look.series_title:
        shown = distinct([str(label) for label in labels], int(width_mm / across / 1.75))[:MOST_IN_LEGEND]
        words = [print_text(label) for label in shown]
        figure.legend(
            handles[:MOST_IN_LEGEND], words, loc="outside upper left", ncols=across, frameon=False,
            title=print_text(look.series_title) or None, alignment="left", handlelength=2.6, title_fontsize=7,
        )  # fmt: skip
    return figure


def _print_panel(axes: Axes, frame: pd.DataFrame, panel: str, look: CurveAxes, *, characters: int) -> None:
    part = frame[frame["panel"] == panel]
    styles = series_styles(frame["series"]) if len(frame) else {}
    for name, series in part.groupby("series", sort=False):
        style = styles[str(name)]
        # where all persons have one value, rounding may put it a last digit outside its interval
        reach = (series["value"] - series["low"], series["high"] - series["value"])
        spread = [side.fillna(0).clip(lower=0) for side in reach]
        axes.errorbar(
            series["shown"], series["value"], yerr=spread, marker=style.marker, markersize=3.6, color=style.fill,
            markerfacecolor=PAPER if is_open(style) else style.fill, markeredgecolor=style.edge, markeredgewidth=0.6,
            ecolor=style.edge, elinewidth=0.6, capsize=1.4, capthick=0.6, linewidth=1.0, linestyle=line_dash(style),
            label=str(name),
        )  # fmt: skip
    for x, words in marks(part):
        axes.annotate(
            print_text(words), (x, 1.0), xycoords=("data", "axes fraction"), ha="center", va="top", fontsize=6.5
        )
    if len(part):
        values, words = x_ticks(frame, look)
        axes.set_xticks(values, words)
        axes.set_ylim(*y_limits(part, look))
        axes.margins(x=0.08)
    if look.level is not None:
        axes.axhline(look.level, color=INK, linewidth=0.6, linestyle=(0, (4, 3)), zorder=0)
        axes.annotate(
            print_text(look.level_words), (0.0, look.level), xycoords=("axes fraction", "data"), xytext=(3, 1.5),
            textcoords="offset points", ha="left", va="bottom", fontsize=6.5, color=MUTED,
        )  # fmt: skip
    title = look.panel_titles.get(str(panel), str(panel))
    axes.set_title("\n".join(print_text(line) for line in broken(title, max(characters, 12))), loc="left")
    calm(axes, grid="y")
