"""One prediction taken apart: from what holds for anybody, level by level, to what is predicted; a panel a class."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses.contributions import FACTOR, POPULATION, PREDICTION, Contributions
from analyses.figures.labels import listed, number, print_text, screen_text, signed
from analyses.figures.long_labels import distinct, shortened
from analyses.figures.palette import BLUE, GRID, INK, MUTED, PAPER, VERMILION, colour_at
from analyses.figures.print_room import cut, cut_apart
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.rows import records
from analyses.figures.screen_style import Marks, axis, screen_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS, COLUMNS = 6, 3
THICK = 0.56
START, END = "without effects", "with all effects"
UNSEEN = "{noun} (not in training)"
UP, DOWN = VERMILION, BLUE


def tidy(found: Contributions, *, names: bool = False) -> pd.DataFrame:
    """The steps of each panel from top to bottom.

    Args:
        found: what each factor adds.
        names: whether levels are named by their pseudonyms.

    Returns:
        panel, title, row, step, label, value, low, high (of the sum after the step, NaN where not known), start, end,
        known, scale, per_cent. Of more than six classes: the one predicted and those that effects change most.
    """
    table, z = found.to_frame(), [f"{factor.noun}" for factor in found.factors]
    steps = [START, *(_named(noun, level, factor.term == found.field, names=names)
                      for noun, level, factor in zip(z, found.levels, found.factors, strict=True)), END]  # fmt: skip
    blocks = []
    for panel, place in enumerate(_panels(found)):
        own = table[table["outcome"] == found.outputs[place]].reset_index(drop=True)
        ends = {"low": own["start"] + own["low"], "high": own["start"] + own["high"]}
        blocks.append(
            own[["step", "value", "start", "end", "known"]].assign(
                panel=panel, title=_title(found, place), row=np.arange(len(own)), label=steps, **ends
            )
        )
    frame = pd.concat(blocks, ignore_index=True)
    return frame.assign(scale=_scale(found), per_cent=100 * found.level)


def _scale(found: Contributions) -> str:
    """What the axis counts."""
    if found.task == "multiclass":
        return "Log odds, as difference from the mean over the classes"
    if found.task == "binary":
        return f"Log odds of {found.outputs[0]}"
    return found.outcome if found.task == "regression" else f"{found.scale[:1].upper()}{found.scale[1:]}"


def _named(noun: str, level: str, is_field: bool, *, names: bool) -> str:
    """What a factor's step is called."""
    if not level:
        return f"{noun} (from the places around)" if is_field else UNSEEN.format(noun=noun)
    return f"{noun} {level}" if names else noun


def _panels(found: Contributions) -> list[int]:
    """Outputs that are drawn, in their order."""
    if len(found.outputs) <= MOST_PANELS:
        return list(range(len(found.outputs)))
    moved = np.abs(found.parts).max(axis=0)
    moved[int(np.argmax(found.predictions))] = np.inf
    return sorted(np.argsort(-moved, kind="stable")[:MOST_PANELS].tolist())


def _title(found: Contributions, place: int) -> str:
    """``calm: 32 % → 67 %``; of numbers the outcome alone."""
    name = found.outputs[place]
    if found.task not in ("binary", "multiclass"):
        return name
    column = -1 if found.task == "binary" else place
    first, last = (100 * float(v[column]) for v in (found.predictions_population, found.predictions))
    return f"{name}: {number(first, 0)}% → {number(last, 0)}%"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One row of a panel, ready to be drawn."""

    row: int
    is_factor: bool
    colour: str
    fill: str
    words: str
    low: float
    high: float
    start: float
    end: float

    @property
    def right(self) -> float:
        """Where words begin."""
        ends = [self.end, self.start if self.is_factor else self.end, self.high]
        return max(end for end in ends if end == end)


def _steps(part: pd.DataFrame, *, alone: bool) -> list[_Step]:
    """The steps of a panel; one that stands alone has room for intervals in words."""
    found = []
    for row in records(part):
        factor = row.step == FACTOR
        colour = (UP if row.value >= 0 else DOWN) if factor and row.known else INK if row.known else MUTED
        fill = colour_at(((0.0, PAPER), (1.0, colour)), 0.75 if row.known else 0.3)
        words = signed(float(row.value), 2) if factor else number(float(row.value))
        if factor and alone and row.low == row.low:
            words += f" [{number(row.low - row.start)}, {number(row.high - row.start)}]"
        found.append(
            _Step(row=int(row.row), is_factor=factor, colour=colour, fill=fill, words=words, low=float(row.low),
                  high=float(row.high), start=float(row.start), end=float(row.end))
        )  # fmt: skip
    return found


def _range(frame: pd.DataFrame) -> tuple[float, float]:
    """Ends of the axis, the same in every panel, with room for words at the right."""
    values = frame[["low", "high", "end"]].to_numpy(dtype=float)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    width = max(high - low, 1e-9)
    return low - 0.06 * width, high + 0.34 * width


def screen(frame: pd.DataFrame, *, height: int | None = None) -> go.Figure:
    """A waterfall in each panel: a bar for every grouping factor, the line its interval."""
    panels = [part for _, part in frame.groupby("panel", sort=True)]
    columns = min(len(panels), COLUMNS)
    lines = -(-len(panels) // columns)
    rows = int(frame["row"].max()) + 1
    figure = screen_figure(height or lines * (90 + 38 * rows) + 50, showlegend=False, hovermode="closest")
    marks = Marks()
    for place, part in enumerate(panels):
        _screen_panel(figure, marks, part, _Place.of(place, columns, lines), _range(frame))
    marks.put_on(figure)
    figure.update_layout(margin={"l": 40, "t": 40})
    return figure


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a panel stands."""

    suffix: str
    x: tuple[float, float]
    y: tuple[float, float]
    is_first: bool
    titled: bool
    alone: bool

    @classmethod
    def of(cls, place: int, columns: int, lines: int) -> _Place:
        """The place of one panel in a grid filled line by line."""
        line, column = divmod(place, columns)
        width, high = 1.0 / columns, 1.0 / lines
        return cls(
            suffix="" if place == 0 else str(place + 1),
            x=(column * width + 0.012, (column + 1) * width - 0.012),
            y=(1.0 - (line + 1) * high + (0.1 if lines > 1 else 0.0), 1.0 - line * high - 0.07),
            is_first=column == 0,
            titled=line == lines - 1 and column == (columns - 1) // 2,
            alone=columns == 1 and lines == 1,
        )


