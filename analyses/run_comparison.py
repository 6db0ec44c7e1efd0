"""Compare the models of several run folders, after checking that they saw the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.grouping_factors import cluster_nouns
from analyses.model_comparison import ModelComparison, compare_models
from toolkit.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.runs.folder import SavedRun


def compare_runs(  # noqa: PLR0913 - each option is one a report has to name
    runs: Sequence[SavedRun],
    *,
    metrics: Sequence[str] | None = None,
    split: str = "test",
    level_name: str = "person",
    target: str | None = None,
    unit: str = "person",
    baseline: str | None = None,
    correction: str = "none",
    resamples: int = 10_000,
    rng: np.random.Generator,
) -> ModelComparison:
    """`compare_models` of run folders, after checking that they were fitted to the same rows, split alike.

    Args:
        runs: two or more finished runs; named by their run names.
        metrics: names of metrics; None: all the runs share.
        split: "train", "validation" or "test".
        level_name: predictions to judge: "person", "population", and for chains "forecast" or "whole sequence".
        target: which of several targets; the first by default.
        unit: "person" or "cluster".
        baseline: name of the run that the others are compared with; None: all pairs.
        correction: "none" or "holm".
        resamples: at least 99.
        rng: source of the resamples.

    Raises:
        DataError: E124 one run only or no common metric, E407 runs of other data, another split or other persons.
    """
    check_same_rows(runs)
    tables = [_person_scores(run, split, level_name, target) for run in runs]
    shared = [name for name in dict.fromkeys(tables[0]["metric"]) if all(name in set(t["metric"]) for t in tables)]
    wanted = list(metrics) if metrics is not None else shared
    if not wanted or set(wanted) - set(shared):
        raise DataError(
            "the runs have no such metric in common",
            code="E124",
            column="metric",
            remedy=f"they share: {', '.join(shared) or 'none'}",
        )
    persons = sorted(set(tables[0]["person"]))
    scores = {
        name: np.column_stack(
            [t[t["metric"] == name].set_index("person")["value"].reindex(persons).to_numpy(np.float64) for t in tables]
        )
        for name in wanted
    }
    labels, unit_name = _clusters(runs[0], persons, unit)
    return compare_models(
        scores,
        _unique_names(runs),
        baseline=baseline,
        unit=labels,
        unit_name=unit_name,
        correction=correction,
        resamples=resamples,
        rng=rng,
        split=split,
    )


def check_same_rows(runs: Sequence[SavedRun]) -> None:
    """Raise E124 for one run only, E407 unless all have the rows and the split of the first."""
    if len(runs) < 2:
        raise DataError("one run alone cannot be compared", code="E124", remedy="name two or more runs")
    first = runs[0].predictions().sort_values("row")[["row", "split"]].to_numpy(dtype=object)
    for run in runs[1:]:
        if hash_of_rows(run.manifest) != hash_of_rows(runs[0].manifest):
            raise DataError(
                "the runs were not fitted to the same data",
                code="E407",
                remedy="fit all models to the same study, target and features, then compare",
            )
        if not np.array_equal(first, run.predictions().sort_values("row")[["row", "split"]].to_numpy(dtype=object)):
            raise DataError(
                "the runs split the rows differently into training and test",
                code="E407",
                remedy="fit all models with the same split, then compare",
            )


def hash_of_rows(manifest: Mapping[str, Any]) -> str:
    """Hash of the rows a run was fitted to, the same whether further grouping factors were used or not."""
    data = manifest["data"]
    return str(data.get("hash_persons") or data["hash"])


def _person_scores(run: SavedRun, split: str, level_name: str, target: str | None) -> pd.DataFrame:
    table = run.metrics(target)
    here = table[(table["scope"] == "person") & (table["split"] == split) & (table["level"] == level_name)]
    if here.empty:
        raise DataError(
            "a run has no metrics of these rows and this level",
            code="E124",
            column="split",
            remedy="use split test and level person",
        )
    return here


def _clusters(run: SavedRun, persons: list[str], unit: str) -> tuple[np.ndarray | None, str | None]:
    """Unit labels and their name."""
    if unit == "person":
        return None, None
    if unit != "cluster":
        raise ConfigError("the unit is 'person' or 'cluster'", code="E302", column="unit")
    clusters = run.persons().set_index("person")["cluster"].reindex(persons)
    if clusters.isna().any():
        raise DataError("not every person has a cluster", code="E126", remedy="use the unit person")
    return clusters.to_numpy(dtype=object), cluster_nouns(run.manifest)


def _unique_names(runs: Sequence[SavedRun]) -> list[str]:
    """Run names; folder paths where two runs share a name."""
    names = [run.name for run in runs]
    return names if len(set(names)) == len(names) else [str(run.path) for run in runs]
