"""How often each state occurs over the days of a study and over the prompts of a day, by group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses.figures.few_states import area_styles, folded, print_hatch
from analyses.figures.labels import listed, number, print_text, screen_text
from analyses.figures.long_labels import shortened
from analyses.figures.palette import INK, PAPER
from analyses.figures.print_room import legend_above, wrapped
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.screen_style import axis, screen_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DAY, PROMPT, STEP = "Day", "Prompt of the day", "Prompt, in twentieths of each person's record"
MOST_STEPS = 60
BINS = 20
WIDTH = 0.92


def tidy(predictions: pd.DataFrame, persons: pd.DataFrame, states: Sequence[str], *, fewest: int = 11) -> pd.DataFrame:
    """Shares of states over time.

    Args:
        predictions: the run's predictions (person, sequence, time, truth).
        persons: person and group, as they may be shown.
        states: in drawing order.
        fewest: steps with fewer persons are left out.

    Returns:
        over (day, prompt of the day, or twentieths of the record where a study has no days), group, n (its persons),
        step, state, share (0 to 1 within group and step), rows and persons (of the step).
    """
    rows = predictions[predictions["truth"].notna()].merge(persons[["person", "group"]], on="person")
    rows["group"] = rows["group"].fillna("").astype(str)
    rows["state"], names = folded(rows["truth"].astype(str), [str(state) for state in states])
    rows["n"] = rows["group"].map(rows.groupby("group")["person"].nunique())
    blocks = [_shares(rows.assign(step=step), over, names) for over, step in _steps(rows)]
    frame = pd.concat(blocks, ignore_index=True)
    return frame[frame["persons"] >= fewest].reset_index(drop=True)


def _steps(rows: pd.DataFrame) -> list[tuple[str, pd.Series]]:
    """What time is counted in: days and prompts where there are sequences, else parts of each person's record."""
    days = rows["sequence"].nunique()
    if days <= 1:
        rank = rows.groupby("person")["time"].rank(method="first")
        size = rows.groupby("person")["time"].transform("size")
        return [(STEP, np.ceil(BINS * rank / size).astype(int))]
    first = rows.groupby("sequence")["time"].transform("min")
    place = rows["time"] - first + 1
    if not np.allclose(place, place.round()) or place.max() > MOST_STEPS:
        place = rows.groupby(["person", "sequence"])["time"].rank(method="first")
    found = [(DAY, rows["sequence"].astype(int) + 1 - int(rows["sequence"].min()))] if days <= MOST_STEPS else []
    return [*found, (PROMPT, place.round().astype(int))]


def _shares(rows: pd.DataFrame, over: str, names: list[str]) -> pd.DataFrame:
    counts = rows.groupby(["group", "step", "state"]).size().unstack("state", fill_value=0)
    counts = counts.reindex(columns=names, fill_value=0)
    shares = counts.div(counts.sum(axis=1), axis=0).reset_index()
    shares = shares.melt(id_vars=["group", "step"], var_name="state", value_name="share")
    sizes = rows.groupby(["group", "step"]).agg(rows=("state", "size"), persons=("person", "nunique"), n=("n", "first"))
    found = shares.merge(sizes.reset_index(), on=["group", "step"])
    found.insert(0, "over", over)
    return found[["over", "group", "n", "step", "state", "share", "rows", "persons"]]


def _panels(frame: pd.DataFrame) -> tuple[list[str], list[str], list[str]]:
    """Groups from top to bottom, what time is counted in from left to right, states from bottom to top."""
    return (
        sorted(frame["group"].unique()),
        list(dict.fromkeys(frame["over"])),
        list(dict.fromkeys(frame["state"])),
    )


def _title(frame: pd.DataFrame, group: str) -> str:
    return f"{group or 'All persons'} (n = {int(frame.loc[frame['group'] == group, 'n'].iloc[0])})"


