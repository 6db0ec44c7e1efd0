"""How the effects of each grouping factor are spread: estimates as a hill, the normal they come from as a line.

One row for each factor (and class), all on one axis, so that the wide rows are the factors that matter most (Tschalzev
et al., 2024, figure 3). Dashed lines mark the effects of one row's levels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses.figures.labels import listed, number, print_text, screen_text
from analyses.figures.long_labels import distinct, shortened
from analyses.figures.palette import BLACK, BLUE, GRID, MUTED, PAPER, colour_at, state_styles
from analyses.figures.print_room import cut_apart, legend_above
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.rows import records
from analyses.figures.screen_style import Marks, axis, screen_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analyses.effect_distributions import EffectDistributions, EffectSpread

TALLEST = 0.8
POINTS = 121
MOST_TICKS = 150
MOST_ROWS = 24
REACH = 3.2  # of the normal, in SDs
ESTIMATES, NORMAL, LEVEL, MARK, ROW = "estimates", "normal", "level", "mark", "row"
NAMES = {
    ESTIMATES: "estimates of the levels",
    NORMAL: "what levels are drawn from (estimated variance)",
    MARK: "this row’s levels",
}


def tidy(found: EffectDistributions, effects: pd.DataFrame, *, marked: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Curves and ticks of every factor and class.

    Args:
        found: variances and spreads.
        effects: of every grouping factor: term, level, parameter, estimate.
        marked: level of each factor (by its column) to mark with a dashed line; "" for one that was not in training.

    Returns:
        row (place from the top), label, outcome, kind (``estimates`` and ``normal``: x, height with 1 for the higher
        peak of the two; ``level`` and ``mark``: x; ``row``: sd, low, high, levels), scale, and per_cent (of intervals).
        At most 24 rows: of more, the classes that vary most over all factors.
    """
    blocks = []
    for row, part in enumerate(_drawn(found.parts)):
        mine = effects[(effects["term"] == part.factor.term) & (effects["parameter"] == part.parameter.name)]
        block = _curves(part, mine["estimate"].to_numpy(dtype=float))
        level = None if marked is None else marked.get(part.factor.term)
        if level is not None:
            own = mine.loc[mine["level"].astype(str) == level, "estimate"]
            block.append(pd.DataFrame({"kind": MARK, "x": own.to_numpy(dtype=float) if len(own) else [0.0]}))
        fixed = {"row": row, "label": _label(part), "outcome": part.parameter.outcome}
        blocks.append(pd.concat(block, ignore_index=True).assign(**fixed))
    return pd.concat(blocks, ignore_index=True).assign(scale=found.scale, per_cent=100 * found.level)


