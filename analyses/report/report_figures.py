"""Figures of a report: of the catalogue, and of kept analyses with the numbers that were kept."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses.figures.print_style import figure_bytes, inline_svg
from analyses.report.catalogue import FigureOptions, figure
from analyses.report.document import ReportFigure
from analyses.report.rerun import made_again
from toolkit.errors import DataError
from toolkit.runs.kept import KeptAnalysis

if TYPE_CHECKING:
    from toolkit.runs.folder import SavedRun

WIDTH_MM = 150.0
DPI = 300


def catalogue_figure(name: str, run: SavedRun, title: str, **asked: Any) -> ReportFigure | None:
    """A figure of the catalogue; None where the run lacks what it needs."""
    try:
        made = figure(name, run, FigureOptions(**asked))
    except DataError:
        return None
    return _drawn(made.print_figure, made.alt, title, made.note)


def module_figure(module: Any, frame: pd.DataFrame, title: str, note: str = "", **words: Any) -> ReportFigure:
    """A figure of a module of `analyses.figures` from its tidy frame."""
    return _drawn(
        lambda width: module.print_figure(frame, width_mm=width, **words), module.alt_text(frame), title, note
    )


def _drawn(draw: Any, alt: str, title: str, note: str) -> ReportFigure:
    drawing = draw(WIDTH_MM)
    return ReportFigure(
        svg=inline_svg(drawing),
        png=lambda: figure_bytes(drawing, "png", dpi=DPI),
        alt=alt,
        title=title,
        note=note,
    )


def kept_figure(kept: KeptAnalysis, kind: str, run: SavedRun) -> ReportFigure | None:
    """The main figure of a kept analysis, from the numbers that were kept; None where there is none."""
    maker = _MAKERS.get(kind)
    if maker is None:
        return None
    try:
        return maker(kept, run)
    except (KeyError, ValueError, AttributeError, DataError):  # kept by another version: its words stand alone
        return None


def comparison_of(kept: KeptAnalysis) -> Any:
    """A kept comparison of transitions, with arrays, as the figures take it."""
    summary: Mapping[str, Any] = kept.summary
    plain = {name: np.array(value) if _is_matrix(value) else value for name, value in summary.items()}
    named = {"states": tuple(summary["states"]), "group_names": tuple(summary["group_names"])}
    return SimpleNamespace(**plain | named, to_frame=lambda: kept.frame)


def _is_matrix(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], list)


MEANS = "Mean Transition Probabilities of the Groups, in Percent"


def means_figure(kept: KeptAnalysis, title: str = MEANS) -> ReportFigure | None:
    """The mean matrices of both groups, for comparisons of probabilities."""
    from analyses.figures import group_matrices

    if kept.summary.get("scale") != "probability":
        return None
    frame = group_matrices.tidy(comparison_of(kept))
    return module_figure(group_matrices, frame, title)


def _null(kept: KeptAnalysis, run: SavedRun) -> ReportFigure | None:
    from analyses.figures import null_distribution

    result = made_again(kept, run)
    if result is None or getattr(result, "null", None) is None or not len(result.null):
        return None
    return module_figure(null_distribution, null_distribution.tidy(result), "n × HSIC Under Shuffled Group Labels")


def _intervals(kept: KeptAnalysis, run: SavedRun) -> ReportFigure | None:
    from analyses.figures import interval_matrix

    found = comparison_of(kept)
    title = f"Differences of Transitions, {found.group_names[0]} Minus {found.group_names[1]}"
    return module_figure(interval_matrix, interval_matrix.tidy(found), title)


def _rates(kept: KeptAnalysis, run: SavedRun) -> ReportFigure | None:
    from analyses.figures import base_rates

    title = f"Share of {str(run.manifest['study'].get('unit') or 'row').capitalize()}s in Each State by Group"
    return module_figure(base_rates, base_rates.tidy(kept.frame), title)


def _baseline(kept: KeptAnalysis, run: SavedRun) -> ReportFigure | None:
    return catalogue_figure("baseline", run, "Person-Specific Bias Against Baseline")


def _stability(kept: KeptAnalysis, run: SavedRun) -> ReportFigure | None:
    from analyses.figures import stability

    return module_figure(stability, stability.tidy(kept.frame), "Agreement of Person Parameters Between Fits")


def _specifications(kept: KeptAnalysis, run: SavedRun) -> ReportFigure | None:
    from analyses.figures import specification_curve

    frame = specification_curve.tidy(kept.frame, summary=kept.summary)
    return module_figure(specification_curve, frame, "The Group Difference Under Every Combination of Choices")


def _power(kept: KeptAnalysis, run: SavedRun) -> ReportFigure | None:
    from analyses.figures import power_curve

    return module_figure(power_curve, power_curve.tidy(kept.frame, summary=kept.summary), "Power by Size of the Study")


def _less(kept: KeptAnalysis, run: SavedRun) -> ReportFigure | None:
    from analyses.figures import less_data

    metric = str((kept.recipe.options if kept.recipe else kept.summary).get("metric", ""))
    return module_figure(less_data, less_data.tidy(kept.frame, metric=metric), "Models Fitted to Less of the Data")


def _comparison(kept: KeptAnalysis, run: SavedRun) -> ReportFigure | None:
    from analyses.figures import model_comparison

    result = made_again(kept, run)
    if result is None:
        return None
    return module_figure(model_comparison, model_comparison.tidy(result), "Models Compared on the Same Persons")


def _adaptation(kept: KeptAnalysis, run: SavedRun) -> ReportFigure | None:
    from analyses.figures import adaptation_curve

    return module_figure(
        adaptation_curve, adaptation_curve.tidy(kept.frame), "New Persons, by the Share of Their Rows Adapted To"
    )


def _effects(kept: KeptAnalysis, run: SavedRun) -> ReportFigure | None:
    return catalogue_figure("factor-distributions", run, "How the Effects of Each Grouping Factor Are Spread")


def _contributions(kept: KeptAnalysis, run: SavedRun) -> ReportFigure | None:
    from analyses.contributions import kept_contributions
    from analyses.figures import contributions

    found = kept_contributions(kept.frame, kept.summary)
    return module_figure(contributions, contributions.tidy(found, names=True), "One Prediction Taken Apart", found.note)


_MAKERS = {
    "effects": _effects,
    "contributions": _contributions,
    "adaptation": _adaptation,
    "hsic": _null,
    "differences": _intervals,
    "base-rates": _rates,
    "baseline": _baseline,
    "stability": _stability,
    "multiverse": _specifications,
    "power": _power,
    "less-data": _less,
    "comparison": _comparison,
}
