"""How well models predict states: Krippendorff's alpha, pooled over all prompts and averaged over persons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analyses.figures.labels import listed, number, print_text, screen_text
from analyses.figures.palette import BLUE, MUTED, SKY
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.screen_style import axis, screen_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

MEASURES = {"pooled": "pooled over prompts", "mean_per_person": "mean per person"}
COLOURS = {"pooled over prompts": BLUE, "mean per person": SKY}
EDGES = {"pooled over prompts": BLUE, "mean per person": "#1F7AB0"}


def tidy(alpha: pd.DataFrame) -> pd.DataFrame:
    """Long frame of the table model, pooled, mean_per_person: model, measure, value, in the order given."""
    blocks = [
        pd.DataFrame({"model": alpha["model"].astype(str), "measure": label, "value": alpha[column].astype(float)})
        for column, label in MEASURES.items()
    ]
    return pd.concat(blocks, ignore_index=True)


def screen(frame: pd.DataFrame, *, height: int = 260) -> go.Figure:
    """Horizontal bars with their value, both measures per model."""
    import plotly.graph_objects as go

    figure = screen_figure(height, barmode="group", bargap=0.3)
    for measure, part in frame.groupby("measure", sort=False):
        figure.add_trace(
            go.Bar(
                x=part["value"],
                y=[screen_text(model) for model in part["model"]],
                orientation="h",
                name=str(measure),
                marker={"color": COLOURS[str(measure)], "line": {"color": EDGES[str(measure)], "width": 1}},
                text=[number(value) for value in part["value"]],
                textposition="outside",
                cliponaxis=False,
                hovertemplate="%{y}: %{x:.3f}<extra></extra>",
            )
        )
    figure.update_xaxes(axis("Krippendorff’s α (1 = perfect, 0 = chance)", range=[min(0.0, frame["value"].min()), 1]))
    figure.update_yaxes(axis(autorange="reversed", showgrid=False))
    return figure


@print_settings()
def print_figure(frame: pd.DataFrame, *, width_mm: float = 127.0) -> Figure:
    """The same for print."""
    models = list(dict.fromkeys(frame["model"]))
    figure = print_canvas(width_mm, 16.0 + 10 * len(models))
    axes = figure.subplots()
    for offset, (measure, part) in zip((-0.2, 0.2), frame.groupby("measure", sort=False), strict=True):
        places = [models.index(model) + offset for model in part["model"]]
        values = part["value"].to_numpy(dtype=float)
        axes.barh(
            places,
            values,
            height=0.36,
            color=COLOURS[str(measure)],
            edgecolor=EDGES[str(measure)],
            linewidth=0.5,
            label=measure,
        )
        for place, value in zip(places, values, strict=True):
            axes.annotate(
                number(value),
                (max(value, 0.0) if value == value else 0.0, place),
                xytext=(2, 0),
                textcoords="offset points",
                va="center",
            )
    axes.axvline(0, color=MUTED, linewidth=0.5)
    axes.set_yticks(range(len(models)), [print_text(model) for model in models])
    axes.invert_yaxis()
    axes.set(xlim=(min(0.0, float(frame["value"].min())), 1), xlabel="Krippendorff’s α (1 = perfect, 0 = chance)")
    axes.legend(frameon=False, loc="lower right")
    calm(axes, grid="x")
    return figure


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with every value."""
    parts = []
    for model, part in frame.groupby("model", sort=False):
        values = dict(zip(part["measure"], part["value"], strict=True))
        pooled, mean = number(values[MEASURES["pooled"]]), number(values[MEASURES["mean_per_person"]])
        parts.append(f"{model} {pooled} pooled and {mean} per person")
    return f"Krippendorff's alpha of predicted states: {listed(parts)}."
