"""Every person's states over time, one line per person, sorted by group: the sequence index plot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses.figures.few_states import area_styles, folded
from analyses.figures.labels import listed, number, print_text, screen_text
from analyses.figures.long_labels import shortened
from analyses.figures.palette import GRID, INK, MUTED, Style
from analyses.figures.print_room import legend_columns, wrapped
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.screen_style import axis, screen_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PERSONS = 160
LONGEST = 500
HEIGHTS = (0.94, 0.3)


def tidy(
    predictions: pd.DataFrame, persons: pd.DataFrame, states: Sequence[str], *, most: int = MOST_PERSONS
) -> pd.DataFrame:
    """One row per answered prompt, in drawing order.

    Persons are sorted by group and, within it, by the share of the most frequent state. Of more than ``most`` persons,
    evenly spaced ones of each group are drawn.

    Returns:
        group, n (persons of the group), line (1, 2, ... within the group), person, step (time where it counts prompts,
        else the rank of the prompt), state, starts_sequence (a new day begins), left_out (persons not drawn).
    """
    rows = predictions[predictions["truth"].notna()].merge(persons[["person", "group"]], on="person")
    rows["group"] = rows["group"].fillna("").astype(str)
    rows["state"], names = folded(rows["truth"].astype(str), [str(state) for state in states])
    rows = rows.sort_values(["person", "sequence", "time", "row"], kind="stable")
    rows["step"] = _step(rows)
    fresh = (rows["sequence"] != rows["sequence"].shift()) | (rows["person"] != rows["person"].shift())
    rows["starts_sequence"] = fresh
    common = rows["state"].value_counts().index[0]
    share = rows.groupby("person").agg(group=("group", "first"), share=("state", lambda s: float((s == common).mean())))
    share = share.sort_values(["group", "share"], kind="stable")
    share["n"] = share.groupby("group")["share"].transform("size")
    drawn = _spaced(share, most)
    drawn["line"] = drawn.groupby("group").cumcount() + 1
    found = rows.drop(columns=["group"]).merge(drawn.reset_index(), on="person")
    found["state"] = pd.Categorical(found["state"], categories=names)
    found = found.sort_values(["group", "line", "step"], kind="stable").reset_index(drop=True)
    columns = ["group", "n", "line", "person", "step", "state", "starts_sequence"]
    return found[columns].assign(left_out=len(share) - len(drawn))


def _step(rows: pd.DataFrame) -> pd.Series:
    """Time where it is a whole number that counts prompts over the study, else the rank of the person's prompt."""
    time = rows["time"]
    twice = rows.duplicated(["person", "time"]).any()
    if not twice and np.allclose(time, time.round()) and time.max() - time.min() < LONGEST:
        return (time - time.min() + 1).round().astype(int)
    return rows.groupby("person").cumcount() + 1


def _spaced(share: pd.DataFrame, most: int) -> pd.DataFrame:
    """At most ``most`` persons, as many of each group as its part of all."""
    if len(share) <= most:
        return share.copy()
    kept = []
    for _, part in share.groupby("group", sort=True):
        count = max(1, int(most * len(part) / len(share)))
        kept.append(part.iloc[np.linspace(0, len(part) - 1, count).round().astype(int)])
    return pd.concat(kept)


def _runs(part: pd.DataFrame) -> list[tuple[int, str, int, int]]:
    """(line, state, first step, last step) of unbroken stretches of one state."""
    found: list[tuple[int, str, int, int]] = []
    for line, state, step in part[["line", "state", "step"]].itertuples(index=False):
        if found and found[-1][0] == line and found[-1][1] == state and found[-1][3] == step - 1:
            found[-1] = (*found[-1][:3], int(step))
        else:
            found.append((int(line), str(state), int(step), int(step)))
    return found


def _heights(states: list[str]) -> dict[str, float]:
    """Bars of different height, so that states can be told apart without colour."""
    return dict(zip(states, np.linspace(*HEIGHTS, max(len(states), 2)), strict=False))


