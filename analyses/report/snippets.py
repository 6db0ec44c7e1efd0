"""The Python code behind a kept analysis: runs as it stands in a fresh interpreter, and gives the same numbers.

Code is written from a `toolkit.runs.kept.Recipe`: names of functions come from here, settings go in as literals, so
that nothing in a run folder can become code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analyses.report import snippet_parts
from analyses.report.snippet_effects import EFFECT_PARTS
from analyses.report.snippet_experts import EXPERT_PARTS
from analyses.report.snippet_models import MODEL_PARTS
from analyses.report.snippet_pages import PAGE_PARTS
from analyses.report.snippet_parts import Code
from toolkit.errors import RunFolderError
from toolkit.runs.folder import save_analysis
from toolkit.runs.kept import MADE_WITH, Recipe

if TYPE_CHECKING:
    from toolkit.results import Result
    from toolkit.runs.folder import SavedRun

SNIPPET = "snippet.py"
HERE = "Path(__file__).parents[2]"
PARTS: dict[str, Callable[[Recipe], Code]] = {
    **snippet_parts.PARTS,
    **MODEL_PARTS,
    **EXPERT_PARTS,
    **EFFECT_PARTS,
    **PAGE_PARTS,
}
SHOWN = 'print(result.text(), result.apa(), sep="\\n\\n")'


def snippet(
    recipe: Recipe,
    run: str | Path | None = None,
    *,
    study: str | Path | None = None,
    others: Sequence[str | Path] | None = None,
) -> str:
    """The code of an analysis.

    Args:
        recipe: what the analysis was made with.
        run: the run folder as the code names it; None for code that lies beside the result in the run folder.
        study: the study file as the code names it; the recipe's by default.
        others: further runs as the code names them; the recipe's by default.

    Raises:
        RunFolderError: E404 for a kind of analysis that this version does not know.
    """
    if recipe.command not in PARTS:
        raise RunFolderError(
            f"this version does not know the analysis '{recipe.command[:40]}'", code="E404", remedy="update the toolkit"
        )
    try:
        code = PARTS[recipe.command](recipe)
    except (KeyError, TypeError):
        raise RunFolderError(
            f"the settings of the kept analysis are not those of '{recipe.command}'",
            code="E401",
            remedy="run the analysis again",
        ) from None
    where = HERE if run is None else f"Path({str(run)!r})"
    lines = [f"RUN = {where}"]
    if code.study:
        told = f"RUN / {recipe.study!r}" if study is None else f"Path({str(study)!r})"
        lines.append(f"STUDY = {told}")
    imports = sorted({"from pathlib import Path", "from toolkit import load_run", *code.imports}, key=_import_order)
    body = [*lines, "run = load_run(RUN)", *_opened(code, recipe, others), *code.body, code.shown or SHOWN]
    guarded = _under_main(body) if code.study else body
    return "\n".join([*_blocks(imports), "", *guarded]) + "\n"


def keep_analysis(run: SavedRun, name: str, result: Result, recipe: Recipe) -> Path:
    """Keep a result in the run folder with what it was made with and the code that makes it again.

    Raises:
        RunFolderError: as `toolkit.runs.folder.save_analysis`.
    """
    beside = {
        MADE_WITH: json.dumps(recipe.as_data(), indent=1, ensure_ascii=False).encode(),
        SNIPPET: snippet(recipe).encode(),
    }
    return save_analysis(run, name, result, beside=beside)


def _opened(code: Code, recipe: Recipe, others: Sequence[str | Path] | None) -> list[str]:
    """The line that opens every run, the first one included."""
    if not code.several:
        return []
    given = [f"RUN / {path!r}" for path in recipe.runs] if others is None else [f"{str(path)!r}" for path in others]
    return [f"runs = [{', '.join(['run', *(f'load_run({path})' for path in given)])}]"]


def _import_order(line: str) -> tuple[int, int, str]:
    """Standard library first, then numpy, then this project; ``import`` before ``from``."""
    own = line.split()[1].split(".")[0] in ("analyses", "toolkit")
    return (2 if own else 1 if "numpy" in line else 0, line.startswith("from"), line)


def _blocks(imports: list[str]) -> list[str]:
    """Blank lines between the three groups of imports."""
    lines: list[str] = []
    for line in imports:
        if lines and _import_order(line)[0] != _import_order(lines[-1])[0]:
            lines.append("")
        lines.append(line)
    return lines


def _under_main(body: list[str]) -> list[str]:
    """Code that fits models, indented under the usual guard, so that worker processes may import it."""
    lines = [f"    {line}" if line else "" for part in body for line in part.split("\n")]
    return ['if __name__ == "__main__":', *lines]


def options_of(recipe: Recipe) -> dict[str, Any]:
    """Settings of a recipe for showing; the random stream is left out."""
    return {name: value for name, value in recipe.options.items() if name != "stream"}
