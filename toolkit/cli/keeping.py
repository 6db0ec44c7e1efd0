"""Keep a result in its run folder, and answer with its sentences."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from analyses.report.snippets import keep_analysis
from analyses.stability_marks import cell_labels, cell_names, stability_sentence, unstable_parameters
from toolkit.cli.answers import Answer
from toolkit.results import Result
from toolkit.runs.folder import SavedRun
from toolkit.runs.kept import Recipe


def kept(run: SavedRun, name: str, result: Result, recipe: Recipe, *, transitions: str | None = None) -> Answer:
    """Save a result in the run folder as ``analyses/NAME`` and answer with what it says.

    Args:
        run: the run.
        name: of the analysis.
        result: what was found.
        recipe: what it was made with; kept beside the result, with the code that makes it again.
        transitions: value of the transitions it rests on ("probability", ...); those that a stability analysis found
            unstable are named.
    """
    folder = keep_analysis(run, name, result, recipe)
    summary: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    said = [result.text(), result.apa(), f"Kept in {folder}"]
    if transitions is not None and run.states:
        labels = cell_labels(run.states)
        marked = stability_sentence(unstable_parameters(run), cell_names(run.states, transitions), labels)
        said += [marked] if marked else []
        summary["unstable"] = marked
    return Answer(text="\n".join(said), data=summary)


@contextmanager
def busy(title: str, quiet: bool = False) -> Iterator[None]:
    """A spinner on standard error while something takes seconds; nothing without a terminal."""
    if quiet or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(title):
        yield
