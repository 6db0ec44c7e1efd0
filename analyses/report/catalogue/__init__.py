"""Every figure by name, built from a run folder: ``figure("caterpillar", run)``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from difflib import get_close_matches
from typing import TYPE_CHECKING

from analyses.report.catalogue.effect_figures import EFFECT_FIGURES
from analyses.report.catalogue.entry import Built, Entry, FigureOptions
from analyses.report.catalogue.group_figures import GROUP_FIGURES
from analyses.report.catalogue.model_figures import MODEL_FIGURES
from analyses.report.catalogue.personal_figures import PERSONAL_FIGURES
from analyses.report.catalogue.study_figures import STUDY_FIGURES
from toolkit.errors import ConfigError

if TYPE_CHECKING:
    from toolkit.runs.folder import SavedRun

__all__ = ["FIGURES", "Built", "Entry", "FigureOptions", "entry", "figure", "names"]

FIGURES: tuple[Entry, ...] = (
    *MODEL_FIGURES,
    *EFFECT_FIGURES,
    *GROUP_FIGURES,
    *STUDY_FIGURES,
    *PERSONAL_FIGURES,
)
FEWEST, MOST = 5, 21


def names() -> tuple[str, ...]:
    """Names of all figures, in the order of the catalogue."""
    return tuple(item.name for item in FIGURES)


def entry(name: str) -> Entry:
    """The figure of a name.

    Raises:
        ConfigError: E302 for an unknown name; the nearest ones are offered.
    """
    for item in FIGURES:
        if item.name == name:
            return item
    near = get_close_matches(name, names(), n=3, cutoff=0.4)
    remedy = f"the nearest: {', '.join(near)}" if near else f"the figures are: {', '.join(names())}"
    raise ConfigError("there is no figure of this name", code="E302", column="figure", remedy=remedy)


def figure(name: str, run: SavedRun, options: FigureOptions | None = None) -> Built:
    """Build a figure from a run folder.

    Args:
        name: one of `names`.
        run: a finished run.
        options: what is asked of the figure; defaults otherwise.

    Raises:
        ConfigError: E302 for an unknown name, or an option that this figure does not listen to or that is out of range.
        DataError: when the run lacks what the figure needs (E124 no groups, E406 no transitions or person effects).
    """
    chosen, options = entry(name), options or FigureOptions()
    check_options(chosen, options)
    return chosen.build(run, options)


def check_options(chosen: Entry, options: FigureOptions) -> None:
    """Refuse options that would be ignored, and those out of range (E302)."""
    plain = FigureOptions()
    changed = [item.name for item in fields(FigureOptions) if getattr(options, item.name) != getattr(plain, item.name)]
    check_names(chosen, [name for name in changed if name != "settings"])
    for setting in options.settings:
        if setting not in chosen.settings:
            raise _does_not_apply(setting, (*chosen.options, *chosen.settings))
    _check_ranges(options)


def check_names(chosen: Entry, asked: Iterable[str]) -> None:
    """Refuse options, by name, that this figure does not listen to (E302)."""
    for name in asked:
        if name not in chosen.options:
            raise _does_not_apply(name, (*chosen.options, *chosen.settings))


def _check_ranges(options: FigureOptions) -> None:
    limits = (
        ("level", 0 < options.level < 1, "use a share between 0 and 1, such as 0.95"),
        ("resamples", options.resamples >= 1, "use 1 or more; 10,000 is usual"),
        ("permutations", options.permutations >= 1, "use 1 or more; 9,999 is usual"),
        ("seed", options.seed >= 0, "use 0 or more"),
        ("min_group", FEWEST <= options.min_group <= MOST, f"use {FEWEST} to {MOST}"),
    )
    for name, fits, remedy in limits:
        if not fits:
            raise ConfigError("this option is out of range", code="E302", column=name, remedy=remedy)


def _does_not_apply(option: str, known: tuple[str, ...]) -> ConfigError:
    remedy = f"it takes: {', '.join(known)}" if known else "it takes no options"
    return ConfigError(
        f"this figure has no use for '{option.replace('_', '-')}'",
        code="E302",
        column=option,
        remedy=remedy.replace("_", "-"),
    )
