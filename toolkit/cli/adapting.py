"""Commands about new persons: adapt a run to them, the curve over shares of rows, whom the gate takes them for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.cli.options import UNITS, AsJson, RunFolder, RunFolders, Seed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.cli.answers import Answer
    from toolkit.data.grouped import GroupedDataset
    from toolkit.data.study import Study
    from toolkit.runs.adaptation_scores import Candidate
    from toolkit.runs.folder import SavedRun

STUDY = "study.toml the run was fitted to."
# of the curve of accuracy against rows; of classes without an order, Krippendorff's alpha
CURVE_METRICS = {"regression": "ccc", "count": "pearson", "ordinal": "ordinal_alpha"}
DESIGN = "time (first rows adapt, last half is predicted), persons (others are predicted) or random (as published)."


def register(app: typer.Typer, analyze: typer.Typer) -> None:
    """Add the commands."""
    app.command("adapt")(adapt)
    analyze.command("adaptation")(adaptation)
    analyze.command("likeness")(likeness)


def adapt(  # noqa: PLR0913 - one argument per option of the command
    run: RunFolder,
    study: Annotated[Path, typer.Argument(help=STUDY)],
    data: Annotated[Path | None, typer.Option(help="File with rows of new persons; else those of the study.")] = None,
    share: Annotated[float, typer.Option(help="Share of each new person's rows to adapt to, up to 0.5.")] = 0.5,
    design: Annotated[str, typer.Option(help=DESIGN)] = "time",
    every_row: Annotated[bool, typer.Option("--all", help="Adapt to all rows; none is left to judge by.")] = False,
    out: Annotated[Path, typer.Option(help="Folder of the adapted run.")] = Path("runs/adapted"),
    epochs: Annotated[int | None, typer.Option(help="Most epochs (pen); 30 by default.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate (pen); a third of the run's own by default.")] = None,
    soften: Annotated[
        float | None,
        typer.Option(help="How undecided the gate is made before it learns (pen), 0 to 1; .75 by default."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start anew (pen): without what other persons taught.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished run.")] = False,
    seed: Seed = 1,
    json: AsJson = False,
) -> None:
    """Adapt a run to persons it has not seen, from a few of their rows; the run stays as it is."""
    given = {"epochs": epochs, "lr": lr, "soften": soften, "fresh": fresh or None}
    settings = {name: value for name, value in given.items() if value is not None}
    answer = adapt_run(
        run, study, data, out, share=None if every_row else share, design=design, settings=settings,
        overwrite=overwrite, seed=seed,
    )  # fmt: skip
    answer.show(json)


def adaptation(  # noqa: PLR0913 - one argument per option of the command
    runs: RunFolders,
    study: Annotated[Path, typer.Option(help=STUDY)],
    share: Annotated[list[float] | None, typer.Option(help="Share of rows; repeatable. 0 to 0.5 by default.")] = None,
    design: Annotated[str, typer.Option(help=DESIGN)] = "time",
    metric: Annotated[
        str | None, typer.Option(help="Any metric of the runs: ccc, krippendorff_alpha, poisson_deviance, ...")
    ] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Add pen models that start anew: what other persons are worth.")
    ] = False,
    unit: Annotated[str, typer.Option(help=UNITS)] = "auto",
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples.")] = 10_000,
    seed: Seed = 1,
    json: AsJson = False,
) -> None:
    """How well do models predict persons they have not seen, by the share of rows they adapt to?"""
    answer = adaptation_of_runs(
        runs, study, shares=share, design=design, metric=metric, from_scratch=from_scratch, unit=unit,
        resamples=resamples, seed=seed, quiet=json,
    )  # fmt: skip
    answer.show(json)


def likeness(
    run: RunFolder,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    person: Annotated[str | None, typer.Option(help="Pseudonym: whom the model takes this person for.")] = None,
    json: AsJson = False,
) -> None:
    """Whose experts speak for whom? What the gate of a network of experts makes of persons."""
    from analyses.likeness import likeness as likeness_of
    from toolkit.cli.answers import Answer
    from toolkit.cli.keeping import kept
    from toolkit.runs.folder import load_run
    from toolkit.runs.kept import Recipe

    saved = load_run(run)
    result = likeness_of(saved.gate(), split=split)
    if person is not None:  # about one person: shown, not kept
        Answer(text=result.of(person), data={"person": person, "text": result.of(person)}).show(json)
        return
    kept(saved, "likeness", result, Recipe(command="likeness", options={"split": split})).show(json)


def adapt_run(
    path: Path,
    study_file: Path,
    data_file: Path | None,
    out: Path,
    *,
    share: float | None,
    design: str,
    settings: dict[str, Any],
    overwrite: bool,
    seed: int,
) -> Answer:
    """Adapt, and write the run; see the command for the arguments."""
    import numpy as np

    from toolkit.cli.answers import Answer
    from toolkit.data.adaptation_splits import adaptation_split
    from toolkit.data.study import Study
    from toolkit.runs.adapting import AdaptSettings
    from toolkit.runs.adapting import adapt as adapt_model
    from toolkit.runs.folder import load_run

    saved, study = load_run(path), Study.read(study_file)
    rows = new_persons([saved], study, data_file)
    parts = None if share is None else adaptation_split(rows, share, design=design, rng=np.random.default_rng(seed))
    chosen = AdaptSettings(**settings) if settings else None
    run = adapt_model(saved, rows, seed=seed, split=parts, settings=chosen, out=out, overwrite=overwrite, study=study)
    metrics = run.metrics()
    mine = metrics[(metrics["scope"] == "mean") & (metrics["split"] == "test") & (metrics["level"] == "person")]
    scores = dict(zip(mine["metric"].astype(str), mine["value"].astype(float), strict=True))
    count = int((run.split == "train").sum())
    said = [f"{saved.model} met {rows.n_persons} new persons and {count} of their rows."]
    if scores:
        listed = ", ".join(f"{name} {value:.3f}" for name, value in scores.items())
        said.append(f"Mean per person on rows held out: {listed}.")
    return Answer(
        text="\n".join([*said, f"Run folder: {out}"]),
        data={"run": str(out), "persons": rows.n_persons, "rows_adapted_to": count, "test": scores},
    )


def adaptation_of_runs(  # noqa: PLR0913 - one argument per option of the command
    paths: Sequence[Path],
    study_file: Path,
    *,
    shares: Sequence[float] | None,
    design: str,
    metric: str | None,
    from_scratch: bool,
    unit: str,
    resamples: int,
    seed: int,
    quiet: bool,
) -> Answer:
    """The curve of several runs; see the command for the arguments."""
    import numpy as np

    from analyses.adaptation import adaptation_curve
    from toolkit.cli.keeping import kept
    from toolkit.cli.repeat_fits import fits_bar
    from toolkit.data.study import Study
    from toolkit.runs.adaptation_scores import SHARES, adaptation_scores
    from toolkit.runs.folder import load_run
    from toolkit.runs.kept import Recipe, near

    runs, study = [load_run(path) for path in paths], Study.read(study_file)
    rows = new_persons(runs, study, None)
    asked = list(shares or SHARES)
    with fits_bar("Adapting", quiet) as bar:
        scores = adaptation_scores(
            candidates(runs, from_scratch=from_scratch), rows, shares=asked, design=design, seed=seed, progress=bar
        )
    chosen = metric or CURVE_METRICS.get(str(runs[0].manifest["task"]), "krippendorff_alpha")
    units, unit_name = units_of(rows, unit)
    result = adaptation_curve(
        scores, chosen, design=design, baseline=runs[0].name, unit=units, unit_name=unit_name, resamples=resamples,
        rng=np.random.default_rng(seed),
    )  # fmt: skip
    options = {"shares": asked, "design": design, "metric": chosen, "from_scratch": from_scratch, "unit": unit}
    recipe = Recipe(
        command="adaptation",
        options={**options, "resamples": resamples, "seed": seed},
        runs=[near(runs[0], run.path) for run in runs[1:]],
        study=near(runs[0], study_file),
    )
    return kept(runs[0], "adaptation", result, recipe)


def candidates(runs: Sequence[SavedRun], *, from_scratch: bool) -> list[Candidate]:
    """The runs as models of the comparison; a generic model does not adapt, and pen may also start anew.

    Raises:
        ConfigError: E302 where two runs have one name, or models that start anew are asked for and there is no pen.
    """
    from toolkit.errors import ConfigError
    from toolkit.runs.adaptation_scores import Candidate
    from toolkit.runs.adapting import AdaptSettings

    found = [Candidate(name=run.name, run=run, adapts=run.model not in GENERIC) for run in runs]
    experts = [run for run in runs if run.model in EXPERTS]
    if from_scratch and not experts:
        raise ConfigError(
            "no run has experts that could start anew", code="E302", column="--from-scratch", remedy="add a run of pen"
        )
    if len(found) == 1 and not from_scratch:  # what adapting brings, then
        found.append(Candidate(name=f"{runs[0].name} as it is", run=runs[0], adapts=False))
    if from_scratch:
        fresh = AdaptSettings(fresh=True)
        found += [Candidate(name=f"{run.name}, from scratch", run=run, settings=fresh) for run in experts]
    return found


GENERIC = (
    "generic-mlp",
    "generic-crf",
    "one-hot-mlp",
    "embedding-mlp",
    "lstm",
    "map-cnn",
    "svdkl",
    "deep-glmm",
    "menets",
    "armed",
    "target-encoding-mlp",
)
EXPERTS = ("pen", "pen-shared")


def new_persons(runs: Sequence[SavedRun], study: Study, data_file: Path | None) -> GroupedDataset:
    """Rows of persons whom none of the runs was trained with.

    Raises:
        DataError: E134 if there is nobody; E407 for another study.
    """
    import numpy as np

    from toolkit.cli.predicting import rows_for_run
    from toolkit.errors import DataError
    from toolkit.runs.adapting import trained_persons

    rows = rows_for_run(runs[0], study, data_file)
    known = set().union(*(trained_persons(run) for run in runs))
    new = np.array([name not in known for name in rows.persons])[np.asarray(rows.person)]
    if not new.any():
        raise DataError(
            "the run was trained with every person of the study: nobody is new to it",
            code="E134",
            column="split",
            remedy="fit with --split persons, which keeps persons back, or name new rows with --data",
        )
    return _with_rows_to_divide(rows.take(new).of_present_persons())


def _with_rows_to_divide(rows: GroupedDataset) -> GroupedDataset:
    """Persons of whom some rows can adapt and others be predicted; says how many are left out (W229)."""
    import warnings

    import numpy as np

    from toolkit.data.adaptation_splits import FEWEST
    from toolkit.errors import ToolkitWarning

    count = np.bincount(np.asarray(rows.person), minlength=rows.n_persons)
    enough = count[np.asarray(rows.person)] >= FEWEST
    short = int((count < FEWEST).sum())
    if not short or not enough.any():
        return rows
    words = f"{short} of {rows.n_persons} new persons have fewer than {FEWEST} rows and were left out"
    warnings.warn(ToolkitWarning(words, code="W229"), stacklevel=2)
    return rows.take(enough).of_present_persons()


def units_of(rows: GroupedDataset, unit: str) -> tuple[dict[str, str] | None, str | None]:
    """Cluster of each person where they are kept together, and the clusters' name."""
    from toolkit.errors import ConfigError

    if unit not in ("auto", "person", "cluster"):
        raise ConfigError("the unit is auto, person or cluster", code="E302", column="--unit")
    named = {
        person: label for person, label in zip(rows.persons, rows.person_cluster, strict=True) if label is not None
    }
    if unit == "cluster" and not named:
        raise ConfigError("the study has no clusters", code="E302", column="--unit", remedy="use --unit person")
    if unit == "person" or not named:
        return None, None
    return named, f"units of {rows.cluster_name}"
