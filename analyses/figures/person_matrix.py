"""One person's transitions: own matrix, the average (generic) one, their difference, and the observed counts."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Literal

import pandas as pd

from analyses.figures import matrix_panels
from analyses.figures.labels import number, signed
from analyses.figures.rows import largest

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

OWN, GENERIC, DIFFERENCE, OBSERVED = "This person", "Average person", "Difference", "Times observed"


def tidy(
    transitions: pd.DataFrame,
    person: str,
    *,
    value: Literal["probability", "expected"] = "probability",
    members: Collection[str] | None = None,
    beside: str = GENERIC,
) -> pd.DataFrame:
    """Four panels of one person from the run's transitions table, in the schema of ``matrix_panels``.

    Probabilities are shown in percent, differences in percentage points; values stay on 0 to 1.
    A cell is ``unobserved`` where the person never made that transition in the data the model saw.

    Args:
        transitions: the run's transitions table.
        person: pseudonym.
        value: ``probability`` is the row softmax of the transition scores alone, against the shared one; ``expected``
            are the transitions the whole model expects of the person, against their mean over persons.
        members: persons whose mean stands beside; None: as ``value`` says.
        beside: what that panel is called.

    Raises:
        KeyError: if the person is not in the table.
    """
    rows = transitions[transitions["person"] == person]
    if rows.empty:
        raise KeyError(person)
    never = rows["observed"].to_numpy() == 0
    own, generic = rows["probability"], rows["generic"]
    if value == "expected" or members is not None:
        own = rows[value]
        others = transitions if members is None else transitions[transitions["person"].isin(set(members))]
        mean = others.groupby(["from_state", "to_state"], sort=False)[value].mean()
        cells = pd.MultiIndex.from_frame(rows[["from_state", "to_state"]])
        generic = pd.Series(mean.reindex(cells).to_numpy(dtype=float), index=rows.index)
    panels = [
        _panel(rows, OWN, own, [_percent(v) for v in own], "probability", never),
        _panel(rows, beside, generic, [_percent(v) for v in generic], "probability", [False] * len(rows)),
        _panel(rows, DIFFERENCE, own - generic, [_points(v) for v in own - generic], "difference", never),
        _panel(rows, OBSERVED, rows["observed"].astype(float), [str(int(v)) for v in rows["observed"]], "count", never),
    ]
    return pd.concat(panels, ignore_index=True)


def _percent(value: float) -> str:
    """A probability in percent; a dash where the state is never expected."""
    return "–" if pd.isna(value) else number(100 * value, 0)


def _points(value: float) -> str:
    """A difference in percentage points."""
    return "–" if pd.isna(value) else signed(100 * value, 0)


def _panel(
    rows: pd.DataFrame, panel: str, value: pd.Series, text: list[str], kind: str, unobserved: object
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "panel": panel,
            "from_state": rows["from_state"].to_numpy(),
            "to_state": rows["to_state"].to_numpy(),
            "value": value.to_numpy(dtype=float),
            "text": text,
            "kind": kind,
            "unobserved": unobserved,
        }
    )


def screen(frame: pd.DataFrame, *, height: int = 330) -> go.Figure:
    """Four heatmaps beside each other."""
    return matrix_panels.screen(frame, height=height)


def print_figure(frame: pd.DataFrame, *, width_mm: float = 183.0) -> Figure:
    """The same for print."""
    return matrix_panels.print_figure(frame, width_mm=width_mm)


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with the largest difference and the number of cells without observations."""
    difference = frame[frame["panel"] == DIFFERENCE]
    counts = frame[frame["panel"] == OBSERVED]
    top = largest(difference, "value")
    empty = int(counts["unobserved"].sum())
    other = str(frame["panel"].drop_duplicates().iloc[1])
    other = "the average person" if other == GENERIC else other[:1].lower() + other[1:]
    never = f"{empty} of {len(counts)} transitions were never observed" if empty else "every transition was observed"
    return (
        f"Transition matrices of one person and of {other}. Largest difference: {top['from_state']} to "
        f"{top['to_state']}, {signed(100 * top['value'], 0)} percentage points. {never[0].upper()}{never[1:]} "
        f"({int(counts['value'].sum())} transitions in total)."
    )
