"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Seed = Annotated[int, typer.Option(help="Seed of every random number.")]
RunFolder = Annotated[Path, typer.Argument(help="Run folder.")]
RunFolders = Annotated[list[Path], typer.Argument(help="Run folders.")]
UNITS = "'cluster' keeps the persons of a cluster together, 'person' does not; auto: cluster where the study has them."
LEFT_OUT = "Intervals: jackknife (persons left out one by one) or percentile (bootstrap; too short with few persons)."
