"""Figures of one model: its persons, its fit, its training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.figures import (
    baseline_scatter,
    caterpillar,
    effect_distributions,
    person_matrix,
    person_series,
    training_curve,
)
from analyses.report.catalogue.building import built
from analyses.report.catalogue.entry import Built, Entry, FigureOptions
from analyses.report.catalogue.run_parts import chosen_parameter, outcome, person_effects, persons_to_show
from toolkit.errors import ConfigError, DataError

if TYPE_CHECKING:
    from toolkit.runs.folder import SavedRun


def _caterpillar(run: SavedRun, options: FigureOptions) -> Built:
    effects = person_effects(run)
    persons, note = persons_to_show(run, options.min_group)
    return built(
        caterpillar, caterpillar.tidy(effects, persons, chosen_parameter(run, effects, options.parameter)), note=note
    )


def _distributions(run: SavedRun, options: FigureOptions) -> Built:
    effects = person_effects(run)
    persons, note = persons_to_show(run, options.min_group)
    rows = caterpillar.tidy(effects, persons, chosen_parameter(run, effects, options.parameter))
    return built(effect_distributions, effect_distributions.tidy(rows), note=note)


def _baseline(run: SavedRun, options: FigureOptions) -> Built:
    effects = person_effects(run)
    persons, note = persons_to_show(run, options.min_group)
    parameter = chosen_parameter(run, effects, options.parameter)
    frame = baseline_scatter.tidy(effects, persons, parameter)
    if frame.empty:
        raise DataError(
            "the persons of this run have no baseline level",
            code="E124",
            column="baseline",
            remedy="choose a run of a model for a number",
        )
    return built(baseline_scatter, frame, note=note, outcome=outcome(run))


def _training(run: SavedRun, options: FigureOptions) -> Built:
    return built(training_curve, training_curve.tidy(run.trace()), note=run.status)


def _person(run: SavedRun, options: FigureOptions) -> str:
    """The pseudonym asked for.

    Raises:
        ConfigError: E302 when none was named or the run does not know it.
    """
    if options.person is None or options.person not in set(run.persons()["person"]):
        what = "name a person of the run" if options.person is None else "the run has no such person"
        raise ConfigError(what, code="E302", column="person", remedy="use a pseudonym of the run's persons table")
    return options.person


def _person_matrix(run: SavedRun, options: FigureOptions) -> Built:
    table, value = run.transitions(), options.value or "probability"
    if value not in ("probability", "expected"):
        raise ConfigError("this value is not known", code="E302", column="value", remedy="use probability or expected")
    return built(person_matrix, person_matrix.tidy(table, _person(run, options), value=value))


def _person_series(run: SavedRun, options: FigureOptions) -> Built:
    if run.states is not None:
        raise DataError(
            "this model predicts states, which have no line over time",
            code="E124",
            column="figure",
            remedy="choose a run of a model for a number",
        )
    return built(person_series, person_series.tidy(run.predictions(), _person(run, options)), outcome=outcome(run))


EFFECTS = "person effects"
MODEL_FIGURES: tuple[Entry, ...] = (
    Entry(
        name="caterpillar",
        title="Person effects with their intervals, sorted",
        needs=EFFECTS,
        build=_caterpillar,
        options=("parameter", "min_group"),
    ),
    Entry(
        name="distributions",
        title="Person effects by group, every person as a point",
        needs=EFFECTS,
        build=_distributions,
        options=("parameter", "min_group"),
    ),
    Entry(
        name="baseline",
        title="Person-specific bias against baseline",
        needs="person effects of a model for a number, with a bias",
        build=_baseline,
        options=("parameter", "min_group"),
    ),
    Entry(name="training", title="Training loss and validation metric by epoch", needs="any run", build=_training),
    Entry(
        name="person-matrix",
        title="Transitions of one person beside the average person's",
        needs="a model of states",
        build=_person_matrix,
        options=("person", "value"),
        identifiable=True,
    ),
    Entry(
        name="person-series",
        title="Observed and predicted outcome of one person over time",
        needs="a model for a number",
        build=_person_series,
        options=("person",),
        identifiable=True,
    ),
)
