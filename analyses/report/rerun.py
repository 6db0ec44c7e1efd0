"""A kept analysis made again by the code that stands beside it."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analyses.report.snippets import snippet
from toolkit.errors import ToolkitError, ToolkitWarning
from toolkit.runs.kept import KeptAnalysis
from toolkit.runs.number_comparison import compare_tables

if TYPE_CHECKING:
    from toolkit.runs.folder import SavedRun

CLOSE = 1e-9


def run_code(
    kept: KeptAnalysis,
    path: Path,
    *,
    study: Path | None = None,
    others: Sequence[Path] | None = None,
) -> tuple[Any, dict[str, Any]]:
    """Run the code of a kept analysis; returns its result and its summary.

    The code is written here from the recipe (see `analyses.report.snippets`); nothing in the run folder is executed.

    Args:
        kept: an analysis with a recipe.
        path: the run it is made from.
        study: the study file, for analyses that fit again.
        others: further runs.

    Raises:
        ToolkitError: as the analysis.
    """
    assert kept.recipe is not None
    code = snippet(kept.recipe, path, study=study, others=others)
    space: dict[str, Any] = {"__name__": "__main__"}
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", ToolkitWarning)  # notes of the result hold them too
        exec(compile(code, f"analyses/{kept.name}", "exec"), space)
    return space["result"], space.get("summary") or space["result"].summary()


def made_again(kept: KeptAnalysis, run: SavedRun) -> Any | None:
    """The result behind a kept analysis, if its code still gives the numbers that were kept; else None."""
    if kept.recipe is None:
        return None
    try:
        result, _ = run_code(kept, run.path)
    except (ToolkitError, OSError):  # another run that it used is gone
        return None
    same = compare_tables(kept.name, kept.frame, result.to_frame(), tolerance=CLOSE)
    return result if same.verdict != "differs" else None
