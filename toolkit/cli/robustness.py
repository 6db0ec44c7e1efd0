"""Commands around a finding: where variance lies, whether choices matter, how large a study has to be, which model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from analyses.likelihood_ratio import compare_likelihoods
from analyses.multiverse_runs import multiverse_of_runs
from analyses.power import model_of_run, power_curve
from analyses.run_comparison import compare_runs
from analyses.variance import variance_of_run
from toolkit.cli.analyses import chosen_unit, grouped_matrices, whole_unit
from toolkit.cli.answers import Answer
from toolkit.cli.keeping import busy, kept
from toolkit.cli.repeat_fits import fits_bar
from toolkit.errors import ConfigError, DataError
from toolkit.runs.folder import SavedRun, load_run
from toolkit.runs.kept import Recipe, near


def variance(
    path: Path, *, unit: str, split: str | None, resamples: int, seed: int, method: str = "jackknife"
) -> Answer:
    """Shares of the person variance, ICC, marginal and conditional R2."""
    run = load_run(path)
    unit = chosen_unit(run, unit)
    if unit not in ("person", "cluster"):
        raise ConfigError("the unit is 'person' or 'cluster'", code="E302", column="unit")
    rng = np.random.default_rng(seed)
    with busy("Leaving persons out" if method == "jackknife" else "Resampling persons"):
        result = variance_of_run(run, unit=unit, split=split, method=method, resamples=resamples, rng=rng)
    asked = {"unit": unit, "split": split, "method": method, "resamples": resamples, "seed": seed}
    return kept(run, "variance", result, Recipe(command="variance", options=asked))


def multiverse(paths: Sequence[Path], *, unit: str, permutations: int, alpha: float, seed: int) -> Answer:
    """Group comparison under every combination of choices; several runs are several state definitions."""
    runs = [load_run(path) for path in paths]
    persons, group = _same_persons(runs)
    unit = whole_unit(runs[0], persons, group, unit)
    unique = len({run.name for run in runs}) == len(runs)
    names = [run.name if unique else f"{place + 1}: {run.name}" for place, run in enumerate(runs)]
    with busy("Testing every combination of choices"):
        result = multiverse_of_runs(
            runs, names=names, unit=unit, permutations=permutations, alpha=alpha, rng=np.random.default_rng(seed)
        )
    asked = {"names": names, "unit": unit, "seed": seed}
    recipe = Recipe(
        command="multiverse",
        options={**asked, "permutations": permutations, "alpha": alpha},
        runs=[near(runs[0], run.path) for run in runs[1:]],
    )
    return kept(runs[0], "multiverse", result, recipe)


def power(  # noqa: PLR0913 - one argument per option of the command
    path: Path,
    *,
    cell: str,
    difference: float,
    clusters: str,
    transitions: str,
    cluster_size: int,
    correlation: float,
    simulations: int,
    base: str,
    hsic: bool,
    seed: int,
    quiet: bool,
) -> Answer:
    """Power of group comparisons by simulation from the run's transitions."""
    run = load_run(path)
    scores, variances, states, notes = model_of_run(run, base)
    ends = [state.strip() for state in cell.split(",")]
    if len(ends) != 2 or set(ends) - set(states):
        raise ConfigError(
            "a cell is written FROM,TO", code="E302", column="--cell", remedy=f"states: {', '.join(states)}"
        )
    settings = {
        "difference": difference / 100,
        "clusters": _numbers(clusters, "--clusters"),
        "transitions": _numbers(transitions, "--transitions"),
        "cluster_size": cluster_size,
        "correlation": correlation,
        "simulations": simulations,
        "hsic": hsic,
    }
    with fits_bar("Simulating studies", quiet) as bar:
        result = power_curve(
            scores,
            variances,
            cell=(states.index(ends[0]), states.index(ends[1])),
            states=states,
            notes=notes,
            rng=np.random.default_rng(seed),
            progress=bar,
            **settings,
        )
    recipe = Recipe(command="power", options={"cell": ends, "base": base, "seed": seed, **settings})
    return kept(run, "power", result, recipe)


def compare(
    paths: Sequence[Path],
    *,
    metrics: Sequence[str] | None,
    split: str,
    unit: str,
    baseline: str | None,
    holm: bool,
    resamples: int,
    seed: int,
) -> Answer:
    """Mean metrics of several runs with marks; kept in the folder of the first."""
    runs = [load_run(path) for path in paths]
    unit = chosen_unit(runs[0], unit)
    settings = {
        "metrics": list(metrics) if metrics else None,
        "split": split,
        "unit": unit,
        "baseline": baseline,
        "correction": "holm" if holm else "none",
        "resamples": resamples,
    }
    with busy("Comparing models"):
        result = compare_runs(runs, rng=np.random.default_rng(seed), **settings)
    others = [near(runs[0], run.path) for run in runs[1:]]
    recipe = Recipe(command="comparison", options={"seed": seed, **settings}, runs=others)
    answer = kept(runs[0], "comparison", result, recipe)
    table = result.table().to_string(index=False)
    return Answer(text=f"{table}\n^ letters of models that are significantly better\n{answer.text}", data=answer.data)


def likelihood_ratio(paths: Sequence[Path]) -> Answer:
    """Likelihood-ratio tests of nested mixed models, as a table and in words."""
    result = compare_likelihoods([load_run(path) for path in paths])
    table = result.to_frame().drop(columns="note").round(4).to_string(index=False, na_rep="")
    return Answer(text=f"{table}\n{result.text()}\n{result.apa()}", data=result.summary())


def _same_persons(runs: Sequence[SavedRun]) -> tuple[list[str], np.ndarray]:
    """Persons with a group and their labels; E407 when the runs do not have the same."""
    persons, _, group = grouped_matrices(runs[0], "score")
    known = dict(zip(persons, group, strict=True))
    for run in runs[1:]:
        others, _, labels = grouped_matrices(run, "score")
        if dict(zip(others, labels, strict=True)) != known:
            raise DataError(
                "the runs do not have the same persons in the same groups",
                code="E407",
                remedy="compare state definitions within one study",
            )
    return persons, group


def _numbers(words: str, option: str) -> list[int]:
    """Whole numbers separated by commas."""
    try:
        return [int(word) for word in words.split(",")]
    except ValueError:
        raise ConfigError(
            "whole numbers separated by commas are needed", code="E302", column=option, remedy="such as 10,20,40"
        ) from None
