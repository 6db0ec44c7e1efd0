"""How much each expert of a network of experts counts for one person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analyses.figures.labels import number, print_text, screen_text
from analyses.figures.long_labels import shortened
from analyses.figures.palette import BLUE, INK, MUTED, SKY
from analyses.figures.print_room import cut
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.screen_style import axis, screen_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

MOST = 12
OWN = "own expert"


def tidy(gate: pd.DataFrame, *, split: str, own: str) -> pd.DataFrame:
    """The experts that count most for one person, heaviest first, their own among them.

    Args:
        gate: of one person: split, expert, weight (mean over the person's rows).
        split: which rows.
        own: name of the person's own expert.

    Returns:
        label, weight (0 to 1), kind (``own`` or ``other``), equal (what equal weights would be), row, left_out
        (experts not drawn), rest (their weight together).
    """
    mine = gate[gate["split"] == split].groupby("expert", sort=False)["weight"].mean().sort_values(ascending=False)
    kept = mine.iloc[:MOST]
    if own in mine.index and own not in kept.index:
        kept = pd.concat([mine.iloc[: MOST - 1], mine[[own]]])
    left = mine.drop(kept.index)
    rows = [(OWN if name == own else str(name), float(weight), "own" if name == own else "other")
            for name, weight in kept.items()]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["label", "weight", "kind"])
    equal = 1 / max(len(mine), 1)
    return frame.assign(equal=equal, row=range(len(frame)), left_out=len(left), rest=float(left.sum()))


def _fill(kind: str) -> str:
    return BLUE if kind == "own" else SKY


def screen(frame: pd.DataFrame, *, height: int | None = None) -> go.Figure:
    """One bar per expert; the dotted line is where equal weights would end."""
    import plotly.graph_objects as go

    figure = screen_figure(height or 90 + 22 * len(frame), showlegend=False, bargap=0.25)
    figure.add_trace(
        go.Bar(x=100 * frame["weight"], y=list(frame["row"]), orientation="h",
               marker={"color": [_fill(kind) for kind in frame["kind"]], "line": {"color": MUTED, "width": 1}},
               hovertemplate="%{x:.1f} %<extra></extra>")
    )  # fmt: skip
    figure.add_vline(x=100 * float(frame["equal"].iloc[0]), line={"color": INK, "width": 1, "dash": "dot"})
    figure.update_xaxes(axis("Mean weight, %", rangemode="tozero"))
    labels = [screen_text(shortened(name, 30)) for name in frame["label"]]
    figure.update_yaxes(axis(tickvals=list(frame["row"]), ticktext=labels, autorange="reversed", showgrid=False,
                             zeroline=False))  # fmt: skip
    figure.update_layout(margin={"t": 12})
    return figure


@print_settings()
def print_figure(frame: pd.DataFrame, *, width_mm: float = 127.0) -> Figure:
    """The same for print."""
    figure = print_canvas(width_mm, 16.0 + 5.0 * len(frame))
    axes = figure.subplots()
    axes.barh(frame["row"], 100 * frame["weight"], color=[_fill(kind) for kind in frame["kind"]], edgecolor=MUTED,
              linewidth=0.5, height=0.7)  # fmt: skip
    axes.axvline(100 * float(frame["equal"].iloc[0]), color=INK, linewidth=0.6, linestyle=":")
    axes.set_yticks(frame["row"], [print_text(cut(name, 0.3 * width_mm)) for name in frame["label"]])
    axes.set(xlabel="Mean weight, % (dotted: equal weights)", ylim=(len(frame) - 0.4, -0.6))
    calm(axes, grid="x")
    return figure


def alt_text(frame: pd.DataFrame) -> str:
    """The heaviest experts, and the person's own."""
    if frame.empty:
        return "No experts to show."
    top = frame.iloc[0]
    own = frame[frame["kind"] == "own"]
    mine = f" The person’s own expert has {number(100 * float(own['weight'].iloc[0]), 0)} %." if len(own) else ""
    most = number(100 * float(top["weight"]), 0)
    more, rest = int(frame["left_out"].iloc[0]), number(100 * float(frame["rest"].iloc[0]), 0)
    others = f" {more} experts that are not drawn have {rest} % together." if more else ""
    return (
        f"Mean weights of the experts for one person: {top['label']} has most, {most} % "
        f"(equal weights: {number(100 * float(top['equal']), 1)} %).{mine}{others}"
    )
