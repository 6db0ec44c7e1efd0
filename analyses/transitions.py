"""Which transitions differ between two groups, by how many percentage points, and how sure are we?"""

# pyright: strict
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from analyses.bootstrap import bootstrap_contrast
from analyses.cell_permutation import permute_cells
from analyses.matrices import boolean_group
from analyses.matrices import observed_transitions as observed_transitions
from analyses.matrices import transition_matrices as transition_matrices
from analyses.resampling import make_units
from analyses.transition_comparison import TransitionComparison as TransitionComparison
from analyses.transition_comparison import comparison_of
from analyses.transition_scales import prepared_matrices


def compare_transitions(  # noqa: PLR0913 - each option is one a report has to name
    t: ArrayLike,
    group: ArrayLike,
    *,
    unit: ArrayLike | None = None,
    resamples: int = 10_000,
    method: str = "auto",
    level: float = 0.95,
    rng: np.random.Generator,
    states: Sequence[str] | None = None,
    unit_name: str | None = None,
    group_names: tuple[str, str] = ("True", "False"),
    scale: str = "auto",
    structural: str = "keep",
    permutations: int = 0,
) -> TransitionComparison:
    """Difference of every transition probability between two groups, with bootstrap intervals over whole units.

    ``difference = mean(t[group]) - mean(t[~group])`` per cell: positive means higher where the group is True. Units are
    resampled within each group when each lies in one group, else jointly. A row of a matrix that is NaN (a state that
    the person never visited) is left out of that row's means; the number of persons is kept per cell.

    Args:
        t: one matrix per person, from x into, shape (persons, S, S); probabilities or scores.
        group: True or False (or 1 and 0) per person, shape (persons,).
        unit: label per person of what is resampled as a whole (family); None: persons.
        resamples: at least 99.
        method: "percentile", "bca", "bootstrap-t", "symmetric-t" or "auto": the symmetric bootstrap-t, or the
            equal-tailed one when units have persons in both groups. Simultaneous intervals rest on the studentised
            resamples with every method; below 40 units a group these are smoothed (see `analyses.bootstrap_draws`).
        level: of the intervals.
        rng: source of the resamples.
        states: names of the S states.
        unit_name: plural for sentences; "persons" without `unit`, else "units".
        group_names: what True and False are called in sentences.
        scale: "auto" (probability when all values lie in [0, 1]), "probability" (checked: rows sum to one), "score", or
            "logit" (probabilities are compared as log odds, cut off at .001 and .999), or "excess" for what
            `analyses.base_rate_adjustment.excess_transitions` gives.
        structural: what becomes of cells that are zero in everybody: "keep" (shown, not tested), "drop", or
            "renormalise" (dropped, the rest of the row divided by its sum).
        permutations: of the group labels over whole units, for permutation p-values; 0 for none, else at least 99.

    Returns:
        All cells with single, simultaneous (studentised max-T) and FDR-corrected results. Cells that do not vary
        (structural zeros) keep their difference as interval and are not tested. In simulations (benchmarks/calibration,
        interval_coverage.py and transition_error_rates.py) single and simultaneous intervals hold their level from ten
        persons on, for normal and skewed effects, families and onset-coded states. Where they do not: with strongly
        skewed effects (skewness 2) and fewer than 40 persons they are too wide (96 to 97 %; a familywise error of .02),
        with 10 against 30 families of unequal size the familywise error is .07. The permutation p-values hold there.

    Raises:
        DataError: E110 infinite values, E111 a matrix row that is partly NaN, nothing but NaN everywhere, or a
            missing group, E112 missing unit labels, E124 a group with fewer than two units, E127 wrong shapes,
            E128 rows that do not sum to one on a scale that takes probabilities.
        ConfigError: E125 too few resamples, E302 an option out of range.
    """
    given = prepared_matrices(t, states, scale, structural)
    n = len(given.matrices)
    flat = given.matrices.reshape(n, -1)
    side = boolean_group(group, n)
    units = make_units(unit, n, unit_name)
    result = bootstrap_contrast(flat, side, units, resamples=resamples, method=method, level=level, rng=rng)
    dealt = permute_cells(flat, side, units, permutations=permutations, rng=rng) if permutations else None
    return comparison_of(
        result,
        dealt,
        given,
        units,
        sizes=(int(side.sum()), int((~side).sum())),
        resamples=resamples,
        level=level,
        group_names=group_names,
    )
