"""The average transition matrix of each group, and their difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analyses.figures import matrix_panels
from analyses.figures.labels import number, signed
from analyses.figures.rows import largest

if TYPE_CHECKING:
    import numpy as np
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

    from analyses.transitions import TransitionComparison


def tidy(comparison: TransitionComparison) -> pd.DataFrame:
    """Three panels (the two groups, their difference) of a finished comparison, in the schema of ``matrix_panels``."""
    true_name, false_name = comparison.group_names
    blocks = [
        _panel(comparison, f"{true_name} (n = {comparison.n_true})", comparison.mean_true, "probability"),
        _panel(comparison, f"{false_name} (n = {comparison.n_false})", comparison.mean_false, "probability"),
        _panel(comparison, "Difference", comparison.difference, "difference"),
    ]
    return pd.concat(blocks, ignore_index=True)


def _panel(comparison: TransitionComparison, panel: str, values: np.ndarray, kind: str) -> pd.DataFrame:
    rows = []
    for row, from_state in enumerate(comparison.states):
        for column, to_state in enumerate(comparison.states):
            value = float(values[row, column])
            text = number(100 * value, 0) if kind == "probability" else signed(100 * value, 1)
            rows.append((panel, from_state, to_state, value, text, kind, False))
    return pd.DataFrame(rows, columns=list(matrix_panels.COLUMNS))


def screen(frame: pd.DataFrame, *, height: int = 360) -> go.Figure:
    """Three heatmaps beside each other."""
    return matrix_panels.screen(frame, height=height)


def print_figure(frame: pd.DataFrame, *, width_mm: float = 183.0) -> Figure:
    """The same for print."""
    return matrix_panels.print_figure(frame, width_mm=width_mm)


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with the largest difference between the groups."""
    first, second = list(dict.fromkeys(frame["panel"]))[:2]
    difference = frame[frame["kind"] == "difference"]
    top = largest(difference, "value")
    return (
        f"Average transition probabilities of {first} and of {second}. Largest difference: {top['from_state']} to "
        f"{top['to_state']}, {signed(100 * top['value'])} percentage points."
    )
