"""Analyses kept in a run folder: what they found, and what they were made with."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from toolkit.errors import RunFolderError
from toolkit.runs.folder import SavedRun

FOLDER = "analyses"
MADE_WITH = "made_with.json"
FORMAT = 1
FURTHEST = 4  # steps up to a study or another run that are written down; beyond, only its name is


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recipe:
    """What an analysis was made with: enough to run it again, and nothing that names a person or a folder of theirs.

    Attributes:
        command: kind of analysis, as `analyses.report.snippets` knows it.
        options: its settings, resolved (the unit that was used instead of ``auto``).
        runs: further runs it used, as paths from the run folder.
        study: the study file it used, as a path from the run folder; empty where it used none.
    """

    command: str
    options: Mapping[str, Any] = field(default_factory=dict)
    runs: Sequence[str] = ()
    study: str = ""

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "format": FORMAT,
            "command": self.command,
            "options": dict(self.options),
            "runs": list(self.runs),
            "study": self.study,
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KeptAnalysis:
    """One folder of ``analyses/``.

    Attributes:
        name: of the folder. summary: result.json. frame: table.parquet. text: plain sentences. apa: for a paper.
        recipe: what it was made with; None for analyses kept before that was recorded.
    """

    name: str
    summary: Mapping[str, Any]
    frame: pd.DataFrame
    text: str
    apa: str
    recipe: Recipe | None


def near(run: SavedRun, path: Path) -> str:
    """A path as seen from the run folder; only its name where it lies far away (a long way up tells who works here)."""
    try:
        steps = Path(os.path.relpath(path.resolve(), run.path.resolve()))
    except ValueError:  # another drive
        return path.name
    return path.name if steps.parts.count("..") > FURTHEST else steps.as_posix()


def kept_analyses(run: SavedRun) -> list[KeptAnalysis]:
    """All analyses kept with a run, by name.

    Raises:
        RunFolderError: E401 for one that cannot be read, E404 for one that a newer version kept.
    """
    folder = run.path / FOLDER
    if not folder.is_dir():
        return []
    return [read_kept(entry) for entry in sorted(folder.iterdir()) if (entry / "result.json").is_file()]


def read_kept(folder: Path) -> KeptAnalysis:
    """The analysis in one folder; errors as `kept_analyses`."""
    try:
        summary = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        frame = pd.read_parquet(io.BytesIO((folder / "table.parquet").read_bytes()))
        plain, _, apa = (folder / "text.md").read_text(encoding="utf-8").strip().rpartition("\n\n")
        recipe = _recipe(folder / MADE_WITH)
    except (OSError, ValueError, KeyError, TypeError):
        raise RunFolderError(
            f"the kept analysis '{folder.name}' cannot be read",
            code="E401",
            remedy="run it again, or delete its folder in analyses/ of the run",
        ) from None
    return KeptAnalysis(name=folder.name, summary=summary, frame=frame, text=plain or apa, apa=apa, recipe=recipe)


def _recipe(path: Path) -> Recipe | None:
    if not path.is_file():
        return None
    said = json.loads(path.read_text(encoding="utf-8"))
    if said["format"] > FORMAT:
        raise RunFolderError(
            f"the kept analysis '{path.parent.name}' is of a newer version", code="E404", remedy="update the toolkit"
        )
    words = said["command"], said["study"], *said["runs"]
    if not all(isinstance(word, str) for word in words) or not isinstance(said["options"], dict):
        raise ValueError
    return Recipe(command=said["command"], options=said["options"], runs=tuple(said["runs"]), study=said["study"])
