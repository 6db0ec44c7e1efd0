"""Single sequences of states in which one transition occurs, a line each, with the transition marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses.figures.labels import ARROW, print_text, screen_text
from analyses.figures.long_labels import shortened
from analyses.figures.palette import GRID, INK, PAPER, state_styles
from analyses.figures.print_room import legend_columns
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.rows import records
from analyses.figures.screen_style import axis, screen_figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go
    from matplotlib.figure import Figure

MOST, LONGEST = 8, 40


def tidy(
    predictions: pd.DataFrame,
    sequences: pd.DataFrame,
    cell: tuple[str, str],
    states: Sequence[str],
    *,
    most: int = MOST,
) -> pd.DataFrame:
    """One row per observed step of the first sequences given, in drawing order.

    Args:
        predictions: of the run: person, sequence, row, time, truth.
        sequences: person, sequence, group, moves and departures, those to show first.
        cell: (from, into), the transition that is marked.
        states: names, in the order of the run.
        most: how many sequences are drawn.

    Returns:
        line (1, 2, ...), person, sequence, group, step (1, 2, ... within the sequence), state, leaves (the next step
        makes the transition), moves, departures, from_state, to_state. Of sequences longer than 40 steps the part
        around the first such transition is kept.
    """
    kept = sequences.head(most).assign(line=np.arange(1, min(most, len(sequences)) + 1))
    near = predictions[predictions["person"].isin(kept["person"])]
    wanted = ["person", "sequence", "group", "line", "moves", "departures"]
    rows = near.merge(kept[wanted], on=["person", "sequence"])
    rows = rows[rows["truth"].notna()].sort_values(["line", "time", "row"], kind="stable")
    rows["step"] = rows.groupby("line").cumcount() + 1
    follows = rows.groupby("line")["truth"].shift(-1)
    rows["leaves"] = (rows["truth"] == cell[0]) & (follows == cell[1])
    parts = [_window(part) for _, part in rows.groupby("line", sort=True)]
    found = pd.concat(parts) if parts else rows
    found["state"] = pd.Categorical(found["truth"].astype(str), categories=[str(state) for state in states])
    columns = ["line", "person", "sequence", "group", "step", "state", "leaves", "moves", "departures"]
    return found[columns].assign(from_state=cell[0], to_state=cell[1]).reset_index(drop=True)


def _window(part: pd.DataFrame) -> pd.DataFrame:
    """At most LONGEST steps, with the first marked transition among them."""
    if len(part) <= LONGEST:
        return part
    at = int(np.argmax(part["leaves"].to_numpy())) if part["leaves"].any() else 0
    start = min(max(at - LONGEST // 3, 0), len(part) - LONGEST)
    return part.iloc[start : start + LONGEST]


def _names(frame: pd.DataFrame, names: bool) -> list[str]:
    """What stands beside each line: the group, with the pseudonym where it may be shown."""
    firsts = frame.drop_duplicates("line")
    said = [
        f"{f'{row.person}, ' if names else ''}{row.group or 'no group'}: {row.moves} of {row.departures}"
        for row in records(firsts)
    ]
    return [shortened(text, 44) for text in said]


def screen(frame: pd.DataFrame, *, names: bool = False) -> go.Figure:
    """Marks by state; a dark line joins the two steps of the transition. Pseudonyms only with ``names``."""
    import plotly.graph_objects as go

    lines = int(frame["line"].max()) if len(frame) else 1
    figure = screen_figure(96 + 26 * lines, hovermode="closest")
    if frame.empty:
        return figure
    states = [str(state) for state in frame["state"].cat.categories]
    for line in _moves(frame):
        figure.add_trace(
            go.Scatter(**line, mode="lines", line={"color": INK, "width": 5}, showlegend=False, hoverinfo="skip")
        )
    for state, style in state_styles(states).items():
        part = frame[frame["state"] == state]
        marker = {"symbol": style.symbol, "size": 10, "color": style.fill, "line": {"width": 1, "color": PAPER}}
        figure.add_trace(
            go.Scatter(
                x=part["step"], y=part["line"], mode="markers", name=screen_text(shortened(state, 30)), marker=marker,
                hovertemplate=f"step %{{x}}: {screen_text(state)}<extra></extra>",
            )
        )  # fmt: skip
    ticks = [screen_text(text) for text in _names(frame, names)]
    figure.update_yaxes(
        axis(tickvals=list(range(1, lines + 1)), ticktext=ticks, range=[lines + 0.6, 0.4], zeroline=False)
    )
    figure.update_xaxes(axis("Step of the sequence", showgrid=False, zeroline=False))
    return figure


def _moves(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Both ends of every marked transition."""
    found = []
    for row in records(frame[frame["leaves"]]):
        found.append({"x": [row.step, row.step + 1], "y": [row.line, row.line]})
    return found


@print_settings()
def print_figure(frame: pd.DataFrame, *, width_mm: float = 183.0) -> Figure:
    """The same for print, without pseudonyms."""
    lines = int(frame["line"].max()) if len(frame) else 1
    figure = print_canvas(width_mm, 26 + 5.0 * lines)
    if frame.empty:
        return figure
    axes = figure.subplots()
    states = [str(state) for state in frame["state"].cat.categories]
    for line in _moves(frame):
        axes.plot(line["x"], line["y"], color=INK, linewidth=2.4, zorder=2)
    for state, style in state_styles(states).items():
        part = frame[frame["state"] == state]
        axes.plot(
            part["step"], part["line"], linestyle="none", marker=style.marker, markersize=4.2, color=style.fill,
            markeredgecolor=PAPER, markeredgewidth=0.4, zorder=3, label=print_text(shortened(state, 24)),
        )  # fmt: skip
    axes.set_yticks(range(1, lines + 1), [print_text(text) for text in _names(frame, names=False)])
    axes.set(ylim=(lines + 0.6, 0.4), xlabel="Step of the sequence")
    axes.hlines(range(1, lines + 1), 1, frame["step"].max(), color=GRID, linewidth=0.5, zorder=1)
    calm(axes)
    figure.legend(loc="outside upper left", ncols=legend_columns(states, width_mm), frameon=False)
    return figure


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with how many sequences are shown and how often the transition occurs in them."""
    if frame.empty:
        return "No sequence holds this transition."
    firsts = frame.drop_duplicates("line")
    ends = ARROW.join(shortened(frame[name].iloc[0], 40) for name in ("from_state", "to_state"))
    return (
        f"{len(firsts)} sequences that push the difference in {ends} most, a line each: {int(firsts['moves'].sum())} "
        f"of {int(firsts['departures'].sum())} steps out of {shortened(frame['from_state'].iloc[0], 40)} make this "
        "transition."
    )
