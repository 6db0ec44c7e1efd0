"""Figures in which single persons matter: who carries a difference, and one case among all others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analyses.drivers_run import drivers_of_run
from analyses.figures import cell_drivers, marked_case
from analyses.figures.labels import is_transition
from analyses.report.catalogue.building import built
from analyses.report.catalogue.entry import Built, Entry, FigureOptions
from analyses.report.catalogue.kept_results import words_of
from analyses.report.catalogue.run_parts import chosen_unit, person_effects, refuse_small_groups
from toolkit.errors import ConfigError

if TYPE_CHECKING:
    from toolkit.runs.folder import SavedRun

MOST_CHOSEN = 20
FLAT = 0.02  # parameters in which persons differ by less than this share of the widest are not worth a line


def _drivers(run: SavedRun, options: FigureOptions) -> Built:
    run.transitions()
    cell, states = words_of(options, "cell"), run.states or ()
    if len(cell) != 2:
        raise ConfigError(
            "name the transition to look into",
            code="E302",
            column="cell",
            remedy=f"write cell=FROM,TO with the states: {', '.join(states)}",
        )
    report = drivers_of_run(
        run,
        (cell[0], cell[1]),
        value=options.value or "probability",
        unit=chosen_unit(run, options.unit),
        level=options.level,
    )
    found = report.cell
    refuse_small_groups(pd.Series(found.group).map({True: "a", False: "b"}).to_numpy(), options.min_group)
    frame = cell_drivers.tidy(found).assign(unit="")  # units may be persons, whose pseudonyms stay here
    return built(cell_drivers, frame, note=" ".join(found.notes))


def _marked(run: SavedRun, options: FigureOptions) -> Built:
    effects = person_effects(run)
    levels = set(effects["level"].astype(str))
    if options.person is None or options.person not in levels:
        what = "name a person of the run" if options.person is None else "the run has no such person"
        raise ConfigError(what, code="E302", column="person", remedy="use a pseudonym of the run's persons table")
    term = (words_of(options, "term") or [None])[0]
    asked = words_of(options, "parameters")
    frame = marked_case.tidy(
        effects, options.person, parameters=_full_names(effects, asked) if asked else _told_apart(effects), term=term
    )
    note = "Diamonds with lines: the estimates of one person with their intervals; hills: the estimates of all."
    return built(marked_case, frame, note=note)


def _told_apart(effects: pd.DataFrame) -> list[str] | None:
    """Transitions and biases, which every fit has to agree on; None (the widest of all) where a run has neither."""
    spread = effects.groupby("parameter", sort=False)["estimate"].agg(lambda v: v.max() - v.min())
    names = [str(name) for name in spread.index[spread > FLAT * max(float(spread.max()), 1e-12)]]
    chosen = [name for name in names if is_transition(name) or ".bias" in name]
    return chosen if 0 < len(chosen) <= MOST_CHOSEN else None


def _full_names(effects: pd.DataFrame, asked: list[str]) -> list[str]:
    """Parameters asked for; a name such as ``transitions[a,b]`` holds the comma that parts the list."""
    known, found, rest = set(effects["parameter"].astype(str)), [], list(asked)
    while rest:
        name = rest.pop(0)
        while name not in known and rest:
            name = f"{name},{rest.pop(0)}"
        if name not in known:
            few = ", ".join(sorted(known)[:8]) + (" and others" if len(known) > 8 else "")
            raise ConfigError(
                "this run has no such person effect", code="E302", column="parameters", remedy=f"it has: {few}"
            )
        found.append(name)
    return found


PERSONAL_FIGURES: tuple[Entry, ...] = (
    Entry(
        name="drivers",
        title="Who carries a group difference in one transition",
        needs="a model of states, persons in two groups",
        build=_drivers,
        options=("value", "unit", "level", "min_group"),
        settings=("cell",),
    ),
    Entry(
        name="marked-case",
        title="Distribution of each person effect with one person marked",
        needs="person effects",
        build=_marked,
        options=("person",),
        identifiable=True,
        settings=("parameters", "term"),
    ),
)
