"""Commands that fit a run's model again: stability over seeds and dropped rows, less data per person."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import toolkit.models as models
from analyses.grouping_factors import beside_persons
from analyses.learning_curve import learning_curve
from analyses.run_comparison import check_same_rows
from analyses.stability import StabilityResult, stability
from toolkit.cli.answers import Answer
from toolkit.cli.keeping import kept
from toolkit.cli.studies import study_data
from toolkit.data.outcomes import rows_for
from toolkit.data.study import Study
from toolkit.errors import ConfigError, DataError, RunFolderError
from toolkit.models.config import Configuration
from toolkit.runs.folder import SavedRun, load_run
from toolkit.runs.kept import Recipe, near
from toolkit.runs.repeats import (
    SHARES,
    fit_less_data,
    identified_estimates,
    repeat_fewer_rows,
    repeat_seeds,
    stack_estimates,
)
from toolkit.runs.run import Data, rows_of

Bar = Callable[[int, int], None]
COMPARED = (
    "Compared are parameters that every fit has to agree on: last biases, and of chains the transition probabilities. "
    "Weights of hidden layers are left out, because hidden units may swap places."
)
LINEAR = "Probabilities of a chain depend on its biases too: a shift of both can cancel, expected transitions do not."


def run_stability(
    paths: Sequence[Path],
    *,
    study: Path | None,
    refits: int,
    repeats: int,
    resamples: int,
    seed: int,
    quiet: bool,
    method: str = "jackknife",
) -> Answer:
    """Stability over finished runs that differ in their seed, or over fits made here."""
    runs = [load_run(path) for path in paths]
    if len(runs) > 1 and study is not None:
        raise ConfigError("name several runs, or one run and its study", code="E302", column="--study")
    result = (
        stability_of_runs(runs, method=method, resamples=resamples, seed=seed)
        if len(runs) > 1
        else stability_of_refits(
            runs[0],
            study,
            refits=refits,
            repeats=repeats,
            method=method,
            resamples=resamples,
            seed=seed,
            quiet=quiet,
        )
    )
    asked = {"method": method, "resamples": resamples, "seed": seed}
    recipe = Recipe(
        command="stability",
        options=asked if study is None else {**asked, "refits": refits, "repeats": repeats},
        runs=[near(runs[0], run.path) for run in runs[1:]],
        study="" if study is None else near(runs[0], study),
    )
    return kept(runs[0], "stability", result, recipe)


def run_less_data(
    paths: Sequence[Path], study: Path, *, metric: str | None, resamples: int, seed: int, quiet: bool
) -> Answer:
    """Fit the models of several runs to less of each person's training rows."""
    runs = [load_run(path) for path in paths]
    check_same_rows(runs)
    data = same_data(runs[0], study)
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        raise ConfigError("two runs have the same name", code="E302", column="RUN", remedy="rename a folder")
    configs = {run.name: config_of(run) for run in runs}
    with fits_bar("Fitting to less data", quiet) as bar:
        rng = np.random.default_rng(seed)
        table = fit_less_data(configs, data, seed=int(runs[0].manifest["seed"]), rng=rng, device="cpu", progress=bar)
    chosen = metric or str(table["metric"].iloc[0])
    result = learning_curve(table, chosen, resamples=resamples, rng=np.random.default_rng(seed))
    recipe = Recipe(
        command="less-data",
        options={"metric": chosen, "resamples": resamples, "seed": seed},
        runs=[near(runs[0], run.path) for run in runs[1:]],
        study=near(runs[0], study),
    )
    return kept(runs[0], "less-data", result, recipe)


def config_of(run: SavedRun) -> Configuration:
    """The settings of a run as its configuration class takes them."""
    kind = getattr(models, run.manifest["network"]["config_class"], None)
    if kind is None:
        raise RunFolderError("this version does not know the run's model", code="E404", remedy="update the toolkit")
    given: dict[str, Any] = dict(run.manifest["config"])
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()})


