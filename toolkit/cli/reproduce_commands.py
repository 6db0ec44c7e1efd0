"""``nme reproduce``: run a manifest again and compare the numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.options import AsJson


def register(app: typer.Typer) -> None:
    """Add the command to ``nme``."""
    app.command("reproduce")(reproduce)


def reproduce(
    run: Annotated[Path, typer.Argument(help="Run folder, or its manifest.json.")],
    study: Annotated[Path | None, typer.Option(help="study.toml; bundled studies are found by themselves.")] = None,
    out: Annotated[Path | None, typer.Option(help="Keep the run made again in this folder.")] = None,
    tolerance: Annotated[float, typer.Option(help="Largest relative difference that counts as equal.")] = 1e-6,
    analyses: Annotated[
        bool, typer.Option("--analyses/--no-analyses", help="Also make the kept analyses again.")
    ] = True,
    json: AsJson = False,
) -> None:
    """Fit a run again from its manifest, make its analyses again, and say whether the numbers are the same."""
    from toolkit.cli.reproduction import reproduce_run

    answer = reproduce_run(run, study=study, out=out, tolerance=tolerance, analyses=analyses, quiet=json)
    answer.show(json)
    if not answer.data["same"]:
        raise typer.Exit(1)
