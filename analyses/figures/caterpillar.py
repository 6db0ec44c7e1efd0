"""Every person's effect with its interval, sorted: the caterpillar plot of one parameter."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import pandas as pd

from analyses.figures.labels import number, parameter_label, print_text, screen_text
from analyses.figures.palette import INK, group_styles
from analyses.figures.print_room import legend_above
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.rows import records
from analyses.figures.screen_style import axis, screen_figure
from analyses.wording import plural

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

HOVER = "effect %{y:.2f} [%{customdata[1]}, %{customdata[2]}]<br>reliability %{customdata[3]} %<extra></extra>"
ORDERS = ("estimate", "group", "certainty")


def tidy(
    random_effects: pd.DataFrame,
    persons: pd.DataFrame,
    parameter: str,
    *,
    order: str = "estimate",
    group_names: Mapping[str, str] | None = None,
    noun: str = "person",
) -> pd.DataFrame:
    """One row per person (or family, item) for one parameter, in drawing order.

    Args:
        random_effects: the run's table of person effects (level, parameter, estimate, sd, low, high, reliability).
        persons: the run's table of persons (person, group).
        parameter: which parameter to draw.
        order: ``estimate`` (smallest first), ``group`` (group, then estimate) or ``certainty`` (most reliable first).
        group_names: how each group label is written out.
        noun: what has the effects, such as ``family``; ``persons`` has its levels then.

    Returns:
        position, person, group, estimate, low, high, sd, reliability, parameter; group is ``""`` where unknown. With
        another noun than person the column ``noun`` as well.

    Raises:
        ValueError: if ``order`` is none of the three.
    """
    if order not in ORDERS:
        raise ValueError(f"order must be one of {', '.join(ORDERS)}, not {order!r}")
    rows = random_effects[random_effects["parameter"] == parameter]
    frame = rows.merge(persons[["person", "group"]], left_on="level", right_on="person", how="left")
    frame["person"] = frame["level"].astype(str)
    names = dict(group_names or {})
    frame["group"] = ["" if pd.isna(label) else names.get(str(label), str(label)) for label in frame["group"]]
    by = {"estimate": ["estimate"], "group": ["group", "estimate"], "certainty": ["reliability", "estimate"]}[order]
    frame = frame.sort_values(by, ascending=[column != "reliability" for column in by], kind="stable")
    frame = frame.reset_index(drop=True)
    frame.insert(0, "position", frame.index + 1)
    columns = ["position", "person", "group", "estimate", "low", "high", "sd", "reliability", "parameter"]
    return frame[columns] if noun == "person" else frame[columns].assign(noun=noun)


def noun_of(frame: pd.DataFrame) -> str:
    """What the effects of a frame belong to: persons, unless it says otherwise."""
    return str(frame["noun"].iloc[0]) if "noun" in frame and len(frame) else "person"


def with_shared(frame: pd.DataFrame, shared: pd.Series) -> pd.DataFrame:
    """The same persons with what they have in all: effect plus shared value (``shared``, by person; see `tidy`)."""
    added = shared.reindex(frame["person"]).to_numpy(dtype=float)
    moved = {name: frame[name] + added for name in ("estimate", "low", "high")}
    return frame.assign(**moved, shared=added).dropna(subset=["estimate"]).reset_index(drop=True)


def centre(frame: pd.DataFrame) -> float:
    """Where the average person lies: 0, or the shared value."""
    return float(frame["shared"].mean()) if "shared" in frame and len(frame) else 0.0


def difference_label(frame: pd.DataFrame) -> str:
    """What the value axis shows."""
    if "shared" in frame:
        return f"Value of each {noun_of(frame)} (shared and own part)"
    return f"Difference from the average {noun_of(frame)}"


def span(frame: pd.DataFrame) -> tuple[float, float]:
    """Lower and upper end of the value axis, so that a figure beside it can share it."""
    middle = centre(frame)
    low, high = min(float(frame["low"].min()), middle), max(float(frame["high"].max()), middle)
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin


def screen(frame: pd.DataFrame, *, names: bool = False, height: int = 380, marked: Collection[int] = ()) -> go.Figure:
    """Points with intervals, one trace per group; pseudonyms appear on hovering only if ``names`` is set.

    Args:
        frame: from `tidy`.
        names: whether pseudonyms appear.
        height: in pixels.
        marked: positions that get a ring, such as those ticked in a table.
    """
    import plotly.graph_objects as go

    figure = screen_figure(height, hovermode="closest")
    styles = group_styles(sorted(frame["group"].unique()))
    for group, part in frame.groupby("group", sort=True):
        style = styles[str(group)]
        who = "%{customdata[0]}<br>" if names else ""
        figure.add_trace(
            go.Scatter(
                x=part["position"],
                y=part["estimate"],
                mode="markers",
                name=f"{screen_text(group or 'no group')} ({len(part)})",
                marker={
                    "symbol": style.symbol,
                    "size": 7,
                    "color": style.fill,
                    "line": {"width": 1, "color": style.edge},
                },
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": part["high"] - part["estimate"],
                    "arrayminus": part["estimate"] - part["low"],
                    "color": style.edge,
                    "thickness": 1,
                    "width": 0,
                },
                customdata=_hover_words(part, names=names),
                hovertemplate=who + HOVER,
            )
        )
    ringed = frame[frame["position"].isin(list(marked))]
    if len(ringed):
        ring = {"symbol": "circle-open", "size": 16, "color": INK, "line": {"width": 2}}
        figure.add_trace(
            go.Scatter(x=ringed["position"], y=ringed["estimate"], mode="markers", marker=ring, name="ticked",
                       showlegend=False, hoverinfo="skip")
        )  # fmt: skip
    figure.add_hline(y=centre(frame), line={"color": INK, "width": 1})
    figure.update_xaxes(axis(_sorted(frame), showgrid=False, range=[0, len(frame) + 1], zeroline=False))
    figure.update_yaxes(axis(screen_text(difference_label(frame)), range=list(span(frame))))
    figure.update_layout(margin={"b": 64})
    return figure


def _sorted(frame: pd.DataFrame) -> str:
    """Label of the axis along which marks are sorted."""
    nouns = plural(noun_of(frame))
    return f"{nouns[:1].upper()}{nouns[1:]}, sorted"


def _two_lines(frame: pd.DataFrame) -> str:
    """The label of the value axis, broken for print."""
    return difference_label(frame).replace("from the", "from\nthe")


def _hover_words(part: pd.DataFrame, *, names: bool) -> list[list[str]]:
    return [
        [screen_text(row.person) if names else "", number(row.low), number(row.high), number(100 * row.reliability, 0)]
        for row in records(part)
    ]


@print_settings()
def print_figure(frame: pd.DataFrame, *, width_mm: float = 183.0) -> Figure:
    """The same for print."""
    figure = print_canvas(width_mm, min(75.0, 0.55 * width_mm) + 5)
    axes = figure.subplots()
    styles = group_styles(sorted(frame["group"].unique()))
    for group, part in frame.groupby("group", sort=True):
        style = styles[str(group)]
        spread = [part["estimate"] - part["low"], part["high"] - part["estimate"]]
        axes.errorbar(
            part["position"], part["estimate"], yerr=spread, fmt=style.marker, markersize=2.6, color=style.fill,
            markeredgecolor=style.edge, markeredgewidth=0.5, ecolor=style.edge, elinewidth=0.5,
            label=print_text(f"{group or 'no group'} (n = {len(part)})"),
        )  # fmt: skip
    axes.axhline(centre(frame), color=INK, linewidth=0.6)
    axes.set(xlabel=print_text(_sorted(frame)), ylabel=print_text(_two_lines(frame)), xlim=(0, len(frame) + 1))
    legend_above(figure, width_mm)
    calm(axes, grid="y")
    return figure


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with the main numbers."""
    if frame.empty:
        return "No person effects to show."
    noun, what = noun_of(frame), parameter_label(str(frame["parameter"].iloc[0]))
    middle = centre(frame)
    away = int(((frame["low"] > middle) | (frame["high"] < middle)).sum())
    if "shared" in frame:
        return (
            f"{what} of {len(frame)} {plural(noun)}, shared and own part together, with intervals: from "
            f"{number(frame['estimate'].min())} to {number(frame['estimate'].max())}; {away} of {len(frame)} intervals "
            f"leave out {number(middle)}, the average {noun}."
        )
    return (
        f"Effects of {len(frame)} {plural(noun)} on {what}, with intervals: from "
        f"{number(frame['estimate'].min())} to {number(frame['estimate'].max())}; "
        f"{away} of {len(frame)} intervals leave out zero, the average {noun}."
    )
