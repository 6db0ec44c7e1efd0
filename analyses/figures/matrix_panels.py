"""Transition matrices side by side: a heatmap per panel, the number in each cell, cells without observations hatched.

Shared by one person's matrices and by the groups'. A frame has one row per cell: panel, from_state, to_state, value,
text (what stands in the cell), kind (probability, difference or count), unobserved (bool).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analyses.figures.labels import screen_text
from analyses.figures.long_labels import distinct
from analyses.figures.palette import (
    COUNT_STOPS,
    DIFFERENCE_STOPS,
    HATCH,
    INK,
    PROBABILITY_STOPS,
    colour_at,
    text_on,
)
from analyses.figures.rows import records
from analyses.figures.screen_style import Marks, screen_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

COLUMNS = ("panel", "from_state", "to_state", "value", "text", "kind", "unobserved")
GAP = 0.035
# with more states, numbers and hatching would not fit into the cells on screen
MOST_NUMBERED = 12
LONGEST_STATE = 22
STOPS = {"probability": PROBABILITY_STOPS, "difference": DIFFERENCE_STOPS, "count": COUNT_STOPS}


def limits(frame: pd.DataFrame, kind: str) -> tuple[float, float]:
    """Ends of the colour scale shared by all panels of one kind.

    Probabilities run from 0 to the largest (never below .6, or 2.4 over the number of states). Differences are centred
    at zero and never stretched below 10 percentage points (a tiny difference must not look large). Counts start at 0.
    """
    values = frame.loc[frame["kind"] == kind, "value"].abs()
    largest = 0.0 if values.isna().all() else float(values.max())
    if kind == "probability":
        return 0.0, min(max(largest, min(0.6, 2.4 / max(frame["from_state"].nunique(), 1))), 1.0)
    if kind == "difference":
        return -max(largest, 0.10), max(largest, 0.10)
    return 0.0, max(largest, 1.0)


def cell_colours(part: pd.DataFrame, ends: tuple[float, float]) -> list[str]:
    """Background of every cell of one panel; white where the value is undefined."""
    stops = STOPS[part["kind"].iloc[0]]
    places = (part["value"] - ends[0]) / (ends[1] - ends[0])
    return ["#FFFFFF" if pd.isna(place) else colour_at(stops, float(place)) for place in places]


def screen(frame: pd.DataFrame, *, height: int = 330) -> go.Figure:
    """One heatmap per panel, numbers in the cells, diagonal lines over cells without observations."""
    figure = screen_figure(height, showlegend=False)
    figure.update_layout(margin={"l": 96, "r": 8, "t": 44, "b": 88})
    panels = list(dict.fromkeys(frame["panel"]))
    width, marks = (1 - GAP * (len(panels) - 1)) / len(panels), Marks()
    for index, panel in enumerate(panels):
        part, left = frame[frame["panel"] == panel], index * (width + GAP)
        _screen_panel(figure, marks, part, index, (left, left + width), limits(frame, part["kind"].iloc[0]))
    marks.put_on(figure)
    return figure


def _screen_panel(
    figure: go.Figure,
    marks: Marks,
    part: pd.DataFrame,
    index: int,
    domain: tuple[float, float],
    ends: tuple[float, float],
) -> None:
    import plotly.graph_objects as go

    states = list(dict.fromkeys(part["from_state"]))
    suffix = "" if index == 0 else str(index + 1)
    values = _square(part, "value", states)
    figure.add_trace(
        go.Heatmap(
            z=values.to_numpy(dtype=float),
            x=list(range(len(states))),
            y=list(range(len(states))),
            customdata=[[[screen_text(a), screen_text(b)] for b in states] for a in states],
            colorscale=[[place, colour] for place, colour in STOPS[part["kind"].iloc[0]]],
            zmin=ends[0],
            zmax=ends[1],
            xgap=2,
            ygap=2,
            showscale=len(states) > MOST_NUMBERED,
            colorbar={"x": domain[1], "thickness": 10, "len": 0.6, "tickfont": {"size": 11}},
            name=screen_text(part["panel"].iloc[0]),
            hovertemplate="%{customdata[0]} → %{customdata[1]}: %{z:.2f}<extra></extra>",
            xaxis=f"x{suffix}",
            yaxis=f"y{suffix}",
        )
    )
    place = {state: number for number, state in enumerate(states)}
    if len(states) > MOST_NUMBERED:
        _marks(figure, part, place, suffix)
    rows = records(part) if len(states) <= MOST_NUMBERED else []
    for row, background in zip(rows, cell_colours(part, ends)[: len(rows)], strict=True):
        at = {"x": place[row.to_state], "y": place[row.from_state], "xref": f"x{suffix}", "yref": f"y{suffix}"}
        if row.unobserved:
            _hatch(marks, at)
        # on a hatched cell the number gets a ground of its own, or the lines would cross it
        ground = {"bgcolor": background, "borderpad": 1} if row.unobserved else {}
        marks.add_annotation(
            **at, text=str(row.text), showarrow=False, font={"size": 13, "color": text_on(background)}, **ground
        )
    _screen_axes(figure, states, index, domain)
    marks.add_annotation(
        x=sum(domain) / 2, y=1.0, xref="paper", yref="paper", xanchor="center", yanchor="bottom", showarrow=False,
        text=f"<b>{screen_text(part['panel'].iloc[0])}</b>", font={"size": 14, "color": INK},
    )  # fmt: skip


def _screen_axes(figure: go.Figure, states: list[str], index: int, domain: tuple[float, float]) -> None:
    """Names of the states along both sides; those of the rows at the first panel only."""
    suffix = "" if index == 0 else str(index + 1)
    names = [screen_text(name) for name in distinct([str(state) for state in states], LONGEST_STATE)]
    ticks = {
        "tickvals": list(range(len(states))),
        "showgrid": False,
        "zeroline": False,
        "fixedrange": True,
        "ticks": "",
    }
    figure.update_layout(
        {
            f"xaxis{suffix}": ticks
            | {"domain": list(domain), "anchor": f"y{suffix}", "ticktext": names, "tickangle": -40},
            f"yaxis{suffix}": ticks
            | {"anchor": f"x{suffix}", "autorange": "reversed", "ticktext": names if index == 0 else [""] * len(names)},
        }
    )


def _marks(figure: go.Figure, part: pd.DataFrame, place: dict[str, int], suffix: str) -> None:
    """Strokes over the cells without observations, and dots where a cell carries one, as one trace each."""
    import plotly.graph_objects as go

    for chosen, symbol, name in (
        (part["unobserved"], "line-ne-open", "no observation"),
        (part["text"] == "•", "circle", "clear"),
    ):
        some = part[chosen.astype(bool)]
        if some.empty:
            continue
        marker = {"symbol": symbol, "size": 6, "color": INK if symbol == "circle" else HATCH}
        at = {"x": some["to_state"].map(place), "y": some["from_state"].map(place)}
        axes = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
        figure.add_trace(go.Scatter(**at, **axes, mode="markers", marker=marker, name=name, hoverinfo="skip"))


def _hatch(marks: Marks, at: dict[str, object]) -> None:
    """Three diagonals over one cell: plotly has no hatching for heatmaps."""
    x, y, refs = float(str(at["x"])), float(str(at["y"])), {"xref": at["xref"], "yref": at["yref"]}
    for start, end in (((-0.46, 0.0), (0.0, -0.46)), ((-0.46, 0.46), (0.46, -0.46)), ((0.0, 0.46), (0.46, 0.0))):
        marks.add_shape(
            type="line", x0=x + start[0], y0=y + start[1], x1=x + end[0], y1=y + end[1],
            line={"color": HATCH, "width": 1}, name="no observation", **refs,
        )  # fmt: skip


def print_figure(frame: pd.DataFrame, *, width_mm: float = 183.0) -> Figure:
    """The same for print, in as many rows as the numbers need."""
    from analyses.figures.matrix_print import print_panels

    return print_panels(frame, width_mm, {str(kind): limits(frame, str(kind)) for kind in frame["kind"].unique()})


def _square(part: pd.DataFrame, column: str, states: list[str]) -> pd.DataFrame:
    return part.pivot(index="from_state", columns="to_state", values=column).loc[states, states]
