"""Every transition's difference between two groups, one below the other, with both intervals (NME, table 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses.figures import interval_matrix
from analyses.figures.interval_matrix import CLEAR, GROUND, NUMBERS
from analyses.figures.labels import number, print_text, screen_text, signed
from analyses.figures.long_labels import shortened
from analyses.figures.palette import BLUE, GRID, INK, MUTED, VERMILION
from analyses.figures.print_room import cut, legend_above, text_mm
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.rows import records
from analyses.figures.screen_style import axis, screen_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analyses.transitions import TransitionComparison

ORDERS = ("state", "size")
MOST_ROWS = 40
WIDEST_LABEL_MM = 46.0


def tidy(
    comparison: TransitionComparison, *, order: str = "state", most: int = MOST_ROWS, correction: str = "simultaneous"
) -> pd.DataFrame:
    """One row per transition in drawing order, as `interval_matrix.tidy`, with ``position``, ``label``, ``left_out``.

    Args:
        comparison: a finished comparison.
        order: ``state`` (by the state left, then entered) or ``size`` (largest difference first).
        correction: what counts as clear, see `interval_matrix.tidy`.
        most: how many rows are kept; with more transitions those furthest from zero, measured in their raw intervals.

    Raises:
        ValueError: for another order.
    """
    if order not in ORDERS:
        raise ValueError(f"order must be one of {', '.join(ORDERS)}, not {order!r}")
    frame = interval_matrix.tidy(comparison, correction=correction).dropna(subset=["difference"])
    left_out = max(len(frame) - most, 0)
    if left_out:
        width = (frame["high"] - frame["low"]).where(lambda w: w > 0)
        frame = frame.loc[(frame["difference"].abs() / width).fillna(0).sort_values(ascending=False).index[:most]]
        frame = frame.sort_index()
    if order == "size":
        frame = frame.loc[frame["difference"].abs().sort_values(ascending=False, kind="stable").index]
    frame = frame.reset_index(drop=True)
    frame.insert(0, "position", frame.index + 1)
    frame["label"] = frame["from_state"].astype(str) + " → " + frame["to_state"].astype(str)
    return frame.assign(left_out=left_out)


def screen(frame: pd.DataFrame, *, height: int | None = None) -> go.Figure:
    """Thin simultaneous and thick raw intervals, a diamond for the estimate, the numbers on hovering."""
    import plotly.graph_objects as go

    figure = screen_figure(height or 110 + 24 * len(frame), hovermode="closest")
    for low, high, name, width, colour in (
        ("low_simultaneous", "high_simultaneous", "interval of all transitions together", 1.5, INK),
        ("low", "high", "interval of this transition alone", 5, BLUE),
    ):
        xs = [value for row in records(frame[[low, high]]) for value in (*row, None)]
        ys = [value for place in frame["position"] for value in (place, place, None)]
        line = {"width": width, "color": colour}
        figure.add_trace(go.Scatter(x=xs, y=ys, mode="lines", line=line, name=name, hoverinfo="skip"))
    words = [[screen_text(r.label), signed(r.difference), *_ends(r)] for r in records(frame)]
    figure.add_trace(
        go.Scatter(
            x=frame["difference"], y=frame["position"], mode="markers", name="difference", customdata=words,
            marker={"size": 9, "color": VERMILION, "symbol": "diamond", "line": {"width": 1, "color": "white"}},
            hovertemplate="%{customdata[0]}<br>%{customdata[1]}, alone [%{customdata[2]}, %{customdata[3]}], "
            "together [%{customdata[4]}, %{customdata[5]}]<extra></extra>",
        )
    )  # fmt: skip
    for row in records(frame[frame["verdict"] == CLEAR]):
        ground = {"fillcolor": GROUND[CLEAR], "line_width": 0, "layer": "below"}
        figure.add_hrect(y0=row.position - 0.5, y1=row.position + 0.5, **ground)
    ticks = [screen_text(shortened(label, 44)) for label in frame["label"]]
    figure.update_yaxes(
        axis(tickvals=list(frame["position"]), ticktext=ticks, range=[len(frame) + 0.6, 0.4], showgrid=False)
    )
    figure.update_yaxes(zeroline=False)
    figure.update_xaxes(axis(_title(frame)))
    return figure


def _ends(row: Any) -> list[str]:
    return [number(getattr(row, name), 1) for name in NUMBERS[1:]]


def _title(frame: pd.DataFrame) -> str:
    first = frame.iloc[0]
    return screen_text(
        f"{shortened(first['true_name'], 30)} minus {shortened(first['false_name'], 30)}, {first['unit']}"
    )


@print_settings()
def print_figure(frame: pd.DataFrame, *, width_mm: float = 165.0) -> Figure:
    """The same for print, with the numbers in a column at the right where the width allows."""
    figure = print_canvas(width_mm, 24.0 + 4.6 * len(frame))
    axes = figure.subplots()
    for row in records(frame):
        at = [row.position] * 2
        if row.verdict == CLEAR:
            axes.axhspan(row.position - 0.5, row.position + 0.5, color=GROUND[CLEAR], linewidth=0, zorder=0)
        together = {"color": INK, "linewidth": 0.8, "zorder": 2}
        axes.plot([row.low_simultaneous, row.high_simultaneous], at, **together)
        axes.plot([row.low, row.high], at, color=BLUE, linewidth=2.6, solid_capstyle="butt", zorder=3)
    look: dict[str, Any] = {"color": VERMILION, "marker": "D", "markersize": 3, "linestyle": "none", "zorder": 4}
    axes.plot(frame["difference"], frame["position"], label="difference", **look)
    axes.plot([], [], color=BLUE, linewidth=2.6, label="interval of this transition alone")
    axes.plot([], [], color=INK, linewidth=0.8, label="interval of all transitions together")
    axes.axvline(0, color=INK, linewidth=0.6, zorder=1)
    widest = min(WIDEST_LABEL_MM, 0.36 * width_mm)
    axes.set_yticks(frame["position"], [print_text(cut(label, widest)) for label in frame["label"]])
    axes.set(ylim=(len(frame) + 0.6, 0.4))
    axes.set_xlabel(print_text(_print_title(frame, width_mm)))
    calm(axes, grid="x")
    axes.tick_params(axis="y", length=0)
    _separate(axes, frame)
    if width_mm >= 120:
        _numbers(axes, frame)
    legend_above(figure, width_mm)
    return figure


def _print_title(frame: pd.DataFrame, width_mm: float) -> str:
    first, half = frame.iloc[0], 0.27 * width_mm - 5
    names = f"{cut(first['true_name'], half)} minus {cut(first['false_name'], half)}"
    one_line = f"{names}, {first['unit']}"
    return one_line if text_mm(one_line, 7.5) < 0.6 * width_mm else f"{names}\n({first['unit']})"


def _separate(axes: Axes, frame: pd.DataFrame) -> None:
    """A line between the states that are left, when rows are sorted by them."""
    states = frame["from_state"].astype(str).to_numpy()
    blocks = [index for index in range(1, len(states)) if states[index] != states[index - 1]]
    if len(blocks) == len(set(states)) - 1:
        for index in blocks:
            axes.axhline(index + 0.5, color=GRID, linewidth=0.5, zorder=0)


def _numbers(axes: Axes, frame: pd.DataFrame) -> None:
    """Difference and simultaneous interval in words, beside each row."""
    where = {"xycoords": ("axes fraction", "data"), "va": "center", "annotation_clip": False}
    digits = 2 if float(np.nanmax(np.abs(frame[list(NUMBERS)].to_numpy(dtype=float)), initial=0)) < 4 else 1
    axes.annotate("difference [all together]", (1.02, 0.1), fontsize=7, color=MUTED, **where)
    for row in records(frame):
        low, high = number(row.low_simultaneous, digits), number(row.high_simultaneous, digits)
        text = f"{signed(row.difference, digits)} [{low}, {high}]"
        weight = "bold" if row.verdict == CLEAR else "normal"
        axes.annotate(text, (1.02, row.position), fontsize=7, fontweight=weight, **where)


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with the largest difference and how many survive the correction; says what was left out."""
    said = interval_matrix.alt_text(frame)
    more = int(frame["left_out"].iloc[0]) if len(frame) else 0
    return f"{said} {more} transitions nearer to zero are not drawn." if more else said
