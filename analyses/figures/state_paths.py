"""One person's states over time: observed, and the most likely paths with and without the person's own effects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.figures.few_states import area_styles, folded
from analyses.figures.labels import number, print_text, screen_text
from analyses.figures.long_labels import shortened
from analyses.figures.palette import GRID, INK, MUTED
from analyses.figures.print_room import legend_above
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.screen_style import axis, screen_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

OBSERVED, FORECAST, OWN, AVERAGE = "Observed", "Forecast", "Own path", "Average path"
SERIES = {"truth": OBSERVED, "prediction_forecast": FORECAST, "prediction_sequence": OWN,
          "prediction_sequence_population": AVERAGE}  # fmt: skip
PARTED = "#F6D3AE"
TEST = "#EEF1F4"


def tidy(predictions: pd.DataFrame, person: str, states: Sequence[str]) -> pd.DataFrame:
    """Long frame of one person in order of time.

    Args:
        predictions: the run's predictions; ``prediction_sequence_population`` may be missing (runs of older versions).
        person: pseudonym.
        states: in drawing order.

    Returns:
        step (1, 2, ...), starts_sequence, split, series (observed, forecast, own path, average path), state (missing
        where nothing was observed), parted (whether the two paths differ at this step).
    """
    rows = predictions[predictions["person"] == person].sort_values(["sequence", "time", "row"], kind="stable")
    columns = [name for name in SERIES if name in rows]
    values = pd.concat([rows[name].astype("string") for name in columns], ignore_index=True)
    names = folded(values, [str(state) for state in states])
    sequence = rows["sequence"].to_numpy()
    fresh = np.concatenate([[True], sequence[1:] != sequence[:-1]]) if len(rows) else np.zeros(0, dtype=bool)
    own = rows.get("prediction_sequence", rows["truth"]).astype("string").fillna("")
    average = rows.get("prediction_sequence_population", own).astype("string").fillna("")
    block = {
        "step": np.arange(1, len(rows) + 1),
        "starts_sequence": fresh,
        "split": rows["split"].to_numpy(),
        "parted": (own.to_numpy() != average.to_numpy()),
    }
    frame = pd.concat([pd.DataFrame({**block, "series": SERIES[name]}) for name in columns], ignore_index=True)
    frame["state"] = pd.Categorical(names[0].to_numpy(dtype=object), categories=names[1])
    return frame[["step", "starts_sequence", "split", "series", "state", "parted"]]


def between(frame: pd.DataFrame, first: int, last: int) -> pd.DataFrame:
    """The steps from ``first`` to ``last``, so that no more is drawn than is looked at."""
    return frame[(frame["step"] >= first) & (frame["step"] <= last)].reset_index(drop=True)


def _lanes(frame: pd.DataFrame) -> list[str]:
    return [name for name in SERIES.values() if name in set(frame["series"])]


def _parted(frame: pd.DataFrame) -> np.ndarray:
    """Steps at which the two paths part."""
    return np.unique(frame.loc[frame["parted"] & (frame["series"] == OWN), "step"].to_numpy(dtype=float))


def _edges(frame: pd.DataFrame) -> list[float]:
    """Where sequences (days) begin, half a step before their first prompt."""
    steps = np.unique(frame.loc[frame["starts_sequence"], "step"].to_numpy(dtype=float))
    return [float(step) - 0.5 for step in steps[1:]]


def _test(frame: pd.DataFrame) -> tuple[float, float] | None:
    steps = frame.loc[frame["split"] == "test", "step"]
    return None if steps.empty else (float(steps.min()) - 0.5, float(steps.max()) + 0.5)


def _states(frame: pd.DataFrame) -> list[str]:
    return [str(state) for state in frame["state"].cat.categories]


def screen(frame: pd.DataFrame, *, height: int = 250) -> go.Figure:
    """A lane per series, a mark per prompt; an orange ground where the two paths part."""
    import plotly.graph_objects as go

    figure = screen_figure(height, hovermode="closest", bargap=0)
    lanes, styles, parted = _lanes(frame), area_styles(_states(frame)), _parted(frame)
    if len(parted):
        figure.add_trace(
            go.Bar(x=parted, y=[2.0] * len(parted), base=lanes.index(OWN) - 0.5, width=1.0, name="paths part",
                   marker={"color": PARTED}, hoverinfo="skip")
        )  # fmt: skip
    ends = [value for edge in _edges(frame) for value in (edge, edge, None)]
    ys = [value for _ in _edges(frame) for value in (-0.5, len(lanes) - 0.5, None)]
    line = {"color": GRID, "width": 1}
    figure.add_trace(go.Scatter(x=ends, y=ys, mode="lines", line=line, showlegend=False, hoverinfo="skip"))
    for state in _states(frame):
        part, style = frame[frame["state"] == state], styles[state]
        marker = {"symbol": style.symbol, "size": 9, "color": style.fill, "line": {"width": 1, "color": style.edge}}
        words = [screen_text(f"{series}: {state}") for series in part["series"]]
        figure.add_trace(
            go.Scatter(x=part["step"], y=[lanes.index(name) for name in part["series"]], mode="markers", marker=marker,
                       name=screen_text(shortened(state, 30)), customdata=words,
                       hovertemplate="prompt %{x}<br>%{customdata}<extra></extra>")
        )  # fmt: skip
    test = _test(frame)
    if test is not None:
        figure.add_vrect(x0=test[0], x1=test[1], fillcolor=TEST, line_width=0, layer="below")
    first, last = int(frame["step"].min()), int(frame["step"].max())
    figure.update_xaxes(axis("Prompt (lines: days; grey: test rows)", showgrid=False, zeroline=False,
                             range=[first - 0.8, last + 0.8]))  # fmt: skip
    figure.update_yaxes(
        axis(tickvals=list(range(len(lanes))), ticktext=lanes, range=[len(lanes) - 0.5, -0.5], showgrid=False,
             zeroline=False)
    )  # fmt: skip
    return figure


@print_settings()
def print_figure(frame: pd.DataFrame, *, width_mm: float = 183.0) -> Figure:
    """The same for print."""
    lanes, styles = _lanes(frame), area_styles(_states(frame))
    figure = print_canvas(width_mm, 24.0 + 8 * len(lanes))
    axes = figure.subplots()
    test = _test(frame)
    if test is not None:
        axes.axvspan(*test, color=TEST, zorder=0, linewidth=0)
    parted = _parted(frame)
    if len(parted):
        axes.bar(
            parted,
            2.0,
            bottom=lanes.index(OWN) - 0.5,
            width=1.0,
            color=PARTED,
            linewidth=0,
            zorder=1,
            label="paths part",
        )
    axes.vlines(_edges(frame), -0.5, len(lanes) - 0.5, color=GRID, linewidth=0.5, zorder=1)
    size = float(np.clip(2.6 * width_mm / max(int(frame["step"].nunique()), 1), 1.2, 16.0))
    for state in _states(frame):
        part, style = frame[frame["state"] == state], styles[state]
        axes.scatter(part["step"], [lanes.index(name) for name in part["series"]], marker=style.marker, s=size,
                     color=style.fill, edgecolors=style.edge, linewidths=0.3, label=print_text(shortened(state, 40)),
                     zorder=3)  # fmt: skip
    axes.set_yticks(range(len(lanes)), lanes)
    axes.set(ylim=(len(lanes) - 0.5, -0.5), xlim=(int(frame["step"].min()) - 1, int(frame["step"].max()) + 1))
    axes.set_xlabel("Prompt (lines: days; grey: test rows)", color=MUTED)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    calm(axes)
    legend_above(figure, width_mm)
    return figure


def alt_text(frame: pd.DataFrame) -> str:
    """How often each path names the observed state, and at how many prompts the two part."""
    wide = frame.assign(state=frame["state"].astype("string")).pivot(index="step", columns="series", values="state")
    seen = wide[wide[OBSERVED].notna()]
    shares = {name: float((seen[name] == seen[OBSERVED]).mean()) for name in _lanes(frame)[1:] if len(seen)}
    said = [f"the {name.lower()} names the observed state at {number(100 * v, 0)} %" for name, v in shares.items()]
    parted = len(_parted(frame))
    told = f" The two paths part at {parted} of {len(wide)} prompts." if AVERAGE in wide else ""
    return f"States of one person at {len(wide)} prompts: {' and '.join(said) or 'nothing was observed'}.{told}"
