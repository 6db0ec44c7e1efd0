"""Figures that compare groups: one test for all transitions, each transition, group averages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses import compare_transitions, hsic_test
from analyses.figures import (
    effect_forest,
    group_matrices,
    group_persons,
    interval_matrix,
    null_distribution,
    sequence_index,
    state_shares,
    transition_network,
)
from analyses.report.catalogue.building import built
from analyses.report.catalogue.entry import Built, Entry, FigureOptions
from analyses.report.catalogue.run_parts import (
    all_matrices,
    group_words,
    grouped_matrices,
    persons_to_show,
    refuse_small_groups,
)
from toolkit.errors import ConfigError, DataError, RunFolderError

if TYPE_CHECKING:
    import pandas as pd

    from analyses.transitions import TransitionComparison
    from toolkit.runs.folder import SavedRun


def _null(run: SavedRun, options: FigureOptions) -> Built:
    found = grouped_matrices(run, options.value or "score", options.unit)
    # where the group varies inside a cluster, whole clusters cannot trade groups: persons do, within their cluster
    inside = options.unit == "auto" and found.unit is not None and _mixed(found.group, found.unit)
    result = hsic_test(
        found.matrices,
        found.group,
        unit=None if inside else found.unit,
        unit_name="persons" if inside else found.unit_name,
        strata=found.unit if inside else None,
        probabilities=options.value not in (None, "score"),
        permutations=options.permutations,
        rng=np.random.default_rng(options.seed),
    )
    return built(null_distribution, null_distribution.tidy(result), note=" ".join(result.notes))


def _mixed(group: np.ndarray, cluster: np.ndarray) -> bool:
    """Whether the members of some cluster belong to different groups."""
    pairs = {(str(label), str(name)) for label, name in zip(group, cluster, strict=True)}
    return len(pairs) > len({name for _, name in pairs})


def comparison(run: SavedRun, options: FigureOptions, *, group_values: bool = False) -> TransitionComparison:
    """The comparison of the run's two groups; ``group_values``: the figure shows what describes each group alone.

    Raises:
        DataError: E124 for a run without two groups, or with a group too small to show.
    """
    found = grouped_matrices(run, options.value or "probability", options.unit)
    labels = sorted(set(found.group))
    if len(labels) != 2:
        raise DataError(
            f"this figure compares two groups; the run has {len(labels)}",
            code="E124",
            column="group",
            remedy="fit with a group column of two values",
        )
    if group_values:
        refuse_small_groups(found.group, options.min_group)
    words = group_words(run)
    return compare_transitions(
        found.matrices,
        found.group == labels[1],
        unit=found.unit,
        unit_name=found.unit_name,
        states=run.states,
        group_names=(words.get(labels[1], labels[1]), words.get(labels[0], labels[0])),
        resamples=options.resamples,
        level=options.level,
        rng=np.random.default_rng(options.seed),
    )


def _differences(run: SavedRun, options: FigureOptions) -> Built:
    result = comparison(run, options)
    return built(interval_matrix, interval_matrix.tidy(result), note=" ".join(result.notes))


def _means(run: SavedRun, options: FigureOptions) -> Built:
    result = comparison(run, options, group_values=True)
    return built(group_matrices, group_matrices.tidy(result), note=" ".join(result.notes))


def _forest(run: SavedRun, options: FigureOptions) -> Built:
    order = str(options.settings.get("order", "state"))
    if order not in effect_forest.ORDERS:
        raise ConfigError(
            "this order is not known", code="E302", column="order", remedy=f"use {', '.join(effect_forest.ORDERS)}"
        )
    result = comparison(run, options)
    return built(effect_forest, effect_forest.tidy(result, order=order), note=" ".join(result.notes))


def _persons(run: SavedRun, options: FigureOptions) -> Built:
    table, value = run.transitions(), options.value or "probability"
    if value not in ("probability", "expected"):
        raise ConfigError("this value is not known", code="E302", column="value", remedy="use probability or expected")
    persons, note = persons_to_show(run, options.min_group)
    return built(group_persons, group_persons.tidy(table, persons, value=value), note=note)


def _answers(run: SavedRun, options: FigureOptions) -> tuple[tuple[str, ...], pd.DataFrame, str]:
    """States, persons as they may be shown, and a note, of a model of states."""
    if run.states is None:
        raise RunFolderError(f"{run.model} has no states", code="E406", remedy="choose a run of a chain model")
    return run.states, *persons_to_show(run, options.min_group)


def _index(run: SavedRun, options: FigureOptions) -> Built:
    states, persons, note = _answers(run, options)
    return built(sequence_index, sequence_index.tidy(run.predictions(), persons, states), note=note)


def _shares(run: SavedRun, options: FigureOptions) -> Built:
    states, persons, note = _answers(run, options)
    frame = state_shares.tidy(run.predictions(), persons, states, fewest=options.min_group)
    if frame.empty:
        raise DataError(
            f"no time has answers of {options.min_group} persons of a group",
            code="E124",
            column="min_group",
            remedy="lower --min-group to 5 at least",
        )
    return built(state_shares, frame, note=note)


def _network(run: SavedRun, options: FigureOptions) -> Built:
    threshold = _share(options.settings.get("threshold"))
    states, _, note = _answers(run, options)
    if run.persons()["group"].nunique() == 2:
        result = comparison(run, options, group_values=True)
        first, second = result.group_names
        panels = {
            f"{first} (n = {result.n_true})": result.mean_true,
            f"{second} (n = {result.n_false})": result.mean_false,
        }
        frame = transition_network.tidy(panels, states, difference=result.difference, threshold=threshold)
        return built(transition_network, frame, note=f"Difference: {first} minus {second}; dashed arrows are negative.")
    persons, matrices = all_matrices(run, options.value or "probability")
    panels = {f"All persons (n = {len(persons)})": matrices.mean(axis=0)}
    return built(transition_network, transition_network.tidy(panels, states, threshold=threshold), note=note)


def _share(text: object) -> float | None:
    """A threshold between 0 and 1.

    Raises:
        ConfigError: E302.
    """
    if text is None:
        return None
    try:
        value = float(str(text))
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 1:
        raise ConfigError("the threshold is a share from 0 to 1", code="E302", column="threshold", remedy="such as 0.1")
    return value


TWO_GROUPS = "a model of states, persons in two groups"
COMPARED = ("value", "unit", "level", "resamples", "seed")
GROUP_FIGURES: tuple[Entry, ...] = (
    Entry(
        name="hsic-null",
        title="One test for all transitions: n × HSIC under shuffled group labels",
        needs="a model of states, persons in groups",
        build=_null,
        options=("value", "unit", "permutations", "seed"),
    ),
    Entry(
        name="differences",
        title="Differences of transition probabilities with raw and simultaneous intervals",
        needs=TWO_GROUPS,
        build=_differences,
        options=COMPARED,
    ),
    Entry(
        name="group-matrices",
        title="Average transition matrix of each group and their difference",
        needs=TWO_GROUPS,
        build=_means,
        options=(*COMPARED, "min_group"),
    ),
    Entry(
        name="forest",
        title="Differences of transition probabilities, one below the other, with both intervals",
        needs=TWO_GROUPS,
        build=_forest,
        options=COMPARED,
        settings=("order",),
    ),
    Entry(
        name="person-matrices",
        title="Transition matrices of all persons by group",
        needs="a model of states",
        build=_persons,
        options=("value", "min_group"),
    ),
    Entry(
        name="network",
        title="Transitions as networks, by group, and their difference",
        needs="a model of states",
        build=_network,
        options=(*COMPARED, "min_group"),
        settings=("threshold",),
    ),
    Entry(
        name="sequences",
        title="Every person’s states over time, sorted by group",
        needs="a model of states",
        build=_index,
        options=("min_group",),
    ),
    Entry(
        name="state-shares",
        title="How often each state occurs over days and prompts, by group",
        needs="a model of states",
        build=_shares,
        options=("min_group",),
    ),
)
