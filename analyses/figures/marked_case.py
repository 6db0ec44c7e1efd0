"""How each parameter is distributed over all persons (or levels), with one case marked (MC-GMENN, figure 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.figures.labels import listed, number, parameter_label, print_text, screen_text
from analyses.figures.long_labels import broken, distinct, shortened
from analyses.figures.palette import GRID, INK, MUTED, PAPER, VERMILION
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.rows import records
from analyses.figures.screen_style import axis, screen_figure
from toolkit.errors import DataError

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

MOST = 16
TALLEST = 0.78
POINTS = 80
CLOUD = "#C9D2DB"


def tidy(
    random_effects: pd.DataFrame,
    case: str,
    *,
    parameters: Sequence[str] | None = None,
    term: str | None = None,
    case_name: str = "this person",
) -> pd.DataFrame:
    """Outline of every parameter's distribution, every level as a point, and the case with its interval.

    Args:
        random_effects: the run's table (term, level, parameter, estimate, low, high).
        case: level to mark, such as a person's pseudonym.
        parameters: which, in drawing order; None: the 16 whose estimates differ most between levels.
        term: grouping the case belongs to, needed where a run has several with a level of this name.
        case_name: what the case is called in the figure; its own label is not drawn.

    Returns:
        parameter, label, row, kind (``outline``: value and height from 0 to 1; ``level``: value; ``case``: value, low,
        high, below: share of levels with a smaller effect), n (levels), case_name.

    Raises:
        DataError: E124 when the case is no level of the table or a parameter is not in it.
    """
    table = random_effects if term is None else random_effects[random_effects["term"] == term]
    mine = table[table["level"].astype(str) == str(case)]
    if mine.empty:
        raise DataError(
            "the case to mark has no effects in this run", code="E124", column="person", remedy="name another one"
        )
    table = table[table["term"].isin(mine["term"].unique()) & table["parameter"].isin(mine["parameter"].unique())]
    chosen = list(parameters) if parameters is not None else _widest(table)
    absent = [name for name in chosen if name not in set(table["parameter"])]
    if absent:
        raise DataError("a parameter is not among the effects", code="E124", column="parameter")
    several = table["term"].nunique() > 1
    blocks = []
    for row, name in enumerate(chosen):
        part = table[table["parameter"] == name]
        label = f"{part['term'].iloc[0]}: {parameter_label(name)}" if several else parameter_label(name)
        block = _rows(part, mine[mine["parameter"] == name].iloc[0])
        blocks.append(block.assign(parameter=name, label=label, row=row, n=len(part)))
    return pd.concat(blocks, ignore_index=True).assign(case_name=case_name)


def _widest(table: pd.DataFrame) -> list[str]:
    order = list(dict.fromkeys(table["parameter"]))
    spread = table.groupby("parameter")["estimate"].std().fillna(0.0)
    widest = set(spread.sort_values(ascending=False, kind="stable").index[:MOST])
    return [name for name in order if name in widest]


def _rows(part: pd.DataFrame, own: pd.Series) -> pd.DataFrame:
    values = part["estimate"].to_numpy(dtype=float)
    estimate = float(own["estimate"])
    xs, heights = _outline(values)
    marked = {"kind": "case", "value": estimate, "low": float(own["low"]), "high": float(own["high"])}
    marked["below"] = float(np.mean(values < estimate))
    return pd.concat(
        [
            pd.DataFrame({"kind": "outline", "value": xs, "height": heights}),
            pd.DataFrame({"kind": "level", "value": values}),
            pd.DataFrame([marked]),
        ],
        ignore_index=True,
    )


def _outline(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian kernel density with Silverman's width, its peak scaled to 1; flat values have none."""
    spread = float(values.std(ddof=1)) if values.size > 1 else 0.0
    if spread <= 1e-9 * max(1.0, float(np.abs(values).max())):
        return np.zeros(0), np.zeros(0)
    quartiles = np.quantile(values, [0.25, 0.75])
    width = 0.9 * min(spread, float(quartiles[1] - quartiles[0]) / 1.34 or spread) * values.size ** (-0.2)
    xs = np.linspace(values.min() - 3 * width, values.max() + 3 * width, POINTS)
    density = np.exp(-0.5 * ((xs[:, None] - values[None]) / width) ** 2).sum(axis=1)
    return xs, density / density.max()


def _labels(frame: pd.DataFrame) -> list[str]:
    return [str(label) for label in frame.drop_duplicates("row").sort_values("row")["label"]]


