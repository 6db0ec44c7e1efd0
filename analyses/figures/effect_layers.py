"""Person effects layer by layer: how far persons differ in every parameter, one panel per part of the model."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pandas as pd

from analyses.figures.labels import listed, number, parameter_label, print_text, screen_text
from analyses.figures.long_labels import shortened
from analyses.figures.palette import INK, group_styles
from analyses.figures.print_room import cut, legend_above
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.rows import records
from analyses.figures.screen_style import axis, screen_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

MOST = 10
QUANTILES = {"low": 0.05, "lower": 0.25, "median": 0.5, "upper": 0.75, "high": 0.95}
_LAYER = re.compile(r"^layers\.(\d+)\.")


def layer_of(parameter: str) -> str:
    """Which part of the model a parameter belongs to, in words."""
    found = _LAYER.match(parameter)
    if found:
        return f"Layer {int(found[1]) + 1}"
    if parameter.startswith(("transition", "T[")):
        return "Transitions"
    return "Output" if parameter.startswith("head.") else "Effects"


def tidy(effects: pd.DataFrame, levels: pd.DataFrame, *, most: int = MOST) -> pd.DataFrame:
    """Quantiles of the effects over persons, by parameter and group.

    Args:
        effects: the run's effects (level, parameter, estimate).
        levels: person (the level) and group, groups written out; ``""`` where unknown.
        most: parameters of a layer that are drawn, those in which persons differ most.

    Returns:
        layer, parameter, label, row (place in its panel), group, n, low, lower, median, upper, high (5, 25, 50, 75 and
        95 % of the persons' estimates), left_out (parameters of the layer that are not drawn).
    """
    groups = levels.set_index(levels["person"].astype(str))["group"]
    table = effects[["level", "parameter", "estimate"]].astype({"parameter": str})
    table = table.assign(group=table["level"].astype(str).map(groups).fillna("").astype(str))
    spread = table.groupby("parameter", sort=False)["estimate"].std().fillna(0.0)
    places = pd.DataFrame({"parameter": spread.index, "spread": spread.to_numpy()})
    places["layer"] = places["parameter"].map(layer_of)
    places["rank"] = places.groupby("layer", sort=False)["spread"].rank(ascending=False, method="first")
    places["left_out"] = (places.groupby("layer")["spread"].transform("size") - most).clip(lower=0)
    kept = places[places["rank"] <= most].assign(row=lambda f: f["rank"].astype(int) - 1)
    mine = table[table["parameter"].isin(set(kept["parameter"]))].groupby(["parameter", "group"])["estimate"]
    found = pd.DataFrame({name: mine.quantile(share) for name, share in QUANTILES.items()})
    found = found.assign(n=mine.size()).reset_index().merge(kept, on="parameter")
    found["label"] = [_within(name) for name in found["parameter"]]
    columns = ["layer", "parameter", "label", "row", "group", "n", *QUANTILES, "left_out"]
    return found.sort_values(["layer", "row", "group"], kind="stable")[columns].reset_index(drop=True)


def _within(parameter: str) -> str:
    """Name of a parameter below the heading of its layer."""
    return re.sub(r", layer \d+$", "", parameter_label(parameter))


def _panels(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(str(layer), part) for layer, part in frame.groupby("layer", sort=True)]


def _title(layer: str, part: pd.DataFrame) -> str:
    more = int(part["left_out"].iloc[0])
    return f"{layer} ({part['row'].nunique()} of {part['row'].nunique() + more} parameters)" if more else layer


def _offsets(frame: pd.DataFrame) -> dict[str, float]:
    """Groups below each other within the line of a parameter."""
    groups = sorted(frame["group"].unique())
    step = 0.5 / max(len(groups), 1)
    return {group: step * (place - (len(groups) - 1) / 2) for place, group in enumerate(groups)}


def screen(frame: pd.DataFrame, *, height: int | None = None) -> go.Figure:
    """Panels beside each other; thin line 90 % of the persons, thick line the middle half, mark the median."""
    import plotly.graph_objects as go

    panels, offsets = _panels(frame), _offsets(frame)
    styles = group_styles(sorted(frame["group"].unique()))
    figure = screen_figure(height or 130 + 30 * int(frame["row"].max() + 1), hovermode="closest")
    for index, (layer, part) in enumerate(panels):
        suffix = "" if index == 0 else str(index + 1)
        axes = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
        for group, mine in part.groupby("group", sort=True):
            style, y = styles[str(group)], mine["row"] + offsets[str(group)]
            for low, high, width in (("low", "high", 1.2), ("lower", "upper", 5)):
                xs = [v for a, b in zip(mine[low], mine[high], strict=True) for v in (a, b, None)]
                ys = [v for place in y for v in (place, place, None)]
                line = {"color": style.fill, "width": width}
                figure.add_trace(go.Scatter(x=xs, y=ys, mode="lines", line=line, showlegend=False, hoverinfo="skip",
                                            legendgroup=screen_text(group), **axes))  # fmt: skip
            marker = {"symbol": style.symbol, "size": 8, "color": style.fill, "line": {"color": "#FFFFFF", "width": 1}}
            name = f"{screen_text(shortened(group or 'all', 40))} (n = {int(mine['n'].max())})"
            words = [[screen_text(r.label), number(r.lower), number(r.upper)] for r in records(mine)]
            figure.add_trace(
                go.Scatter(x=mine["median"], y=y, mode="markers", marker=marker, name=name,
                           legendgroup=screen_text(group), showlegend=index == 0, customdata=words,
                           hovertemplate="%{customdata[0]}<br>median %{x:.2f}, middle half %{customdata[1]} to "
                           "%{customdata[2]}<extra></extra>", **axes)
            )  # fmt: skip
        _screen_axes(figure, part, (index, len(panels)), suffix, _title(layer, part))
    return figure


def _screen_axes(figure: go.Figure, part: pd.DataFrame, place: tuple[int, int], suffix: str, title: str) -> None:
    index, panels = place
    left, letters = index / panels, 26 if panels <= 2 else 18
    domain = [left + (0.22 if panels <= 2 else 0.16) * bool(index), left + 1 / panels]
    labels = part.drop_duplicates("row").sort_values("row")["label"]
    figure.update_layout(
        {
            f"xaxis{suffix}": axis("Difference from the average", domain=domain, anchor=f"y{suffix}", zeroline=True),
            f"yaxis{suffix}": axis(anchor=f"x{suffix}", tickvals=list(range(len(labels))), showgrid=False,
                                   ticktext=[screen_text(shortened(name, letters)) for name in labels], zeroline=False,
                                   range=[max(len(labels), 3) - 0.4, -0.7]),
        }
    )  # fmt: skip
    figure.add_annotation(
        x=domain[0], y=1.0, xref="paper", yref="paper", xanchor="left", yanchor="bottom", showarrow=False,
        text=f"<b>{screen_text(title)}</b>", font={"size": 14, "color": INK},
    )  # fmt: skip
    figure.update_layout(legend={"y": 1.1})


@print_settings()
def print_figure(frame: pd.DataFrame, *, width_mm: float = 183.0) -> Figure:
    """The same for print, panels below each other where they are narrow."""
    panels, offsets = _panels(frame), _offsets(frame)
    styles = group_styles(sorted(frame["group"].unique()))
    columns = max(1, min(len(panels), int(width_mm / 60)))
    lines = -(-len(panels) // columns)
    figure = print_canvas(width_mm, 12 + lines * (12 + 6.0 * int(frame["row"].max() + 1)))
    grid = figure.subplots(lines, columns, squeeze=False)
    for index, axes in enumerate(grid.flat):
        if index >= len(panels):
            axes.remove()
            continue
        layer, part = panels[index]
        for group, mine in part.groupby("group", sort=True):
            style, y = styles[str(group)], mine["row"] + offsets[str(group)]
            axes.hlines(y, mine["low"], mine["high"], color=style.fill, linewidth=0.6)
            axes.hlines(y, mine["lower"], mine["upper"], color=style.fill, linewidth=2.2)
            name = print_text(f"{group or 'all'} (n = {int(mine['n'].max())})")
            axes.plot(mine["median"], y, linestyle="none", marker=style.marker, markersize=3.4, color=style.fill,
                      markeredgecolor="white", markeredgewidth=0.4, label=name)  # fmt: skip
        labels = part.drop_duplicates("row").sort_values("row")["label"]
        room = 0.3 * width_mm / columns
        axes.set_yticks(range(len(labels)), [print_text(cut(name, room)) for name in labels])
        axes.axvline(0, color=INK, linewidth=0.5, zorder=0)
        axes.set(ylim=(max(len(labels), 3) - 0.4, -0.6), xlabel="Difference from the average")
        axes.set_title(print_text(_title(layer, part)), loc="left")
        calm(axes, grid="x")
    legend_above(figure, width_mm)
    return figure


def alt_text(frame: pd.DataFrame) -> str:
    """The widest parameter of every layer."""
    if frame.empty:
        return "No person effects to show."
    said = []
    for layer, part in _panels(frame):
        top = part.assign(width=part["upper"] - part["lower"]).sort_values("width", ascending=False).iloc[0]
        middle = f"{number(float(top['lower']))} to {number(float(top['upper']))}"
        said.append(f"{layer}: widest in {top['label']} (middle half {middle})")
    count = int(frame.drop_duplicates("group")["n"].sum())
    return f"Distributions of person effects over {count} persons by part of the model. {listed(said)}."
