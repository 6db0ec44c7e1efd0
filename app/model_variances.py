"""The Model page on its parts: variances and shares, fixed effects of linear mixed models, experts and their gate."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import streamlit as st

from analyses import wording
from analyses.figures import effect_layers, gate_map, variance_bars
from analyses.figures.labels import listed
from analyses.likeness import likeness
from analyses.report.guard import SMALLEST_SHOWN
from analyses.report.tables import p_cell
from analyses.variance import VariancePartition
from app import from_run, report_tables, result_files, views
from app.basket import Pinned
from app.from_run import Drawing
from app.inputs import Settings
from app.state import OpenRun
from toolkit.errors import ToolkitError
from toolkit.runs.kept import Recipe

READING = (
    "Upper bars: shares of all variance of the answers, with intervals. The intraclass correlation is the share that "
    "lies between persons before any model; marginal R² is what the shared part explains, conditional R² what it "
    "explains together with the person effects. Lower bars: which part of the model carries the differences between "
    "persons. A parameter “without variance” is the same for everybody."
)
GATE_READING = (
    "Each line is one person, each column an expert, a part of the model that belongs to one or several persons; the "
    "brighter, the more that expert counts for this person. A staircase of bright cells: the gate recognises each "
    "person. Bright columns: many persons are predicted through the same expert."
)
FIXED_READING = (
    "The estimate is the change of the outcome for one unit more of the predictor, in units of the outcome, for the "
    "average person. An interval that leaves out zero speaks for an effect; p is of Wald’s test and takes the "
    "variances as known."
)


def variances(opened: OpenRun, settings: Settings) -> None:
    """Where the effects sit, their variances and shares."""
    views.sentence(_where(opened))
    try:
        found = from_run.variances(opened, settings.unit, settings.level)
    except ToolkitError as problem:
        st.info(views.plain(f"Shares of the variance cannot be given: {views.spoken(problem)}"))
        _component_table(opened)
        return
    frame = variance_bars.tidy(found)
    pinned = Pinned(
        name="variances",
        title="Where the differences lie",
        text=[replace(found, notes=()).text()],
        apa=[found.apa()],
        figure=(variance_bars, frame),
        saved=frame[["panel", "label", "value", "low", "high"]],
        reading_text=READING,
        recipe=_recipe(found, settings),
    )
    few = len(opened.persons) < SMALLEST_SHOWN
    views.result(opened, pinned, can_save="There are 10 persons or fewer, so nothing can be saved." if few else "")
    _boundary(opened)
    st.caption(views.plain(" ".join(found.notes)))
    if pinned.recipe is not None:
        result_files.code(opened, pinned.recipe)
    _component_table(opened)


def _recipe(found: VariancePartition, settings: Settings) -> Recipe | None:
    """What the shares were made with; the code knows intervals of 95 % only."""
    if settings.level != 0.95:
        return None
    unit = "person" if found.unit_name == "persons" else "cluster"
    options = {"unit": unit, "split": None, "method": "jackknife", "resamples": 10_000, "seed": 1}
    return Recipe(command="variance", options=options)


def _where(opened: OpenRun) -> str:
    """Which parts of the model differ between persons, in words."""
    names = [str(name) for name in dict.fromkeys(opened.effects["parameter"])]
    if opened.run.model in ("lmm", "glmm", "lmmnn", "mc-gmenn"):
        return f"Each person has {listed([_linear(name) for name in names])} of their own."
    layers = pd.Series(names).map(effect_layers.layer_of).value_counts(sort=False)
    parts = [f"{str(layer).lower()} ({count})" for layer, count in layers.items()]
    said = f"Each person has {len(names)} parameters of their own: {listed(parts)}."
    for factor in opened.factors[1:]:
        own = opened.of_factor(factor).effects
        said += f" Each {factor.noun} has {own['parameter'].nunique()}, for {own['level'].nunique()} {factor.nouns}."
    return said


def _linear(parameter: str) -> str:
    """A parameter of a mixed model in words; of several classes each has its own."""
    kind, _, inside = parameter.partition("[")
    name, _, of_class = inside.rstrip("]").partition(",")
    if kind.endswith("bias"):
        return f"a level for {name}" if name else "an intercept"
    return f"a slope of {name}" + (f" for {of_class}" if of_class else "")


def _boundary(opened: OpenRun) -> None:
    """Variances that cannot be told from zero."""
    own = opened.all_components[opened.all_components["term"] != "residual"]
    flat = int(own["at_boundary"].astype(bool).sum())
    if flat:
        st.caption(
            f"{flat} of {len(own)} variances cannot be told from zero: there the data show no differences, and "
            "everybody has the average."
        )


def _component_table(opened: OpenRun) -> None:
    with st.expander("Table of all variances", icon=":material/table:"):
        try:
            table = from_run.paper_table(opened, "variance")
        except ToolkitError as problem:
            st.caption(views.plain(views.spoken(problem)))
            return
        report_tables.show(opened, table, name="variance-components", title="How far persons differ")


def fixed_effects(opened: OpenRun, settings: Settings) -> None:
    """Coefficients of a linear mixed model with intervals, and its likelihood."""
    table = opened.run.fixed_effects()
    likelihood = opened.run.likelihood().iloc[0]
    clear = table[(table["low"] > 0) | (table["high"] < 0)]
    named = [str(name) for name in clear["parameter"] if str(name) != "(Intercept)"]
    some = listed(named) if named else "none of the predictors"
    kind = "REML" if bool(likelihood["restricted"]) else "maximum likelihood"
    said = f"The interval leaves out zero for {some} ({len(table) - 1} predictors, fitted by {kind})."
    shown = table.assign(p=[p_cell(float(value)) for value in table["p"]])
    headings = {"parameter": "Predictor", "estimate": "Estimate", "se": "Standard error", "low": "95% interval, from",
                "high": "to", "z": "z", "p": "p"}  # fmt: skip
    pinned = Pinned(
        name="fixed-effects",
        title="Fixed effects",
        text=[said],
        apa=[_fixed_apa(table)],
        table=shown,
        headings=headings,
        saved=table,
        reading_text=FIXED_READING,
    )
    views.result(opened, pinned)
    criteria = opened.run.likelihood()
    headings = {"log_likelihood": "Log-likelihood", "deviance": "Deviance", "parameters": "Parameters", "rows": "Rows",
                "aic": "AIC", "bic": "BIC"}  # fmt: skip
    views.table(criteria, headings, key="likelihood", digits=1)
    st.caption(
        f"Fitted by {kind}. AIC and BIC compare models of the same rows: smaller is better"
        + ("; by REML only models with the same predictors may be compared." if kind == "REML" else ".")
    )


def _fixed_apa(table: pd.DataFrame) -> str:
    """The coefficient furthest from zero, as a sentence for a paper."""
    slopes = table[table["parameter"] != "(Intercept)"]
    if slopes.empty:
        return "The model had no predictors."
    top = slopes.iloc[int(slopes["z"].abs().to_numpy(dtype=float).argmax())]
    interval = wording.ci_text(wording.number(float(top["low"])), wording.number(float(top["high"])))
    return (
        f"The strongest predictor was {top['parameter']}, b = {wording.number(float(top['estimate']))}, {interval}, "
        f"z = {wording.number(float(top['z']))}, {wording.p_text(float(top['p']))} (Wald)."
    )


def experts(opened: OpenRun, settings: Settings) -> None:
    """What the gate makes of every person."""
    gate = opened.run.gate()
    split = "test" if (gate["split"] == "test").any() else str(gate["split"].iloc[0])
    found = likeness(gate, split=split)
    built = from_run.drawn(opened, "gate-map")
    pinned = Pinned(
        name="gate",
        title="How much each expert counts for each person",
        text=[found.text()],
        apa=[found.apa()],
        figure=(Drawing(built, gate_map.__name__), built.frame),
        reading_text=GATE_READING,
        note=built.note,
        recipe=Recipe(command="likeness", options={"split": split}),
    )
    few = len(opened.persons) < SMALLEST_SHOWN
    views.result(opened, pinned, drawn=gate_map.screen(built.frame, height=430),
                 can_save="There are 10 persons or fewer, so nothing can be saved." if few else "")  # fmt: skip
    weights = opened.run.experts()
    spread = weights.groupby("parameter", sort=False).agg(
        shared=("shared", "first"), sd=("difference", "std"), low=("weight", "min"), high=("weight", "max")
    )
    with st.expander("Weights of the experts", icon=":material/table:"):
        headings = {"parameter": "Parameter", "shared": "Shared", "sd": "SD between experts", "low": "Lowest",
                    "high": "Highest"}  # fmt: skip
        views.table(spread.reset_index(), headings, key="expert weights")
        st.caption(f"{weights['expert'].nunique()} experts; an expert’s weight is the shared one plus its difference.")
