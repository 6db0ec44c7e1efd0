"""Repeated measures of subjects who differ in level, slope and bend: the longitudinal design of the LMMNN paper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toolkit.data.simulate.mixed_effects import (
    PER_LEVEL,
    MixedEffectsTruth,
    as_data,
    draw_features,
    draw_levels,
    fixed_part,
    labelled,
)


def repeated_measures(
    *,
    rows: int = 100_000,
    levels: int = 10_000,
    variances: Sequence[float] = (0.3, 0.3, 0.3),
    correlations: tuple[float, float] = (0.3, 0.3),
    per_level: float = PER_LEVEL,
    as_published: bool = False,
    rng: np.random.Generator,
) -> MixedEffectsTruth:
    """``y = s cos(s) + 2 x1 x2 + t + t^2 + b0 + b1 t + b2 t^2 + e``: measures of subjects, the paper's Table 3.

    ``t`` is the number of a subject's measure, counted from 0, divided by the largest such number of all subjects. The
    common ``t + t^2`` is in the code, not in the paper's equation (27). ``t`` and ``t2`` are features, and ``t`` is
    the time of the rows.

    Args:
        rows: how many.
        levels: subjects.
        variances: of intercepts, slopes and quadratic terms.
        correlations: of the intercept with the slope, and with the quadratic term; slope and quadratic term have none.
        per_level: rate of the Poisson numbers that are the subjects' shares.
        as_published: subject by subject; else rows in random order.
        rng: source of everything.
    """
    features = draw_features(rows, rng)
    subject, count = draw_levels(rows, levels, per_level, rng)
    first = np.searchsorted(subject, np.arange(count))
    measure = np.arange(rows) - first[subject]
    if not as_published:
        order = rng.permutation(rows)
        subject, measure = subject[order], measure[order]
    time = measure / max(int(measure.max()), 1)
    correlation = np.eye(3)
    correlation[0, 1:] = correlation[1:, 0] = correlations
    spread = np.sqrt(np.asarray(variances, dtype=np.float64))
    effects = rng.normal(size=(count, 3)) @ np.linalg.cholesky(correlation).T * spread
    fixed = fixed_part(features) + time + time**2
    random = (effects[subject] * np.column_stack([np.ones(rows), time, time**2])).sum(axis=1)
    return MixedEffectsTruth(
        data=as_data(
            np.column_stack([features, time, time**2]),
            fixed + random + rng.normal(size=rows),
            [labelled("subject", subject, count)],
            further=("t", "t2"),
            time=time,
        ),
        fixed=fixed,
        random=random,
        effects=(effects,),
        variances=(tuple(float(variance) for variance in variances),),
        correlation=correlation,
    )
