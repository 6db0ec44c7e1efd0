"""Bias against baseline as a table."""

from __future__ import annotations

import pandas as pd

from analyses import wording
from analyses.report.tables import EMPTY, ReportTable, p_cell
from toolkit.runs.kept import KeptAnalysis

ROWS = {"train": "training rows", "held-out": "held-out rows"}


def baseline_table(kept: KeptAnalysis) -> ReportTable | None:
    """Correlation and corrected slope of every person effect with its baseline, training and held-out rows."""
    frame = kept.frame
    if "quantity" not in frame:
        return None
    lines = []
    for (_, rows), part in frame.groupby(["parameter", "rows"], sort=False):
        line = {"target": str(part["target"].iloc[0]), "rows": ROWS.get(str(rows), str(rows))}
        for quantity, column in (("pearson", "r"), ("corrected slope", "slope")):
            found = part[part["quantity"] == quantity]
            line |= _cells(column, None if found.empty else found.iloc[0])
        lines.append(line)
    return ReportTable(
        frame=pd.DataFrame(lines),
        title="Person-Specific Biases and Baseline Levels",
        headings={"target": "Level of", "rows": "Baseline from", "r": "r", "r_ci": "95% CI", "r_p": "p",
                  "slope": "b", "slope_ci": "95% CI", "slope_p": "p"},
        numbers={"r", "r_ci", "r_p", "slope", "slope_ci", "slope_p"},
        note="r: Pearson’s correlation over persons. b: slope of the bias on the baseline, corrected for the pull of "
        "the estimates towards the average. A baseline from training rows shares its rows with the bias; one from "
        "held-out rows does not.",
    )  # fmt: skip


def _cells(column: str, found: pd.Series | None) -> dict[str, str]:
    """Estimate, interval and p of one quantity as text."""
    if found is None:
        return {column: EMPTY, f"{column}_ci": EMPTY, f"{column}_p": EMPTY}
    estimate, low, high = (float(found[name]) for name in ("estimate", "low", "high"))
    written = [wording.bounded(v) if column == "r" else wording.number(v, 3) for v in (estimate, low, high)]
    return {
        column: written[0],
        f"{column}_ci": f"[{written[1]}, {written[2]}]",
        f"{column}_p": p_cell(float(found["pvalue"])),
    }
