"""``nme export`` and ``nme dictionary``: a copy without persons, and what every column of a run folder means."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.options import AsJson, RunFolder


def register(app: typer.Typer) -> None:
    """Add the commands to ``nme``."""
    app.command("export")(export)
    app.command("dictionary")(dictionary)


def export(
    run: RunFolder,
    out: Annotated[Path, typer.Option(help="Folder of the copy, or of the dictionary.")],
    without_persons: Annotated[
        bool, typer.Option("--without-persons", help="A copy of the run without anything about persons.")
    ] = False,
    with_dictionary: Annotated[
        bool, typer.Option("--dictionary", help="What every column means, as dictionary.md and dictionary.csv.")
    ] = False,
    min_group: Annotated[int, typer.Option(help="Smallest number of persons of a group that is told, 5 to 21.")] = 11,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier copy or dictionary.")] = False,
    json: AsJson = False,
) -> None:
    """Write a copy of a run that may be passed on, and a dictionary of its columns."""
    from toolkit.cli.exporting import export_run

    export_run(
        run, out, without_persons=without_persons, with_dictionary=with_dictionary, smallest=min_group,
        overwrite=overwrite,
    ).show(json)  # fmt: skip


def dictionary(
    run: RunFolder,
    out: Annotated[Path, typer.Option(help="Folder of the dictionary.")] = Path("dictionary"),
    formats: Annotated[str, typer.Option("--format", help="md, csv, html, docx; several with commas.")] = "md,csv",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier dictionary.")] = False,
    json: AsJson = False,
) -> None:
    """Describe every file and column of a run folder: type, unit, meaning."""
    from toolkit.cli.exporting import write_dictionary

    write_dictionary(run, out, formats=formats, overwrite=overwrite).show(json)
