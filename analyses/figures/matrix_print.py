"""Matrices side by side in print: as many beside each other as leave room for the numbers.

With many states the numbers no longer fit into the cells. They are dropped then, a colour scale takes their place, and
only every second (third, ...) state is named on the axes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from analyses.figures.labels import print_text
from analyses.figures.palette import GRID, HATCH, text_on
from analyses.figures.print_room import MM_PER_PT, cut_apart, text_mm, wrapped
from analyses.figures.print_style import SMALLEST_PT, print_canvas, print_settings
from analyses.figures.rows import records

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDEST_STATE_MM = 24.0
LARGEST_PANEL_MM = 110.0
LARGEST_CELL_MM = 15.0
TICK_PT = 7.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """Where panels go: columns, side of a panel and of a cell, whether numbers fit, every how many states are named."""

    columns: int
    panel_mm: float
    cell_mm: float
    numbers: bool
    every: int


def plan(frame: pd.DataFrame, width_mm: float) -> _Layout:
    """Fit the panels of a frame into a width."""
    panels, states = list(dict.fromkeys(frame["panel"])), list(dict.fromkeys(frame["from_state"]))
    left = max(text_mm(name) for name in cut_apart(states, WIDEST_STATE_MM)) + 9
    texts = frame["text"].astype(str)
    if texts.str.contains(r"\d").any():
        needed = max(text_mm(text, SMALLEST_PT) for text in texts.unique()) + 0.8
        title = max(min(text_mm(word, 8.0), 24.0) for panel in panels for word in str(panel).split())
        for columns in range(len(panels), 0, -1):
            side = min((width_mm - left) / columns - 3.0, LARGEST_CELL_MM * len(states))
            if side / len(states) >= needed and (side >= title or columns == 1):
                return _Layout(columns=columns, panel_mm=side, cell_mm=side / len(states), numbers=True, every=1)
    columns = max(1, min(len(panels), int((width_mm - left) / 48)))
    side = min((width_mm - left) / columns - 12.0, LARGEST_PANEL_MM, LARGEST_CELL_MM * len(states))
    every = math.ceil(1.25 * TICK_PT * MM_PER_PT / (side / len(states)))
    return _Layout(columns=columns, panel_mm=side, cell_mm=side / len(states), numbers=False, every=max(every, 1))


@print_settings()
def print_panels(frame: pd.DataFrame, width_mm: float, ends: dict[str, tuple[float, float]]) -> Figure:
    """Draw the panels of a frame in the schema of ``matrix_panels``; ``ends`` of the colour scale by kind."""
    panels = list(dict.fromkeys(frame["panel"]))
    layout = plan(frame, width_mm)
    rows = math.ceil(len(panels) / layout.columns)
    titles = {panel: wrapped(panel, layout.panel_mm + 2, 8.0, lines=3) for panel in panels}
    names = cut_apart(dict.fromkeys(frame["from_state"]), WIDEST_STATE_MM)
    below = 7 + (1.0 if _upright(layout) else 0.75) * max(text_mm(name) for name in names)
    above = 2 + 3.6 * max(title.count("\n") + 1 for title in titles.values())
    figure = print_canvas(width_mm, rows * (layout.panel_mm + above) + below * (rows if rows > 1 else 1))
    grid = figure.subplots(rows, layout.columns, squeeze=False)
    for index, axes in enumerate(grid.flat):
        if index >= len(panels):
            axes.remove()
            continue
        part = frame[frame["panel"] == panels[index]]
        _panel(axes, part, ends[part["kind"].iloc[0]], layout, names, first=index % layout.columns == 0)
        axes.set_title(print_text(titles[panels[index]]))
        if not layout.numbers:
            _scale(figure, axes, part["kind"].iloc[0], ends[part["kind"].iloc[0]])
    return figure


def _panel(
    axes: Axes, part: pd.DataFrame, ends: tuple[float, float], layout: _Layout, names: list[str], *, first: bool
) -> None:
    from analyses.figures.matrix_panels import cell_colours

    states = list(dict.fromkeys(part["from_state"]))
    place = {state: number for number, state in enumerate(states)}
    cells, colours = records(part), cell_colours(part, ends)
    edge = {"edgecolor": GRID, "linewidth": 0.5} if layout.cell_mm > 3 else {"edgecolor": "none"}
    boxes = [(place[cell.to_state], place[cell.from_state]) for cell in cells]
    axes.add_collection(_squares(boxes, 0.48 if layout.cell_mm > 3 else 0.5, facecolors=colours, **edge))
    never = [box for box, cell in zip(boxes, cells, strict=True) if cell.unobserved]
    if never:
        hatch = {"hatch": "////", "edgecolor": HATCH, "linewidth": 0.5}
        axes.add_collection(_squares(never, 0.48, facecolors="none", **hatch))
    for cell, background, (x, y) in zip(cells, colours, boxes, strict=True):
        if not cell.text or (not layout.numbers and cell.text != "•"):
            continue
        ground = {"facecolor": background, "edgecolor": "none", "pad": 0.8} if cell.unobserved else None
        look: dict[str, Any] = {"color": text_on(background), "fontsize": 7 if layout.cell_mm > 7 else SMALLEST_PT}
        axes.text(x, y, print_text(cell.text), ha="center", va="center", bbox=ground, **look)
    axes.set(xlim=(-0.5, len(states) - 0.5), ylim=(len(states) - 0.5, -0.5), aspect="equal")
    shown = list(range(0, len(states), layout.every))
    texts = [print_text(names[index]) for index in shown]
    if _upright(layout):
        axes.set_xticks(shown, texts, rotation=90)
    else:
        axes.set_xticks(shown, texts, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(shown, texts if first else [])
    axes.tick_params(length=0 if layout.every == 1 else 2, width=0.5)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("Into")
    if first:
        axes.set_ylabel("From")


def _upright(layout: _Layout) -> bool:
    """Whether slanted names below narrow cells would run into each other."""
    return layout.cell_mm * layout.every < 5


def _squares(boxes: list[tuple[int, int]], half: float, **look: Any) -> Any:
    from matplotlib.collections import PolyCollection

    corners = ((-half, -half), (half, -half), (half, half), (-half, half))
    return PolyCollection([[(x + dx, y + dy) for dx, dy in corners] for x, y in boxes], **look)


def _scale(figure: Figure, axes: Axes, kind: str, ends: tuple[float, float]) -> None:
    """The colour scale of one panel, in percent or percentage points; counts as they are."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    from analyses.figures.matrix_panels import STOPS

    factor, label = {"probability": (100, "%"), "difference": (100, "points"), "count": (1, "times")}[kind]
    colours = LinearSegmentedColormap.from_list(kind, list(STOPS[kind]))
    scale = ScalarMappable(Normalize(factor * ends[0], factor * ends[1]), colours)
    bar = figure.colorbar(scale, ax=axes, shrink=0.6, aspect=24, pad=0.02, label=label)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    bar.ax.tick_params(length=2, width=0.5)
