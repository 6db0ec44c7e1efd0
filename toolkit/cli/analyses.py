"""Commands that analyse a finished run, and keep the result in its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analyses import compare_transitions, hsic_test
from analyses.baseline_report import baseline_report
from analyses.transitions import observed_transitions, transition_matrices
from toolkit.cli.answers import Answer
from toolkit.errors import ConfigError, DataError
from toolkit.results import Result
from toolkit.runs.folder import SavedRun, load_run, save_analysis

VALUES = ("score", "probability", "expected", "observed")


def hsic(  # noqa: PLR0913 - one argument per option of the command
    path: Path,
    *,
    value: str,
    unit: str,
    permutations: int,
    seed: int,
    within: str | None = None,
    match_sizes: bool | None = None,
    kernel: str = "gaussian",
    bandwidth_multiple: float = 1.0,
    method: str = "auto",
    stop_after: int | None = None,
    alpha: float = 0.05,
    effect_size: bool = False,
) -> Answer:
    """Kernel permutation test of transitions against group."""
    run = load_run(path)
    persons, matrices, group = grouped_matrices(run, value)
    result = hsic_test(
        matrices,
        group,
        unit=units(run, persons, unit),
        unit_name=unit_name(run, unit),
        strata=_within(run, persons, unit, within),
        match_sizes=match_sizes,
        kernel=kernel,
        bandwidth_multiple=bandwidth_multiple,
        method=method,
        stop_after=stop_after,
        alpha=alpha,
        probabilities=value != "score",
        effect_size=effect_size,
        permutations=permutations,
        rng=np.random.default_rng(seed),
    )
    kept = _kept(run, f"hsic-{value}", result)
    return Answer(text="\n".join([kept.text, *result.notes]), data=kept.data)


def _within(run: SavedRun, persons: list[str], unit: str, within: str | None) -> np.ndarray | None:
    """Label of what groups are shuffled within; None when they are shuffled over everybody."""
    if within is None:
        return None
    if within != "cluster":
        raise ConfigError("groups are shuffled within a 'cluster' or not at all", code="E302", column="within")
    if unit == "cluster":
        raise ConfigError(
            "clusters are either shuffled whole or shuffled within",
            code="E302",
            column="within",
            remedy="use --unit cluster where the group belongs to the cluster, --within cluster where it varies inside",
        )
    return units(run, persons, "cluster")


def differences(path: Path, *, value: str, unit: str, resamples: int, level: float, seed: int) -> Answer:
    """Bootstrap intervals of the differences of transition probabilities between two groups."""
    run = load_run(path)
    persons, matrices, group = grouped_matrices(run, value)
    labels = sorted(set(group))
    if len(labels) != 2:
        raise DataError(
            f"differences compare two groups; this run has {len(labels)}",
            code="E124",
            column=run.manifest["study"]["group_name"],
            remedy="choose a group column with two labels",
        )
    words = run.manifest["study"]["group_labels"]
    result = compare_transitions(
        matrices,
        group == labels[1],
        unit=units(run, persons, unit),
        unit_name=unit_name(run, unit),
        states=run.states,
        group_names=(words.get(labels[1], labels[1]), words.get(labels[0], labels[0])),
        resamples=resamples,
        level=level,
        rng=np.random.default_rng(seed),
    )
    return _kept(run, f"differences-{value}", result)


def baseline(
    path: Path, *, parameter: str | None, unit: str, resamples: int, permutations: int, level: float, seed: int
) -> Answer:
    """Correlations and slope of person-specific biases on baseline levels, with their controls."""
    run = load_run(path)
    result = baseline_report(
        run,
        parameters=None if parameter is None else [parameter],
        unit=unit,
        resamples=resamples,
        permutations=permutations,
        level=level,
        rng=np.random.default_rng(seed),
    )
    return _kept(run, "baseline", result)


def grouped_matrices(run: SavedRun, value: str) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Persons with a group, their matrices (persons, state, state) and their group labels."""
    if value not in VALUES:
        raise ConfigError("this value is not known", code="E302", column="value", remedy=f"use {', '.join(VALUES)}")
    persons, _, matrices = transition_matrices(run.transitions(), value, states=run.states)
    matrices = observed_transitions(matrices) if value == "observed" else matrices
    label = run.persons().set_index("person")["group"].reindex(list(persons))
    known = label.notna().to_numpy()
    if not known.any():
        raise DataError("this run has no groups", code="E124", remedy="name a group column in study.toml and fit again")
    kept = [person for person, keep in zip(persons, known, strict=True) if keep]
    return kept, matrices[known], label[known].to_numpy(dtype=object)


def bias_by_person(run: SavedRun, parameter: str | None = None) -> pd.DataFrame:
    """Person, estimate of one parameter (the last bias by default) and baseline level."""
    effects = run.random_effects()
    names = list(dict.fromkeys(effects["parameter"]))
    biases = [name for name in names if name.endswith(".bias")]
    chosen = parameter or (biases[-1] if biases else None)
    if chosen not in names:
        raise ConfigError(
            "this run has no such person effect",
            code="E302",
            column="parameter",
            remedy=f"it has: {', '.join(names[:20])}",
        )
    mine = effects[effects["parameter"] == chosen].rename(columns={"level": "person"})
    joined = mine[["person", "estimate"]].merge(run.persons()[["person", "baseline"]], on="person")
    return joined.dropna(subset=["baseline"]).reset_index(drop=True)


def units(run: SavedRun, persons: list[str], unit: str) -> np.ndarray | None:
    """Label of each person's resampling unit; None when every person is one."""
    if unit == "person":
        return None
    if unit != "cluster":
        raise ConfigError("the unit is 'person' or 'cluster'", code="E302", column="unit")
    clusters = run.persons().set_index("person")["cluster"].reindex(persons)
    if clusters.isna().any():
        raise DataError(
            "not every person has a cluster",
            code="E126",
            remedy="use --unit person, or name a cluster column in study.toml",
        )
    return clusters.to_numpy(dtype=object)


def unit_name(run: SavedRun, unit: str) -> str:
    """The unit in words."""
    return "persons" if unit == "person" else str(run.manifest["study"]["cluster_name"] or "clusters")


def _kept(run: SavedRun, name: str, result: Result) -> Answer:
    """Save a result in the run folder and answer with its sentences."""
    folder = save_analysis(run, name, result)
    summary: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return Answer(text=f"{result.text()}\n{result.apa()}\nKept in {folder}", data=summary)
