"""Average matrix of each group and their difference, one square marker per cell, so that a cell can be clicked.

Heatmaps send no clicks; markers do, and each carries its two states as ``customdata``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses.figures import matrix_panels
from analyses.figures.labels import number, screen_text, signed
from analyses.figures.long_labels import distinct
from analyses.figures.matrix_panels import MOST_NUMBERED
from analyses.figures.palette import GRID, INK, VERMILION, text_on
from analyses.figures.rows import largest, records
from analyses.figures.screen_style import screen_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

LONGEST_STATE = 18
LARGEST_CELL, SMALLEST_CELL, PANEL = 56, 14, 224
ROOM = {"l": 92, "r": 8, "t": 34, "b": 74}
# panels side by side on a laptop; with more states each panel gets wider than that and is scrolled past
GAP = 0.03


def tidy(
    means: Mapping[str, np.ndarray], states: Sequence[str], *, difference: tuple[str, np.ndarray] | None = None
) -> pd.DataFrame:
    """Panels in the schema of ``matrix_panels``, values from 0 to 1.

    Args:
        means: average matrix by the panel's title, shape (S, S).
        states: names in the order of the matrices.
        difference: title and matrix of a further panel.
    """
    blocks = [_panel(title, matrix, states, "probability") for title, matrix in means.items()]
    if difference is not None:
        blocks.append(_panel(*difference, states, "difference"))
    return pd.concat(blocks, ignore_index=True)


def _panel(title: str, matrix: np.ndarray, states: Sequence[str], kind: str) -> pd.DataFrame:
    values = np.asarray(matrix, dtype=float)
    rows = []
    for i, start in enumerate(states):
        for j, end in enumerate(states):
            value = float(values[i, j])
            text = number(100 * value, 0) if kind == "probability" else signed(100 * value, 1)
            rows.append((title, str(start), str(end), value, text, kind, False))
    return pd.DataFrame(rows, columns=list(matrix_panels.COLUMNS))


def cell_pixels(states: int) -> int:
    """Side of a cell on screen."""
    return int(min(LARGEST_CELL, max(SMALLEST_CELL, PANEL / max(states, 1))))


def screen(frame: pd.DataFrame, *, chosen: tuple[str, str] | None = None) -> go.Figure:
    """Panels beside each other; ``chosen`` (from, into) is framed in every panel."""
    panels, states = list(dict.fromkeys(frame["panel"])), list(dict.fromkeys(frame["from_state"]))
    side = cell_pixels(len(states))
    figure = screen_figure(ROOM["t"] + ROOM["b"] + side * len(states), showlegend=False, hovermode="closest")
    width = (1 - GAP * 2) / max(len(panels), 3)
    for index, panel in enumerate(panels):
        part, left = frame[frame["panel"] == panel], index * (width + GAP)
        colours = matrix_panels.cell_colours(part, matrix_panels.limits(frame, part["kind"].iloc[0]))
        _screen_panel(figure, part, index, (left, left + width), side, colours)
        if chosen is not None and {*chosen} <= {*states}:
            _frame_cell(figure, states.index(chosen[1]), states.index(chosen[0]), index)
    figure.update_layout(margin=ROOM, clickmode="event+select", dragmode=False)
    return figure


def _screen_panel(
    figure: go.Figure, part: pd.DataFrame, index: int, domain: tuple[float, float], side: int, colours: list[str]
) -> None:
    import plotly.graph_objects as go

    states, suffix = list(dict.fromkeys(part["from_state"])), "" if index == 0 else str(index + 1)
    place = {state: number_ for number_, state in enumerate(states)}
    cells = records(part)
    marks: dict[str, Any] = {"symbol": "square", "size": side - 3, "color": colours, "opacity": 1.0}
    marks["line"] = {"width": 1, "color": GRID}
    figure.add_trace(
        go.Scatter(
            x=[place[cell.to_state] for cell in cells],
            y=[place[cell.from_state] for cell in cells],
            mode="markers+text" if len(states) <= MOST_NUMBERED else "markers",
            text=[cell.text for cell in cells],
            textfont={"size": 13 if side > 30 else 10, "color": [text_on(colour) for colour in colours]},
            textposition="middle center",
            customdata=[[cell.from_state, cell.to_state, cell.text] for cell in cells],
            marker=marks,
            # by default, what is not selected fades
            selected={"marker": {"opacity": 1.0}},
            unselected={"marker": {"opacity": 1.0}},
            name=screen_text(part["panel"].iloc[0]),
            hovertemplate=_hover(cells, part["kind"].iloc[0]),
            xaxis=f"x{suffix}",
            yaxis=f"y{suffix}",
        )
    )
    _axes(figure, states, suffix, domain, first=index == 0)
    figure.add_annotation(
        x=sum(domain) / 2, y=1.0, xref="paper", yref="paper", xanchor="center", yanchor="bottom", showarrow=False,
        text=f"<b>{screen_text(part['panel'].iloc[0])}</b>", font={"size": 14, "color": INK},
    )  # fmt: skip


def _hover(cells: list[Any], kind: str) -> list[str]:
    unit = "%" if kind == "probability" else "percentage points"
    return [
        f"{screen_text(cell.from_state)} → {screen_text(cell.to_state)}: {cell.text} {unit}<extra></extra>"
        for cell in cells
    ]


def _axes(figure: go.Figure, states: list[str], suffix: str, domain: tuple[float, float], *, first: bool) -> None:
    names = [screen_text(name) for name in distinct([str(state) for state in states], LONGEST_STATE)]
    ticks = {"tickvals": list(range(len(states))), "showgrid": False, "zeroline": False, "fixedrange": True}
    last = len(states) - 0.5
    figure.update_layout(
        {
            f"xaxis{suffix}": ticks
            | {"domain": list(domain), "anchor": f"y{suffix}", "ticktext": names, "tickangle": -40,
               "range": [-0.5, last], "constrain": "domain", "constraintoward": "center"},
            f"yaxis{suffix}": ticks
            | {"anchor": f"x{suffix}", "range": [last, -0.5], "ticktext": names if first else [""] * len(names),
               "scaleanchor": f"x{suffix}", "constrain": "domain"},
        }
    )  # fmt: skip


def _frame_cell(figure: go.Figure, x: int, y: int, index: int) -> None:
    suffix = "" if index == 0 else str(index + 1)
    corners = {"x0": x - 0.5, "x1": x + 0.5, "y0": y - 0.5, "y1": y + 0.5}
    line = {"color": VERMILION, "width": 3}
    figure.add_shape(type="rect", name="chosen", **corners, xref=f"x{suffix}", yref=f"y{suffix}", line=line)


def print_figure(frame: pd.DataFrame, *, width_mm: float = 183.0) -> Figure:
    """The same for print."""
    return matrix_panels.print_figure(frame, width_mm=width_mm)


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with the panels, and the largest difference or the most likely step between two states."""
    panels = list(dict.fromkeys(frame["panel"]))
    differences = frame[frame["kind"] == "difference"]
    if differences.empty:
        between = frame[frame["from_state"] != frame["to_state"]]
        if between["value"].isna().all():
            return f"Average transition probabilities: {', '.join(panels)}."
        top = largest(between, "value")
        return (
            f"Average transition probabilities: {', '.join(panels)}. The most likely step between two states: "
            f"{top['from_state']} to {top['to_state']}, {number(100 * top['value'], 0)} %."
        )
    top = largest(differences, "value")
    return (
        f"Average transition probabilities of {' and of '.join(panels[:-1])}. Largest difference: {top['from_state']} "
        f"to {top['to_state']}, {signed(100 * top['value'])} percentage points."
    )