def _screen_panel(
    figure: go.Figure, marks: Marks, part: pd.DataFrame, place: _Place, span: tuple[float, float]
) -> None:
    import plotly.graph_objects as go

    steps, axes = _steps(part, alone=place.alone), {"xaxis": f"x{place.suffix}", "yaxis": f"y{place.suffix}"}
    factors, ends = [s for s in steps if s.is_factor], [s for s in steps if not s.is_factor]
    spread = {
        "type": "data", "symmetric": False, "color": INK, "thickness": 1.5, "width": 4,
        "array": [s.high - s.end if s.high == s.high else 0.0 for s in factors],
        "arrayminus": [s.end - s.low if s.low == s.low else 0.0 for s in factors],
    }  # fmt: skip
    figure.add_trace(
        go.Bar(
            x=[s.end - s.start for s in factors], base=[s.start for s in factors], y=[s.row for s in factors],
            orientation="h", width=THICK, marker={"color": [s.fill for s in factors],
            "line": {"color": [s.colour for s in factors], "width": 1.5}}, customdata=[_hover(s) for s in factors],
            hovertemplate="%{customdata}<extra></extra>", **axes,
        )
    )  # fmt: skip
    # an interval of the bar's end: bars with a base draw theirs elsewhere
    figure.add_trace(
        go.Scatter(x=[s.end for s in factors], y=[s.row for s in factors], mode="markers", error_x=spread,
                   marker={"size": 1, "color": INK}, hoverinfo="skip", **axes)
    )  # fmt: skip
    figure.add_trace(
        go.Scatter(x=[s.end for s in ends], y=[s.row for s in ends], mode="markers", hoverinfo="x",
                   marker={"symbol": "diamond", "size": 11, "color": INK}, **axes)
    )  # fmt: skip
    for step in steps:
        marks.add_annotation(x=step.right, y=step.row, xref=axes["xaxis"], yref=axes["yaxis"], text=step.words,
                             showarrow=False, xanchor="left", xshift=8, font={"size": 12.5, "color": INK})  # fmt: skip
    for before, after in pairwise(steps):
        ends = {"x0": before.end, "x1": before.end, "y0": before.row, "y1": after.row}
        dotted = {"color": MUTED, "width": 1, "dash": "dot"}
        marks.add_shape(type="line", **ends, xref=axes["xaxis"], yref=axes["yaxis"], line=dotted, layer="below")
    _screen_axes(figure, marks, part, place, span)


def _hover(step: _Step) -> str:
    ends = f" [{number(step.low - step.start)}, {number(step.high - step.start)}]" if step.low == step.low else ""
    return f"adds {step.words.partition(' [')[0]}{ends}"


