"""Which runs can be compared with the open one, why others cannot, and the comparison itself."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from analyses.model_comparison import ModelComparison
from analyses.run_comparison import compare_runs, hash_of_rows
from app import jobs, result_files, state, views
from app.inputs import PERSONS, Settings
from app.run_key import run_key
from app.state import FoundRun, OpenRun
from toolkit.errors import ToolkitError, ToolkitWarning
from toolkit.runs.kept import Recipe, near

COMMAND = "comparison"
RESAMPLES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contest:
    """What is compared, and how.

    Attributes:
        runs: the open run first. labels: how they are called. split, level: rows and predictions that are judged.
        baseline: label of the run that the others are compared with; None for all pairs. holm: Holm's correction.
        unit: "person" or "cluster". target: which of several outcomes; None for the only one.
    """

    runs: tuple[OpenRun, ...]
    labels: tuple[str, ...]
    split: str
    level: str
    baseline: str | None
    holm: bool
    unit: str
    target: str | None = None

    def recipe(self) -> Recipe:
        """What the comparison is made with."""
        first = self.runs[0]
        options: dict[str, Any] = {
            "metrics": None, "split": self.split, "level_name": self.level, "unit": self.unit,
            "baseline": self.own_names()[self.labels.index(self.baseline)] if self.baseline else None,
            "correction": "holm" if self.holm else "none", "resamples": RESAMPLES, "seed": 1,
        }  # fmt: skip
        if self.target is not None:
            options["target"] = self.target
        others = tuple(near(first.run, one.path) for one in self.runs[1:])
        return Recipe(command=COMMAND, options=options, runs=others)

    def own_names(self) -> list[str]:
        """Names that `compare_runs` gives the runs."""
        names = [one.run.name for one in self.runs]
        return names if len(set(names)) == len(names) else [str(one.run.path) for one in self.runs]


def offered(opened: OpenRun) -> tuple[dict[str, Path], list[str]]:
    """The other runs by label, and the labels of those that fit the open one."""
    found = state.other_runs(opened)
    return {run.label: run.path for run in found}, [run.label for run in found if not refusal(opened, run)]


def refusal(opened: OpenRun, other: FoundRun) -> str:
    """Why a run cannot be compared with the open one, as a sentence; empty where it can."""
    try:
        run = state.open_run(other.path)
    except ToolkitError as problem:
        return f"{other.label} cannot be opened: {views.spoken(problem)}"
    if run.study.get("name") != opened.study.get("name"):
        return f"{other.label} is a run of another study, so its metrics cannot be set beside those of this one."
    if (run.outcome, run.manifest.get("task")) != (opened.outcome, opened.manifest.get("task")):
        return (
            f"{other.label} predicts {run.outcome} and this run {opened.outcome}, so their metrics cannot be compared."
        )
    if hash_of_rows(run.manifest) != hash_of_rows(opened.manifest):
        return (
            f"{other.label} was fitted to other data (other rows, another outcome or other predictors), so a "
            "difference could be one of the data. Fit both models to the same study, outcome and predictors."
        )
    if _split(run) != _split(opened):
        return (
            f"{other.label} divides the rows differently into training and test. Fit both models with the same split."
        )
    return ""


def _split(opened: OpenRun) -> str:
    return _hash_of_split(opened.predictions, run_key(opened))


@st.cache_data(scope="session", show_spinner=False, max_entries=64)
def _hash_of_split(_predictions: pd.DataFrame, key: str) -> str:
    table = _predictions.sort_values("row")[["row", "split"]]
    return hashlib.sha256(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes()).hexdigest()


def shared_targets(runs: Sequence[OpenRun]) -> list[str]:
    """Outcomes that every run predicts, where the open one has several; else none to choose from."""
    first = runs[0].run.targets
    return [name for name in first if all(name in one.run.targets for one in runs)] if len(first) > 1 else []


def shared_levels(runs: Sequence[OpenRun], split: str, target: str | None = None) -> list[str]:
    """Kinds of predictions that every run has metrics of, for every person."""
    kinds = []
    for one in runs:
        table = one.metrics if target is None else one.run.metrics(target)
        kinds.append(list(dict.fromkeys(table[(table["scope"] == "person") & (table["split"] == split)]["level"])))
    return [str(level) for level in kinds[0] if all(level in other for other in kinds[1:])] if kinds else []


def shared_splits(runs: Sequence[OpenRun]) -> list[str]:
    """Parts of the rows that every run has metrics of, test rows first."""
    there = [set(one.metrics.loc[one.metrics["scope"] == "person", "split"]) for one in runs]
    return [split for split in ("test", "validation", "train") if all(split in have for have in there)]


def compared(contest: Contest) -> ModelComparison | None:
    """The comparison, or None while it is made."""
    recipe = contest.recipe()
    options = {name: value for name, value in recipe.options.items() if name != "seed"}
    runs = [one.run for one in contest.runs]

    def work() -> ModelComparison:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ToolkitWarning)
            return compare_runs(runs, rng=np.random.default_rng(1), **options)

    key = (COMMAND, *(run_key(one) for one in contest.runs), json.dumps(options, sort_keys=True))
    found = jobs.job(key, work, label="Comparing models", keep=keep(contest))
    if found is None:
        return None
    result_files.not_kept(keep(contest))
    return replace(found, models=contest.labels)


def keep(contest: Contest) -> jobs.Keep:
    """Where the comparison is kept: in the folder of the open run; other fits of the others are another result."""
    others = [run_key(one) for one in contest.runs[1:]]
    said = json.dumps([contest.recipe().as_data(), others], sort_keys=True)
    return jobs.Keep(contest.runs[0], f"{COMMAND}-{result_files.short_hash(said)}", contest.recipe())


def unit_of(settings: Settings, opened: OpenRun) -> str:
    """What the bootstrap keeps together."""
    return "person" if settings.unit == PERSONS or opened.cluster_name is None else "cluster"
