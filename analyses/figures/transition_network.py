"""States in a circle, arrows as wide as a transition is probable; one network per group and one of the difference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses.figures.labels import listed, number, print_text, screen_text, signed
from analyses.figures.long_labels import shortened
from analyses.figures.network_layout import arrow, loop, name_place, nodes
from analyses.figures.palette import BLUE, INK, MUTED, PAPER, VERMILION, state_styles
from analyses.figures.print_room import cut, wrapped
from analyses.figures.print_style import SMALLEST_PT, print_canvas, print_settings
from analyses.figures.rows import records
from analyses.figures.screen_style import Marks, screen_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DIFFERENCE = "Difference"
MOST_ARROWS = 24
THIN, WIDE = 0.5, 4.5
SMALL_DIFFERENCE = 0.01
# from the middle to the edge, in radii
REACH, REACH_MANY = 1.5, 2.3
NARROWEST_MM = 43.0


def tidy(
    matrices: Mapping[str, np.ndarray],
    states: Sequence[str],
    *,
    difference: np.ndarray | None = None,
    threshold: float | None = None,
) -> pd.DataFrame:
    """One row per arrow that could be drawn.

    Args:
        matrices: mean transition matrix by panel, shape (S, S).
        states: names in the order of the matrices.
        difference: of two groups, drawn as a further panel; positive is orange.
        threshold: probabilities below it are not drawn; by default .10, or what leaves 24 arrows with many states.
            Differences below 1 percentage point are never drawn.

    Returns:
        panel, from_state, to_state, value (0 to 1), kind (probability or difference), drawn, threshold.
    """
    blocks = []
    for panel, matrix in matrices.items():
        values = np.asarray(matrix, dtype=float)
        limit = _limit(values) if threshold is None else threshold
        blocks.append(_cells(panel, values, states, "probability", limit))
    if difference is not None:
        values = np.asarray(difference, dtype=float)
        rank = np.sort(np.abs(values), axis=None)[::-1]
        limit = max(SMALL_DIFFERENCE, float(rank[MOST_ARROWS - 1]) if rank.size > MOST_ARROWS else 0.0)
        blocks.append(_cells(DIFFERENCE, values, states, "difference", limit))
    return pd.concat(blocks, ignore_index=True)


def _limit(values: np.ndarray) -> float:
    """.10, or a round number that leaves about MOST_ARROWS arrows."""
    if values.shape[0] <= 6:
        return 0.10
    rank = np.sort(np.nan_to_num(values), axis=None)[::-1]
    return math.ceil(100 * float(rank[min(MOST_ARROWS, rank.size) - 1])) / 100


def _cells(panel: str, values: np.ndarray, states: Sequence[str], kind: str, limit: float) -> pd.DataFrame:
    rows = [
        (panel, str(a), str(b), float(values[i, j]), kind, bool(abs(values[i, j]) >= limit), limit)
        for i, a in enumerate(states)
        for j, b in enumerate(states)
    ]
    return pd.DataFrame(rows, columns=["panel", "from_state", "to_state", "value", "kind", "drawn", "threshold"])


def _width(row: Any) -> float:
    """Points: probabilities over 0 to 1; differences over 10 percentage points, so that small ones look small."""
    whole = 1.0 if row.kind == "probability" else max(0.10, float(abs(row.value)))
    return THIN + (WIDE - THIN) * min(abs(row.value) / whole, 1.0)


def _colour(row: Any) -> str:
    return INK if row.kind == "probability" else (VERMILION if row.value > 0 else BLUE)


def _word(row: Any) -> str:
    return number(100 * row.value, 0) if row.kind == "probability" else signed(100 * row.value)


def _below(part: pd.DataFrame) -> str:
    """What is not drawn, below a panel."""
    limit = 100 * float(part["threshold"].iloc[0])
    if part["kind"].iloc[0] == "probability":
        return f"arrows of {number(limit, 0)} % and more"
    if not part["drawn"].any():
        return "no difference of 1 percentage point or more"
    return f"differences of {number(limit, 0 if limit == round(limit) else 1)} percentage points and more"


def screen(frame: pd.DataFrame, *, height: int = 440) -> go.Figure:
    """Networks beside each other; numbers on the arrows, everything on hovering."""
    panels = list(dict.fromkeys(frame["panel"]))
    figure = screen_figure(height, showlegend=False)
    figure.update_layout(margin={"l": 8, "r": 8, "b": 36, "t": 30})
    marks = Marks()
    for index, panel in enumerate(panels):
        part, suffix = frame[frame["panel"] == panel], "" if index == 0 else str(index + 1)
        _screen_network(figure, marks, part, suffix)
        bare = {"visible": False, "fixedrange": True}
        domain = [index / len(panels) + 0.005, (index + 1) / len(panels) - 0.005]
        figure.update_layout(
            {
                f"xaxis{suffix}": bare | {"domain": domain, "anchor": f"y{suffix}", "range": [-REACH, REACH]},
                f"yaxis{suffix}": bare
                | {"anchor": f"x{suffix}", "scaleanchor": f"x{suffix}", "range": [-REACH, REACH]},
            }
        )
        for text, y, look in (
            (f"<b>{screen_text(shortened(panel, 36))}</b>", 1.0, {"size": 14, "color": INK}),
            (_below(part), -0.08, {"size": 12, "color": MUTED}),
        ):
            marks.add_annotation(
                x=sum(domain) / 2,
                y=y,
                xref="paper",
                yref="paper",
                xanchor="center",
                yanchor="bottom",
                showarrow=False,
                text=text,
                font=look,
            )
    marks.put_on(figure)
    return figure


def _screen_network(figure: go.Figure, marks: Marks, part: pd.DataFrame, suffix: str) -> None:
    import plotly.graph_objects as go

    states = list(dict.fromkeys(part["from_state"]))
    place, axes, styles = nodes(states), {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}, state_styles(states)
    for row in records(part[part["drawn"]]):
        colour, width = _colour(row), 1.5 * _width(row)
        dash = "dash" if row.kind == "difference" and row.value < 0 else "solid"
        path, tip, middle = loop(place[row.from_state]) if row.from_state == row.to_state else arrow(
            place[row.from_state], place[row.to_state]
        )  # fmt: skip
        line = {"color": colour, "width": width, "dash": dash}
        shared = {"hoverinfo": "skip", "mode": "lines", "line": line}
        figure.add_trace(go.Scatter(x=path[:, 0], y=path[:, 1], **shared, **axes))
        marks.add_annotation(
            x=tip[0], y=tip[1], ax=path[-8, 0], ay=path[-8, 1], xref=f"x{suffix}", yref=f"y{suffix}",
            axref=f"x{suffix}", ayref=f"y{suffix}", showarrow=True, arrowhead=2, arrowsize=1,
            arrowwidth=max(1.0, 0.7 * width), arrowcolor=colour, text="",
        )  # fmt: skip
        marks.add_annotation(
            x=middle[0], y=middle[1], xref=f"x{suffix}", yref=f"y{suffix}", showarrow=False, text=_word(row),
            font={"size": 12, "color": colour}, bgcolor=PAPER, borderpad=1,
        )  # fmt: skip
    for state in states:
        style, (x, y) = styles[state], place[state]
        marker = {"symbol": style.symbol, "size": 16, "color": style.fill, "line": {"color": style.edge, "width": 1.5}}
        name = screen_text(shortened(state, 18))
        figure.add_trace(
            go.Scatter(
                x=[x],
                y=[y],
                mode="markers",
                marker=marker,
                hovertemplate=f"{screen_text(state)}<extra></extra>",
                **axes,
            )
        )
        at, above = name_place(x, y)
        marks.add_annotation(
            x=at[0], y=at[1], xref=f"x{suffix}", yref=f"y{suffix}", text=name, showarrow=False, font={"size": 13},
            yanchor="bottom" if above else "top",
        )  # fmt: skip


@print_settings()
def print_figure(frame: pd.DataFrame, *, width_mm: float = 183.0) -> Figure:
    """The same for print, as many beside each other as leave 43 mm for each."""
    panels = list(dict.fromkeys(frame["panel"]))
    columns = max(1, min(len(panels), int(width_mm / NARROWEST_MM)))
    lines = math.ceil(len(panels) / columns)
    side = min(width_mm / columns, 90.0)
    shape = 1.0 if frame["from_state"].nunique() > 8 else 0.9
    figure = print_canvas(width_mm, lines * (shape * side + 11))
    for index, axes in enumerate(figure.subplots(lines, columns, squeeze=False).flat):
        if index >= len(panels):
            axes.remove()
            continue
        part = frame[frame["panel"] == panels[index]]
        _print_network(axes, part, side)
        axes.set_title(print_text(wrapped(panels[index], side - 4, 8.0)))
        axes.text(
            0.5,
            0.0,
            wrapped(_below(part), side - 2, 7.0),
            ha="center",
            va="top",
            fontsize=7,
            color=MUTED,
            transform=axes.transAxes,
        )
    return figure


def _print_network(axes: Axes, part: pd.DataFrame, side: float) -> None:
    states = list(dict.fromkeys(part["from_state"]))
    place, styles = nodes(states), state_styles(states)
    for row in sorted(records(part[part["drawn"]]), key=lambda row: abs(row.value)):
        same = row.from_state == row.to_state
        path, tip, middle = loop(place[row.from_state]) if same else arrow(place[row.from_state], place[row.to_state])
        _print_arrow(axes, row, path, tip)
        if len(states) <= 12:
            ground = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.4}
            look: dict[str, Any] = {"fontsize": SMALLEST_PT, "color": _colour(row), "bbox": ground, "zorder": 5}
            axes.text(float(middle[0]), float(middle[1]), _word(row), ha="center", va="center", **look)
    for state in states:
        style, (x, y) = styles[state], place[state]
        axes.plot(
            [x], [y], marker=style.marker, markersize=6.5, color=style.fill, markeredgecolor=style.edge,
            markeredgewidth=0.6, linestyle="none", zorder=6,
        )  # fmt: skip
        _print_name(axes, state, x, y, side, many=len(states) > 8)
    reach = REACH_MANY if len(states) > 8 else REACH
    high = reach if len(states) > 8 else 1.36
    axes.set(xlim=(-reach, reach), ylim=(-high, high), aspect="equal")
    axes.axis("off")


def _print_arrow(axes: Axes, row: Any, path: np.ndarray, tip: np.ndarray) -> None:
    from matplotlib.patches import FancyArrowPatch

    width, colour = _width(row), _colour(row)
    dash = (0, (4, 1.6)) if row.kind == "difference" and row.value < 0 else "-"
    axes.plot(
        path[:-3, 0], path[:-3, 1], color=colour, linewidth=width, linestyle=dash, zorder=3, solid_capstyle="butt"
    )
    head = FancyArrowPatch(
        tuple(path[-6]), tuple(tip), arrowstyle="-|>", mutation_scale=4.5 + 1.6 * width, linewidth=THIN, color=colour,
        shrinkA=0, shrinkB=0, zorder=4,
    )  # fmt: skip
    axes.add_patch(head)


def _print_name(axes: Axes, state: str, x: float, y: float, side: float, *, many: bool) -> None:
    """The state outside its loop; slanted along the radius where there are many."""
    name = print_text(cut(state, (0.2 if many else 0.42) * side))
    if many:
        angle = math.degrees(math.atan2(y, x))
        flipped = abs(angle) > 90
        axes.text(
            1.5 * x, 1.5 * y, name, rotation=angle + 180 * flipped, rotation_mode="anchor", va="center",
            ha="right" if flipped else "left", fontsize=SMALLEST_PT, zorder=7,
        )  # fmt: skip
        return
    at, above = name_place(x, y)
    axes.text(float(at[0]), float(at[1]), name, ha="center", va="bottom" if above else "top", fontsize=7, zorder=7)


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence per network with its strongest arrows between states."""
    said = []
    for panel, part in frame.groupby("panel", sort=False):
        between = part[(part["from_state"] != part["to_state"]) & part["drawn"]]
        top = between.loc[between["value"].abs().sort_values(ascending=False).index[:3]]
        unit = "%" if part["kind"].iloc[0] == "probability" else "percentage points"
        arrows = [f"{row.from_state} to {row.to_state} {_word(row)} {unit}" for row in records(top)]
        said.append(f"{panel}: {listed(arrows) or 'none'} ({_below(part)})")
    return f"Networks of transitions. Strongest arrows between states, by network. {'; '.join(said)}."
