"""``nme table`` and ``nme methods``: what they take. Imports are made inside the commands, so that help answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.options import AsJson

Smallest = Annotated[int, typer.Option(help="Smallest number of persons that is shown, 5 to 21.")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``nme``."""
    app.command("table")(table)
    app.command("methods")(methods)


def table(  # noqa: PLR0913 - one argument per option of the command
    name: Annotated[str | None, typer.Argument(help="Table; --list names them.")] = None,
    run: Annotated[Path | None, typer.Argument(help="Run folder.")] = None,
    file_format: Annotated[
        str, typer.Option("--format", help="docx, tex, html, csv, xlsx; several with commas.")
    ] = "docx",
    out: Annotated[Path, typer.Option(help="Folder for the files.")] = Path("tables"),
    number: Annotated[str, typer.Option(help="What stands after 'Table', such as 5 or A1.")] = "1",
    min_group: Smallest = 11,
    analysis: Annotated[str | None, typer.Option(help="Kept analysis, where the run has several of a kind.")] = None,
    interval: Annotated[str, typer.Option(help="raw or simultaneous; for differences-matrix.")] = "raw",
    split: Annotated[str, typer.Option(help="train, validation or test; for metrics.")] = "test",
    study: Annotated[Path | None, typer.Option(help="study.toml, for Table 1 with all its measures.")] = None,
    listed: Annotated[bool, typer.Option("--list", help="Name all tables and what they need.")] = False,
    json: AsJson = False,
) -> None:
    """Write a table for a paper: APA style, to Word, LaTeX, HTML, csv and Excel; small groups are not shown."""
    from toolkit.cli.tabulating import TableRequest, list_tables, write_table

    if listed:
        list_tables().show(json)
        return
    request = TableRequest(
        formats=file_format,
        out=out,
        number=number,
        min_group=min_group,
        analysis=analysis,
        interval=interval,
        split=split,
        study=study,
    )
    write_table(name, run, request).show(json)


def methods(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    out: Annotated[Path | None, typer.Option(help="Folder for methods.md and references.bib.")] = None,
    min_group: Smallest = 11,
    json: AsJson = False,
) -> None:
    """The methods paragraph of a run and the results of its analyses as APA sentences, with references as BibTeX."""
    from toolkit.cli.tabulating import tell_methods

    tell_methods(run, out, min_group).show(json)
