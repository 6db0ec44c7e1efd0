"""Rows at places with a Gaussian field over them, and factors beside it: the spatial designs of the LMMNN paper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toolkit.data.simulate.gaussian_field import draw_field
from toolkit.data.simulate.mixed_effects import (
    PER_LEVEL,
    MixedEffectsTruth,
    as_data,
    draw_effects,
    draw_factors,
    draw_features,
    fixed_part,
    labelled,
)


def factors_at_places(
    *,
    rows: int = 100_000,
    levels: Sequence[int] = (3000, 3000, 10_000),
    variances: Sequence[float] = (0.3, 0.3, 0.3),
    squared_scale: float = 1.0,
    per_level: float = PER_LEVEL,
    as_published: bool = False,
    rng: np.random.Generator,
) -> MixedEffectsTruth:
    """``y = s cos(s) + 2 x1 x2 + b + c + d + e`` with two factors and a field ``d`` over places: the paper's Table 5.

    Places are uniform from -10 to 10 in both coordinates, which are the features ``x_coord`` and ``y_coord``; the
    field has covariance ``s0 exp(-distance^2 / (2 s1))``.

    Args:
        rows: how many.
        levels: of ``group1``, ``group2``, ..., and places (``location``).
        variances: of the factors' effects, and ``s0`` of the field.
        squared_scale: ``s1`` of the field.
        per_level: rate of the Poisson numbers that are the levels' shares.
        as_published: every factor in the order of its levels, see the top of this module.
        rng: source of everything.
    """
    features = draw_features(rows, rng)
    codes, counts = draw_factors(rows, levels, per_level=per_level, as_published=as_published, rng=rng)
    effects = [draw_effects(count, s2, False, rng)[0] for count, s2 in zip(counts[:-1], variances[:-1], strict=True)]
    locations = rng.uniform(-10.0, 10.0, size=(counts[-1], 2))
    effects.append(draw_field(locations, variance=variances[-1], squared_scale=squared_scale, rng=rng))
    names = [*(f"group{number + 1}" for number in range(len(levels) - 1)), "location"]
    fixed = fixed_part(features)
    random = np.sum([values[code] for code, values in zip(codes, effects, strict=True)], axis=0)
    return MixedEffectsTruth(
        data=as_data(
            np.column_stack([features, locations[codes[-1]]]),
            fixed + random + rng.normal(size=rows),
            [labelled(*facts) for facts in zip(names, codes, counts, strict=True)],
            further=("x_coord", "y_coord"),
        ),
        fixed=fixed,
        random=random,
        effects=tuple(effects),
        variances=tuple((float(variance),) for variance in variances),
        locations=locations,
        squared_scale=squared_scale,
    )


def places(
    *,
    rows: int = 100_000,
    levels: int = 1000,
    variances: float = 1.0,
    squared_scale: float = 1.0,
    per_level: float = PER_LEVEL,
    as_published: bool = False,
    rng: np.random.Generator,
) -> MixedEffectsTruth:
    """The same with places only: the paper's Table 4. Settings as in :func:`factors_at_places`."""
    return factors_at_places(
        rows=rows,
        levels=(levels,),
        variances=(variances,),
        squared_scale=squared_scale,
        per_level=per_level,
        as_published=as_published,
        rng=rng,
    )
