"""Code of the analyses of grouping factors: spread of effects, effects on classes, parts of one prediction."""

from __future__ import annotations

from collections.abc import Callable

from analyses.report.snippet_parts import Code, call, picked
from toolkit.runs.kept import Recipe


def _effects(recipe: Recipe) -> Code:
    return Code(
        imports=["from analyses.effect_distributions import distributions_of_run"],
        body=[call("distributions_of_run", "run", keywords=picked(recipe.options, "every", "level"))],
    )


def _class_effects(recipe: Recipe) -> Code:
    return Code(
        imports=["from analyses.class_centring import class_centred"],
        body=[call("class_centred", "run", keywords=picked(recipe.options, "term", "level"))],
    )


def _contributions(recipe: Recipe) -> Code:
    row = int(recipe.options["row"])
    return Code(
        imports=[
            "from analyses.contributions import contributions_of_run",
            "from toolkit import Study",
            "from toolkit.cli.predicting import rows_for_run",
            "from toolkit.runs.interpreting import parts_of_run, row_named",
        ],
        body=[
            f"row = row_named(rows_for_run(run, Study.read(STUDY), None), {row!r})",
            call("contributions_of_run", "run", "parts_of_run(run, row)", keywords=picked(recipe.options, "level")),
        ],
        study=True,
    )


EFFECT_PARTS: dict[str, Callable[[Recipe], Code]] = {
    "effects": _effects,
    "class-effects": _class_effects,
    "contributions": _contributions,
}
