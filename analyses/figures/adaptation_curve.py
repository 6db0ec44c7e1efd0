"""How well models predict new persons, by the share of their rows used to adapt (PEN)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analyses.figures import curve_panels
from analyses.figures.curve_panels import CurveAxes
from analyses.figures.labels import number
from analyses.figures.long_labels import shortened
from analyses.model_comparison import WORDS
from toolkit.errors import DataError

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

NEEDED = ("model", "target", "metric", "share", "value", "low", "high", "persons")


def tidy(curve: pd.DataFrame) -> pd.DataFrame:
    """One row per model, target, metric and share, in the schema of ``curve_panels``, with persons.

    Args:
        curve: model, target, metric, share (of a new person's rows, 0 to 1), value (mean over new persons on rows that
            were not used), low, high, persons.

    Raises:
        DataError: E103 when a column is missing.
    """
    absent = [name for name in NEEDED if name not in curve.columns]
    if absent:
        raise DataError(f"the table has no column {', '.join(absent)}", code="E103", column=absent[0])
    targets, metrics = curve["target"].astype(str), [WORDS.get(str(m), str(m)) for m in curve["metric"]]
    several = targets.nunique() > 1
    frame = pd.DataFrame(
        {
            "panel": [_panel(t if several else "", m) for t, m in zip(targets, metrics, strict=True)],
            "series": curve["model"].astype(str).to_numpy(),
            "x": curve["share"].to_numpy(dtype=float),
            "value": curve["value"].to_numpy(dtype=float),
            "low": curve["low"].to_numpy(dtype=float),
            "high": curve["high"].to_numpy(dtype=float),
            "mark": "",
            "persons": curve["persons"].to_numpy(dtype=int),
        }
    )
    order = {panel: k for k, panel in enumerate(dict.fromkeys(frame["panel"]))}
    models = {name: k for k, name in enumerate(dict.fromkeys(frame["series"]))}
    by = [frame["panel"].map(order).rename("p"), frame["series"].map(models).rename("s"), frame["x"]]
    return frame.loc[pd.concat(by, axis=1).sort_values(["p", "s", "x"]).index].reset_index(drop=True)


def _panel(target: str, metric: str) -> str:
    words = f"{target}: {metric}" if target else metric
    return words[:1].upper() + words[1:]


LOOK = CurveAxes(x_title="Share of a new person’s rows used to adapt", y_title="Mean over new persons", percent=True)


def screen(frame: pd.DataFrame, *, height: int = 400) -> go.Figure:
    """One panel per target and metric, one line per model."""
    return curve_panels.screen(frame, LOOK, height=height)


def print_figure(frame: pd.DataFrame, *, width_mm: float = 183.0) -> Figure:
    """The same for print."""
    return curve_panels.print_figure(frame, LOOK, width_mm=width_mm)


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with every model's value without adaptation and with the most."""
    if frame.empty:
        return "No adaptation was tried."
    said = []
    for panel, part in frame.groupby("panel", sort=False):
        lines = []
        for model, series in part.groupby("series", sort=False):
            first, last = series.iloc[0], series.iloc[-1]
            lines.append(
                f"{shortened(model, 60)} from {number(float(first['value']))} with {100 * first['x']:.3g}% of the rows "
                f"to {number(float(last['value']))} with {100 * last['x']:.3g}%"
            )
        said.append(f"{panel}: {'; '.join(lines[:4])}")
    persons = int(frame["persons"].max())
    more = f" (and {len(said) - 2} more panels)" if len(said) > 2 else ""
    return f"Prediction of {persons} new persons by the share of their rows used to adapt. {'. '.join(said[:2])}{more}."
