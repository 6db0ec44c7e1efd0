"""Every person's transition matrix as a small map, side by side within the groups (NME, figure 6)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.figures.labels import listed, number, print_text, screen_text
from analyses.figures.long_labels import shortened
from analyses.figures.matrix_panels import STOPS
from analyses.figures.palette import INK, colour_at
from analyses.figures.print_room import wrapped
from analyses.figures.print_style import print_canvas, print_settings
from analyses.figures.screen_style import screen_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PERSONS = 120
GAP = 0.35


def tidy(
    transitions: pd.DataFrame, persons: pd.DataFrame, *, value: str = "probability", most: int = MOST_PERSONS
) -> pd.DataFrame:
    """One row per person and cell, in drawing order.

    Within a group persons are sorted by how steady they are (the mean of the diagonal), the steadiest first. Of more
    than ``most`` persons, evenly spaced ones of each group are kept.

    Returns:
        group, n (its persons), rank (1, 2, ... among those drawn), person, from_state, to_state, value (0 to 1),
        left_out (persons not drawn).
    """
    frame = transitions[["person", "from_state", "to_state"]].assign(value=transitions[value].astype(float))
    frame = frame.merge(persons[["person", "group"]], on="person")
    frame["group"] = frame["group"].fillna("").astype(str)
    steady = frame[frame["from_state"] == frame["to_state"]].groupby("person")["value"].mean()
    order = frame.drop_duplicates("person").set_index("person")[["group"]].assign(steady=steady)
    order = order.sort_values(["group", "steady"], ascending=[True, False], kind="stable")
    order["n"] = order.groupby("group")["steady"].transform("size")
    kept = []
    for _, part in order.groupby("group", sort=True):
        count = len(part) if len(order) <= most else max(1, int(most * len(part) / len(order)))
        kept.append(part.iloc[np.linspace(0, len(part) - 1, count).round().astype(int)])
    drawn = pd.concat(kept)
    drawn["rank"] = drawn.groupby("group").cumcount() + 1
    found = frame.drop(columns="group").merge(drawn.reset_index(), on="person")
    found = found.sort_values(["group", "rank"], kind="stable").reset_index(drop=True)
    columns = ["group", "n", "rank", "person", "from_state", "to_state", "value"]
    return found[columns].assign(left_out=len(order) - len(drawn))


def _limits(frame: pd.DataFrame) -> tuple[float, float]:
    return 0.0, float(np.nanmax(frame["value"].to_numpy(dtype=float), initial=0.05))


def _mosaic(part: pd.DataFrame, columns: int) -> np.ndarray:
    """All small matrices of one group on one grid of cells, NaN between them."""
    states = list(dict.fromkeys(part["from_state"]))
    size, count = len(states), int(part["rank"].max())
    lines = math.ceil(count / columns)
    grid = np.full((lines, size + 1, columns, size + 1), np.nan)
    place = {state: index for index, state in enumerate(states)}
    at = part["rank"].to_numpy() - 1
    rows, cells = part["from_state"].map(place).to_numpy(), part["to_state"].map(place).to_numpy()
    grid[at // columns, rows, at % columns, cells] = part["value"].to_numpy(dtype=float)
    return grid.reshape(lines * (size + 1), columns * (size + 1))[:-1, :-1]


def _title(part: pd.DataFrame) -> str:
    shown, n = int(part["rank"].max()), int(part["n"].iloc[0])
    return f"{part['group'].iloc[0] or 'All persons'} ({f'n = {n}' if shown == n else f'{shown} of {n} persons'})"


def _order(frame: pd.DataFrame) -> str:
    states = [str(state) for state in dict.fromkeys(frame["from_state"])]
    names = ", ".join(shortened(state, 18) for state in states[:8])
    return f"Rows (from) and columns (into): {names}{', ...' if len(states) > 8 else ''}"


def screen(frame: pd.DataFrame, *, height: int | None = None, columns: int = 20) -> go.Figure:
    """One heatmap of small matrices per group, one below the other."""
    import plotly.graph_objects as go

    groups = [str(group) for group in dict.fromkeys(frame["group"])]
    low, high = _limits(frame)
    grids = [_mosaic(frame[frame["group"] == group], columns) for group in groups]
    lines = sum(len(grid) for grid in grids)
    figure = screen_figure(height or int(120 + 46 * len(groups) + 10 * lines))
    room, top = 1 - 0.09 * len(groups), 1.0
    for index, (group, grid) in enumerate(zip(groups, grids, strict=True)):
        suffix, bottom = "" if index == 0 else str(index + 1), max(top - 0.09 - room * len(grid) / lines, 0.0)
        figure.add_trace(
            go.Heatmap(
                z=100 * grid, colorscale=[list(stop) for stop in STOPS["probability"]], zmin=100 * low, zmax=100 * high,
                colorbar={"title": {"text": "%"}, "thickness": 12}, showscale=index == 0, hoverongaps=False,
                hovertemplate="%{z:.0f} %<extra></extra>", xaxis=f"x{suffix}", yaxis=f"y{suffix}",
            )
        )  # fmt: skip
        bare = {"showticklabels": False, "showgrid": False, "zeroline": False, "fixedrange": True, "ticks": ""}
        title = f"<b>{screen_text(shortened(_title(frame[frame['group'] == group]), 70))}</b>"
        figure.add_annotation(
            x=0,
            y=top - 0.085,
            xref="paper",
            yref="paper",
            xanchor="left",
            yanchor="bottom",
            showarrow=False,
            text=title,
        )
        domain = {"domain": [bottom, top - 0.09]}
        figure.update_layout(
            {
                f"xaxis{suffix}": bare | {"anchor": f"y{suffix}", "range": [-0.5, grids[0].shape[1] - 0.5]},
                f"yaxis{suffix}": bare | domain | {"anchor": f"x{suffix}", "range": [len(grid) - 0.5, -0.5]},
            }
        )
        top = bottom
    figure.update_layout(margin={"l": 16, "b": 48, "t": 16})
    figure.add_annotation(
        x=0, y=0, xref="paper", yref="paper", xanchor="left", yanchor="top", yshift=-8, showarrow=False,
        text=screen_text(_order(frame)), font={"size": 13},
    )  # fmt: skip
    return figure


@print_settings()
def print_figure(frame: pd.DataFrame, *, width_mm: float = 183.0) -> Figure:
    """The same for print."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    groups, states = [str(group) for group in dict.fromkeys(frame["group"])], frame["from_state"].nunique()
    columns = _columns(frame, width_mm - 16, max(6.5, 1.0 * states))
    side = min((width_mm - 16) / columns, 16.0)
    grids = [_mosaic(frame[frame["group"] == group], columns) for group in groups]
    heights = [len(grid) * side / (states + 1) for grid in grids]
    figure = print_canvas(width_mm, sum(heights) + 7 * len(groups) + 8)
    stack = figure.subplots(len(groups), 1, squeeze=False, height_ratios=heights)[:, 0]
    shades = ListedColormap([colour_at(STOPS["probability"], step / 255) for step in range(256)])
    low, high = _limits(frame)
    for axes, group, grid in zip(stack, groups, grids, strict=True):
        _tiles(axes, grid, shades, (low, high), int((width_mm - 16) / side * (states + 1)) - 1)
        title = wrapped(_title(frame[frame["group"] == group]), width_mm - 30, 8.0)
        axes.set_title(print_text(title), loc="left")
    label = print_text(wrapped(_order(frame), width_mm - 30, 7.0, lines=3))
    stack[-1].set_xlabel(label, loc="left", fontsize=7)
    scale = ScalarMappable(Normalize(100 * low, 100 * high), shades)
    bar = figure.colorbar(scale, ax=list(stack), shrink=0.5, aspect=24, pad=0.01, label="Probability, %")
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    bar.ax.tick_params(length=2, width=0.5)
    return figure


