"""Intervals of several models' mean metrics, each on its own, from resampled whole units."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from analyses.bootstrap import bootstrap_contrast
from analyses.resampling import make_units

# With fewer units a studentised bootstrap gives intervals of no width, or of any.
FEWEST = 5


def mean_intervals(
    values: Float[np.ndarray, "persons models"],
    unit: np.ndarray | None,
    *,
    resamples: int,
    level: float,
    rng: np.random.Generator,
    unit_name: str | None = None,
) -> tuple[Float[np.ndarray, " models"], Float[np.ndarray, " models"]]:
    """Bootstrap-t interval of the mean over persons of every column; NaN where fewer than five units have a value.

    Models that were judged on the same persons move together, so that these intervals overlap even where the models
    clearly differ: differences are judged by `analyses.comparison.paired_bootstrap`.

    Args:
        values: metric per person and model, NaN where undefined.
        unit: label per person of what is resampled as a whole; None: persons.
        resamples: at least 99.
        level: of the intervals.
        rng: source of the resamples.
        unit_name: plural for sentences.
    """
    units = make_units(unit, len(values), unit_name)
    seen = np.array([np.unique(units.codes[np.isfinite(column)]).size for column in values.T])
    low, high = np.full(values.shape[1], np.nan), np.full(values.shape[1], np.nan)
    for k in np.flatnonzero(seen >= FEWEST):
        there = np.isfinite(values[:, k])
        kept = make_units(None if units.alone else units.codes[there], int(there.sum()), units.name)
        found = bootstrap_contrast(
            values[there, k : k + 1], None, kept, resamples=resamples, method="auto", level=level, rng=rng,
            simultaneous=False,
        )  # fmt: skip
        low[k], high[k] = found.intervals.low[0], found.intervals.high[0]
    return low, high