def _states(frame: pd.DataFrame) -> tuple[list[str], dict[str, Style]]:
    states = [str(state) for state in frame["state"].cat.categories]
    return states, area_styles(states)


def _title(part: pd.DataFrame) -> str:
    lines, n = int(part["line"].max()), int(part["n"].iloc[0])
    shown = f"n = {n}" if lines == n else f"{lines} of {n} persons"
    return f"{part['group'].iloc[0] or 'All persons'} ({shown})"


def _day_edges(frame: pd.DataFrame) -> list[float]:
    """Where a day begins for everybody; none when days begin at different steps."""
    starts = frame.groupby("step")["starts_sequence"].mean()
    edges = [float(step) - 0.5 for step, part in starts.items() if part > 0.5]  # pyright: ignore[reportArgumentType]
    return edges[1:] if 2 < len(edges) <= 60 else []


def screen(frame: pd.DataFrame, *, height: int | None = None) -> go.Figure:
    """A heatmap per group; the state on hovering, no pseudonyms."""
    import plotly.graph_objects as go

    states, styles = _states(frame)
    groups = [str(group) for group in dict.fromkeys(frame["group"])]
    total = frame.groupby("group")["line"].max().sum()
    figure = screen_figure(height or int(140 + 6.5 * total + 40 * len(groups)))
    scale = [[edge / len(states), styles[name].fill] for code, name in enumerate(states) for edge in (code, code + 1)]
    top = 1.0
    for index, group in enumerate(groups):
        part, suffix = frame[frame["group"] == group], "" if index == 0 else str(index + 1)
        bottom = max(top - (1 - 0.07 * (len(groups) - 1)) * float(part["line"].max()) / float(total), 0.0)
        grid = part.assign(code=part["state"].cat.codes + 0.5).pivot(index="line", columns="step", values="code")
        grid = grid.reindex(columns=range(1, int(frame["step"].max()) + 1))
        words = [["" if v != v else screen_text(states[int(v)]) for v in row] for row in grid.to_numpy(dtype=float)]
        figure.add_trace(
            go.Heatmap(
                z=grid.to_numpy(dtype=float), x=list(grid.columns), y=list(grid.index), colorscale=scale, zmin=0,
                zmax=len(states), showscale=False, customdata=words, hoverongaps=False, ygap=1,
                hovertemplate="prompt %{x}: %{customdata}<extra></extra>", xaxis=f"x{suffix}", yaxis=f"y{suffix}",
            )
        )  # fmt: skip
        title = "Prompt" if index == len(groups) - 1 else ""
        figure.update_layout(
            {
                f"xaxis{suffix}": axis(title, anchor=f"y{suffix}", showgrid=False, zeroline=False,
                                       showticklabels=index == len(groups) - 1),
                f"yaxis{suffix}": axis("", domain=[bottom, top], anchor=f"x{suffix}", showgrid=False, ticks="",
                                       autorange="reversed", showticklabels=False, zeroline=False),
            }
        )  # fmt: skip
        figure.add_annotation(
            x=0, y=top, xref="paper", yref="paper", xanchor="left", yanchor="bottom", showarrow=False,
            text=f"<b>{screen_text(shortened(_title(part), 60))}</b>", font={"size": 13, "color": INK},
        )  # fmt: skip
        top = bottom - 0.07
    for name in states:
        marker = {"symbol": "square", "size": 12, "color": styles[name].fill}
        label = screen_text(shortened(name, 30))
        figure.add_trace(go.Scatter(x=[None], y=[None], mode="markers", marker=marker, name=label))
    figure.update_layout(margin={"l": 16, "t": 56}, legend={"y": 1.06})
    return figure


