"""Estimated against true effects where the truth is known, as in simulated studies (LMMNN, figure 4)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses import wording
from analyses.figures.labels import number, parameter_label, print_text, screen_text
from analyses.figures.long_labels import broken, shortened
from analyses.figures.palette import BLUE, INK, MUTED, PAPER
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.screen_style import axis, screen_figure
from toolkit.errors import DataError
from toolkit.metrics import pearson, rmse

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

NEEDED = ("level", "parameter", "true", "estimate")
MOST = 12
MOST_BARS = 60
LINE_MM = 3.5  # of a title


def tidy(effects: pd.DataFrame) -> pd.DataFrame:
    """One row per level and parameter, with how well each parameter was recovered.

    Args:
        effects: level, parameter, true, estimate, and low, high where there are intervals.

    Returns:
        parameter, label, level, true, estimate, low, high, and per parameter n, r, rmse, covered (share of intervals
        that hold the truth; NaN without intervals), n_parameters (in the table; at most 12 are kept, the first ones).

    Raises:
        DataError: E103 when a column is missing.
    """
    absent = [name for name in NEEDED if name not in effects.columns]
    if absent:
        raise DataError(f"the table has no column {', '.join(absent)}", code="E103", column=absent[0])
    known = effects.dropna(subset=["true", "estimate"])
    names = list(dict.fromkeys(known["parameter"].astype(str)))
    blocks = [_parameter(known[known["parameter"].astype(str) == name], name) for name in names[:MOST]]
    columns = ["parameter", "label", "level", "true", "estimate", "low", "high", "n", "r", "rmse", "covered"]
    frame = pd.concat(blocks, ignore_index=True) if blocks else pd.DataFrame(columns=columns)
    return frame.assign(n_parameters=len(names))


def _parameter(part: pd.DataFrame, name: str) -> pd.DataFrame:
    true, estimate = (part[column].to_numpy(dtype=float) for column in ("true", "estimate"))
    low, high = (part[c].to_numpy(dtype=float) if c in part else np.full(len(part), np.nan) for c in ("low", "high"))
    inside = (low <= true) & (true <= high)
    drawn = np.isfinite(low) & np.isfinite(high)
    return pd.DataFrame(
        {
            "parameter": name,
            "label": parameter_label(name),
            "level": part["level"].astype(str).to_numpy(),
            "true": true,
            "estimate": estimate,
            "low": low,
            "high": high,
            "n": len(part),
            "r": pearson(true, estimate) if len(part) > 1 else float("nan"),
            "rmse": rmse(true, estimate),
            "covered": float(inside[drawn].mean()) if drawn.any() else float("nan"),
        }
    )


def _panels(frame: pd.DataFrame) -> list[pd.DataFrame]:
    return [part for _, part in frame.groupby("parameter", sort=False)]


def _ends(frame: pd.DataFrame) -> tuple[float, float]:
    """Both axes of all panels: the points, not the intervals, so that the cloud fills the panel."""
    seen = frame[["true", "estimate"]].to_numpy(dtype=float)
    low, high = (float(seen.min()), float(seen.max())) if seen.size else (-1.0, 1.0)
    room = 0.06 * (high - low) or 1.0
    return low - room, high + room


def words(part: pd.DataFrame) -> str:
    """``r = .82, RMSE 0.21``."""
    top = part.iloc[0]
    r = "r not defined" if math.isnan(top["r"]) else f"r = {wording.bounded(float(top['r']))}"
    return f"{r}, RMSE {number(float(top['rmse']))}"


def _bars(part: pd.DataFrame) -> bool:
    return len(part) <= MOST_BARS and bool(part["low"].notna().any())


def screen(frame: pd.DataFrame) -> go.Figure:
    """One square per parameter with the line of perfect recovery."""
    import plotly.graph_objects as go

    panels = _panels(frame)
    columns = min(4, max(1, math.ceil(math.sqrt(len(panels)))))
    rows = math.ceil(len(panels) / columns) or 1
    figure = screen_figure(80 + 290 * rows, hovermode="closest", showlegend=False)
    ends, width, tall = _ends(frame), (1 - 0.07 * (columns - 1)) / columns, (1 - 0.2 * (rows - 1) / rows) / rows
    for index, part in enumerate(panels):
        suffix = "" if index == 0 else str(index + 1)
        left, top = (index % columns) * (width + 0.07), 1 - (index // columns) * (tall + 0.2 / rows)
        bar = {"type": "data", "symmetric": False, "color": MUTED, "thickness": 0.8, "width": 0}
        bar |= {"array": part["high"] - part["estimate"], "arrayminus": part["estimate"] - part["low"]}
        place = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
        dot = {"size": 6, "color": BLUE, "opacity": 0.7}
        figure.add_trace(
            go.Scatter(
                x=part["true"], y=part["estimate"], mode="markers", marker=dot, error_y=bar if _bars(part) else None,
                hovertemplate="true %{x:.2f}, estimated %{y:.2f}<extra></extra>", **place,
            )
        )  # fmt: skip
        same = {"x": list(ends), "y": list(ends), "mode": "lines", "hoverinfo": "skip"}
        figure.add_trace(go.Scatter(**same, line={"color": INK, "width": 1, "dash": "dash"}, **place))
        bottom = index + columns >= len(panels)
        x = axis("True" if bottom else "", domain=[left, left + width], range=list(ends), anchor=f"y{suffix}")
        y = axis("Estimated" if index % columns == 0 else "", domain=[max(top - tall, 0), top], range=list(ends))
        figure.update_layout({f"xaxis{suffix}": x, f"yaxis{suffix}": y | {"anchor": f"x{suffix}"}})
        title = f"<b>{screen_text(shortened(part['label'].iloc[0], 34))}</b><br>{words(part)}"
        figure.add_annotation(
            x=left, y=top, xref="paper", yref="paper", xanchor="left", yanchor="bottom", align="left", showarrow=False,
            text=title, font={"size": 13},
        )  # fmt: skip
    return figure


@print_settings()
def print_figure(frame: pd.DataFrame, *, width_mm: float = 183.0) -> Figure:
    """The same for print."""
    panels = _panels(frame)
    columns, rows = _grid(len(panels), width_mm)
    side = min((width_mm - 8) / columns - 4, 70.0)
    letters = max(14, int(side / 1.6))
    lines = max((len(broken(part["label"].iloc[0], letters)) for part in panels), default=1) + 1
    figure = print_canvas(width_mm, rows * (side + LINE_MM * lines + 3) + 12)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    ends = _ends(frame)
    for index, axes in enumerate(grid.ravel()):
        if index >= len(panels):
            axes.set_visible(False)
            continue
        part = panels[index]
        if _bars(part):
            axes.vlines(part["true"], part["low"], part["high"], color=MUTED, linewidth=0.5)
        look = {"color": BLUE, "edgecolors": PAPER, "linewidths": 0.5}  # no transparency: EPS has none
        axes.scatter(part["true"], part["estimate"], s=7, rasterized=len(part) > 800, **look)
        axes.plot(ends, ends, color=INK, linewidth=0.7, linestyle=(0, (4, 3)))
        title = broken(part["label"].iloc[0], letters)
        axes.set_title("\n".join(print_text(line) for line in (*title, words(part))), loc="left", fontsize=7)
        axes.set(xlim=ends, ylim=ends, aspect="equal")
        axes.set_xlabel("True" if index + columns >= len(panels) else "")
        axes.set_ylabel("Estimated" if index % columns == 0 else "")
        calm(axes, grid="both")
    return figure


def _grid(panels: int, width_mm: float) -> tuple[int, int]:
    """Columns and rows of squares: 40 mm wide, smaller where there would be more than four rows."""
    most = max(1, min(panels, max(int(width_mm // 40), min(math.ceil(panels / 4), int(width_mm // 27)))))
    rows = math.ceil(panels / most) or 1
    return max(1, math.ceil(panels / rows)), rows


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with the agreement of all parameters, or of the one drawn."""
    if frame.empty:
        return "No true effects are known here."
    each = frame.drop_duplicates("parameter")
    r, error, covered = each["r"].dropna(), each["rmse"], each["covered"].dropna()
    spread = "not defined" if r.empty else _range([wording.bounded(float(v)) for v in (r.min(), r.max())])
    held = (
        f" Intervals hold the true effect in {_range([_percent(v) for v in (covered.min(), covered.max())])}."
        if len(covered)
        else ""
    )
    more = int(each["n_parameters"].iloc[0]) - len(each)
    return (
        f"Estimated against true effects of {int(each['n'].max())} levels on "
        f"{len(each)} {'parameter' if len(each) == 1 else 'parameters'}: correlation "
        f"{spread}, root mean squared error {_range([number(float(v)) for v in (error.min(), error.max())])}.{held}"
        f"{f' {more} further parameters are not drawn.' if more else ''}"
    )


def _range(ends: list[str]) -> str:
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _percent(value: float) -> str:
    return f"{number(100 * float(value), 0)}%"
