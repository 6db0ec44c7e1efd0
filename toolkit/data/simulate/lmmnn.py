"""The simulations of Simchoni and Rosset's paper on networks with random effects (LMMNN), with known truth.

Where the paper and its public code differ, the published tables came from the code, and so do these rows:

- the cosine holds an intercept of 1 that the paper's equation (26) leaves out. A linear model then leaves a mean
  squared error of 2.91 to a residual variance of 1 (2.38 without the intercept); the paper's tables say 2.93.
- shares of the levels are ``Poisson(3) + 1``, not ``Poisson(30)``; ``per_level`` sets another rate.
- three factors have 1,000, 2,000 and 3,000 levels, as in the text; the caption of the paper's Table 2 says otherwise.
- ``g(Z) = ZW`` maps each factor by a matrix of its own.

By default factors are independent of each other and rows come in random order. The public code repeats every factor's
levels in order on the same rows, so that its "crossed" factors are all but nested, and locations next to each other in
the file are the same; ``as_published=True`` does likewise. The code sets no seed, so that no published row can be had.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from toolkit.data.simulate.lmmnn_factors import one_factor, several_factors, two_classes
from toolkit.data.simulate.lmmnn_places import factors_at_places, places
from toolkit.data.simulate.lmmnn_time import repeated_measures
from toolkit.data.simulate.mixed_effects import MixedEffectsTruth
from toolkit.errors import ConfigError

KINDS: dict[str, Callable[..., MixedEffectsTruth]] = {
    "single": one_factor,
    "multiple": several_factors,
    "longitudinal": repeated_measures,
    "spatial": places,
    "mixed": factors_at_places,
    "binary": two_classes,
}


def lmmnn(kind: str, *, rng: np.random.Generator, **settings: Any) -> MixedEffectsTruth:
    """One of the designs by its name.

    Args:
        kind: "single" (Table 1: :func:`one_factor`), "multiple" (Table 2: :func:`several_factors`), "longitudinal"
            (Table 3: :func:`repeated_measures`), "spatial" (Table 4: :func:`places`), "mixed" (Table 5:
            :func:`factors_at_places`), or "binary" (Table 12: :func:`two_classes`).
        rng: source of everything.
        settings: of that function, among them ``rows``, ``levels``, ``variances``, ``as_published``.

    Raises:
        ConfigError: E302 for another name.
    """
    if kind not in KINDS:
        raise ConfigError(
            "this simulation is not known", code="E302", column="kind", remedy=f"Known are {', '.join(KINDS)}"
        )
    return KINDS[kind](rng=rng, **settings)