def _drawn(parts: tuple[EffectSpread, ...]) -> tuple[EffectSpread, ...]:
    """The rows that are drawn: all, or those of the classes that vary most."""
    if len(parts) <= MOST_ROWS:
        return parts
    totals: dict[str, float] = {}
    for part in parts:
        totals[part.parameter.outcome] = totals.get(part.parameter.outcome, 0.0) + part.variance
    factors = len({part.factor.term for part in parts})
    kept = sorted(totals, key=lambda name: -totals[name])[: max(MOST_ROWS // factors, 1)]
    return tuple(part for part in parts if part.parameter.outcome in kept)[:MOST_ROWS]


def drawn_count(found: EffectDistributions) -> int:
    """How many of the distributions are drawn."""
    return len(_drawn(found.parts))


def _label(part: EffectSpread) -> str:
    """``person``, ``person: calm``, ``person, slope of x1``."""
    slope = "" if part.parameter.is_level else f", {part.parameter.label}"
    return f"{part.factor.noun}{slope}" + (f": {part.parameter.outcome}" if part.parameter.outcome else "")


def _curves(part: EffectSpread, estimates: np.ndarray) -> list[pd.DataFrame]:
    """Both densities of one row, the ticks, and its numbers."""
    low, high = (float(np.sqrt(end)) for end in (part.low, part.high))
    numbers = {"kind": [ROW], "sd": [part.sd], "low": [low], "high": [high], "levels": [part.levels]}
    blocks = [pd.DataFrame(numbers)]
    if len(estimates) <= MOST_TICKS:
        blocks.append(pd.DataFrame({"kind": LEVEL, "x": np.sort(estimates)}))
    drawn = {ESTIMATES: _kernel_density(estimates), NORMAL: _normal(part.sd)}
    highest = max((float(ys.max()) for _, ys in drawn.values() if ys.size), default=1.0)
    for kind, (xs, ys) in drawn.items():
        blocks.append(pd.DataFrame({"kind": kind, "x": xs, "height": ys / highest}))
    return blocks


def _normal(sd: float) -> tuple[np.ndarray, np.ndarray]:
    """Density of N(0, sd^2)."""
    if sd <= 0:
        return np.zeros(0), np.zeros(0)
    xs = np.linspace(-REACH * sd, REACH * sd, POINTS)
    return xs, np.exp(-0.5 * (xs / sd) ** 2) / (sd * np.sqrt(2 * np.pi))


def _kernel_density(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian kernel density with Silverman's width, from counts in a fine grid; flat values have none."""
    spread = float(values.std(ddof=1)) if values.size > 4 else 0.0
    if spread <= 1e-9 * max(1.0, float(np.abs(values).max(initial=0.0))):
        return np.zeros(0), np.zeros(0)
    quartiles = float(np.subtract(*np.quantile(values, [0.75, 0.25]))) / 1.34
    width = 0.9 * min(spread, quartiles or spread) * values.size**-0.2
    xs = np.linspace(values.min() - 3 * width, values.max() + 3 * width, POINTS)
    counts, edges = np.histogram(values, bins=min(4 * POINTS, values.size * 8), range=(values.min(), values.max()))
    centres = 0.5 * (edges[1:] + edges[:-1])
    density = np.exp(-0.5 * ((xs[:, None] - centres) / width) ** 2) @ counts
    return xs, density / (values.size * width * np.sqrt(2 * np.pi))


def _colours(frame: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Outline and fill of each class; fills are mixed with paper, since some formats know no transparency."""
    outcomes = [str(name) for name in dict.fromkeys(frame["outcome"])]
    styles = state_styles(outcomes)
    if len(outcomes) == 1:
        return {outcomes[0]: (BLUE, colour_at(((0.0, PAPER), (1.0, BLUE)), 0.3))}
    return {name: (styles[name].edge, colour_at(((0.0, PAPER), (1.0, styles[name].fill)), 0.4)) for name in outcomes}


def _numbers(row: Any) -> str:
    """``SD 1.17 [0.95, 1.51]``."""
    ends = f" [{number(row.low)}, {number(row.high)}]" if row.low == row.low else ""
    return f"SD {number(row.sd)}{ends}"


def _title(frame: pd.DataFrame) -> str:
    return f"Effect of a level, in {frame['scale'].iloc[0]}"


def screen(frame: pd.DataFrame, *, height: int | None = None) -> go.Figure:
    """A hill of the estimates and the line of the normal in every row, ticks for the levels below it."""
    import plotly.graph_objects as go

    heads, colours = records(frame[frame["kind"] == ROW]), _colours(frame)
    figure = screen_figure(height or 150 + 62 * len(heads), hovermode="closest")
    marks = Marks()
    for place, head in enumerate(heads):
        own, (edge, fill) = frame[frame["row"] == place], colours[str(head.outcome)]
        look: dict[str, Any] = {"hoverinfo": "skip", "mode": "lines", "showlegend": place == 0}
        hill, line = (own[own["kind"] == kind] for kind in (ESTIMATES, NORMAL))
        figure.add_trace(
            go.Scatter(x=hill["x"], y=place - TALLEST * hill["height"], name=NAMES[ESTIMATES], fill="toself",
                       fillcolor=fill, line={"color": edge, "width": 1.5}, legendgroup=ESTIMATES, **look)
        )  # fmt: skip
        figure.add_trace(
            go.Scatter(x=line["x"], y=place - TALLEST * line["height"], name=NAMES[NORMAL], legendgroup=NORMAL,
                       line={"color": MUTED, "width": 1.5}, **look)
        )  # fmt: skip
        ticks = own.loc[own["kind"] == LEVEL, "x"]
        figure.add_trace(
            go.Scatter(x=ticks, y=[place + 0.09] * len(ticks), mode="markers", showlegend=False,
                       marker={"symbol": "line-ns-open", "size": 6, "color": edge, "line": {"width": 1}},
                       hovertemplate="effect %{x:.2f}<extra></extra>")
        )  # fmt: skip
        marks.add_annotation(x=1.0, xref="paper", y=place - 0.02, text=screen_text(_numbers(head)), showarrow=False,
                             xanchor="left", font={"size": 12.5, "color": MUTED}, xshift=8)  # fmt: skip
    _mark_on_screen(figure, frame)
    marks.put_on(figure)
    _screen_axes(figure, frame, [str(head.label) for head in heads])
    return figure


def _mark_on_screen(figure: go.Figure, frame: pd.DataFrame) -> None:
    """Dashed lines of the levels marked."""
    import plotly.graph_objects as go

    for place, mark in enumerate(records(frame[frame["kind"] == MARK])):
        figure.add_trace(
            go.Scatter(
                x=[mark.x, mark.x], y=[mark.row + 0.16, mark.row - TALLEST], mode="lines", legendgroup=MARK,
                name=NAMES[MARK], showlegend=place == 0, line={"color": BLACK, "width": 2, "dash": "dash"},
                hovertemplate=f"effect {number(mark.x)}<extra></extra>",
            )
        )  # fmt: skip


def _screen_axes(figure: go.Figure, frame: pd.DataFrame, labels: list[str]) -> None:
    figure.add_vline(x=0, line={"color": MUTED, "width": 1})
    names = [screen_text(name) for name in distinct(labels, 30)]
    figure.update_yaxes(
        axis(tickvals=list(range(len(labels))), ticktext=names, range=[len(labels) - 0.65, -1.0], zeroline=False)
    )
    figure.update_xaxes(axis(screen_text(_title(frame)), zeroline=False))
    figure.update_layout(margin={"r": 170, "l": 40}, legend={"y": 1.02})


@print_settings()
def print_figure(frame: pd.DataFrame, *, width_mm: float = 165.0) -> Figure:
    """The same for print."""
    heads, colours = records(frame[frame["kind"] == ROW]), _colours(frame)
    figure = print_canvas(width_mm, 24.0 + (13.0 if len(heads) <= 8 else 8.5) * len(heads))
    axes = figure.subplots()
    for place, head in enumerate(heads):
        _print_row(axes, frame[frame["row"] == place], place, colours[str(head.outcome)])
        axes.annotate(
            print_text(_numbers(head)), (1.0, place), xycoords=("axes fraction", "data"), va="center",
            xytext=(4, 0), textcoords="offset points", color=MUTED, fontsize=7, annotation_clip=False,
        )  # fmt: skip
    axes.axvline(0, color=MUTED, linewidth=0.5, zorder=1)
    labels = cut_apart([str(head.label) for head in heads], 0.26 * width_mm)
    axes.set_yticks(range(len(heads)), [print_text(label) for label in labels])
    axes.set(ylim=(len(heads) - 0.65, -0.95), xlabel=print_text(_title(frame)))
    calm(axes)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    legend_above(figure, width_mm)
    return figure


def _print_row(axes: Axes, own: pd.DataFrame, place: int, colours: tuple[str, str]) -> None:
    """Curves, ticks and mark of one row."""
    edge, fill = colours
    axes.axhline(place, color=GRID, linewidth=0.5, zorder=0)
    hill, line = (own[own["kind"] == kind] for kind in (ESTIMATES, NORMAL))
    first = place == 0
    axes.fill_between(
        hill["x"], place, place - TALLEST * hill["height"], facecolor=fill, edgecolor=edge, linewidth=0.8, zorder=2,
        label=NAMES[ESTIMATES] if first else None,
    )  # fmt: skip
    axes.plot(line["x"], place - TALLEST * line["height"], color=MUTED, linewidth=0.8, zorder=3,
              label=NAMES[NORMAL] if first else None)  # fmt: skip
    ticks = own.loc[own["kind"] == LEVEL, "x"]
    axes.vlines(ticks, place + 0.04, place + 0.14, color=edge, linewidth=0.5, zorder=2)
    marks = own.loc[own["kind"] == MARK, "x"]
    named: dict[str, Any] = {"label": NAMES[MARK]} if first and len(marks) else {}
    axes.vlines(marks, place - TALLEST, place + 0.16, color=BLACK, linewidth=1.2, linestyle=(0, (3, 1.5)), zorder=4,
                **named)  # fmt: skip


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with the SD of every row, widest first, and the effects that are marked."""
    heads = frame[frame["kind"] == ROW].sort_values("sd", ascending=False, kind="stable")
    if heads.empty:
        return "No effects to show."
    told = [f"{shortened(row.label, 60)} {_numbers(row)} ({int(row.levels)} levels)" for row in records(heads)[:8]]
    more = f" {len(heads) - 8} more are drawn." if len(heads) > 8 else ""
    marks = records(frame[frame["kind"] == MARK])
    own = listed([f"{shortened(mark.label, 60)} {number(mark.x)}" for mark in marks[:8]])
    marked = f" Marked are the levels of one row: {own}." if marks else ""
    per_cent = f"{frame['per_cent'].iloc[0]:g}"
    return (
        f"Distributions of the effects of each grouping factor, with the standard deviation over levels and its "
        f"{per_cent}% interval: {listed(told)}.{more}{marked}"
    )