def _columns(frame: pd.DataFrame, width_mm: float, smallest: float) -> int:
    """The fewest matrices beside each other that keep the figure wider than high; each at least ``smallest`` wide."""
    sizes = frame.groupby("group")["rank"].max().to_list()
    most = max(1, min(int(width_mm / smallest), max(sizes)))
    for columns in range(1, most + 1):
        side = min(width_mm / columns, 16.0)
        if side * sum(math.ceil(size / columns) for size in sizes) <= 0.62 * width_mm:
            return columns
    return most


def _tiles(axes: Axes, grid: np.ndarray, shades: object, ends: tuple[float, float], width: int) -> None:
    """Squares of colour; nothing where there is no cell."""
    axes.pcolormesh(
        np.ma.masked_invalid(grid), cmap=shades, vmin=ends[0], vmax=ends[1],  # pyright: ignore[reportArgumentType]
        linewidth=0, edgecolors="none", antialiased=False,
    )  # fmt: skip
    axes.set(xlim=(0, width), ylim=(len(grid), 0), xticks=[], yticks=[], aspect="equal", anchor="W")
    axes.spines[:].set_visible(False)
    axes.xaxis.label.set_color(INK)


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with the range of the diagonal in each group."""
    said = []
    diagonal = frame[frame["from_state"] == frame["to_state"]]
    for group, part in diagonal.groupby("group", sort=True):
        steady = part.groupby("person")["value"].mean()
        low, high = number(100 * float(steady.min()), 0), number(100 * float(steady.max()), 0)
        said.append(
            f"{group or 'all persons'} (n = {int(part['n'].iloc[0])}) mean probability of staying in a state from "
            f"{low} to {high} %"
        )
    more = int(frame["left_out"].iloc[0])
    rest = f" {more} persons are not drawn." if more else ""
    count = frame["person"].nunique()
    return f"Transition matrices of {count} persons, sorted by how steady they are: {listed(said)}.{rest}"
