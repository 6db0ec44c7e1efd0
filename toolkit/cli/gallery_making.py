"""Making the gallery: fit what is missing, compute what the figures draw, write the page."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from analyses.report import catalogue
from analyses.report.gallery import render, write_gallery
from toolkit.cli.answers import Answer
from toolkit.cli.gallery_plan import exhibits
from toolkit.cli.gallery_runs import fits, fitted, results
from toolkit.runs.atomic import enough_room


def make_gallery(out: Path, folder: Path, *, seed: int, quick: bool, quiet: bool) -> Answer:
    """Write the gallery.

    Args:
        out: the page.
        folder: of the runs.
        seed: of every fit and analysis.
        quick: few epochs, permutations and resamples.
        quiet: no progress bar.
    """
    started = time.monotonic()
    with enough_room("the gallery's runs", "choose another folder with --runs"):
        folder.mkdir(parents=True, exist_ok=True)
    todo = fits(quick=quick)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True, quiet=quiet)) as bar:
        task = bar.add_task("Start", total=len(todo) + len(catalogue.FIGURES))
        runs = {}
        for one in todo:
            bar.update(task, description=f"Fitting {one.name}")
            runs[one.name] = fitted(one, folder, seed=seed)
            bar.advance(task)
        missing = results(runs, folder, quick=quick, seed=seed)
        bar.update(task, total=len(todo) + len(missing) + len(catalogue.FIGURES))
        for title, make in missing:
            bar.update(task, description=title)
            make()
            bar.advance(task)
        bar.update(task, description="Drawing")
        page = render(exhibits(runs, folder), step=lambda _: bar.advance(task))
        write_gallery(page, out)
    seconds = time.monotonic() - started
    size = len(page.encode("utf-8")) / 1e6
    return Answer(
        text=f"{len(catalogue.FIGURES)} figures, {size:.1f} MB, in {seconds:.0f} s.\nGallery: {out}\nRuns: {folder}",
        data={"gallery": str(out), "runs": str(folder), "figures": len(catalogue.FIGURES), "megabytes": size,
              "seconds": seconds},
    )  # fmt: skip
