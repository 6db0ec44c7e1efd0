"""Building the figures that compare runs: models in the mean, person by person, and with less data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.figures import less_data, model_comparison, person_comparison
from analyses.report.catalogue.building import built
from analyses.report.catalogue.entry import Built, FigureOptions
from analyses.report.catalogue.kept_results import further_runs, kept_result, one_of, words_of
from analyses.report.catalogue.run_parts import chosen_unit
from analyses.run_comparison import check_same_rows, compare_runs
from toolkit.errors import ConfigError, DataError

if TYPE_CHECKING:
    from toolkit.runs.folder import SavedRun

SPLITS = ("train", "validation", "test")
LEVELS = ("person", "population", "forecast", "whole sequence", "previous state")


def model_means(run: SavedRun, options: FigureOptions) -> Built:
    """Mean metrics of several runs with marks and paired differences."""
    runs = (run, *further_runs(options, 1))
    split = one_of(options, "split", SPLITS, "test")
    result = compare_runs(
        runs,
        metrics=words_of(options, "metric") or None,
        split=split,
        level_name=one_of(options, "predictions", LEVELS, "person"),
        unit=chosen_unit(run, options.unit),
        resamples=options.resamples,
        rng=np.random.default_rng(options.seed),
    )
    names = display_names(runs, options)
    result = replace(result, models=tuple(names))
    how = f"On the {split} rows; {options.resamples:,} bootstrap resamples. "
    return built(model_comparison, model_comparison.tidy(result), note=how + " ".join(result.notes))


def person_by_person(run: SavedRun, options: FigureOptions) -> Built:
    """The metric of every person under two runs."""
    runs = (run, *further_runs(options, 1, 1))
    check_same_rows(runs)
    split, level = one_of(options, "split", SPLITS, "test"), one_of(options, "predictions", LEVELS, "person")
    target = str(options.settings.get("target") or "")
    tables = [_person_scores(one, split, level, target) for one in runs]
    shared = [m for m in dict.fromkeys(tables[0]["metric"]) if m in set(tables[1]["metric"])]
    asked = words_of(options, "metric")
    metric = asked[0] if asked else (shared[0] if shared else "")
    if metric not in shared:
        raise DataError(
            "the runs have no such metric in common",
            code="E124",
            column="metric",
            remedy=f"they share: {', '.join(shared) or 'none'}",
        )
    first, second = (t[t["metric"] == metric].set_index("person")["value"] for t in tables)
    scores = pd.DataFrame({"first": first, "second": second}).rename_axis("person").reset_index()
    names = display_names(runs, options)
    frame = person_comparison.tidy(scores, metric=metric, first=names[0], second=names[1])
    return built(person_comparison, frame, note=f"On the {split} rows.")


def with_less_data(run: SavedRun, options: FigureOptions) -> Built:
    """The kept less-data curve."""
    kept = kept_result(run, "less-data", "analyze less-data RUN OTHER_RUN --study study.toml")
    table = kept.frame
    names = words_of(options, "names")
    models = list(dict.fromkeys(table["model"].astype(str)))
    if names:
        table = table.assign(model=table["model"].map(dict(zip(models, _fitting(names, len(models)), strict=True))))
    note = "a < b: model a is clearly worse than model b. Each share is one draw of rows and one fit."
    return built(less_data, less_data.tidy(table, metric=str(kept.summary["metric"])), note=note)


def display_names(runs: Sequence[SavedRun], options: FigureOptions) -> list[str]:
    """Names of the runs in the figure: those of the setting ``names``, or the runs' own."""
    asked = words_of(options, "names")
    own = [run.name for run in runs]
    return _fitting(asked, len(runs)) if asked else own if len(set(own)) == len(own) else [str(r.path) for r in runs]


def _fitting(names: list[str], count: int) -> list[str]:
    if len(names) != count or len(set(names)) < count:
        raise ConfigError(
            f"the figure shows {count} models, and each needs a name of its own",
            code="E302",
            column="names",
            remedy="write names=FIRST,SECOND in the order of the runs",
        )
    return names


def _person_scores(run: SavedRun, split: str, level: str, target: str = "") -> pd.DataFrame:
    table = run.metrics(target or None)
    here = table[(table["scope"] == "person") & (table["split"] == split) & (table["level"] == level)]
    if here.empty:
        raise DataError(
            "a run has no metrics of these rows and these predictions",
            code="E124",
            column="split",
            remedy="use split=test and predictions=person",
        )
    return here
