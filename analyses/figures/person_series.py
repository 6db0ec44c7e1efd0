"""One person's outcome over time: observed, predicted by the person's model, predicted for an average person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.figures.labels import number, print_text, screen_text
from analyses.figures.palette import BLUE, INK, MUTED, VERMILION
from analyses.figures.print_room import cut, legend_above
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.screen_style import axis, screen_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

SERIES = {
    "truth": "observed",
    "prediction": "predicted for this person",
    "prediction_population": "predicted for an average person",
}


def tidy(predictions: pd.DataFrame, person: str) -> pd.DataFrame:
    """Long frame of one person in order of time: step (1, 2, ...), split, series, value (units of the outcome), label.

    Classes have their number in the order of their names as the value, and their name as the label.
    """
    classes = _classes(predictions)
    rows = predictions[predictions["person"] == person]
    order = [column for column in ("sequence", "time", "row") if column in rows and rows[column].notna().all()]
    rows = rows.sort_values(order, kind="stable")
    steps = list(range(1, len(rows) + 1))
    blocks = [
        pd.DataFrame(
            {
                "step": steps,
                "split": rows["split"].to_numpy(),
                "series": label,
                "value": _values(rows[column], classes),
                "label": rows[column].astype("string").to_numpy() if classes else "",
            }
        )
        for column, label in SERIES.items()
    ]
    return pd.concat(blocks, ignore_index=True)


def _classes(predictions: pd.DataFrame) -> list[str]:
    """Names of the classes in order; empty for a number."""
    if pd.api.types.is_numeric_dtype(predictions["truth"].dtype):
        return []
    return sorted({str(name) for column in SERIES for name in predictions[column].dropna().unique()})


def _values(values: pd.Series, classes: list[str]) -> np.ndarray:
    """Numbers, or places of the classes; NaN where nothing was observed."""
    if not classes:
        return values.to_numpy(dtype=float)
    place = {name: float(number) for number, name in enumerate(classes)}
    return values.astype("string").map(place).astype(float).to_numpy()


def _ticks(frame: pd.DataFrame) -> tuple[list[float], list[str]]:
    """Places and names of the classes that occur; empty for a number."""
    named = frame[frame["label"].notna() & (frame["label"] != "")].drop_duplicates("value").sort_values("value")
    return named["value"].tolist(), named["label"].astype(str).tolist()


def screen(frame: pd.DataFrame, *, outcome: str = "outcome", height: int = 340) -> go.Figure:
    """Observed values as dots, predictions as lines; the test rows on a grey ground."""
    import plotly.graph_objects as go

    figure = screen_figure(height, hovermode="x unified")
    for name, part in frame.groupby("series", sort=False):
        look = {
            "observed": {"mode": "markers", "marker": {"color": INK, "size": 6}},
            "predicted for this person": {"mode": "lines", "line": {"color": VERMILION, "width": 2}},
            "predicted for an average person": {"mode": "lines", "line": {"color": BLUE, "width": 1.5, "dash": "dash"}},
        }[str(name)]
        figure.add_trace(go.Scatter(x=part["step"], y=part["value"], name=str(name), hovertemplate="%{y:.1f}", **look))
    test = frame.loc[frame["split"] == "test", "step"]
    if not test.empty:
        ground = {"fillcolor": "#EEF1F4", "line_width": 0, "layer": "below"}
        figure.add_vrect(x0=test.min() - 0.5, x1=test.max() + 0.5, **ground)
        figure.add_annotation(
            x=test.min(), y=0.0, yref="paper", yanchor="bottom", xanchor="left", showarrow=False,
            text="test rows, not used for fitting", font={"size": 12, "color": MUTED},
        )  # fmt: skip
    figure.update_xaxes(axis("Prompt", showgrid=False, zeroline=False))
    places, names = _ticks(frame)
    ticks = {"tickvals": places, "ticktext": [screen_text(cut(name, 18.0)) for name in names]} if names else {}
    figure.update_yaxes(axis(screen_text(outcome), zeroline=False, **ticks))
    return figure


@print_settings()
def print_figure(frame: pd.DataFrame, *, outcome: str = "outcome", width_mm: float = 183.0) -> Figure:
    """The same for print."""
    figure = print_canvas(width_mm, max(0.38 * width_mm, 44.0))
    axes = figure.subplots()
    looks = {
        "observed": {"linestyle": "none", "marker": "o", "markersize": 2, "color": INK},
        "predicted for this person": {"color": VERMILION},
        "predicted for an average person": {"color": BLUE, "linestyle": "--"},
    }
    for name, part in frame.groupby("series", sort=False):
        axes.plot(part["step"], part["value"], label=str(name), **looks[str(name)])
    test = frame.loc[frame["split"] == "test", "step"]
    if not test.empty:
        axes.axvspan(test.min() - 0.5, test.max() + 0.5, color="#EEF1F4", zorder=0, linewidth=0)
    axes.set(xlabel="Prompt (grey: test rows)", ylabel=print_text(cut(outcome, 34.0)))
    places, names = _ticks(frame)
    if names:
        axes.set_yticks(places, [print_text(cut(name, 18.0)) for name in names])
    legend_above(figure, width_mm)
    calm(axes)
    return figure


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with the person's mean and the means of both predictions, or how often classes were met."""
    if _ticks(frame)[1]:
        return _of_classes(frame)
    means = frame.groupby("series", sort=False)["value"].mean()
    observed, own, average = (number(float(means.get(name, float("nan"))), 1) for name in SERIES.values())
    steps = int(frame["step"].max()) if len(frame) else 0
    return (
        f"{steps} prompts of one person: mean observed {observed}, predicted for this person {own}, "
        f"for an average person {average}."
    )


def _of_classes(frame: pd.DataFrame) -> str:
    """The same for classes: the most frequent one, and how often both predictions met what was observed."""
    wide = frame.pivot(index="step", columns="series", values="label")
    truth, own, average = (wide[name] for name in SERIES.values())
    seen = truth.notna()
    most = str(truth[seen].mode().iloc[0]) if seen.any() else "nothing"
    shares = (
        [number(100 * float((guess[seen] == truth[seen]).mean()), 0) for guess in (own, average)] if seen.any() else []
    )
    hits = (
        f"; predicted rightly for this person in {shares[0]} %, for an average person in {shares[1]} %"
        if shares
        else ""
    )
    return f"{len(wide)} prompts of one person: most often observed {most}{hits}."
