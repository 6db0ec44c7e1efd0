"""Persons by time: how many prompts each person answered on each day, or how high the outcome was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from analyses.figures.labels import number, print_text, screen_text
from analyses.figures.long_labels import shortened
from analyses.figures.palette import MUTED, PAPER, PROBABILITY_STOPS
from analyses.figures.print_room import wrapped
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.screen_style import axis, screen_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

ANSWERS_STOPS = ((0.0, "#DCE9F3"), (0.5, "#5E9CC8"), (1.0, "#0B4A78"))
PARTS = 20
MOST_DAYS = 120
GAP = 0.06


def tidy(
    rows: pd.DataFrame,
    persons: pd.DataFrame,
    *,
    value: Literal["answered", "level"] = "answered",
    outcome: str = "outcome",
    unit: str = "rows",
) -> pd.DataFrame:
    """One row per person and day.

    Args:
        rows: person, sequence, time, answered (bool), and truth (a number) for ``level``.
        persons: person and group in drawing order; others are left out.
        value: ``answered`` counts answered rows, ``level`` takes the mean of the outcome over them.
        outcome: its name, for the legend of ``level``.
        unit: what one row is called, plural.

    Returns:
        group, n (persons of the group), line (1, 2, ... within the group), person, day (its number in the person's
        record, or a twentieth of it where there are no days), value (NaN: nothing answered), what, counted (day or
        part of the record).
    """
    groups = persons["group"].astype("object").where(persons["group"].notna(), "").astype(str)
    order = pd.DataFrame({"person": persons["person"].astype(str).to_numpy(), "group": groups.to_numpy()})
    order["line"] = order.groupby("group").cumcount() + 1
    order["n"] = order.groupby("group")["person"].transform("size")
    mine = rows[rows["person"].isin(set(order["person"]))].sort_values(["person", "sequence", "time"], kind="stable")
    day, counted = _days(mine)
    kept = mine.assign(day=day)
    kept = kept[kept["answered"].to_numpy(dtype=bool)]
    cells = kept.groupby(["person", "day"], sort=False)
    found = cells.size() if value == "answered" else cells["truth"].mean()
    frame = found.rename("value").astype(float).reset_index()
    frame["person"] = frame["person"].astype(str)
    frame = frame.merge(order, on="person").sort_values(["group", "line", "day"], kind="stable")
    what = f"{unit} answered" if value == "answered" else f"mean {outcome}"
    columns = ["group", "n", "line", "person", "day", "value"]
    return frame[columns].reset_index(drop=True).assign(what=what, counted=counted)


def _days(rows: pd.DataFrame) -> tuple[np.ndarray, str]:
    """Number of the day within each person's record; twentieths of the record where there are no days."""
    person, sequence = rows["person"].to_numpy(dtype=object), rows["sequence"].to_numpy()
    if not len(rows):
        return np.zeros(0, dtype=np.int64), "day"
    starts = np.concatenate([[True], person[1:] != person[:-1]])
    fresh = starts | np.concatenate([[True], sequence[1:] != sequence[:-1]])
    running = np.cumsum(fresh)
    first = np.maximum.accumulate(np.where(starts, running, 0))
    day = running - first + 1
    if 1 < int(day.max()) <= MOST_DAYS:
        return day, "Day"
    place = np.arange(len(rows))
    begin = np.maximum.accumulate(np.where(starts, place, 0))
    who = np.cumsum(starts) - 1
    size = np.bincount(who)[who]
    return (PARTS * (place - begin) // size) + 1, "Part of the record (twentieths)"


def _groups(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame, int]]:
    """Group, its cells, and how many lines it has."""
    return [(str(group), part, int(part["n"].iloc[0])) for group, part in frame.groupby("group", sort=True)]


def _scale(frame: pd.DataFrame) -> tuple[tuple[tuple[float, str], ...], float, float]:
    """Colours and their ends: counts begin at 0 in one hue, levels run over cividis."""
    if str(frame["what"].iloc[0]).endswith("answered"):
        return ANSWERS_STOPS, 0.0, max(float(frame["value"].max()), 1.0)
    low, high = float(frame["value"].min()), float(frame["value"].max())
    return PROBABILITY_STOPS, low, high if high > low else low + 1.0


def _title(group: str, lines: int) -> str:
    return f"{shortened(group or 'All persons', 40)} (n = {lines})"


