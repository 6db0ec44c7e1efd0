"""A run made again from its manifest, and everything compared."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import Any

from analyses.report.rerun import run_code
from analyses.report.snippet_fit import BUNDLED
from toolkit.cli.answers import Answer
from toolkit.cli.keeping import busy
from toolkit.cli.repeat_fits import config_of
from toolkit.cli.studies import study_data
from toolkit.data.demo import BUNDLED as BUNDLED_FILES
from toolkit.data.study import Study
from toolkit.errors import ConfigError, ToolkitError
from toolkit.runs.folder import MANIFEST, SavedRun, load_run
from toolkit.runs.kept import KeptAnalysis, kept_analyses
from toolkit.runs.number_comparison import Comparison, Verdict, compare_tables, compare_values
from toolkit.runs.reproducing import Reproduction, check_data, compare_run, other_versions, refit
from toolkit.runs.writing import check_target


def reproduce_run(
    path: Path, *, study: Path | None, out: Path | None, tolerance: float, analyses: bool, quiet: bool
) -> Answer:
    """Fit again, compare tables and kept analyses; see the command for the arguments."""
    if not 0 <= tolerance < 1:
        raise ConfigError("a tolerance lies between 0 and 1", code="E302", column="tolerance", remedy="use 1e-6, say")
    run = load_run(path.parent if path.name == MANIFEST else path)
    source = _study_file(run, study)
    kept = kept_analyses(run) if analyses and not run.without_persons else []
    if out is not None:
        check_target(out, overwrite=False)
    with tempfile.TemporaryDirectory(prefix="nme-reproduce-") as place:
        read = Study.read(source)
        data = study_data(read, run.model, ",".join(run.targets), run.groupings)
        check_data(run, data)
        target = Path(place) / run.path.name if out is None else out
        with busy("Fitting again", quiet):
            again = refit(run, config_of(run), data, target, study=read)
        comparisons = compare_run(run, again, tolerance=tolerance)
        for found in kept:
            with busy(f"Making {found.name} again", quiet):
                comparisons.append(_analysis(found, run, again, source, tolerance))
    result = Reproduction(comparisons=tuple(comparisons), versions=other_versions(run.manifest), tolerance=tolerance)
    return Answer(text=result.text() + (f"\nKept in {out}" if out else ""), data=_data(result, out))


def _study_file(run: SavedRun, study: Path | None) -> Path:
    """The study file given, or that of a bundled study.

    Raises:
        ConfigError: E302 where neither is known.
    """
    if study is not None:
        return study
    name = BUNDLED.get(str(run.manifest["study"]["name"]))
    if name is None:
        raise ConfigError(
            "the study of this run is needed to fit it again",
            code="E302",
            column="--study",
            remedy="name its study file: --study study.toml",
        )
    return BUNDLED_FILES[name]


def _analysis(kept: KeptAnalysis, run: SavedRun, again: SavedRun, study: Path, tolerance: float) -> Comparison:
    """One kept analysis, made again from the run made again."""
    name = f"analyses/{kept.name}"
    if kept.recipe is None:
        return _impossible(name, "it was kept before settings were recorded; run it again to record them")
    others = [run.path / other for other in kept.recipe.runs]
    try:
        result, summary = run_code(kept, again.path, study=study, others=others)
    except (ToolkitError, OSError) as error:
        said = error.sentence if isinstance(error, ToolkitError) else "a file it used is not there"
        return _impossible(name, f"it could not be made again: {said}")
    plain = json.loads(json.dumps(summary, default=float))
    parts = [
        compare_tables(name, kept.frame, result.to_frame(), tolerance=tolerance),
        compare_values(name, kept.summary, plain, tolerance=tolerance),
    ]
    order: dict[Verdict, int] = {"equal": 0, "close": 1, "differs": 2}
    return max(parts, key=lambda part: (order[part.verdict], part.largest if math.isfinite(part.largest) else 1e300))


def _impossible(name: str, why: str) -> Comparison:
    return Comparison(name=name, verdict="differs", largest=math.nan, where=why)


def _data(result: Reproduction, out: Path | None) -> dict[str, Any]:
    """For JSON."""
    return {
        "same": result.same,
        "bit_equal": result.bit_equal,
        "tolerance": result.tolerance,
        "comparisons": [
            {
                "name": found.name,
                "verdict": found.verdict,
                "largest": found.largest if math.isfinite(found.largest) else None,
                "where": found.where,
                "numbers": found.numbers,
            }
            for found in result.comparisons
        ],
        "versions": {name: {"then": then, "now": now} for name, (then, now) in result.versions.items()},
        "run": None if out is None else str(out),
    }
