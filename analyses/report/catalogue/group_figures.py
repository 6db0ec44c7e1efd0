"""Figures that compare groups: one test for all transitions, each transition, group averages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses import compare_transitions, hsic_test
from analyses.figures import group_matrices, interval_matrix, null_distribution
from analyses.report.catalogue.building import built
from analyses.report.catalogue.entry import Built, Entry, FigureOptions
from analyses.report.catalogue.run_parts import group_words, grouped_matrices, refuse_small_groups
from toolkit.errors import DataError

if TYPE_CHECKING:
    from analyses.transitions import TransitionComparison
    from toolkit.runs.folder import SavedRun


def _null(run: SavedRun, options: FigureOptions) -> Built:
    found = grouped_matrices(run, options.value or "score", options.unit)
    result = hsic_test(
        found.matrices,
        found.group,
        unit=found.unit,
        unit_name=found.unit_name,
        probabilities=options.value not in (None, "score"),
        permutations=options.permutations,
        rng=np.random.default_rng(options.seed),
    )
    return built(null_distribution, null_distribution.tidy(result), note=" ".join(result.notes))


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
)