@contextmanager
def fits_bar(title: str, quiet: bool) -> Iterator[Bar | None]:
    """A bar on standard error that counts fits; None without a terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, total=total, completed=done)


def stability_of_runs(runs: Sequence[SavedRun], *, method: str, resamples: int, seed: int) -> StabilityResult:
    """Finished runs of the same settings, data and split, with other seeds."""
    check_same_rows(runs)
    for run in runs[1:]:
        if (run.model, run.manifest["config"]) != (runs[0].model, runs[0].manifest["config"]):
            raise DataError(
                "the runs differ in their model or settings, not only in their seed",
                code="E407",
                remedy="fit the same model with --seed 2, --seed 3 and so on",
            )
    if len({run.manifest["seed"] for run in runs}) < len(runs):
        raise DataError("two runs have the same seed", code="E407", remedy="fit with another --seed")
    _, parameters, estimates = stack_estimates([identified_estimates(run) for run in runs])
    rng = np.random.default_rng(seed)
    return stability(parameters, runs=estimates, method=method, resamples=resamples, rng=rng, notes=_notes(runs[0]))


def stability_of_refits(
    run: SavedRun,
    study: Path | None,
    *,
    refits: int,
    repeats: int,
    method: str,
    resamples: int,
    seed: int,
    quiet: bool = True,
) -> StabilityResult:
    """Fit with other seeds and to fewer rows."""
    if study is None:
        raise DataError(
            "one run alone says nothing about stability",
            code="E124",
            remedy="name further runs with other seeds, or the study (--study study.toml) to fit the model again",
        )
    if refits < 2 and repeats < 1:
        raise ConfigError("there is nothing to fit", code="E302", column="--refits", remedy="use 5 or more")
    identified_estimates(run)
    data, config, own = same_data(run, study), config_of(run), int(run.manifest["seed"])
    parameters, estimates, full, dropped = None, None, None, None
    if refits >= 2:
        with fits_bar("Fitting with other seeds", quiet) as bar:
            found = repeat_seeds(config, data, [own + k for k in range(refits)], device="cpu", progress=bar)
        parameters, estimates = found.parameters, found.estimates
    if repeats >= 1:
        with fits_bar("Fitting to fewer rows", quiet) as bar:
            keep = [1.0, *(1 - share for share in SHARES)]
            rng = np.random.default_rng(seed)
            fewer = repeat_fewer_rows(
                config, data, keep=keep, repeats=repeats, seed=own, rng=rng, device="cpu", progress=bar
            )
        shared = [name for name in fewer.parameters if parameters is None or name in parameters]
        columns = [fewer.parameters.index(name) for name in shared]
        if estimates is not None and parameters is not None:
            estimates = estimates[:, :, [parameters.index(name) for name in shared]]
        parameters, full = tuple(shared), fewer.estimates[0][:, columns]
        of_fit = np.array(fewer.shares)
        dropped = {share: fewer.estimates[of_fit == 1 - share][:, :, columns] for share in SHARES}
    return stability(
        parameters or (),
        runs=estimates,
        full=full,
        dropped=dropped,
        method=method,
        resamples=resamples,
        rng=np.random.default_rng(seed),
        notes=_notes(run),
    )


def same_data(run: SavedRun, path: Path) -> Data:
    """The study's data, after checking that the run was fitted to them, with the split that is repeated here."""
    data = study_data(Study.read(path), run.model, ",".join(run.targets), run.groupings)
    rows = rows_of(data)
    rows = rows_for(str(run.manifest["task"]), rows)
    if rows.content_hash() != run.manifest["data"]["hash"]:
        raise DataError(
            "the study's data are not those the run was fitted to", code="E407", remedy="name the study of this run"
        )
    if run.manifest["split"]["name"] != "within-person-time":
        raise DataError("only runs with the split within-person-time can be fitted again here", code="E407")
    return data


def _notes(run: SavedRun) -> tuple[str, ...]:
    others = beside_persons(run.manifest)
    more = (f"Effects of {others} were estimated in every fit, and are not compared here.",) if others else ()
    return ((COMPARED, LINEAR) if run.states else (COMPARED,)) + more
