"""Figures of one model: its persons, its fit, its training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.baseline import bias_baseline
from analyses.calibration import calibration_bins
from analyses.figures import (
    baseline_scatter,
    calibration_curve,
    caterpillar,
    effect_distributions,
    effect_ridges,
    person_matrix,
    person_series,
    shrinkage_funnel,
    training_curve,
    variance_bars,
)
from analyses.figures.labels import transition_of
from analyses.report.catalogue.building import built
from analyses.report.catalogue.entry import Built, Entry, FigureOptions
from analyses.report.catalogue.run_parts import (
    Drawn,
    chosen_parameter,
    chosen_unit,
    drawn_effects,
    outcome,
    person_effects,
    persons_to_show,
)
from analyses.variance import variance_of_run
from toolkit.errors import ConfigError, DataError

if TYPE_CHECKING:
    from toolkit.runs.folder import SavedRun


def _caterpillar(run: SavedRun, options: FigureOptions) -> Built:
    drawn = drawn_effects(run, options.term, options.min_group)
    return built(caterpillar, _sorted_effects(run, drawn, options.parameter), note=drawn.note)


def _sorted_effects(run: SavedRun, drawn: Drawn, parameter: str | None) -> pd.DataFrame:
    """The caterpillar frame of one parameter."""
    chosen = chosen_parameter(run, drawn.effects, parameter)
    return caterpillar.tidy(drawn.effects, drawn.levels, chosen, noun=drawn.factor.noun)


def _distributions(run: SavedRun, options: FigureOptions) -> Built:
    drawn = drawn_effects(run, options.term, options.min_group)
    rows = _sorted_effects(run, drawn, options.parameter)
    return built(effect_distributions, effect_distributions.tidy(rows), note=drawn.note)


MOST_RIDGES = 16


def _ridges(run: SavedRun, options: FigureOptions) -> Built:
    drawn = drawn_effects(run, options.term, options.min_group)
    names, still = [chosen_parameter(run, drawn.effects, options.parameter)], 0
    if options.parameter is None:
        names, still = _that_vary(drawn.components, drawn.effects)
    rows = [_sorted_effects(run, drawn, name) for name in names]
    nouns = drawn.factor.nouns
    dropped = (
        f"{still} parameters are not drawn: they hardly vary between {nouns}, or others vary more." if still else ""
    )
    shrunken = effect_ridges.SHRUNKEN.replace("persons", nouns).replace("person", drawn.factor.noun)
    notes = [shrunken, dropped, drawn.note]
    return built(effect_ridges, effect_ridges.tidy(rows), note=" ".join(part for part in notes if part))


def _that_vary(components: pd.DataFrame, effects: pd.DataFrame) -> tuple[list[str], int]:
    """Parameters in which persons differ, most of them first by kind; and how many are left."""
    known = components[components["parameter"].isin(effects["parameter"].unique())]
    if known.empty:  # no prior, no variances: every parameter may vary
        known = pd.DataFrame({"parameter": effects["parameter"].unique(), "variance": 1.0, "at_boundary": False})
    moving = known[~known["at_boundary"].astype(bool)].sort_values("variance", ascending=False)
    moves = moving[[transition_of(str(name)) is not None for name in moving["parameter"]]]
    biases = moving[moving["parameter"].str.contains(".bias", regex=False)]
    chosen = moves if len(moves) else biases if len(biases) else moving if len(moving) else known
    # beside the widest distribution, one of a tenth of its spread is a spike
    spread = effects.groupby("parameter")["estimate"].std().reindex(chosen["parameter"].to_numpy())
    spread = spread[spread >= 0.1 * spread.max()].sort_values(ascending=False)
    names = [str(name) for name in spread.index][:MOST_RIDGES] or [str(chosen["parameter"].iloc[0])]
    return names, len(known) - len(names)


def _funnel(run: SavedRun, options: FigureOptions) -> Built:
    effects = person_effects(run)
    persons, note = persons_to_show(run, options.min_group)
    if run.manifest["study"].get("states") and run.states is None:
        raise DataError(
            "shrinkage of class models without a chain has no one scale",
            code="E406",
            column="model",
            remedy="choose a run of a chain model, or of a number",
        )
    if run.states is None:
        frame = shrinkage_funnel.of_level(run.predictions(), persons, outcome(run))
        return built(shrinkage_funnel, frame, note=note)
    parameter = chosen_parameter(run, effects, options.parameter)
    cell = transition_of(parameter)
    if cell is None:
        raise ConfigError(
            "for a model of states this figure shows a transition",
            code="E302",
            column="parameter",
            remedy="name one of its transitions",
        )
    return built(shrinkage_funnel, shrinkage_funnel.of_transition(run.transitions(), persons, cell), note=note)


def _variance(run: SavedRun, options: FigureOptions) -> Built:
    person_effects(run)
    found = variance_of_run(
        run,
        unit=chosen_unit(run, options.unit),
        level=options.level,
        rng=np.random.default_rng(options.seed),
    )
    return built(variance_bars, variance_bars.tidy(found), note=" ".join(found.notes))


def _calibration(run: SavedRun, options: FigureOptions) -> Built:
    rows = run.predictions()
    rows = rows[(rows["split"] == "test") & rows["truth"].notna()]
    if rows.empty:
        raise DataError(
            "this run has no test rows", code="E124", column="split", remedy="fit with a split that has them"
        )
    if run.manifest["study"].get("states") and run.states is None:
        raise DataError(
            "calibration of classes is drawn for chains only",
            code="E406",
            column="model",
            remedy="choose a run of a chain model, or of a number",
        )
    if run.states is None:
        bins = {
            outcome(run): calibration_bins(
                rows["prediction"], rows["truth"], rows["person"], probability=False, level=options.level
            )
        }
        note = "Means of ten bins of test rows; intervals are over persons."
        return built(
            calibration_curve, calibration_curve.tidy(bins, probability=False, fewest=options.min_group), note=note
        )
    states = [state for state in run.states if f"probability_{state}" in rows]
    frequent = rows["truth"].value_counts().index[: calibration_curve.MOST_PANELS]
    shown = [state for state in states if state in set(frequent)]
    bins = {
        state: calibration_bins(
            rows[f"probability_{state}"], rows["truth"] == state, rows["person"], level=options.level
        )
        for state in shown
    }
    note = "Means of ten bins of test rows; intervals are over persons."
    if len(shown) < len(states):
        note += f" The {len(shown)} most frequent of {len(states)} states are drawn."
    return built(calibration_curve, calibration_curve.tidy(bins, fewest=options.min_group), note=note)


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
    result = bias_baseline(
        frame["bias"].to_numpy(dtype=float),
        frame["baseline"].to_numpy(dtype=float),
        resamples=options.resamples,
        rng=np.random.default_rng(options.seed),
    )
    said = f"{result.text(baseline=f'mean {outcome(run)} in the training rows')} {note}".strip()
    return built(baseline_scatter, frame, note=said, outcome=outcome(run))


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
        options=("parameter", "term", "min_group"),
    ),
    Entry(
        name="distributions",
        title="Person effects by group, every person as a point",
        needs=EFFECTS,
        build=_distributions,
        options=("parameter", "term", "min_group"),
    ),
    Entry(
        name="ridges",
        title="Distributions of person effects by group, one parameter above the other",
        needs=EFFECTS,
        build=_ridges,
        options=("parameter", "term", "min_group"),
    ),
    Entry(
        name="shrinkage",
        title="Persons taken alone and with the model, against their number of rows",
        needs=EFFECTS,
        build=_funnel,
        options=("parameter", "min_group"),
    ),
    Entry(
        name="variance",
        title="Where the differences lie: shares of the variance",
        needs=EFFECTS,
        build=_variance,
        options=("unit", "level", "seed"),
    ),
    Entry(
        name="calibration",
        title="Predicted against observed on the test rows",
        needs="test rows",
        build=_calibration,
        options=("level", "min_group"),
    ),
    Entry(
        name="baseline",
        title="Person-specific bias against baseline",
        needs="person effects of a model for a number, with a bias",
        build=_baseline,
        options=("parameter", "resamples", "seed", "min_group"),
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
