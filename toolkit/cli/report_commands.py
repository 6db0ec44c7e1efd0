"""``nme report``, ``nme card`` and ``nme tripod``: documents about finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli import export_commands, reproduce_commands
from toolkit.cli.options import AsJson, RunFolder, RunFolders, Seed

Formats = Annotated[str, typer.Option("--format", help="Formats, separated by commas.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files of the same name.")]
MinGroup = Annotated[int, typer.Option(help="Smallest number of persons of a group that is shown, 5 to 21.")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``nme``."""
    app.command("report")(report)
    app.command("card")(card)
    app.command("tripod")(tripod)
    export_commands.register(app)
    reproduce_commands.register(app)


def report(  # noqa: PLR0913 - one argument per option of the command
    runs: RunFolders,
    audience: Annotated[str, typer.Option(help="paper, clinician or internal.")] = "paper",
    formats: Formats = "docx,html",
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("report"),
    min_group: MinGroup = 11,
    study: Annotated[Path | None, typer.Option(help="study.toml, for Table 1 with its measures.")] = None,
    run_missing: Annotated[
        bool, typer.Option("--run-missing", help="Make missing analyses first (quick ones).")
    ] = False,
    seed: Seed = 1,
    overwrite: Overwrite = False,
    json: AsJson = False,
) -> None:
    """Write a report: what was asked, sample, model, results with figures, limits, code and manifest."""
    from toolkit.cli.reporting import ReportAsked, write_reports

    asked = ReportAsked(
        audience=audience, formats=formats, out=out, min_group=min_group, study=study, run_missing=run_missing,
        seed=seed, overwrite=overwrite,
    )  # fmt: skip
    write_reports(runs, asked, quiet=json).show(json)


def card(
    run: RunFolder,
    formats: Formats = "md",
    out: Annotated[Path, typer.Option(help="Folder of the card.")] = Path("card"),
    min_group: MinGroup = 11,
    overwrite: Overwrite = False,
    json: AsJson = False,
) -> None:
    """Write a model card: what software knows is filled in, what only its authors know is left visibly empty."""
    from toolkit.cli.reporting import write_card

    write_card(run, "card", formats=formats, out=out, smallest=min_group, overwrite=overwrite).show(json)


def tripod(
    run: RunFolder,
    formats: Formats = "docx",
    out: Annotated[Path, typer.Option(help="Folder of the checklist.")] = Path("card"),
    min_group: MinGroup = 11,
    overwrite: Overwrite = False,
    json: AsJson = False,
) -> None:
    """Write the TRIPOD+AI checklist, filled in as far as software knows."""
    from toolkit.cli.reporting import write_card

    write_card(run, "tripod", formats=formats, out=out, smallest=min_group, overwrite=overwrite).show(json)
