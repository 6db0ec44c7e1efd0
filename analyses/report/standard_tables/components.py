"""How far persons, families and items differ in the parameters of a model: SDs, shares, reliability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses import wording
from analyses.figures.labels import is_transition, listed, parameter_label
from analyses.grouping_factors import Factor, all_effects, factors_of
from analyses.report.sentences import MODEL_NAMES, counted
from analyses.report.tables import ReportTable, bounded_cell, one_cell
from analyses.variance_shares import variance_blocks
from toolkit.errors import DataError

if TYPE_CHECKING:
    from toolkit.runs.folder import SavedRun

MOST_PARAMETERS = 45  # lines; beyond, parameters are summed up by layer


def components_table(run: SavedRun, *, smallest: int) -> ReportTable:
    """How far persons differ: SD, share and reliability of each parameter, or of each layer where there are many.

    Args:
        run: a finished run of a personalised model.
        smallest: the smallest number of persons that is shown.
    """
    components = run.variance_components()
    varying = components[components["term"] != "residual"].reset_index(drop=True)
    if varying.empty:
        raise DataError("this model has no person effects", code="E406", remedy="choose a run of a personalised model")
    refuse_few(run, smallest)
    reliability = all_effects(run).groupby(["term", "parameter"])["reliability"].mean()
    places = zip(varying["term"], varying["parameter"], strict=True)
    told = varying.assign(reliability=[float(reliability.get(place, float("nan"))) for place in places])
    alone = told if len(told) <= MOST_PARAMETERS else told[[is_transition(str(n)) for n in told["parameter"]]]
    if alone.empty or len(alone) > MOST_PARAMETERS:
        return _by_block(run, told)
    residual = components[components["term"] == "residual"]
    return _by_parameter(run, alone, residual, left=len(told) - len(alone))


def refuse_few(run: SavedRun, smallest: int) -> None:
    """Refuse to describe fewer persons than may be shown (E408)."""
    if len(run.persons()) < smallest:
        raise DataError(
            f"the run has fewer than {smallest} persons, so what describes them is not shown",
            code="E408",
            column="min-group",
        )


def _by_parameter(run: SavedRun, parts: pd.DataFrame, residual: pd.DataFrame, left: int) -> ReportTable:
    factors = factors_of(parts)
    order = {factor.term: place for place, factor in enumerate(factors)}
    ordered = parts.assign(place=parts["term"].map(order).astype(int))
    ordered = ordered.sort_values(["place", "share"], ascending=[True, False], kind="stable").reset_index(drop=True)
    frame = pd.DataFrame(
        {
            "of": _once([factors[place].nouns for place in ordered["place"]]),
            "parameter": [parameter_label(str(name)) for name in ordered["parameter"]],
            "sd": ordered["sd"].astype(float),
            "share": 100 * ordered["share"].astype(float),
            "reliability": ordered["reliability"].astype(float),
        }
    )
    if not residual.empty:
        names = residual["parameter"].astype(str).str.replace(r"^residual\[(.*)\]$", r"Residual of \1", regex=True)
        lines = residual.assign(parameter=names.replace("residual", "Residual"), of="", reliability=float("nan"))
        lines = lines.assign(sd=residual["sd"].astype(float), share=100 * residual["share"].astype(float))
        frame = pd.concat([frame, lines[frame.columns]], ignore_index=True)
    several = len(factors) > 1
    marks = {
        (int(row), "parameter"): "a"
        for row in np.flatnonzero(ordered["at_boundary"].fillna(value=False).to_numpy(bool))
    }
    more = f" {left} further parameters are not listed." if left else ""
    kept = ["parameter", "variance", "sd", "share", "reliability", "at_boundary"]
    headings = {"parameter": "Parameter", "sd": "SD", "share": "Share (%)", "reliability": "Reliability"}
    return ReportTable(
        frame=frame if several else frame.drop(columns="of"),
        title=_differ_title(run, factors),
        note=f"N = {_counts(run, factors)}. SD: of the {'effects' if several else 'person effects'}. Share: of what "
        f"varies, in percent. Reliability: mean over {_nouns(factors)} of 1 − Var(effect | data) / Var(effects); "
        f"below .50 an estimate is mostly the average of all.{more}",
        specific={"a": "Not distinguishable from zero."} if marks else {},
        headings={"of": "Effects of", **headings} if several else headings,
        formats={"reliability": bounded_cell, "share": one_cell},
        marks=marks,
        data=ordered[["term", *kept] if several else kept],
    )


def _differ_title(run: SavedRun, factors: Sequence[Factor]) -> str:
    """Whose effects the table is about."""
    who = _nouns(factors).title().replace(" And ", " and ")
    return f"How Far {who} Differ in the Parameters of {MODEL_NAMES.get(run.model, run.model)}"


def _nouns(factors: Sequence[Factor]) -> str:
    return listed([factor.nouns for factor in factors])


def _once(names: list[str]) -> list[str]:
    """Each name in its first line only."""
    return ["" if place and names[place - 1] == name else name for place, name in enumerate(names)]


def _counts(run: SavedRun, factors: Sequence[Factor]) -> str:
    """How many persons, families and items there are."""
    said = [f"{wording.thousands(len(run.persons()))} persons"]
    said += [counted(run.random_effects(one.term)["level"].nunique(), one.noun) for one in factors[1:]]
    return listed(said)


def _by_block(run: SavedRun, parts: pd.DataFrame) -> ReportTable:
    factors = factors_of(parts)
    rows = [
        {
            "of": factor.nouns, "layer": f"{layer} {block}".strip(), "parameters": count, "at_zero": zero,
            "share": 100 * share,
        }
        for factor in factors
        for layer, block, share, count, zero in variance_blocks(parts[parts["term"] == factor.term])
    ]  # fmt: skip
    several = len(factors) > 1
    frame = pd.DataFrame(rows)
    of = "the effects of each" if several else "person effects"
    headings = {"layer": "Part", "parameters": "Parameters", "at_zero": "At zero", "share": "Share (%)"}
    return ReportTable(
        frame=frame.assign(of=_once(list(frame["of"]))) if several else frame.drop(columns="of"),
        title=f"Where {_nouns(factors).title().replace(' And ', ' and ')} Differ in "
        f"{MODEL_NAMES.get(run.model, run.model)}, by Part of the Model",
        note=f"N = {_counts(run, factors)}. Share: of what {of} change in the "
        "predictions, in percent. At zero: parameters in which persons cannot be told apart.",
        headings={"of": "Effects of", **headings} if several else headings,
        formats={"share": one_cell},
    )
