"""Two models person by person: one line per person from one model's metric to the other's (PEN, figure 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.figures.labels import number, print_text, screen_text, signed
from analyses.figures.long_labels import broken, distinct, shortened
from analyses.figures.palette import INK, MUTED, PAPER, group_styles
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.rows import records
from analyses.figures.screen_style import axis, screen_figure
from analyses.model_comparison import LOWER_IS_BETTER, WORDS
from toolkit.errors import DataError

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

NEEDED = ("person", "first", "second")


def tidy(
    scores: pd.DataFrame, *, metric: str = "metric", first: str = "first model", second: str = "second model"
) -> pd.DataFrame:
    """One row per person with both values, sorted by the gain: position, person, first, second, gain, better.

    Args:
        scores: person, first, second: the metric under either model; persons without both are left out and counted.
        metric: its name, such as ``krippendorff_alpha``; the gain is positive where the second model is better.
        first: name of the first model.
        second: name of the second.

    Returns:
        With the columns metric, first_name, second_name, n_left_out in every row; better is ``first``, ``second`` or
        ``neither``.

    Raises:
        DataError: E103 when a column is missing.
    """
    absent = [name for name in NEEDED if name not in scores.columns]
    if absent:
        raise DataError(f"the table has no column {', '.join(absent)}", code="E103", column=absent[0])
    frame = scores[list(NEEDED)].dropna()
    frame = frame.assign(person=frame["person"].astype(str), first=frame["first"].astype(float))
    difference = frame["second"].astype(float) - frame["first"]
    frame["gain"] = -difference if metric in LOWER_IS_BETTER else difference
    frame = frame.sort_values("gain", kind="stable", ignore_index=True)
    frame.insert(0, "position", np.arange(1, len(frame) + 1))
    frame["better"] = np.select([frame["gain"] > 0, frame["gain"] < 0], ["second", "first"], "neither")
    return frame.assign(
        metric=WORDS.get(metric, metric), first_name=first, second_name=second, n_left_out=len(scores) - len(frame)
    )


def _names(frame: pd.DataFrame) -> tuple[str, str, str]:
    if frame.empty:
        return "metric", "first model", "second model"
    top = frame.iloc[0]
    return str(top["metric"]), str(top["first_name"]), str(top["second_name"])


def _lines(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The better model and the persons it is better for; ties belong to nobody."""
    return [(kind, frame[frame["better"] == kind]) for kind in ("first", "second", "neither")]


def screen(frame: pd.DataFrame, *, names: bool = False, height: int = 400) -> go.Figure:
    """Persons side by side, sorted; pseudonyms appear on hovering only if ``names`` is set."""
    import plotly.graph_objects as go

    metric, *models = _names(frame)
    first, second = distinct(models, 50)
    styles = dict(zip(("first", "second"), list(group_styles(["1", "2"]).values())[:2], strict=True))
    figure = screen_figure(height, hovermode="closest")
    for kind, part in _lines(frame):
        xs = [v for x in part["position"] for v in (x, x, None)]
        ys = [v for a, b in zip(part["first"], part["second"], strict=True) for v in (a, b, None)]
        colour = styles[kind].fill if kind in styles else MUTED
        figure.add_trace(
            go.Scatter(x=xs, y=ys, mode="lines", line={"width": 2, "color": colour}, hoverinfo="skip", showlegend=False)
        )
    words = [
        [screen_text(row.person) + "<br>" if names else "", number(row.first, 3), number(row.second, 3)]
        for row in records(frame)
    ]
    for (kind, style), label in zip(styles.items(), (first, second), strict=True):
        dot = {"symbol": style.symbol, "size": 8, "color": PAPER if kind == "first" else style.fill}
        figure.add_trace(
            go.Scatter(
                x=frame["position"], y=frame[kind], mode="markers", name=screen_text(label), customdata=words,
                marker=dot | {"line": {"width": 1.5, "color": style.edge}},
                hovertemplate="%{customdata[0]}%{customdata[1]} → %{customdata[2]}<extra></extra>",
            )
        )  # fmt: skip
    figure.update_xaxes(
        axis("Persons, sorted by the difference", range=[0, len(frame) + 1], showgrid=False, zeroline=False)
    )
    figure.update_yaxes(axis(f"{metric[:1].upper()}{metric[1:]}"))
    return figure


@print_settings()
def print_figure(frame: pd.DataFrame, *, width_mm: float = 183.0) -> Figure:
    """The same for print."""
    from matplotlib.ticker import MaxNLocator

    metric, *models = _names(frame)
    labels = distinct(models, max(16, int(width_mm / 3.6)))
    styles = dict(zip(("first", "second"), list(group_styles(["1", "2"]).values())[:2], strict=True))
    figure = print_canvas(width_mm, min(0.6 * width_mm, 72.0))
    axes = figure.subplots()
    thin = len(frame) > 60
    for kind, part in _lines(frame):
        colour = styles[kind].fill if kind in styles else MUTED
        axes.vlines(part["position"], part["first"], part["second"], color=colour, linewidth=0.7 if thin else 1.2)
    for (kind, style), label in zip(styles.items(), labels, strict=True):
        axes.plot(
            frame["position"], frame[kind], linestyle="none", marker=style.marker, markersize=2.6 if thin else 3.6,
            markerfacecolor=PAPER if kind == "first" else style.fill, markeredgecolor=style.edge, markeredgewidth=0.6,
            label=print_text(label),
        )  # fmt: skip
    turn = int((frame["better"] == "first").sum()) + 0.5
    if 0.5 < turn < len(frame):
        axes.axvline(turn, color=INK, linewidth=0.5, linestyle=":")
    axes.set(xlim=(0, len(frame) + 1), xlabel="Persons, sorted by the difference")
    axes.set_ylabel("\n".join(print_text(line) for line in broken(f"{metric[:1].upper()}{metric[1:]}", 30)))
    calm(axes, grid="y")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    across = 2 if sum(map(len, labels)) < width_mm / 2.2 else 1
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=across, frameon=False)
    return figure


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with how many persons each model is better for, and the largest differences."""
    if frame.empty:
        return "No person has a value under both models."
    metric, first, second = _names(frame)
    counts = frame["better"].value_counts()
    left = int(frame["n_left_out"].iloc[0])
    were = "person without a value under both is" if left == 1 else "persons without a value under both are"
    missing = f" {left} {were} left out." if left else ""
    return (
        f"{metric[:1].upper()}{metric[1:]} of {len(frame)} persons under two models: {shortened(second, 60)} is better "
        f"for {int(counts.get('second', 0))}, {shortened(first, 60)} for {int(counts.get('first', 0))}. Median gain "
        f"{signed(float(frame['gain'].median()), 3)}, from {signed(float(frame['gain'].min()), 3)} to "
        f"{signed(float(frame['gain'].max()), 3)}.{missing}"
    )
