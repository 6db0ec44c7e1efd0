"""Results of long analyses in the run folder, found again when the same settings are asked for.

Beside what `analyses.report.snippets.keep_analysis` writes lies the whole record (`analyses.report.kept_records`), so
that the page can draw everything again without computing. It counts only for the manifest it was made from.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from analyses.report import kept_records
from analyses.report.snippets import keep_analysis
from app.state import OpenRun
from toolkit.errors import ToolkitError
from toolkit.runs.folder import MANIFEST
from toolkit.runs.kept import MADE_WITH, Recipe

T = TypeVar("T")
LOG = logging.getLogger("app")


@dataclass(frozen=True, slots=True, eq=False)
class Keep:
    """Where a result is kept.

    Attributes:
        opened: the run.
        name: of the folder in ``analyses/``; should differ between settings ("hsic-probability-9999-seed1").
        recipe: what the result is made with; a result is found again when its recipe is the same.
    """

    opened: OpenRun
    name: str
    recipe: Recipe


def found(keep: Keep) -> Any:
    """The result kept earlier with the same recipe from the same run; None where there is none that can be read."""
    folder = keep.opened.path / "analyses" / keep.name
    if not (folder / kept_records.RECORD).is_file() or not (folder / MADE_WITH).is_file():
        return None
    return kept_records.read_record(folder, recipe=keep.recipe, run_hash=_hash(keep.opened))


def kept_after(work: Callable[[], T], keep: Keep) -> Callable[[], T]:
    """``work``, followed by keeping its result; a folder that cannot be written loses nothing but the copy."""

    def whole() -> T:
        result = work()
        keep_result(keep, result)
        return result

    return whole


def keep_result(keep: Keep, result: Any) -> bool:
    """Write the result into the run folder; whether that was possible."""
    try:
        folder = keep_analysis(keep.opened.run, keep.name, result, keep.recipe)
        kept_records.write_record(folder, result, run_hash=_hash(keep.opened))
    except (OSError, ToolkitError, TypeError) as problem:
        LOG.warning("a result could not be kept: %s", type(problem).__name__)
        return False
    return True


def _hash(opened: OpenRun) -> str:
    return hashlib.sha256((opened.path / MANIFEST).read_bytes()).hexdigest()
