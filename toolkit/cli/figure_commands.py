"""``nme figure``: what it takes from the command line. Imports are made inside the command, so that help answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.options import UNITS, AsJson


def register(app: typer.Typer) -> None:
    """Add the command to ``nme``."""
    app.command("figure")(figure)


def figure(  # noqa: PLR0913 - one argument per option of the command
    name: Annotated[str | None, typer.Argument(help="Figure; --list names them.")] = None,
    run: Annotated[Path | None, typer.Argument(help="Run folder.")] = None,
    others: Annotated[list[Path] | None, typer.Argument(help="Further runs, for figures that compare.")] = None,
    preset: Annotated[str, typer.Option(help="89mm, 127mm, 165mm, 183mm, apa or slide (16:9).")] = "165mm",
    file_format: Annotated[
        str, typer.Option("--format", help="svg, pdf, eps, tiff, png; several with commas.")
    ] = "pdf,png",
    dpi: Annotated[int, typer.Option(help="Resolution of tiff and png, 300 to 1000.")] = 600,
    out: Annotated[Path, typer.Option(help="Folder for the files.")] = Path("figures"),
    font: Annotated[str | None, typer.Option(help="Font family; one that every computer has by default.")] = None,
    parameter: Annotated[str | None, typer.Option(help="Person effect; the one that differs most by default.")] = None,
    term: Annotated[
        str | None, typer.Option(help="Whose effects: a grouping factor, family; persons by default.")
    ] = None,
    value: Annotated[str | None, typer.Option(help="probability, expected, observed or score.")] = None,
    unit: Annotated[str | None, typer.Option(help=UNITS)] = None,
    level: Annotated[float | None, typer.Option(help="Level of the intervals, 0.95 by default.")] = None,
    resamples: Annotated[int | None, typer.Option(help="Bootstrap resamples, 10000 by default.")] = None,
    permutations: Annotated[int | None, typer.Option(help="Random permutations, 9999 by default.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every random number, 1 by default.")] = None,
    person: Annotated[str | None, typer.Option(help="Pseudonym of the person drawn or marked.")] = None,
    min_group: Annotated[int | None, typer.Option(help="Smallest group shown, 5 to 21; 11 by default.")] = None,
    setting: Annotated[list[str] | None, typer.Option("--set", help="Another setting, NAME=VALUE; repeatable.")] = None,
    identifiable: Annotated[
        bool, typer.Option("--identifiable", help="Yes, draw one single person, or keep pseudonyms in the table.")
    ] = False,
    listed: Annotated[
        bool, typer.Option("--list", help="Name all figures, what they need and what they take.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Draw a figure at journal size, with its data as csv and its description as text."""
    from toolkit.cli.drawing import Paper, draw, list_figures

    if listed:
        list_figures().show(json)
        return
    asked = {
        "parameter": parameter, "term": term, "value": value, "unit": unit, "level": level, "resamples": resamples,
        "permutations": permutations, "seed": seed, "person": person, "min_group": min_group,
    }  # fmt: skip
    answer = draw(
        name,
        run,
        others or [],
        paper=Paper(preset=preset, formats=file_format, dpi=dpi, out=out, font=font),
        asked={option: given for option, given in asked.items() if given is not None},
        settings=setting or [],
        identifiable=identifiable,
    )
    answer.show(json)
