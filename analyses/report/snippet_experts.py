"""Code of the analyses of experts and of new persons."""

from __future__ import annotations

from collections.abc import Callable

from analyses.report.snippet_parts import NUMPY, Code, Raw, call
from toolkit.runs.kept import Recipe


def _likeness(recipe: Recipe) -> Code:
    return Code(
        imports=["from analyses.likeness import likeness"],
        body=[call("likeness", "run.gate()", keywords={"split": recipe.options["split"]})],
    )


def _adaptation(recipe: Recipe) -> Code:
    options = recipe.options
    seed = int(options["seed"])
    scored = (
        f"adaptation_scores(candidates(runs, from_scratch={bool(options['from_scratch'])!r}), rows, "
        f"shares={[float(share) for share in options['shares']]!r}, design={str(options['design'])!r}, seed={seed})"
    )
    keywords = {
        "design": str(options["design"]),
        "baseline": Raw("run.name"),
        "unit": Raw("units"),
        "unit_name": Raw("unit_name"),
        "resamples": int(options["resamples"]),
        "rng": Raw(f"np.random.default_rng({seed})"),
    }
    return Code(
        imports=[
            NUMPY,
            "from analyses.adaptation import adaptation_curve",
            "from toolkit import Study",
            "from toolkit.cli.adapting import candidates, new_persons, units_of",
            "from toolkit.runs.adaptation_scores import adaptation_scores",
        ],
        body=[
            "rows = new_persons(runs, Study.read(STUDY), None)",
            f"scores = {scored}",
            f"units, unit_name = units_of(rows, {str(options['unit'])!r})",
            call("adaptation_curve", "scores", repr(str(options["metric"])), keywords=keywords),
        ],
        several=True,
        study=True,
    )


EXPERT_PARTS: dict[str, Callable[[Recipe], Code]] = {"likeness": _likeness, "adaptation": _adaptation}