def screen(frame: pd.DataFrame, *, height: int | None = None) -> go.Figure:
    """Stacked bars, a row per group; patterns beside colours."""
    import plotly.graph_objects as go

    groups, overs, states = _panels(frame)
    styles, room = area_styles(states), 1 / len(groups)
    figure = screen_figure(height or 110 + 210 * len(groups), barmode="stack", bargap=0.12)
    for number_, (group, over) in enumerate((g, o) for g in groups for o in overs):
        part = frame[(frame["group"] == group) & (frame["over"] == over)]
        row, column, suffix = groups.index(group), overs.index(over), "" if number_ == 0 else str(number_ + 1)
        for state in states:
            mine, style = part[part["state"] == state], styles[state]
            pattern = {"shape": style.hatch, "fgcolor": PAPER, "size": 6, "solidity": 0.25, "fillmode": "overlay"}
            figure.add_trace(
                go.Bar(
                    x=mine["step"], y=100 * mine["share"], name=screen_text(shortened(state, 30)), legendgroup=state,
                    showlegend=number_ == 0, marker={"color": style.fill, "pattern": pattern},
                    hovertemplate="%{x}: %{y:.0f} %<extra></extra>", xaxis=f"x{suffix}", yaxis=f"y{suffix}",
                )
            )  # fmt: skip
        top = 1 - row * room
        width = 1 / len(overs)
        title = over if row == len(groups) - 1 else ""
        domain = [column * width + (0.05 if column else 0), (column + 1) * width]
        figure.update_layout(
            {
                f"xaxis{suffix}": axis(title, domain=domain, anchor=f"y{suffix}", showgrid=False, dtick=_every(part)),
                f"yaxis{suffix}": axis("%" if column == 0 else "", domain=[top - room + 0.13, top - 0.05],
                                       anchor=f"x{suffix}", range=[0, 100]),
            }
        )  # fmt: skip
        if column == 0:
            figure.add_annotation(
                x=0, y=top - 0.045, xref="paper", yref="paper", xanchor="left", yanchor="bottom", showarrow=False,
                text=f"<b>{screen_text(shortened(_title(frame, group), 60))}</b>", font={"size": 14, "color": INK},
            )  # fmt: skip
    figure.update_layout(legend={"traceorder": "normal", "y": 1.02})
    return figure


def _every(part: pd.DataFrame) -> int:
    """Every how many steps are numbered."""
    return max(1, int(np.ceil(part["step"].nunique() / 10)))


@print_settings()
def print_figure(frame: pd.DataFrame, *, width_mm: float = 165.0) -> Figure:
    """The same for print; day and prompt below each other where the width does not allow both."""
    groups, overs, states = _panels(frame)
    beside = len(overs) if width_mm >= 120 else 1
    cells = [(group, over) for over in overs for group in groups] if beside == 1 else [
        (group, over) for group in groups for over in overs
    ]  # fmt: skip
    lines = len(cells) // beside
    figure = print_canvas(width_mm, 14 + 42.0 * lines)
    grid = figure.subplots(lines, beside, squeeze=False)
    for index, (axes, (group, over)) in enumerate(zip(grid.flat, cells, strict=True)):
        part = frame[(frame["group"] == group) & (frame["over"] == over)]
        _bars(axes, part, states, first=index == 0)
        axes.set_title(print_text(wrapped(_title(frame, group), width_mm / beside - 14, 8.0)), loc="left")
        last = index >= len(cells) - beside or (beside == 1 and group == groups[-1])
        axes.set_xlabel(over if last else "")
        if index % beside == 0:
            axes.set_ylabel("Share, %")
    legend_above(figure, width_mm)
    return figure


def _bars(axes: Axes, part: pd.DataFrame, states: list[str], *, first: bool) -> None:
    """One panel."""
    from matplotlib.collections import PolyCollection

    styles = area_styles(states)
    wide = part.pivot(index="step", columns="state", values="share").reindex(columns=states).fillna(0.0)
    bottom, steps = np.zeros(len(wide)), wide.index.to_numpy(dtype=float)
    for state in states:
        style, top = styles[state], bottom + 100 * wide[state].to_numpy(dtype=float)
        # one collection a state: hatching bar by bar is slow at 600 dpi
        boxes = [
            [(x - WIDTH / 2, low), (x + WIDTH / 2, low), (x + WIDTH / 2, high), (x - WIDTH / 2, high)]
            for x, low, high in zip(steps, bottom, top, strict=True)
        ]
        look: dict[str, Any] = {"facecolors": style.fill, "edgecolors": PAPER, "hatch": print_hatch(style)}
        name = print_text(shortened(state, 40)) if first else None
        axes.add_collection(PolyCollection(boxes, linewidths=0.5, label=name, **look))
        bottom = top
    axes.set(ylim=(0, 100), xlim=(float(wide.index.min()) - 0.6, float(wide.index.max()) + 0.6))
    every = _every(part)
    axes.set_xticks([step for step in wide.index if (step - wide.index[0]) % every == 0])
    calm(axes)


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence per group with the share of each state at the first and the last step of the first panel."""
    if frame.empty:
        return "Too few persons answered at each time to show shares."
    over = str(frame["over"].iloc[0])
    said = []
    for group, part in frame[frame["over"] == over].groupby("group", sort=True):
        ends = [
            part[part["step"] == step].set_index("state")["share"] for step in (part["step"].min(), part["step"].max())
        ]
        parts = [
            f"{state} {number(100 * ends[0][state], 0)} to {number(100 * ends[1][state], 0)} %"
            for state in ends[0].index
        ]
        said.append(f"{group or 'all persons'}: {listed(parts)}")
    return f"Shares of states by {over[0].lower()}{over[1:]}, from the first to the last: {'; '.join(said)}."
