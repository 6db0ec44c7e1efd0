"""How much each expert of a network of experts counts for each person: mean gate weights (PEN, figure 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.figures.labels import number, print_text, screen_text
from analyses.figures.long_labels import broken, distinct
from analyses.figures.palette import INK, MUTED, PROBABILITY_STOPS, colour_at, text_on
from analyses.figures.print_style import print_canvas, print_settings
from analyses.figures.rows import records
from analyses.figures.screen_style import screen_figure
from toolkit.errors import DataError

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NEEDED = ("person", "expert", "weight")
MOST_NUMBERS = 16


def tidy(gates: pd.DataFrame) -> pd.DataFrame:
    """One row per person and expert, in drawing order: split, person, expert, weight, row, column, main.

    Experts are ordered by how much they count over all persons of the first split, persons by their main expert and
    then by its weight: a network whose experts belong to persons shows a staircase, one that shares them shows columns.

    Args:
        gates: person, expert, weight (mean over the person's rows), and split where there are several parts.

    Raises:
        DataError: E103 when a column is missing, E113 when a person has two weights for one expert.
    """
    absent = [name for name in NEEDED if name not in gates.columns]
    if absent:
        raise DataError(f"the table has no column {', '.join(absent)}", code="E103", column=absent[0])
    frame = gates.assign(split=gates["split"].astype(str) if "split" in gates else "")
    frame = frame.astype({"person": str, "expert": str, "weight": float})[["split", *NEEDED]]
    if frame.duplicated(["split", "person", "expert"]).any():
        raise DataError("a person has two weights for one expert", code="E113", column="expert")
    if frame.empty:
        return frame.assign(row=[], column=[], main=[])
    first = frame[frame["split"] == frame["split"].iloc[0]]
    experts = list(
        first.groupby("expert", sort=False)["weight"].sum().sort_values(ascending=False, kind="stable").index
    )
    experts += [name for name in dict.fromkeys(frame["expert"]) if name not in experts]
    parts = [_arranged(part, experts) for _, part in frame.groupby("split", sort=False)]
    return pd.concat(parts, ignore_index=True)


def _arranged(part: pd.DataFrame, experts: list[str]) -> pd.DataFrame:
    wide = part.pivot(index="person", columns="expert", values="weight").reindex(columns=experts)
    filled = wide.fillna(0.0).to_numpy()
    main, largest = filled.argmax(axis=1), filled.max(axis=1)
    order = np.lexsort((-largest, main))
    rows = dict(zip(wide.index[order], range(len(order)), strict=True))
    mains = {person: experts[k] for person, k in zip(wide.index, main, strict=True)}
    columns = {expert: k for k, expert in enumerate(experts)}
    placed = part.assign(
        row=part["person"].map(rows), column=part["expert"].map(columns), main=part["person"].map(mains)
    )
    return placed.sort_values(["row", "column"], ignore_index=True)


def _top(frame: pd.DataFrame) -> float:
    return max(1.0, float(np.nanmax(frame["weight"].to_numpy(dtype=float), initial=0.0)))


def _experts(frame: pd.DataFrame) -> list[str]:
    names = frame.drop_duplicates("column").sort_values("column")["expert"]
    return distinct([str(name) for name in names], 12)


def screen(frame: pd.DataFrame, *, names: bool = False, height: int | None = None) -> go.Figure:
    """One heat map per split; pseudonyms stand at the rows only if ``names`` is set."""
    import plotly.graph_objects as go

    splits = list(dict.fromkeys(frame["split"]))
    tallest = int(frame["row"].max()) + 1 if len(frame) else 1
    figure = screen_figure(height or int(np.clip(14 * tallest + 150, 320, 900)))
    width = (1 - 0.06 * max(len(splits) - 1, 0)) / max(len(splits), 1)
    experts = [screen_text(name) for name in _experts(frame)] if len(frame) else []
    gap = 1 if tallest <= 30 else 0
    for index, split in enumerate(splits):
        part, suffix = frame[frame["split"] == split], "" if index == 0 else str(index + 1)
        grid = part.pivot(index="row", columns="column", values="weight").reindex(columns=range(len(experts)))
        persons = [screen_text(name) for name in part.drop_duplicates("row")["person"]]
        left = index * (width + 0.06)
        figure.add_trace(
            go.Heatmap(
                z=grid.to_numpy(dtype=float), zmin=0, zmax=_top(frame), colorscale=[list(s) for s in PROBABILITY_STOPS],
                colorbar={"title": {"text": "Mean<br>weight"}, "thickness": 14}, showscale=index == 0, xgap=gap,
                ygap=gap,
                customdata=[[p] * len(experts) for p in (persons if names else [""] * len(persons))],
                hovertemplate="%{customdata} %{x}: %{z:.2f}<extra></extra>", x=experts,
                xaxis=f"x{suffix}", yaxis=f"y{suffix}",
            )
        )  # fmt: skip
        ticks = {"tickvals": list(range(len(persons))), "ticktext": persons} if names else {"showticklabels": False}
        heading = (
            f"Experts: {screen_text(split)}, {len(persons)} persons" if split else f"Experts, {len(persons)} persons"
        )
        title = {"text": heading, "font": {"size": 13, "color": MUTED}}
        figure.update_layout(
            {
                f"xaxis{suffix}": {"domain": [left, left + width], "anchor": f"y{suffix}", "fixedrange": True,
                                   "title": title, "type": "category", "automargin": True,
                                   "tickangle": 0 if len(experts) <= 12 else -90},
                f"yaxis{suffix}": {"anchor": f"x{suffix}", "autorange": "reversed", "fixedrange": True, **ticks},
            }
        )  # fmt: skip
    figure.update_layout(margin={"l": 56, "r": 16, "t": 24, "b": 64})
    return figure


@print_settings()
def print_figure(frame: pd.DataFrame, *, width_mm: float = 183.0) -> Figure:
    """The same for print; numbers stand in the cells of small maps."""
    splits = list(dict.fromkeys(frame["split"])) or [""]
    tallest = int(frame["row"].max()) + 1 if len(frame) else 1
    figure = print_canvas(width_mm, float(np.clip(3.2 * tallest + 26, 45.0, 140.0)))
    grid = figure.subplots(1, len(splits), squeeze=False)[0]
    for axes, split in zip(grid, splits, strict=True):
        _print_map(axes, frame[frame["split"] == split], frame, width_mm / len(splits))
        axes.set_title(
            "\n".join(print_text(line) for line in broken(split, int(width_mm / len(splits) / 1.7))), loc="left"
        )
    if len(frame):
        _print_scale(figure, list(grid), _top(frame))
    return figure


def _print_map(axes: Axes, part: pd.DataFrame, whole: pd.DataFrame, room_mm: float) -> None:
    if part.empty:
        axes.set_axis_off()
        return
    experts, persons, top = _experts(whole), int(part["row"].max()) + 1, _top(whole)
    cells = np.ones((persons, len(experts), 3))
    for cell in records(part.dropna(subset=["weight"])):
        colour = colour_at(PROBABILITY_STOPS, cell.weight / top)
        cells[cell.row, cell.column] = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    axes.imshow(cells, aspect="auto", interpolation="nearest")
    if persons <= MOST_NUMBERS and room_mm / len(experts) > 7:
        for cell in records(part.dropna(subset=["weight"])):
            ground = colour_at(PROBABILITY_STOPS, cell.weight / top)
            words = {"ha": "center", "va": "center", "fontsize": 6.5, "color": text_on(ground)}
            axes.text(cell.column, cell.row, number(cell.weight), **words)
    every = max(1, int(np.ceil(len(experts) * 3.2 / room_mm)))
    upright = len(experts) * max(len(name) for name in experts) * 1.5 < 0.8 * room_mm
    axes.set_xticks(
        range(0, len(experts), every), [print_text(name) for name in experts[::every]], rotation=0 if upright else 90
    )
    axes.set(yticks=[], xlabel="Experts", ylabel=f"{persons} persons, sorted")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _print_scale(figure: Figure, grid: list[Axes], top: float) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    colours = LinearSegmentedColormap.from_list("weights", list(PROBABILITY_STOPS))
    bar = figure.colorbar(ScalarMappable(Normalize(0, top), colours), ax=grid, fraction=0.03, pad=0.015, aspect=30)
    bar.set_label("Mean weight", color=INK)
    bar.outline.set_linewidth(0.5)  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
    bar.ax.tick_params(length=2, width=0.5)


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence per split: how concentrated the weights are, and how many experts are anybody's main one."""
    if frame.empty:
        return "No gate weights to show."
    said = []
    for split, part in frame.groupby("split", sort=False):
        largest = part.groupby("person")["weight"].max()
        start = f"{split}: " if split else ""
        said.append(
            f"{start}{part['person'].nunique()} persons, the main expert of a person weighs {number(largest.median())} "
            f"in the median ({number(largest.min())} to {number(largest.max())}); {part['main'].nunique()} of "
            f"{part['expert'].nunique()} experts are somebody's main one"
        )
    said = [words[:1].upper() + words[1:] for words in said]
    return f"Mean gate weight of every expert for every person. {'. '.join(said)}."
