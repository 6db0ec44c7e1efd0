"""Figures of grouping factors: how their effects are spread, and what they add to one prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.contributions import kept_contributions
from analyses.effect_distributions import SHRUNKEN, EffectDistributions, distributions_of_run
from analyses.figures import contributions, factor_distributions
from analyses.grouping_factors import all_effects
from analyses.report.catalogue.building import built
from analyses.report.catalogue.entry import Built, Entry, FigureOptions
from analyses.report.catalogue.kept_results import kept_result

if TYPE_CHECKING:
    from toolkit.runs.folder import SavedRun

COMMAND = "analyze contributions RUN study.toml --row N"


def _distributions(run: SavedRun, options: FigureOptions) -> Built:
    found = distributions_of_run(run, level=options.level)
    frame = factor_distributions.tidy(found, all_effects(run))
    return built(factor_distributions, frame, note=_note(found))


def _marked(run: SavedRun, options: FigureOptions) -> Built:
    found = distributions_of_run(run, level=options.level)
    kept = kept_result(run, "contributions", COMMAND)
    own = kept.frame[kept.frame["step"] == "factor"].drop_duplicates("term")
    levels = dict(zip(own["term"].astype(str), own["level"].astype(str), strict=True))
    frame = factor_distributions.tidy(found, all_effects(run), marked=levels)
    return built(factor_distributions, frame, note=_note(found))


def _note(found: EffectDistributions) -> str:
    """What has to be known to read the figure."""
    drawn, every = factor_distributions.drawn_count(found), len(found.parts)
    left_out = f"The classes that vary most are drawn ({drawn} of {every} distributions). " if drawn < every else ""
    return f"{left_out}{SHRUNKEN}"


def _contributions(run: SavedRun, options: FigureOptions) -> Built:
    kept = kept_result(run, "contributions", COMMAND)
    found = kept_contributions(kept.frame, kept.summary)
    return built(contributions, contributions.tidy(found, names=True), note=found.note)


EFFECTS = "effects of persons or other grouping factors"
KEPT = "a prediction taken apart (nme analyze contributions)"
EFFECT_FIGURES: tuple[Entry, ...] = (
    Entry(
        name="factor-distributions",
        title="How the effects of each grouping factor are spread",
        needs=EFFECTS,
        build=_distributions,
        options=("level",),
    ),
    Entry(
        name="marked-distributions",
        title="How the effects of each grouping factor are spread, with the levels of one row marked",
        needs=KEPT,
        build=_marked,
        options=("level",),
        identifiable=True,
    ),
    Entry(
        name="contributions",
        title="What each grouping factor adds to one prediction",
        needs=KEPT,
        build=_contributions,
        identifiable=True,
    ),
)