def _screen_axes(figure: go.Figure, marks: Marks, part: pd.DataFrame, place: _Place, span: tuple[float, float]) -> None:
    labels = [screen_text(name) for name in distinct([str(name) for name in part["label"]], 30)]
    rows: dict[str, Any] = {"tickvals": list(range(len(labels))), "ticktext": labels, "showticklabels": place.is_first}
    title = str(part["scale"].iloc[0]) if place.titled else ""
    figure.update_layout(
        {
            f"xaxis{place.suffix}": axis(
                screen_text(title), domain=place.x, anchor=f"y{place.suffix}", range=list(span)
            ),
            f"yaxis{place.suffix}": axis(
                domain=place.y, anchor=f"x{place.suffix}", range=[len(labels) - 0.4, -0.6], zeroline=False, **rows
            ),
        }
    )
    if part["panel"].iloc[0] or "→" in str(part["title"].iloc[0]):
        marks.add_annotation(x=place.x[0], y=place.y[1], xref="paper", yref="paper", xanchor="left", yanchor="bottom",
                             text=f"<b>{screen_text(shortened(part['title'].iloc[0], 32))}</b>", showarrow=False,
                             yshift=4)  # fmt: skip


@print_settings()
def print_figure(frame: pd.DataFrame, *, width_mm: float = 165.0) -> Figure:
    """The same for print."""
    panels = [part for _, part in frame.groupby("panel", sort=True)]
    columns = min(len(panels), COLUMNS if width_mm > 100 else 1)
    lines = -(-len(panels) // columns)
    rows = int(frame["row"].max()) + 1
    figure = print_canvas(width_mm, 8.0 + lines * (12.0 + 6.6 * rows))
    grid = figure.subplots(lines, columns, squeeze=False, sharex=True)
    for place, part in enumerate(panels):
        axes = grid[place // columns, place % columns]
        _print_panel(axes, part, width_mm, first=place % columns == 0, columns=columns, alone=len(panels) == 1)
        axes.set_xlim(_range(frame))
        axes.xaxis.set_tick_params(labelbottom=True)
    for place in range(len(panels), lines * columns):
        grid[place // columns, place % columns].set_visible(False)
    figure.supxlabel(print_text(cut(frame["scale"].iloc[0], width_mm - 4)), fontsize=7.5, color=INK)
    return figure


def _print_panel(axes: Axes, part: pd.DataFrame, width_mm: float, *, first: bool, columns: int, alone: bool) -> None:
    steps = _steps(part, alone=alone)
    for step in steps:
        if step.is_factor:
            axes.barh(step.row, step.end - step.start, left=step.start, height=THICK, color=step.fill,
                      edgecolor=step.colour, linewidth=0.7, zorder=2)  # fmt: skip
            if step.low == step.low:
                axes.plot([step.low, step.high], [step.row] * 2, color=INK, linewidth=0.8, zorder=3)
        else:
            axes.plot([step.end], [step.row], marker="D", markersize=4.2, color=INK, linestyle="none", zorder=3)
        axes.annotate(step.words, (step.right, step.row), xytext=(5, 0), textcoords="offset points", va="center",
                      fontsize=6.8)  # fmt: skip
    for before, after in pairwise(steps):
        axes.plot([before.end] * 2, [before.row, after.row], color=MUTED, linewidth=0.5, linestyle=":", zorder=1)
    axes.axvline(0, color=GRID, linewidth=0.6, zorder=0)
    names = cut_apart([str(name) for name in part["label"]], (0.26 if columns > 1 else 0.34) * width_mm)
    axes.set_yticks(range(len(names)), [print_text(name) for name in names] if first else [""] * len(names))
    axes.set(ylim=(len(names) - 0.4, -0.6))
    if part["panel"].iloc[0] or "→" in str(part["title"].iloc[0]):
        room = (0.7 if columns > 1 else 0.9) * width_mm / columns
        axes.set_title(print_text(cut(part["title"].iloc[0], room, 7.5)), loc="left", fontsize=7.5, fontweight="bold")
    calm(axes)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence per panel: where the prediction starts, what each factor adds, where it ends; at most three."""
    said = []
    per_cent = f"{frame['per_cent'].iloc[0]:g}"
    for _, part in list(frame.groupby("panel", sort=True))[:COLUMNS]:
        rows = records(part)
        told = [
            f"{shortened(row.label, 60)} {signed(float(row.value), 2)}"
            + (f" [{number(row.low - row.start)}, {number(row.high - row.start)}]" if row.low == row.low else "")
            for row in rows
            if row.step == FACTOR
        ]
        first = next(row for row in rows if row.step == POPULATION)
        last = next(row for row in rows if row.step == PREDICTION)
        title = shortened(part["title"].iloc[0], 60).replace("→", "to")
        said.append(f"{title}: from {number(first.value)} by {listed(told)} to {number(last.value)}")
    more = frame["panel"].nunique() - len(said)
    rest = f" {more} more classes are drawn." if more else ""
    start = f"One prediction and what leads to it, with {per_cent}% intervals ({frame['scale'].iloc[0]})."
    return f"{start} {'. '.join(said)}.{rest}"
