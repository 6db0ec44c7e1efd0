"""Keep a result in its run folder, and answer with its sentences."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from toolkit.cli.answers import Answer
from toolkit.results import Result
from toolkit.runs.folder import SavedRun, save_analysis


def kept(run: SavedRun, name: str, result: Result) -> Answer:
    """Save a result in the run folder as ``analyses/NAME`` and answer with what it says."""
    folder = save_analysis(run, name, result)
    summary: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return Answer(text=f"{result.text()}\n{result.apa()}\nKept in {folder}", data=summary)


@contextmanager
def busy(title: str, quiet: bool = False) -> Iterator[None]:
    """A spinner on standard error while something takes seconds; nothing without a terminal."""
    if quiet or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(title):
        yield
