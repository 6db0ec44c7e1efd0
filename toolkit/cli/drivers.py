"""Commands behind a group difference: who and what drives a cell, and how often states occur at all."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.answers import Answer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
RunFolder = Annotated[Path, typer.Argument(help="Run folder.")]
Unit = Annotated[
    str,
    typer.Option(
        help="'cluster' keeps the persons of a cluster together, 'person' does not; auto: cluster if there are."
    ),
]
Level = Annotated[float, typer.Option(help="Level of the intervals.")]
SPLITS = ("train", "validation", "test")


def register(analyze: typer.Typer) -> None:
    """Add the commands to ``nme analyze``."""
    analyze.command("drivers")(drivers)
    analyze.command("base-rates")(base_rates)


def drivers(
    run: RunFolder,
    cell: Annotated[str, typer.Option(help="Transition to look into, FROM,TO.")],
    value: Annotated[str, typer.Option(help="probability, expected, observed or score.")] = "probability",
    unit: Unit = "auto",
    groups: Annotated[str | None, typer.Option(help="Two group labels, A,B, where a run has more.")] = None,
    level: Level = 0.95,
    json: AsJson = False,
) -> None:
    """Who carries a group difference: persons, sequences, and what is left without each person or cluster."""
    answer_drivers(run, cell=cell, value=value, unit=unit, groups=groups, level=level).show(json)


def base_rates(
    run: RunFolder,
    unit: Unit = "auto",
    split: Annotated[str | None, typer.Option(help="train, validation or test; all rows by default.")] = None,
    permutations: Annotated[int, typer.Option(help="Random permutations.")] = 9_999,
    level: Level = 0.95,
    seed: Annotated[int, typer.Option(help="Seed of every random number.")] = 1,
    json: AsJson = False,
) -> None:
    """Do the groups differ in how often each state occurs? Chi-squared that knows who observations belong to."""
    answer_base_rates(run, unit=unit, split=split, permutations=permutations, level=level, seed=seed).show(json)


def answer_drivers(path: Path, *, cell: str, value: str, unit: str, groups: str | None, level: float) -> Answer:
    """Drivers of one cell, kept in the run folder."""
    from analyses.drivers_run import drivers_of_run
    from toolkit.cli.analyses import chosen_unit
    from toolkit.cli.keeping import kept
    from toolkit.runs.folder import load_run
    from toolkit.runs.kept import Recipe

    run = load_run(path)
    unit = chosen_unit(run, unit)
    settings = {
        "value": value,
        "unit": unit,
        "groups": None if groups is None else _two(groups, "--groups", "A,B"),
        "level": level,
    }
    ends = _two(cell, "--cell", "FROM,TO")
    result = drivers_of_run(run, ends, **settings)
    return kept(run, "drivers", result, Recipe(command="drivers", options={"cell": ends, **settings}))


def answer_base_rates(
    path: Path, *, unit: str, split: str | None, permutations: int, level: float, seed: int
) -> Answer:
    """Base rates of a run's observed states by group, kept in the run folder."""
    import numpy as np

    from analyses.base_rates import base_rate_test
    from toolkit.cli.analyses import unit_name, units, whole_unit
    from toolkit.cli.keeping import kept
    from toolkit.errors import ConfigError, DataError
    from toolkit.runs.folder import load_run
    from toolkit.runs.kept import Recipe

    run = load_run(path)
    run.transitions()
    if split is not None and split not in SPLITS:
        raise ConfigError("this part is not known", code="E302", column="--split", remedy=f"use {', '.join(SPLITS)}")
    rows = run.predictions().merge(run.persons()[["person", "group"]], on="person")
    rows = rows[rows["group"].notna() & (rows["split"].eq(split) if split else True)]
    if rows.empty:
        raise DataError(
            "no rows have a group",
            code="E124",
            column="group",
            remedy="name a group column in study.toml and fit again",
        )
    words = run.manifest["study"].get("group_labels") or {}
    persons = list(dict.fromkeys(rows["person"]))
    of_group = rows.groupby("person", sort=False)["group"].first().reindex(persons).to_numpy(dtype=object)
    unit = whole_unit(run, persons, of_group, unit)
    label = units(run, persons, unit)
    of_person = None if label is None else rows["person"].map(dict(zip(persons, label, strict=True)))
    result = base_rate_test(
        rows["truth"].to_numpy(dtype=object),
        rows["group"].map(lambda name: words.get(name, name)).to_numpy(dtype=object),
        person=rows["person"].to_numpy(dtype=object),
        unit=None if of_person is None else of_person.to_numpy(dtype=object),
        unit_name=unit_name(run, unit) if label is not None else None,
        states_order=run.states,
        permutations=permutations,
        level=level,
        rng=np.random.default_rng(seed),
    )
    asked = {"unit": unit, "unit_name": unit_name(run, unit), "split": split, "seed": seed}
    recipe = Recipe(command="base-rates", options={**asked, "permutations": permutations, "level": level})
    return kept(run, "base-rates", result, recipe)


def _two(text: str, option: str, shape: str) -> tuple[str, str]:
    """Two names with a comma between them."""
    from toolkit.errors import ConfigError

    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(parts):
        raise ConfigError(f"{option} takes two names", code="E302", column=option, remedy=f"write {shape}")
    return parts[0], parts[1]