def screen(frame: pd.DataFrame, *, height: int | None = None) -> go.Figure:
    """One hill per parameter; every level is a tick below it, the case a diamond with its interval."""
    import plotly.graph_objects as go

    labels = _labels(frame)
    figure = screen_figure(height or 110 + 46 * max(len(labels), 2), hovermode="closest")
    for row in range(len(labels)):
        hill = frame[(frame["row"] == row) & (frame["kind"] == "outline")]
        xs, ys = list(hill["value"]), list(row - TALLEST * hill["height"])
        base = [row] * len(xs)
        figure.add_trace(
            go.Scatter(
                x=xs + xs[::-1], y=ys + base, fill="toself", fillcolor=CLOUD, mode="lines", hoverinfo="skip",
                line={"color": MUTED, "width": 1}, name="all", showlegend=row == 0, legendgroup="all",
            )
        )  # fmt: skip
    points = frame[frame["kind"] == "level"]
    tick = {"symbol": "line-ns", "size": 6, "line": {"width": 1, "color": MUTED}}
    figure.add_trace(
        go.Scatter(x=points["value"], y=points["row"] + 0.08, mode="markers", marker=tick, hoverinfo="skip",
                   showlegend=False)
    )  # fmt: skip
    own = frame[frame["kind"] == "case"]
    words = [[number(r.low), number(r.high), number(100 * r.below, 0)] for r in records(own)]
    spread = {"array": own["high"] - own["value"], "arrayminus": own["value"] - own["low"]}
    figure.add_trace(
        go.Scatter(
            x=own["value"], y=own["row"], mode="markers", customdata=words,
            name=screen_text(shortened(own["case_name"].iloc[0], 40)) if len(own) else "",
            marker={"symbol": "diamond", "size": 10, "color": VERMILION, "line": {"width": 1, "color": PAPER}},
            error_x={"type": "data", "symmetric": False, **spread, "color": VERMILION, "thickness": 2, "width": 0},
            hovertemplate="%{x:.2f} [%{customdata[0]}, %{customdata[1]}]<br>larger than %{customdata[2]} %"
            "<extra></extra>",
        )
    )  # fmt: skip
    names = [screen_text(name) for name in distinct(labels, 34)]
    figure.update_xaxes(axis("Difference from the average"))
    figure.update_yaxes(
        axis(tickvals=list(range(len(labels))), ticktext=names, range=[len(labels) - 0.6, -1.0], showgrid=False,
             zeroline=False)
    )  # fmt: skip
    figure.update_layout(margin={"l": 40, "t": 56}, legend={"y": 1.02})
    return figure


@print_settings()
def print_figure(frame: pd.DataFrame, *, width_mm: float = 127.0) -> Figure:
    """The same for print."""
    labels = _labels(frame)
    figure = print_canvas(width_mm, 8.2 * max(len(labels), 2) + 22)
    axes = figure.subplots()
    for row in range(len(labels)):
        hill = frame[(frame["row"] == row) & (frame["kind"] == "outline")]
        axes.fill_between(
            hill["value"], row, row - TALLEST * hill["height"], facecolor=CLOUD, edgecolor=MUTED, linewidth=0.5,
            label="all" if row == 0 else None,
        )  # fmt: skip
        axes.axhline(row, color=GRID, linewidth=0.5, zorder=0)
    points = frame[frame["kind"] == "level"]
    axes.vlines(points["value"], points["row"] + 0.03, points["row"] + 0.14, color=MUTED, linewidth=0.5)
    own = frame[frame["kind"] == "case"]
    spread = [own["value"] - own["low"], own["high"] - own["value"]]
    name = print_text(shortened(own["case_name"].iloc[0], 40)) if len(own) else None
    axes.errorbar(
        own["value"], own["row"], xerr=spread, fmt="D", markersize=4.2, color=VERMILION, markeredgecolor=PAPER,
        markeredgewidth=0.5, elinewidth=1.3, label=name, zorder=4,
    )  # fmt: skip
    axes.axvline(0, color=INK, linewidth=0.6, linestyle=":", zorder=1)
    wide = int(width_mm * 0.32 / 1.5)
    axes.set_yticks(range(len(labels)), [print_text("\n".join(broken(n, wide))) for n in distinct(labels, 2 * wide)])
    axes.set(ylim=(len(labels) - 0.7, -1.0), xlabel="Difference from the average")
    axes.tick_params(axis="y", length=0)
    calm(axes)
    axes.spines["left"].set_visible(False)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2, frameon=False)
    return figure


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with the parameters in which the case stands out most."""
    own = frame[frame["kind"] == "case"]
    if own.empty:
        return "No effects to show."
    clear = own[(own["low"] > 0) | (own["high"] < 0)]
    extreme = own.assign(far=(own["below"] - 0.5).abs()).sort_values("far", ascending=False, kind="stable").head(3)
    said = [
        f"{shortened(row.label, 60)} {number(row.value)} [{number(row.low)}, {number(row.high)}], larger than in "
        f"{number(100 * row.below, 0)}% of {row.n}"
        for row in records(extreme)
    ]
    return (
        f"Distribution of {len(own)} effects over all {int(own['n'].max())}, with "
        f"{shortened(own['case_name'].iloc[0], 60)} marked. Furthest out: {listed(said)}. "
        f"{len(clear)} of {len(own)} intervals leave out zero."
    )
