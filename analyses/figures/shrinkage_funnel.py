"""How far each person is pulled towards the average: without pooling, and as the model has it, against their rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses.figures.labels import number, print_text, screen_text
from analyses.figures.long_labels import shortened
from analyses.figures.palette import INK, MUTED, Style, group_styles
from analyses.figures.print_room import legend_above, wrapped
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.screen_style import axis, screen_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

CALM_LINE = "#C3CAD2"


def of_transition(transitions: pd.DataFrame, persons: pd.DataFrame, cell: tuple[str, str]) -> pd.DataFrame:
    """One row per person who ever left the cell's first state, for the probability of one transition.

    Args:
        transitions: the run's transitions table.
        persons: person and group.
        cell: (from, into).

    Returns:
        person, group, rows (how often the first state was left), alone (count / rows, without pooling), shrunken (the
        model's probability), centre (the average person's), what, unit; shares in percent.
    """
    mine = transitions[transitions["from_state"] == cell[0]]
    rows = mine.groupby("person")["observed"].sum()
    frame = mine[mine["to_state"] == cell[1]].set_index("person")
    frame = frame.assign(rows=rows.reindex(frame.index)).query("rows > 0")
    groups = persons.set_index("person")["group"].reindex(frame.index)
    found = pd.DataFrame(
        {
            "person": frame.index.astype(str),
            "group": ["" if pd.isna(label) else str(label) for label in groups],
            "rows": frame["rows"].to_numpy(dtype=np.int64),
            "alone": 100 * frame["observed"].to_numpy(dtype=float) / frame["rows"].to_numpy(dtype=float),
            "shrunken": 100 * frame["probability"].to_numpy(dtype=float),
            "centre": 100 * frame["generic"].to_numpy(dtype=float),
        }
    )
    what = f"{cell[0]} → {cell[1]}"
    return found.assign(what=f"Probability of {what}", unit="%", counted=f"Times “{cell[0]}” was left")


def of_level(predictions: pd.DataFrame, persons: pd.DataFrame, outcome: str) -> pd.DataFrame:
    """The same for a number: how far a person lies from what the shared part of the model predicts.

    ``alone`` is the mean of truth minus population prediction over the person's training rows, ``shrunken`` the mean of
    personal minus population prediction, ``centre`` 0, all in units of the outcome; ``rows`` are training rows.
    """
    train = predictions[(predictions["split"] == "train") & predictions["truth"].notna()]
    parts = train.assign(
        alone=train["truth"] - train["prediction_population"],
        shrunken=train["prediction"] - train["prediction_population"],
    )
    found = parts.groupby("person").agg(rows=("alone", "size"), alone=("alone", "mean"), shrunken=("shrunken", "mean"))
    groups = persons.set_index("person")["group"].reindex(found.index)
    found.insert(0, "group", ["" if pd.isna(label) else str(label) for label in groups])
    found = found.reset_index().assign(centre=0.0, what=f"Distance from the average, {outcome}", unit="")
    return found.assign(counted="Training rows of the person")


def _by_group(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame, Style]]:
    styles = group_styles(sorted(frame["group"].unique()))
    return [(str(group), part, styles[str(group)]) for group, part in frame.groupby("group", sort=True)]


def _ticks(frame: pd.DataFrame) -> list[int]:
    """1, 2, 5, 10, ... for a logarithmic axis; none where rows differ less than tenfold."""
    low, high = int(frame["rows"].min()), int(frame["rows"].max())
    if high <= 10 * low:
        return []
    return [tick * 10**power for power in range(7) for tick in (1, 2, 5) if low <= tick * 10**power <= high]


def _triples(part: pd.DataFrame) -> tuple[list[Any], list[Any]]:
    """A line per person from the unpooled to the shrunken value."""
    xs = [value for rows in part["rows"] for value in (rows, rows, None)]
    ys = [v for a, b in zip(part["alone"], part["shrunken"], strict=True) for v in (a, b, None)]
    return xs, ys


def screen(frame: pd.DataFrame, *, height: int = 400) -> go.Figure:
    """A grey line from the open mark (this person alone) to the filled one (with the model)."""
    import plotly.graph_objects as go

    figure = screen_figure(height, hovermode="closest")
    xs, ys = _triples(frame)
    line = {"color": CALM_LINE, "width": 1}
    figure.add_trace(go.Scatter(x=xs, y=ys, mode="lines", line=line, showlegend=False, hoverinfo="skip"))
    for group, part, style in _by_group(frame):
        name = screen_text(shortened(group or "no group", 40))
        own = {"symbol": f"{style.symbol.removesuffix('-open')}-open", "size": 7, "color": style.edge}
        for column, marker, words in (
            ("alone", own, "this person alone"),
            ("shrunken", {"symbol": style.symbol, "size": 7, "color": style.fill}, "with the model"),
        ):
            figure.add_trace(
                go.Scatter(
                    x=part["rows"], y=part[column], mode="markers", marker=marker,
                    name=f"{name} ({len(part)}), {words}",
                    hovertemplate="%{x} rows: %{y:.1f}<extra></extra>",
                )
            )  # fmt: skip
    figure.add_hline(y=float(frame["centre"].iloc[0]), line={"color": INK, "width": 1, "dash": "dot"})
    ticks = _ticks(frame)
    log = {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:,}" for tick in ticks]} if ticks else {}
    figure.update_xaxes(axis(screen_text(shortened(frame["counted"].iloc[0], 50)), zeroline=False, **log))
    figure.update_yaxes(axis(screen_text(shortened(_value(frame), 60)), zeroline=False))
    return figure


def _value(frame: pd.DataFrame) -> str:
    unit = str(frame["unit"].iloc[0])
    return f"{frame['what'].iloc[0]}, {unit}" if unit else str(frame["what"].iloc[0])


@print_settings()
def print_figure(frame: pd.DataFrame, *, width_mm: float = 127.0) -> Figure:
    """The same for print."""
    figure = print_canvas(width_mm, min(0.66 * width_mm, 90.0) + 8)
    axes = figure.subplots()
    axes.vlines(frame["rows"], frame["alone"], frame["shrunken"], color=CALM_LINE, linewidth=0.5, zorder=1)
    for group, part, style in _by_group(frame):
        name = print_text(f"{group or 'no group'} (n = {len(part)})")
        look: dict[str, Any] = {"marker": style.marker, "edgecolors": style.edge, "zorder": 3}
        axes.scatter(part["rows"], part["alone"], s=8, facecolors="white", linewidths=0.5, **look)
        axes.scatter(part["rows"], part["shrunken"], s=8, facecolors=style.fill, linewidths=0.5, label=name, **look)
    axes.axhline(float(frame["centre"].iloc[0]), color=INK, linewidth=0.6, linestyle=":", label="average person")
    axes.scatter([], [], s=8, facecolors="white", edgecolors=MUTED, linewidths=0.5, label="open: this person alone")
    ticks = _ticks(frame)
    if ticks:
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.set_xticks([], minor=True)
        axes.set_xlim(0.85 * float(frame["rows"].min()), 1.18 * float(frame["rows"].max()))
    axes.set_xlabel(print_text(shortened(frame["counted"].iloc[0], 50)))
    axes.set_ylabel(print_text(wrapped(_value(frame), min(0.5 * width_mm, 70.0), 7.5)))
    calm(axes, grid="y")
    legend_above(figure, width_mm)
    return figure


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with both spreads, and where the pull is strongest."""
    if frame.empty:
        return "No persons to show."
    alone, shrunken = (float(frame[column].std(ddof=0)) for column in ("alone", "shrunken"))
    few = frame["rows"] <= frame["rows"].median()
    away = (frame["alone"] - frame["centre"]).abs()
    kept = (frame["shrunken"] - frame["centre"]).abs()
    shares = [float(kept[part].mean() / max(away[part].mean(), 1e-12)) for part in (few, ~few) if part.any()]
    pull = " and ".join(
        f"{number(100 * share, 0)} % of it with {words}"
        for share, words in zip(shares, ("few rows", "many rows"), strict=False)
    )
    return (
        f"{frame['what'].iloc[0]} of {len(frame)} persons. Standard deviation {number(alone, 1)} when each person is "
        f"taken alone and {number(shrunken, 1)} with the model. Of a person's distance from the average the model "
        f"keeps {pull}."
    )