@print_settings()
def print_figure(frame: pd.DataFrame, *, width_mm: float = 183.0) -> Figure:
    """The same for print; each state has its own height of bar, so that the figure can be read in grey."""
    groups = [str(group) for group in dict.fromkeys(frame["group"])]
    lines = [int(frame.loc[frame["group"] == group, "line"].max()) for group in groups]
    line_mm = min(max(125.0 / sum(lines), 0.9), 3.0)
    figure = print_canvas(width_mm, 20.0 + 9 * len(groups) + line_mm * sum(lines))
    grid = figure.subplots(len(groups), 1, squeeze=False, sharex=True, height_ratios=lines)
    edges = _day_edges(frame)
    for axes, group in zip(grid[:, 0], groups, strict=True):
        part = frame[frame["group"] == group]
        _lines(axes, part, int(frame["step"].max()))
        for edge in edges:
            axes.axvline(edge, color=GRID, linewidth=0.5, zorder=0)
        axes.set_title(print_text(wrapped(_title(part), width_mm - 12, 8.0)), loc="left")
    grid[-1, 0].set_xlabel("Prompt (light lines: days)" if edges else "Prompt")
    _legend(figure, frame, width_mm)
    return figure


def _lines(axes: Axes, part: pd.DataFrame, last: int) -> None:
    from matplotlib.collections import PolyCollection

    states, styles = _states(part)
    heights, runs = _heights(states), _runs(part)
    for state in states:
        high = heights[state]
        boxes = [_box(first, end, y + 0.47, high) for y, name, first, end in runs if name == state]
        axes.add_collection(PolyCollection(boxes, facecolors=styles[state].fill, edgecolors="none", zorder=2))
    axes.set(xlim=(0.4, last + 0.6), ylim=(int(part["line"].max()) + 0.6, 0.4), yticks=[])
    calm(axes)
    axes.spines["left"].set_visible(False)


def _box(first: int, end: int, down: float, high: float) -> list[tuple[float, float]]:
    """Corners of a bar from a step to another, standing on ``down`` (the axis points downwards)."""
    left, right = first - 0.5, end + 0.5
    return [(left, down), (right, down), (right, down - high), (left, down - high)]


def _legend(figure: Figure, frame: pd.DataFrame, width_mm: float) -> None:
    """Boxes as high as the bars."""
    from matplotlib.legend_handler import HandlerPatch
    from matplotlib.patches import Patch, Rectangle

    states, styles = _states(frame)
    heights = _heights(states)

    class Low(HandlerPatch):
        """A box as high as its state's bar, standing on the line."""

        def create_artists(self, *parts: Any, **_: Any) -> list[Any]:
            _, orig_handle, left, down, width, height, _, trans = parts
            share = heights[orig_handle.get_gid()]
            size = {"width": width * 0.6, "height": height * share * 1.2}
            box = Rectangle((left, down), **size, facecolor=orig_handle.get_facecolor(), edgecolor="none")
            box.set_transform(trans)
            return [box]

    handles = [Patch(facecolor=styles[state].fill, gid=state) for state in states]
    labels = [print_text(shortened(state, 40)) for state in states]
    figure.legend(
        handles, labels, loc="outside upper left", ncols=legend_columns(labels, width_mm), frameon=False,
        handler_map={Patch: Low()}, labelcolor=INK, title="Height of the bar tells the state, too",
        title_fontproperties={"size": 7}, alignment="left",
    ).get_title().set_color(MUTED)  # fmt: skip


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with persons, prompts and the shares of the states by group."""
    said = []
    for group, part in frame.groupby("group", sort=True):
        shares = part["state"].value_counts(normalize=True, sort=False)
        parts = [f"{state} {number(100 * float(share), 0)} %" for state, share in shares.items()]
        said.append(f"{group or 'all persons'} (n = {int(part['n'].iloc[0])}) {listed(parts)}")
    more = int(frame["left_out"].iloc[0])
    rest = f" {more} persons are not drawn." if more else ""
    return (
        f"States over time of {frame['person'].nunique()} persons at up to {int(frame['step'].max())} prompts. Shares "
        f"of prompts: {'; '.join(said)}.{rest}"
    )
