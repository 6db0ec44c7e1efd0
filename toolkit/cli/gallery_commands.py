"""``nme gallery``: a page with every figure. Imports are made inside the command, so that help answers at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.options import AsJson, Seed


def register(app: typer.Typer) -> None:
    """Add the command to ``nme``."""
    app.command("gallery")(gallery)


def gallery(
    out: Annotated[Path, typer.Option(help="The page.")] = Path("gallery.html"),
    runs: Annotated[
        Path, typer.Option(help="Folder of the runs; finished ones are used, such as those of nme demo, others made.")
    ] = Path("nme-gallery"),
    seed: Seed = 1,
    quick: Annotated[bool, typer.Option("--quick", help="Few epochs and resamples: a check, not a result.")] = False,
    json: AsJson = False,
) -> None:
    """Draw every figure from the bundled and simulated studies, on one page that opens offline."""
    from toolkit.cli.gallery_making import make_gallery

    make_gallery(out, runs, seed=seed, quick=quick, quiet=json).show(json)