def screen(frame: pd.DataFrame, *, height: int | None = None) -> go.Figure:
    """A heatmap per group, a line per person; white where nothing was answered, no pseudonyms."""
    import plotly.graph_objects as go

    groups = _groups(frame)
    total, last = sum(lines for _, _, lines in groups), int(frame["day"].max())
    stops, low, high = _scale(frame)
    figure = screen_figure(height or int(min(170 + 6 * total, 640)), showlegend=False)
    top = 1.0
    for index, (group, part, lines) in enumerate(groups):
        suffix = "" if index == 0 else str(index + 1)
        bottom = max(top - (1 - GAP * (len(groups) - 1)) * lines / total, 0.0)
        grid = np.full((lines, last), np.nan)
        grid[part["line"].to_numpy() - 1, part["day"].to_numpy() - 1] = part["value"].to_numpy()
        figure.add_trace(
            go.Heatmap(
                z=grid, x=list(range(1, last + 1)), y=list(range(1, lines + 1)), zmin=low, zmax=high,
                colorscale=[[place, colour] for place, colour in stops], showscale=index == 0, xgap=1,
                ygap=1 if total <= 150 else 0, hoverongaps=False,
                colorbar={"title": {"text": screen_text(shortened(frame["what"].iloc[0], 24)), "side": "right"},
                          "thickness": 12, "tickfont": {"size": 12}},
                hovertemplate=f"{screen_text(frame['counted'].iloc[0])} %{{x}}: %{{z:.3g}}<extra></extra>",
                xaxis=f"x{suffix}", yaxis=f"y{suffix}",
            )
        )  # fmt: skip
        title = str(frame["counted"].iloc[0]) if index == len(groups) - 1 else ""
        words = screen_text(_title(group, lines))
        figure.update_layout(
            {
                f"xaxis{suffix}": axis(title, anchor=f"y{suffix}", showgrid=False, zeroline=False,
                                       range=[0.5, last + 0.5], showticklabels=index == len(groups) - 1, ticks=""),
                f"yaxis{suffix}": axis("", domain=[bottom, top], anchor=f"x{suffix}", showgrid=False, zeroline=False,
                                       range=[lines + 0.5, 0.5], showticklabels=False, ticks=""),
            }
        )  # fmt: skip
        figure.add_annotation(
            x=0, y=top, xref="paper", yref="paper", xanchor="left", yanchor="bottom", showarrow=False,
            text=f"<b>{words}</b>", font={"size": 13},
        )  # fmt: skip
        top = bottom - GAP
    figure.update_layout(margin={"l": 16, "t": 28, "b": 44})
    return figure


@print_settings()
def print_figure(frame: pd.DataFrame, *, width_mm: float = 165.0) -> Figure:
    """The same for print."""
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    groups = _groups(frame)
    last, lines = int(frame["day"].max()), [lines for _, _, lines in groups]
    stops, low, high = _scale(frame)
    colours = LinearSegmentedColormap.from_list("strip", list(stops)).with_extremes(bad=PAPER)
    each = min(max(120.0 / sum(lines), 0.5), 4.0)
    figure = print_canvas(width_mm, 18.0 + 9 * len(groups) + each * sum(lines))
    grid = figure.subplots(len(groups), 1, squeeze=False, sharex=True, height_ratios=lines)[:, 0]
    drawn: Any = None
    for axes, (group, part, count) in zip(grid, groups, strict=True):
        cells = np.full((count, last), np.nan)
        cells[part["line"].to_numpy() - 1, part["day"].to_numpy() - 1] = part["value"].to_numpy()
        drawn = axes.imshow(cells, aspect="auto", cmap=colours, norm=Normalize(low, high), interpolation="nearest",
                            extent=(0.5, last + 0.5, count + 0.5, 0.5))  # fmt: skip
        axes.set_title(print_text(wrapped(_title(group, count), width_mm - 30, 8.0)), loc="left")
        axes.set_yticks([])
        calm(axes)
        axes.spines["left"].set_visible(False)
    grid[-1].set_xlabel(str(frame["counted"].iloc[0]))
    bar = figure.colorbar(drawn, ax=list(grid), fraction=0.04, pad=0.02)
    bar.set_label(print_text(wrapped(frame["what"].iloc[0], 60.0, 7.5)), color=MUTED)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    return figure


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with the mean and the span of what the cells show."""
    if frame.empty:
        return "No answers to show."
    what, counted = str(frame["what"].iloc[0]), str(frame["counted"].iloc[0])
    said = []
    for group, part, lines in _groups(frame):
        span = f"{number(float(part['value'].min()), 1)} to {number(float(part['value'].max()), 1)}"
        mean = number(float(part["value"].mean()), 1)
        said.append(f"{group or 'all persons'} (n = {lines}) mean {mean}, {span}")
    unit = counted[0].lower() + counted[1:]
    return f"{what[0].upper()}{what[1:]} of every person by {unit}, where anything was answered: {'; '.join(said)}."
