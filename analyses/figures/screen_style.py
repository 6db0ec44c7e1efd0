"""The common look of the figures on screen (plotly). Plotly is imported when a figure is drawn, not before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analyses.figures.palette import GRID, INK, MUTED, PAPER

if TYPE_CHECKING:
    import plotly.graph_objects as go

FONT = '"Source Sans", "Source Sans Pro", "Segoe UI", Arial, sans-serif'


def screen_figure(height: int, **layout: Any) -> go.Figure:
    """An empty plotly figure in the house style, ``height`` pixels high."""
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.update_layout(
        template="none",
        height=height,
        font={"family": FONT, "size": 14, "color": INK},
        paper_bgcolor=PAPER,
        plot_bgcolor=PAPER,
        margin={"l": 64, "r": 16, "t": 40, "b": 56},
        hoverlabel={"font": {"family": FONT, "size": 13}},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "xanchor": "left", "x": 0.0},
        **layout,
    )
    return figure


def axis(title: str = "", **more: Any) -> dict[str, Any]:
    """Settings of one axis: light grid, no heavy lines, title in the muted ink."""
    settings: dict[str, Any] = {
        "title": {"text": title, "font": {"size": 13, "color": MUTED}, "standoff": 8},
        "gridcolor": GRID,
        "zerolinecolor": MUTED,
        "zerolinewidth": 1,
        "linecolor": GRID,
        "tickfont": {"size": 13, "color": INK},
        "automargin": True,
        "fixedrange": True,
    }
    return settings | more


class Marks:
    """Annotations and shapes, put on a figure all at once: plotly checks all there are again for each that is added."""

    def __init__(self) -> None:
        self._notes: list[dict[str, Any]] = []
        self._shapes: list[dict[str, Any]] = []

    def add_annotation(self, **settings: Any) -> None:
        """As ``figure.add_annotation``."""
        self._notes.append(settings)

    def add_shape(self, **settings: Any) -> None:
        """As ``figure.add_shape``."""
        self._shapes.append(settings)

    def put_on(self, figure: go.Figure) -> None:
        """Add them to those the figure has."""
        layout: Any = figure.layout  # plotly makes its attributes at run time
        if self._notes:
            layout.annotations = [*layout.annotations, *self._notes]
        if self._shapes:
            layout.shapes = [*layout.shapes, *self._shapes]
