"""Rows with one or several factors whose levels have effects: the designs of the LMMNN paper without time or place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import expit

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


def several_factors(
    *,
    rows: int = 100_000,
    levels: Sequence[int] = (1000, 2000, 3000),
    variances: Sequence[float] = (1.0, 1.0, 1.0),
    linear_map: bool = False,
    per_level: float = PER_LEVEL,
    as_published: bool = False,
    rng: np.random.Generator,
) -> MixedEffectsTruth:
    """``y = s cos(s) + 2 x1 x2 + sum_k b_k + e``, ``s = 1 + x1 + ... + x10``, residual variance 1: the paper's Table 2.

    Args:
        rows: how many.
        levels: of each factor ``group1``, ``group2``, ...
        variances: of each factor's effects.
        linear_map: effects are ``W b`` with ``W`` uniform from -1 to 1, a tenth as many ``b`` as levels, of that
            variance; else ``b``.
        per_level: rate of the Poisson numbers that are the levels' shares.
        as_published: every factor in the order of its levels, see the top of this module.
        rng: source of everything.
    """
    features = draw_features(rows, rng)
    codes, counts = draw_factors(rows, levels, per_level=per_level, as_published=as_published, rng=rng)
    drawn = [draw_effects(count, variance, linear_map, rng) for count, variance in zip(counts, variances, strict=True)]
    names = ["group"] if len(levels) == 1 else [f"group{number + 1}" for number in range(len(levels))]
    fixed = fixed_part(features)
    random = np.sum([effects[code] for code, (effects, _) in zip(codes, drawn, strict=True)], axis=0)
    return MixedEffectsTruth(
        data=as_data(
            features,
            fixed + random + rng.normal(size=rows),
            [labelled(*facts) for facts in zip(names, codes, counts, strict=True)],
        ),
        fixed=fixed,
        random=random,
        effects=tuple(effects for effects, _ in drawn),
        variances=tuple((float(variance),) for variance in variances),
        maps=tuple(mapping for _, mapping in drawn if mapping is not None),
    )


def one_factor(
    *,
    rows: int = 100_000,
    levels: int = 1000,
    variances: float = 1.0,
    linear_map: bool = False,
    per_level: float = PER_LEVEL,
    as_published: bool = False,
    rng: np.random.Generator,
) -> MixedEffectsTruth:
    """The same with one factor, ``group``: the paper's Table 1. Settings as in :func:`several_factors`."""
    return several_factors(
        rows=rows,
        levels=(levels,),
        variances=(variances,),
        linear_map=linear_map,
        per_level=per_level,
        as_published=as_published,
        rng=rng,
    )


def two_classes(
    *,
    rows: int = 100_000,
    levels: int = 1000,
    variances: float = 1.0,
    per_level: float = PER_LEVEL,
    as_published: bool = False,
    rng: np.random.Generator,
) -> MixedEffectsTruth:
    """``logit P(y = 1) = s cos(s) + 2 x1 x2 + b``: the paper's Table 12. Settings as in :func:`several_factors`."""
    features = draw_features(rows, rng)
    codes, counts = draw_factors(rows, (levels,), per_level=per_level, as_published=as_published, rng=rng)
    effects, _ = draw_effects(counts[0], variances, False, rng)
    fixed = fixed_part(features)
    random = effects[codes[0]]
    target = (rng.uniform(size=rows) < expit(fixed + random)).astype(np.float64)
    return MixedEffectsTruth(
        data=as_data(features, target, [labelled("group", codes[0], counts[0])], classes=("0", "1")),
        fixed=fixed,
        random=random,
        effects=(effects,),
        variances=((float(variances),),),
        error_variance=None,
    )
