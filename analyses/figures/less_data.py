"""How well models predict when each person has fewer training rows (NME, figure 5, right)."""

from __future__ import annotations

from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

import pandas as pd

from analyses.figures import curve_panels
from analyses.figures.curve_panels import CurveAxes
from analyses.figures.labels import listed, number
from analyses.figures.long_labels import shortened
from analyses.model_comparison import WORDS

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

    from analyses.learning_curve import LearningCurve


def tidy(result: LearningCurve | pd.DataFrame, *, metric: str | None = None) -> pd.DataFrame:
    """One row per model and share of the training rows, in the schema of ``curve_panels``, with persons and metric.

    Args:
        result: a less-data curve, or its kept table (share, model, mean, low, high, persons, marks); tables kept before
            intervals were part of them are drawn without.
        metric: name of the metric, needed with a table.
    """
    table = result if isinstance(result, pd.DataFrame) else result.to_frame()
    name = metric or ("" if isinstance(result, pd.DataFrame) else result.metric)
    models = list(dict.fromkeys(table["model"].astype(str)))
    letters = {model: ascii_lowercase[k % 26] for k, model in enumerate(models)}
    frame = pd.DataFrame(
        {
            "panel": "",
            "series": [f"{letters[str(model)]}  {model}" for model in table["model"]],
            "x": table["share"].astype(float),
            "value": table["mean"].astype(float),
            "low": table["low"].astype(float) if "low" in table else float("nan"),
            "high": table["high"].astype(float) if "high" in table else float("nan"),
            "mark": [
                _mark(letters[str(m)], str(better)) for m, better in zip(table["model"], table["marks"], strict=True)
            ],
            "model": table["model"].astype(str),
            "persons": table["persons"].astype(int),
            "metric": WORDS.get(name, name),
        }
    )
    return frame.sort_values(["series", "x"], kind="stable", ignore_index=True)


def _mark(letter: str, better: str) -> str:
    """``a < b, c``: model a is clearly worse than models b and c."""
    return f"{letter} < {', '.join(better)}" if better else ""


def _look(frame: pd.DataFrame) -> CurveAxes:
    metric = str(frame["metric"].iloc[0]) if len(frame) else "metric"
    return CurveAxes(x_title="Share of each person’s training rows", y_title=f"Mean {metric} per person", percent=True)


def screen(frame: pd.DataFrame, *, height: int = 400) -> go.Figure:
    """One line per model; ``a < b`` at the top: model a is clearly worse than b on the same persons."""
    return curve_panels.screen(frame, _look(frame), height=height)


def print_figure(frame: pd.DataFrame, *, width_mm: float = 127.0) -> Figure:
    """The same for print."""
    return curve_panels.print_figure(frame, _look(frame), width_mm=width_mm)


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with every model's first and last value, and where models differ clearly."""
    if frame.empty:
        return "No model was fitted to less data."
    parts = []
    for model, part in frame.groupby("model", sort=False):
        first, last = part.iloc[part["x"].argmin()], part.iloc[part["x"].argmax()]
        parts.append(
            f"{shortened(model, 60)} {_value(first)} with {_share(first)} and {_value(last)} with {_share(last)}"
        )
    shares = sorted(
        {_share(row) for _, row in frame[frame["mark"] != ""].iterrows()}, key=lambda word: float(word[:-1])
    )
    clear = (
        f"Models differ clearly at {listed(shares)} of the rows." if shares else "No share shows a clear difference."
    )
    return (
        f"Mean {frame['metric'].iloc[0]} per person by share of the training rows: {'; '.join(parts[:6])}"
        f"{f'; and {len(parts) - 6} more models' if len(parts) > 6 else ''}. {clear}"
    )


def _value(row: Any) -> str:
    return number(float(row["value"]), 3)


def _share(row: Any) -> str:
    return f"{100 * float(row['x']):.3g}%"
