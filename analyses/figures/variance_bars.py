"""Where the differences lie: shares of the variance with intervals, and the parts of the model that carry them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from analyses.figures.labels import listed, number, print_text, screen_text
from analyses.figures.palette import BLUE, INK, PAPER, SKY
from analyses.figures.print_room import cut, wrapped
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.rows import records
from analyses.figures.screen_style import axis, screen_figure
from analyses.grouping_factors import between
from analyses.variance_quantities import QUANTITIES
from analyses.variance_shares import place_in_words

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analyses.variance import VariancePartition

QUANTITY, SHARE = "Share of all variance", "Share of what person effects change"
LABELS = {
    "icc_target": "between persons (ICC of the answers)",
    "r2_marginal": "explained by the shared part (marginal R²)",
    "r2_conditional": "with person effects (conditional R²)",
    "icc_model": "persons, of what the shared part leaves",
    "explained": "explained, by squared error",
}
# beyond so many percent there is no room for words at the right of a bar
ROOM = 68.0
FACTORS = "Share of what the shared part leaves"
FILLS = {QUANTITY: BLUE, FACTORS: BLUE}  # all others are shares of blocks


def tidy(partition: VariancePartition) -> pd.DataFrame:
    """One row per bar: panel (quantities with intervals, or shares of the blocks), label, value, low, high, level.

    Shares are 0 to 1; the ends are NaN where no interval is known, as for the shares of blocks.
    """
    rows = [
        (QUANTITY, _label(name, partition), float(value), float(low), float(high))
        for name, value, low, high in zip(
            partition.quantities, partition.values, partition.low, partition.high, strict=True
        )
    ]
    unknown = float("nan")
    what = FACTORS if any(one.rest == one.rest for one in partition.factors) else "Share of what all effects change"
    rows += [(what, between(one), one.share, unknown, unknown) for one in partition.factors]
    divided = [(noun, blocks) for noun, blocks in partition.further_blocks if len(blocks) > 1]
    for noun, blocks in (("person", partition.blocks), *divided):
        for layer, block, share, count, zero in blocks:
            of = f"{count} parameters" if count != 1 else "1 parameter"
            still = f", {zero} without variance" if zero else ""
            label = f"{place_in_words(layer, block).removeprefix('the ')} ({of}{still})"
            rows.append((SHARE.replace("person", noun), label, float(share), unknown, unknown))
    frame = pd.DataFrame(rows, columns=["panel", "label", "value", "low", "high"])
    return frame.assign(level=partition.level)


def _label(name: str, partition: VariancePartition) -> str:
    """What a quantity is; with several grouping factors, whose effects it counts."""
    if partition.factors:
        several = {
            "r2_conditional": "with all effects (conditional R²)",
            "icc_model": "all effects, of what the shared part leaves",
        }
        if name in several:
            return several[name]
    return LABELS.get(name, QUANTITIES[name])


def screen(frame: pd.DataFrame, *, height: int | None = None) -> go.Figure:
    """Horizontal bars, one panel above the other."""
    import plotly.graph_objects as go

    figure = screen_figure(height or 140 + 34 * len(frame), showlegend=False, bargap=0.35)
    panels = list(dict.fromkeys(frame["panel"]))
    top = 1.0
    room = 1.0 - 0.16 * (len(panels) - 1)
    for index, panel in enumerate(panels):
        part, suffix = frame[frame["panel"] == panel], "" if index == 0 else str(index + 1)
        bottom = max(top - room * len(part) / len(frame), 0.0)
        known = part["low"].notna()
        spread = {
            "type": "data", "symmetric": False, "color": INK, "thickness": 1.5, "width": 4,
            "array": (part["high"] - part["value"]).where(known, 0.0) * 100,
            "arrayminus": (part["value"] - part["low"]).where(known, 0.0) * 100,
        }  # fmt: skip
        figure.add_trace(
            go.Bar(
                x=100 * part["value"], y=list(range(len(part))), orientation="h", error_x=spread,
                marker={"color": FILLS.get(panel, SKY), "line": {"color": INK, "width": 1}},
                customdata=[_words(row) for row in records(part)], hovertemplate="%{customdata}<extra></extra>",
                xaxis=f"x{suffix}", yaxis=f"y{suffix}",
            )
        )  # fmt: skip
        ticks = {"tickvals": list(range(len(part))), "ticktext": [screen_text(label) for label in part["label"]]}
        figure.update_layout(
            {
                f"xaxis{suffix}": axis(f"{panel}, %", range=[0, 100], anchor=f"y{suffix}"),
                f"yaxis{suffix}": axis(
                    domain=[bottom, top], anchor=f"x{suffix}", autorange="reversed", showgrid=False, zeroline=False
                )
                | ticks,
            }
        )
        top = bottom - 0.16
    return figure


def _words(row: object) -> str:
    """A value in percent with its interval."""
    value, low, high = (float(getattr(row, name)) for name in ("value", "low", "high"))
    ends = f" [{number(100 * low, 0)}, {number(100 * high, 0)}]" if low == low else ""
    return f"{number(100 * value, 0)} %{ends}"


@print_settings()
def print_figure(frame: pd.DataFrame, *, width_mm: float = 127.0) -> Figure:
    """The same for print."""
    panels = list(dict.fromkeys(frame["panel"]))
    sizes = [int((frame["panel"] == panel).sum()) for panel in panels]
    figure = print_canvas(width_mm, sum(14.0 + 8.0 * size for size in sizes))
    grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=[1.2 + size for size in sizes])
    for axes, panel in zip(grid[:, 0], panels, strict=True):
        _print_panel(axes, frame[frame["panel"] == panel], panel, width_mm)
    return figure


def _print_panel(axes: Axes, part: pd.DataFrame, panel: str, width_mm: float) -> None:
    places, values = list(range(len(part))), 100 * part["value"].to_numpy(dtype=float)
    axes.barh(places, values, height=0.56, color=FILLS.get(panel, SKY), edgecolor=INK, linewidth=0.5, zorder=2)
    for place, row in zip(places, records(part), strict=True):
        end = 100 * (row.high if row.high == row.high else row.value)
        if row.low == row.low:
            axes.plot([100 * row.low, 100 * row.high], [place, place], color=INK, linewidth=0.8, zorder=3)
        # with little room at the right the words stand inside the bar, left of the interval
        inside = end > ROOM
        left = 100 * (row.low if row.low == row.low else row.value)
        look: dict[str, Any] = {"bbox": {"facecolor": PAPER, "edgecolor": "none", "pad": 0.8}} if inside else {}
        axes.annotate(
            _words(row), (left if inside else end, place), xytext=(-4 if inside else 4, 0), va="center", zorder=4,
            textcoords="offset points", ha="right" if inside else "left", **look,
        )  # fmt: skip
    room = 0.4 * width_mm
    labels = [print_text(wrapped(label, room) if width_mm < 120 else cut(label, room)) for label in part["label"]]
    axes.set_yticks(places, labels)
    axes.set(xlim=(0, 100), ylim=(len(part) - 0.45, -0.55), xlabel=f"{panel}, %")
    calm(axes, grid="x")
    axes.tick_params(axis="y", length=0)


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence per panel with every share."""
    said = []
    for panel, part in frame.groupby("panel", sort=False):
        parts = [f"{row.label} {_words(row)}" for row in records(part)]
        said.append(f"{panel}: {listed(parts)}")
    return f"{'. '.join(said)}."
