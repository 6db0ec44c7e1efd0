"""Tables about models: which predicts best, how well over persons, and how far persons differ in what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses import wording
from analyses.model_comparison import LOWER_IS_BETTER
from analyses.report.guard import COMPLEMENTARY, small_label
from analyses.report.report_baseline import baseline_table
from analyses.report.sentences import LEVEL_NAMES, METRIC_NAMES, MODEL_NAMES, effects_note
from analyses.report.standard_tables.components import components_table, refuse_few
from analyses.report.standard_tables.entry import TableEntry, TableOptions, found_analysis, small_note
from analyses.report.standard_tables.fixed import fixed_effects_table
from analyses.report.tables import (
    ReportTable,
    Spanner,
    bounded_three_cell,
    three_cell,
    two_cell,
)
from toolkit.errors import DataError

if TYPE_CHECKING:
    from toolkit.runs.folder import SavedRun

_BOUNDED = {"krippendorff_alpha", "ordinal_alpha", "kendall", "pearson", "ccc", "accuracy", "auc"}


def comparison_table(summary: Mapping[str, Any], *, smallest: int) -> ReportTable:
    """One line per model, one column per metric; superscripts name the models that are significantly better.

    Args:
        summary: of `compare_models`.
        smallest: the smallest number of persons that is shown.
    """
    models, metrics = [str(name) for name in summary["models"]], [str(name) for name in summary["metrics"]]
    hidden = int(summary["n_persons"]) < smallest
    means = np.array(summary["means"], dtype=np.float64)
    letters = ascii_lowercase[: len(models)]
    columns: dict[str, Any] = {
        "model": [f"{MODEL_NAMES.get(name, name)} ({letter})" for name, letter in zip(models, letters, strict=True)]
    }
    columns |= {name: [COMPLEMENTARY] * len(models) if hidden else means[k] for k, name in enumerate(metrics)}
    marks = {
        (row, metric): ",".join(found)
        for k, metric in enumerate(metrics)
        for row, found in enumerate(summary["marks"][k])
        if found and not hidden
    }
    return ReportTable(
        frame=pd.DataFrame(columns),
        title=f"Models Compared: Mean per Person on the {str(summary['split']).title()} Rows",
        note=_comparison_note(summary, hidden, smallest),
        headings={"model": "Model"} | {name: _metric_heading(name) for name in metrics},
        formats={name: bounded_three_cell if name in _BOUNDED else three_cell for name in metrics},
        numbers=set(metrics),
        marks=marks,
        bold=set() if hidden else _best(means, metrics),
        data=_comparison_data(summary, models, letters, hidden),
    )


def metrics_table(run: SavedRun, *, split: str, smallest: int) -> ReportTable:
    """Per metric and kind of prediction: pooled value, and the distribution over persons.

    Args:
        run: a finished run.
        split: rows that were predicted.
        smallest: the smallest number of persons that is shown.
    """
    rows = [_metric_row(part, smallest) for part in _metric_parts(run.metrics(), split)]
    if not rows:
        raise DataError("the run has no metrics of these rows", code="E124", column="split")
    frame = pd.DataFrame(rows)
    hidden = bool((frame["persons"].map(type) == str).any())  # noqa: E721 - a column of numbers and words
    order = {name: place for place, name in enumerate(frame["metric"].unique())}
    frame = frame.sort_values("metric", kind="stable", key=lambda names: names.map(order))
    plain = frame.reset_index(drop=True)
    frame = plain.assign(metric=plain["metric"].str[:1].str.upper() + plain["metric"].str[1:])
    frame["metric"] = frame["metric"].where(~frame["metric"].duplicated(), "")
    spread = ("mean", "sd", "lower_quartile", "median", "upper_quartile")
    several = effects_note(run.manifest)
    return ReportTable(
        frame=frame,
        title=f"Prediction of {run.manifest['target']} on the {split.title()} Rows: Pooled and Over Persons",
        note="Pooled: all rows together. Undefined: persons without a value, such as those who were in one state only; "
        f"they are left out of the distribution.{f' {small_note(smallest)}' if hidden else ''}"
        f"{f' {several}' if several else ''}",
        headings={
            "metric": "Metric", "level": "Prediction", "pooled": "Pooled", "mean": "M", "sd": "SD",
            "lower_quartile": "25%", "median": "Median", "upper_quartile": "75%", "persons": "n",
            "excluded": "Undefined",
        },
        formats=dict.fromkeys(("pooled", *spread), two_cell),
        numbers={"pooled", *spread, "persons", "excluded"},
        spanners=(Spanner(label="Over persons", columns=(*spread, "persons", "excluded")),),
        data=plain,
    )  # fmt: skip


def _metric_heading(name: str) -> str:
    better = "↓" if name in LOWER_IS_BETTER else "↑"
    words = METRIC_NAMES.get(name, name)
    return f"{words[:1].upper()}{words[1:]}\u00a0{better}"


def _best(means: np.ndarray, metrics: list[str]) -> set[tuple[int, str]]:
    best = set()
    for k, name in enumerate(metrics):
        values = -means[k] if name in LOWER_IS_BETTER else means[k]
        if np.isfinite(values).any():
            best.add((int(np.nanargmax(values)), name))
    return best


def _comparison_note(summary: Mapping[str, Any], hidden: bool, smallest: int) -> str:
    if hidden:
        return small_note(smallest)
    corrected = " after Holm’s correction within each metric" if summary["correction"] == "holm" else ", not corrected"
    return (
        f"N = {summary['n_persons']} persons. Bold: best mean. Superscripts: letters of the models that are "
        f"significantly better (paired bootstrap over persons, {wording.percent(1 - summary['alpha'])} interval of the "
        f"difference without 0{corrected}). ↑ higher is better, ↓ lower is better."
    )


def _comparison_data(summary: Mapping[str, Any], models: list[str], letters: str, hidden: bool) -> pd.DataFrame:
    rows = [
        {
            "model": model,
            "letter": letters[row],
            "metric": metric,
            "mean": COMPLEMENTARY if hidden else summary["means"][k][row],
            "significantly_better": "" if hidden else summary["marks"][k][row],
        }
        for k, metric in enumerate(summary["metrics"])
        for row, model in enumerate(models)
    ]
    return pd.DataFrame(rows)


def _metric_parts(metrics: pd.DataFrame, split: str) -> list[pd.DataFrame]:
    """The rows of each metric and kind of prediction, without kinds whose every number another one has already."""
    mine = metrics[metrics["split"] == split]
    if "target" in mine and mine["target"].nunique() > 1:
        mine = mine.assign(metric=[f"{m}, {t}" for m, t in zip(mine["metric"], mine["target"], strict=True)])
    seen: set[tuple[Any, ...]] = set()
    parts = []
    for (metric, _), part in mine.groupby(["metric", "level"], sort=False):
        key = (metric, *np.nan_to_num(part["value"].to_numpy(dtype=float), nan=9e9).tolist())
        if key not in seen:
            seen.add(key)
            parts.append(part)
    return parts


def _metric_row(part: pd.DataFrame, smallest: int) -> dict[str, Any]:
    single = part[part["scope"] == "person"]["value"].to_numpy(dtype=float)
    values = single[np.isfinite(single)]
    pooled = part[part["scope"] == "pooled"]["value"].to_numpy(dtype=float)
    name, _, target = str(part["metric"].iloc[0]).partition(", ")
    words = {
        "metric": METRIC_NAMES.get(name, name) + (f", {target}" if target else ""),
        "level": LEVEL_NAMES.get(str(part["level"].iloc[0]), str(part["level"].iloc[0])),
    }
    spread = ("mean", "sd", "lower_quartile", "median", "upper_quartile")
    if values.size < smallest:
        gone = dict.fromkeys(("pooled", *spread), COMPLEMENTARY)
        return words | gone | {"persons": small_label(smallest) if values.size else 0, "excluded": COMPLEMENTARY}
    quartiles = np.quantile(values, [0.25, 0.5, 0.75])
    found = (float(values.mean()), float(values.std(ddof=1)), *map(float, quartiles))
    numbers = {"pooled": float(pooled[0]) if pooled.size else float("nan"), **dict(zip(spread, found, strict=True))}
    return words | numbers | _who(values.size, single.size - values.size, smallest)


def _who(persons: int, excluded: int, smallest: int) -> dict[str, int | str]:
    """Persons with and without a value; a few without are not counted, and those with a value only roughly."""
    if not 0 < excluded < smallest:
        return {"persons": persons, "excluded": excluded}
    return {"persons": f"≥ {persons + excluded - smallest + 1}", "excluded": small_label(smallest)}


def _build_comparison(run: SavedRun, options: TableOptions) -> ReportTable:
    kept = found_analysis(run, "comparison", "nme compare RUN OTHER", options.analysis)
    return comparison_table(kept.summary, smallest=options.smallest)


def _build_baseline(run: SavedRun, options: TableOptions) -> ReportTable:
    refuse_few(run, options.smallest)
    kept = found_analysis(run, "baseline", "nme analyze baseline RUN", options.analysis)
    made = baseline_table(kept)
    if made is None:  # the demonstration keeps one correlation only
        raise DataError(
            "the run keeps a short form of this analysis",
            code="E408",
            column="analysis",
            remedy="run 'nme analyze baseline RUN' first",
        )
    return replace(made, data=kept.frame)


MODEL_TABLES = (
    TableEntry(
        name="models",
        title="Models compared, superscripts for significantly better ones (as Table 3 of the paper)",
        needs="nme compare RUN1 RUN2 ..., asked of the first run",
        build=_build_comparison,
        analysis="comparison",
    ),
    TableEntry(
        name="metrics",
        title="How well the model predicts: pooled, and the distribution over persons",
        needs="any run",
        build=lambda run, options: metrics_table(run, split=options.split, smallest=options.smallest),
    ),
    TableEntry(
        name="variance",
        title="How far persons differ: SD, share and reliability by parameter",
        needs="a run of a personalised model",
        build=lambda run, options: components_table(run, smallest=options.smallest),
    ),
    TableEntry(
        name="fixed-effects",
        title="Fixed effects: coefficients with standard errors, intervals and p, and how well the model fits",
        needs="a run of lmm or glmm",
        build=lambda run, options: fixed_effects_table(run),
    ),
    TableEntry(
        name="baseline",
        title="Person-specific biases and baseline levels: correlations and corrected slopes",
        needs="nme analyze baseline",
        build=_build_baseline,
        analysis="baseline",
    ),
)
