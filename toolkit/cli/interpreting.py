"""Commands that interpret grouping factors: how their effects are spread, centred over classes, in one prediction."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.answers import Answer
from toolkit.cli.options import AsJson, RunFolder

STUDY = "study.toml the run was fitted to."
Level = Annotated[float, typer.Option(help="Level of the intervals.")]


def register(analyze: typer.Typer) -> None:
    """Add the commands to ``nme analyze``."""
    analyze.command("effects")(effects)
    analyze.command("class-effects")(class_effects)
    analyze.command("contributions")(contributions)


def effects(
    run: RunFolder,
    every: Annotated[
        bool, typer.Option("--all", help="Every parameter that varies, not only the levels of the outcome.")
    ] = False,
    level: Level = 0.95,
    json: AsJson = False,
) -> None:
    """How far do persons, families, items differ? Variance of each grouping factor with its interval."""
    answer_effects(run, every=every, level=level).show(json)


def class_effects(
    run: RunFolder,
    term: Annotated[str | None, typer.Option(help="Grouping factor, such as item; the persons by default.")] = None,
    level: Level = 0.95,
    json: AsJson = False,
) -> None:
    """Effects on several classes as differences from their mean over the classes, which is what they are about."""
    answer_class_effects(run, term=term, level=level).show(json)


def contributions(
    run: RunFolder,
    study: Annotated[Path, typer.Argument(help=STUDY)],
    row: Annotated[int, typer.Option(help="Row to explain, as the column 'row' of the predictions counts: from 0.")],
    data: Annotated[
        Path | None, typer.Option(help="File with new rows; the study's own rows by default. The result is not kept.")
    ] = None,
    level: Level = 0.95,
    json: AsJson = False,
) -> None:
    """What does each grouping factor add to one prediction? About a single row: identifiable."""
    answer_contributions(run, study, row=row, data_file=data, level=level).show(json)


def answer_effects(path: Path, *, every: bool, level: float) -> Answer:
    """Variances and spreads of a run's effects, kept in its folder.

    Raises:
        ConfigError: E302 for a level that is no share. RunFolderError: E406 for a model without effects.
    """
    from analyses.effect_distributions import distributions_of_run
    from toolkit.cli.keeping import kept
    from toolkit.runs.folder import load_run
    from toolkit.runs.kept import Recipe

    run, settings = load_run(path), {"every": every, "level": _share(level)}
    return kept(run, "effects", distributions_of_run(run, **settings), Recipe(command="effects", options=settings))


def answer_class_effects(path: Path, *, term: str | None, level: float) -> Answer:
    """Effects centred over the classes, kept in the run folder; errors as `analyses.class_centring.class_centred`."""
    from analyses.class_centring import class_centred
    from toolkit.cli.drawing import safe_name
    from toolkit.cli.keeping import kept
    from toolkit.runs.folder import load_run
    from toolkit.runs.kept import Recipe

    run, settings = load_run(path), {"term": term, "level": _share(level)}
    name = "class-effects" if term is None else f"class-effects-{safe_name(term)}"
    return kept(run, name, class_centred(run, **settings), Recipe(command="class-effects", options=settings))


def answer_contributions(path: Path, study_file: Path, *, row: int, data_file: Path | None, level: float) -> Answer:
    """One prediction taken apart; kept in the run folder where the row is one of the study's own.

    Raises:
        DataError: E124 for a row that is not there, E406 for a model whose predictions are no sum of effects, E407 for
            another study.
    """
    from analyses.contributions import contributions_of_run
    from toolkit.cli.keeping import kept
    from toolkit.cli.predicting import rows_for_run
    from toolkit.data.study import Study
    from toolkit.runs.folder import load_run
    from toolkit.runs.interpreting import parts_of_run, row_named
    from toolkit.runs.kept import Recipe, near

    run = load_run(path)
    chosen = row_named(rows_for_run(run, Study.read(study_file), data_file), row)
    found = contributions_of_run(run, parts_of_run(run, chosen), level=_share(level))
    if data_file is not None:  # nothing of the run: shown, not kept
        return Answer(text=f"{found.text()}\n{found.apa()}", data=found.summary())
    recipe = Recipe(command="contributions", options={"row": row, "level": level}, study=near(run, study_file))
    return kept(run, "contributions", found, recipe)


def _share(level: float) -> float:
    """A level of intervals (E302 where it is none)."""
    if not 0.0 < level < 1.0:
        from toolkit.errors import ConfigError

        raise ConfigError("the level is no share between 0 and 1", code="E302", column="--level", remedy="use .95")
    return level
