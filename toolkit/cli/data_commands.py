"""The options of ``nme init`` and ``nme import``; nothing heavy is imported before a command runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Source = Annotated[Path, typer.Argument(help="csv, tsv, parquet, xlsx, sav, dta or sas7bdat file.")]
Out = Annotated[Path, typer.Option(help="Folder of the study.")]
Planned = Annotated[
    int | None, typer.Option(help="Prompts planned for a person on a day.", min=1, rich_help_panel="The study")
]
PlannedDays = Annotated[int | None, typer.Option(help="Days planned for a person.", min=1, rich_help_panel="The study")]
Role = "Column; '-' for none."
ROLES, FILE, SHAPE, STUDY = "Roles of columns", "How the file is written", "Shape of the table", "The study"


def _option(text: str, panel: str, *names: str) -> typer.models.OptionInfo:
    return typer.Option(*names, help=text, rich_help_panel=panel)


def register(app: typer.Typer) -> None:
    """Add the commands that make studies."""
    app.command("import")(import_file)
    app.command("init")(init)
    app.command("describe")(describe)
    app.command("example")(example)
    app.command("split")(split)


def init(
    file: Source,
    out: Out = Path("study"),
    sheet: Annotated[str | None, _option("Sheet of an Excel file.", FILE)] = None,
    encoding: Annotated[str | None, _option("Encoding of the text, such as cp1252.", FILE)] = None,
    planned_per_day: Planned = None,
    planned_days: PlannedDays = None,
    overwrite: Annotated[bool, _option("Replace the study in the folder.", STUDY, "--overwrite")] = False,
) -> None:
    """Make a study from a file, asking for each role; Enter takes the proposal."""
    from toolkit.cli.importing import Wishes, run_init

    wishes = Wishes(
        reading={"sheet": sheet, "encoding": encoding},
        planned_per_day=planned_per_day,
        planned_days=planned_days,
        overwrite=overwrite,
    )
    run_init(file, out, wishes).show(False)


def import_file(  # noqa: PLR0913 - one argument per option of the command
    file: Source,
    out: Out = Path("study"),
    person: Annotated[str | None, _option(f"Whose row it is. {Role}", ROLES)] = None,
    cluster: Annotated[str | None, _option(f"Family, site, ... {Role}", ROLES)] = None,
    group: Annotated[str | None, _option(f"What is compared. {Role}", ROLES)] = None,
    time: Annotated[str | None, _option(f"Order of a person's rows. {Role}", ROLES)] = None,
    sequence: Annotated[str | None, _option(f"Day or session. {Role}", ROLES)] = None,
    state: Annotated[str | None, _option(f"States. {Role}", ROLES)] = None,
    target: Annotated[list[str] | None, _option(f"To predict; repeatable. {Role}", ROLES)] = None,
    feature: Annotated[list[str] | None, _option(f"Predictor; repeatable. {Role}", ROLES)] = None,
    grouping: Annotated[
        list[str] | None, _option("What else has effects of its own: family, item; repeatable.", ROLES)
    ] = None,
    separator: Annotated[str | None, _option("comma, semicolon, tab or bar.", FILE)] = None,
    decimal: Annotated[str | None, _option("point or comma.", FILE)] = None,
    thousands: Annotated[str | None, _option("comma, point, space or apostrophe.", FILE)] = None,
    encoding: Annotated[str | None, _option("Such as cp1252.", FILE)] = None,
    sheet: Annotated[str | None, _option("Sheet of an Excel file.", FILE)] = None,
    labels: Annotated[list[str] | None, _option("Column read as its value labels; repeatable.", FILE)] = None,
    day_first: Annotated[bool | None, _option("Which comes first in dates.", FILE, "--day-first/--month-first")] = None,
    wide: Annotated[
        list[str] | None, _option("NAME=FIRST:LAST, columns of occasions as one column; repeatable.", SHAPE)
    ] = None,
    join: Annotated[Path | None, _option("Table with one row per person.", SHAPE)] = None,
    partner: Annotated[list[str] | None, _option("Column to add from the partner; repeatable.", SHAPE)] = None,
    title: Annotated[str | None, _option("For headings.", STUDY)] = None,
    unit: Annotated[str, _option("What one row is: prompt, day, ...", STUDY)] = "row",
    planned_per_day: Planned = None,
    planned_days: PlannedDays = None,
    keep: Annotated[list[str] | None, _option("Text column to keep without a role; repeatable.", STUDY)] = None,
    key: Annotated[Path | None, _option("Key file; outside the study by default.", STUDY)] = None,
    drop_empty: Annotated[bool, _option("Leave rows with empty cells out.", STUDY, "--drop-empty")] = False,
    overwrite: Annotated[bool, _option("Replace the study in the folder.", STUDY, "--overwrite")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Take what was found out, without asking.")] = False,
    json: AsJson = False,
) -> None:
    """Make a study from a file: pseudonyms, roles found or named, a study.toml to read and change."""
    from toolkit.cli.importing import Wishes, run_import

    roles = {"person": person, "cluster": cluster, "group": group, "time": time, "sequence": sequence, "state": state}
    reading = {"separator": separator, "decimal": decimal, "thousands": thousands, "encoding": encoding}
    wishes = Wishes(
        roles={**roles, "targets": target, "features": feature, "groupings": grouping},
        reading={**reading, "sheet": sheet, "value_labels": tuple(labels) if labels else None},
        wide=tuple(wide or ()),
        join=join,
        partner=tuple(partner or ()),
        title=title,
        unit=unit,
        keep=tuple(keep or ()),
        key=key,
        day_first=day_first,
        drop_empty=drop_empty,
        planned_per_day=planned_per_day,
        planned_days=planned_days,
        overwrite=overwrite,
    )
    run_import(file, out, wishes, yes=yes, as_json=json).show(json)


def split(
    study: Annotated[Path, typer.Argument(help="study.toml")],
    design: Annotated[str, typer.Option(help="within-person-time, random, persons, clusters or future.")] = "persons",
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("split.parquet"),
    folds: Annotated[int | None, typer.Option(help="So many folds of rows, persons or clusters instead.")] = None,
    target: Annotated[str | None, typer.Option(help="Rows without this target are left out.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of who goes where.")] = 1,
    json: AsJson = False,
) -> None:
    """Write down which rows train, validate and test, so that every model is judged on the same ones."""
    from toolkit.cli.splitting import run_split

    run_split(study, design, out, folds=folds, target=target, seed=seed).show(json)


def describe(
    study: Annotated[Path, typer.Argument(help="study.toml")],
    html: Annotated[Path | None, typer.Option(help="Also write a page to this file.")] = None,
    json: AsJson = False,
) -> None:
    """Say what is in a study: persons, rows, missing answers, states by group, steps, gaps in time, Table 1."""
    from toolkit.cli.describing import run_describe

    run_describe(study, html).show(json)


def example(
    name: Annotated[str, typer.Argument(help="emotions, emotions-person-centred, panic, valence-arousal or dyads.")],
    out: Annotated[Path | None, typer.Option(help="Folder; the name by default.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the simulated study.")] = 1,
    json: AsJson = False,
) -> None:
    """Put a bundled study into a folder, to try things on."""
    from toolkit.cli.answers import Answer
    from toolkit.data.demo import copy_study

    study = copy_study(name, out or Path(name), seed=seed)
    Answer(text=f"Study: {study}\nNext: nme check {study}", data={"study": str(study)}).show(json)
