"""Commands that analyse a finished run, and keep the result in its folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from analyses import hsic_test
from analyses.baseline_report import baseline_report
from analyses.grouping_factors import cluster_nouns
from analyses.shifted_matrices import warn_of_shifts
from analyses.transitions import observed_transitions, transition_matrices
from toolkit.cli.answers import Answer
from toolkit.cli.keeping import kept
from toolkit.errors import ConfigError, DataError
from toolkit.runs.folder import SavedRun, load_run
from toolkit.runs.kept import Recipe

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
    unit, within = _hsic_unit(run, persons, group, unit, within)
    settings = {
        "unit_name": unit_name(run, unit),
        "match_sizes": match_sizes,
        "kernel": kernel,
        "bandwidth_multiple": bandwidth_multiple,
        "method": method,
        "stop_after": stop_after,
        "alpha": alpha,
        "probabilities": value != "score",
        "effect_size": effect_size,
        "permutations": permutations,
    }
    result = hsic_test(
        matrices,
        group,
        unit=units(run, persons, unit),
        strata=_within(run, persons, unit, within),
        rng=np.random.default_rng(seed),
        **settings,
    )
    asked = {"value": value, "unit": unit, "within": within, "seed": seed}
    answer = kept(run, f"hsic-{value}", result, Recipe(command="hsic", options=asked | settings), transitions=value)
    return Answer(text="\n".join([answer.text, *result.notes]), data=answer.data)


def _hsic_unit(
    run: SavedRun, persons: list[str], group: np.ndarray, unit: str, within: str | None
) -> tuple[str, str | None]:
    """What is shuffled: with ``auto``, whole clusters, or persons within clusters where the group varies inside one."""
    if unit != "auto" or within is not None:
        return ("person" if unit == "auto" else unit), within
    whole = whole_unit(run, persons, group, unit)
    inside = whole == "person" and chosen_unit(run, unit) == "cluster"
    return whole, "cluster" if inside else None


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


def baseline(
    path: Path, *, parameter: str | None, unit: str, resamples: int, permutations: int, level: float, seed: int
) -> Answer:
    """Correlations and slope of person-specific biases on baseline levels, with their controls."""
    run = load_run(path)
    unit = chosen_unit(run, unit)
    settings = {"unit": unit, "resamples": resamples, "permutations": permutations, "level": level}
    result = baseline_report(
        run,
        parameters=None if parameter is None else [parameter],
        rng=np.random.default_rng(seed),
        **settings,
    )
    recipe = Recipe(command="baseline", options={"parameter": parameter, "seed": seed, **settings})
    return kept(run, "baseline", result, recipe)


def grouped_matrices(run: SavedRun, value: str) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Persons with a group, their matrices (persons, state, state) and their group labels."""
    persons, matrices = all_matrices(run, value)
    warn_of_shifts(run.manifest, value)
    label = run.persons().set_index("person")["group"].reindex(persons)
    known = label.notna().to_numpy()
    if not known.any():
        raise DataError("this run has no groups", code="E124", remedy="name a group column in study.toml and fit again")
    grouped = [person for person, there in zip(persons, known, strict=True) if there]
    return grouped, matrices[known], label[known].to_numpy(dtype=object)


def all_matrices(run: SavedRun, value: str) -> tuple[list[str], np.ndarray]:
    """All persons and their matrices (persons, state, state): one of VALUES; counts become smoothed probabilities."""
    if value not in VALUES:
        raise ConfigError("this value is not known", code="E302", column="value", remedy=f"use {', '.join(VALUES)}")
    persons, _, matrices = transition_matrices(run.transitions(), value, states=run.states)
    return list(persons), observed_transitions(matrices) if value == "observed" else matrices


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
    joined = joined.dropna(subset=["baseline"]).reset_index(drop=True)
    joined.attrs["parameter"] = chosen
    return joined


def chosen_unit(run: SavedRun, unit: str) -> str:
    """``auto`` becomes ``cluster`` where every person has a cluster and some share one, else ``person``.

    Members of a family resemble each other; taking them as independent makes differences look surer than they are.
    """
    if unit != "auto":
        return unit
    clusters = run.persons()["cluster"]
    return "cluster" if clusters.notna().all() and clusters.duplicated().any() else "person"


def whole_unit(run: SavedRun, persons: list[str], group: np.ndarray, unit: str) -> str:
    """`chosen_unit` for tests that deal groups over whole units: ``person`` where the group varies inside a cluster."""
    chosen = chosen_unit(run, unit)
    if unit != "auto" or chosen == "person":
        return chosen
    together = pd.DataFrame({"group": group, "cluster": units(run, persons, "cluster")})
    labels = together.groupby("cluster")["group"].nunique()
    return "cluster" if bool((labels == 1).all()) else "person"


def units(run: SavedRun, persons: list[str], unit: str) -> np.ndarray | None:
    """Label of each person's resampling unit; None when every person is one."""
    if unit == "person":
        return None
    if unit != "cluster":
        raise ConfigError("the unit is 'auto', 'person' or 'cluster'", code="E302", column="unit")
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
    return "persons" if unit == "person" else cluster_nouns(run.manifest)
