"""Fixed effects of a mixed model: coefficients with standard errors and intervals, and how well it fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analyses import wording
from analyses.report.tables import ReportTable, p_cell
from toolkit.errors import DataError

if TYPE_CHECKING:
    from toolkit.runs.folder import SavedRun

INTERCEPT = "(Intercept)"


def has_fixed_effects(run: SavedRun) -> bool:
    """Whether a run holds fixed effects with standard errors."""
    return "fixed_effects.parquet" in run.manifest["files"]


def fixed_effects_table(run: SavedRun) -> ReportTable:
    """Coefficients of a linear or logistic mixed model.

    Raises:
        DataError: E406 for another model.
    """
    if not has_fixed_effects(run):
        raise DataError(
            "this model has no fixed effects with standard errors", code="E406", remedy="choose a run of lmm or glmm"
        )
    table = run.fixed_effects()
    ends = zip(table["low"], table["high"], strict=True)
    interval = [f"[{wording.number(low)}, {wording.number(high)}]" for low, high in ends]
    frame = pd.DataFrame(
        {
            "parameter": table["parameter"].astype(object).replace(INTERCEPT, "Intercept"),
            "estimate": table["estimate"].astype(float),
            "se": table["se"].astype(float),
            "interval": interval,
            "z": table["z"].astype(float),
            "p": table["p"].astype(float),
        }
    )
    fit = run.likelihood().iloc[0]
    method = "restricted maximum likelihood" if bool(fit["restricted"]) else "maximum likelihood"
    target = str(run.manifest.get("target") or "the target")
    units = f"of the log-odds of {target}" if run.model == "glmm" else f"of {target}"
    return ReportTable(
        frame=frame,
        title=f"Fixed Effects on {target[:1].upper()}{target[1:]}",
        note=f"N = {wording.thousands(int(fit['rows']))} training rows. Estimated by {method}; b in units {units} "
        f"per unit of the predictor; Wald intervals. Log-likelihood {wording.number(float(fit['log_likelihood']))}, "
        f"AIC {wording.number(float(fit['aic']))}, BIC {wording.number(float(fit['bic']))}.",
        headings={"parameter": "Predictor", "estimate": "b", "se": "SE", "interval": "95% CI", "z": "z", "p": "p"},
        formats={"p": p_cell},
        numbers=("interval",),
        data=table,
    )


def fixed_effects_sentence(run: SavedRun) -> str:
    """Which predictors' intervals leave out zero."""
    table = run.fixed_effects()
    slopes = table[table["parameter"] != INTERCEPT]
    if slopes.empty:
        return "The model has no predictors beside the level."
    clear = slopes[(slopes["low"] > 0) | (slopes["high"] < 0)]
    if clear.empty:
        return "The 95% interval of no predictor leaves out zero."
    told = [
        f"{row['parameter']} (b = {wording.number(float(row['estimate']))}, "
        f"{wording.ci_text(wording.number(float(row['low'])), wording.number(float(row['high'])))})"
        for _, row in clear.iterrows()
    ]
    return f"The 95% interval leaves out zero for {', '.join(told)}."
