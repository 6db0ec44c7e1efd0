"""Several classes and several factors with effects on each class: the simulations of the MC-GMENN paper, known truth.

The base scenario of Tschalzev et al. (2024, Section 3.2) and the eight variations of its Table 2. As in the public
code, and beyond the paper's text, ``variance-per-class`` varies the third factor's variances too. By default factors
are independent of each other; ``as_published=True`` repeats the levels of every factor in order on the same rows, as
the public code does, so that factors are all but nested in each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import softmax

from toolkit.data.grouped import GroupedDataset
from toolkit.data.simulate.mixed_effects import PER_LEVEL, MixedEffectsTruth, draw_factors, labelled
from toolkit.errors import ConfigError

Variance = float | Sequence[float]

BASE: dict[str, Any] = {
    "rows": 100_000,
    "features": 10,
    "classes": 5,
    "levels": (1000, 10, 1000),
    "variances": (0.0001, 0.5, 0.5),
}
# what differs from the base scenario
SCENARIOS: dict[str, dict[str, Any]] = {
    "base": {},
    "many-rows": {"rows": 1_000_000},
    "many-features": {"features": 1000},
    "many-classes": {"classes": 100},
    "many-levels": {"levels": (20_000, 20_000, 20_000)},
    "dominant": {"variances": (5.0, 0.5, 0.5)},
    "irrelevant": {"variances": (0.0001, 0.0001, 0.0001)},
    "variance-per-class": {"variances": (0.0001, (0.0001, 0.25, 0.5, 0.75, 0.5), (0.0001, 0.5, 0.25, 0.5, 0.75))},
    "ten-factors": {"levels": (1000,) * 10, "variances": tuple(number / 10 for number in range(1, 11))},
}


def multiclass(scenario: str = "base", *, rng: np.random.Generator, **settings: Any) -> MixedEffectsTruth:
    """A scenario of the MC-GMENN paper by its name.

    Args:
        scenario: one of `SCENARIOS`: "base", "many-rows", "many-features", "many-classes", "many-levels", "dominant",
            "irrelevant", "variance-per-class", or "ten-factors".
        rng: source of everything.
        settings: of :func:`several_classes`, in place of the scenario's.

    Raises:
        ConfigError: E302 for another name, and as :func:`several_classes`.
    """
    if scenario not in SCENARIOS:
        known = ", ".join(SCENARIOS)
        raise ConfigError("this scenario is not known", code="E302", column="scenario", remedy=f"Known are {known}")
    return several_classes(rng=rng, **(BASE | SCENARIOS[scenario] | settings))


def several_classes(
    *,
    rows: int,
    features: int,
    classes: int,
    levels: Sequence[int],
    variances: Sequence[Variance],
    per_level: float = PER_LEVEL,
    as_published: bool = False,
    rng: np.random.Generator,
) -> MixedEffectsTruth:
    """``P(y = c) = softmax_c(f_c + sum_l b_lc)`` with ``f_c = s_c cos(s_c) + 2 x1 x2 u_c`` and ``s = 1 + X beta``.

    ``X`` is uniform from -1 to 1 (rows, features), ``beta`` (features, classes) and ``u`` (classes) uniform from 0 to
    1, and the effect ``b_lc`` of each level of factor l on class c normal with variance ``variances[l]``, of each
    class by itself where these are several. Features are ``x1``, ``x2``, ...; factors ``group1``, ``group2``, ...

    Args:
        rows: how many.
        features: how many, at least 2.
        classes: how many, at least 2.
        levels: of each factor.
        variances: of each factor's effects: one number for all classes, or one a class.
        per_level: the levels' shares are Poisson numbers of this rate, plus 1.
        as_published: every factor in the order of its levels, see the top of this module.
        rng: source of everything.

    Returns:
        The rows; ``fixed`` and ``random`` have shape (rows, classes), ``effects`` (levels, classes) for each factor,
        ``variances`` one number a class.

    Raises:
        ConfigError: E302 for numbers that no data can have.
    """
    spread = _checked(rows, features, classes, levels, variances, per_level)
    x = rng.uniform(-1.0, 1.0, size=(rows, features))
    fixed = _fixed_part(x, rng.uniform(size=(features, classes)), rng.uniform(size=classes))
    codes, counts = draw_factors(rows, levels, per_level=per_level, as_published=as_published, rng=rng)
    effects = tuple(rng.normal(size=(count, classes)) * np.sqrt(own) for count, own in zip(counts, spread, strict=True))
    random = np.zeros((rows, classes))
    for own, code in zip(effects, codes, strict=True):
        random += own[code]
    chances = softmax(fixed + random, axis=1)
    target = (rng.uniform(size=(rows, 1)) > chances.cumsum(axis=1)[:, :-1]).sum(axis=1)
    width = len(str(classes))
    data = GroupedDataset(
        features=x,
        feature_names=tuple(f"x{number + 1}" for number in range(features)),
        target=target.astype(np.float64),
        target_name="y",
        classes=tuple(f"class-{code + 1:0{width}d}" for code in range(classes)),
        groupings=tuple(
            labelled(f"group{place + 1}", *facts) for place, facts in enumerate(zip(codes, counts, strict=True))
        ),
        row_numbers=np.arange(rows),
        pseudonymous=True,
    )
    return MixedEffectsTruth(
        data=data,
        fixed=fixed,
        random=random,
        effects=effects,
        variances=tuple(tuple(own.tolist()) for own in spread),
        error_variance=None,
    )


def _fixed_part(
    x: Float[np.ndarray, "rows feature"],
    beta: Float[np.ndarray, "feature outcome"],
    interaction: Float[np.ndarray, " outcome"],
) -> Float[np.ndarray, "rows outcome"]:
    """What the features do to the logit of each class."""
    total = 1.0 + x @ beta
    return total * np.cos(total) + 2.0 * (x[:, 0] * x[:, 1])[:, None] * interaction


def _checked(
    rows: int,
    features: int,
    classes: int,
    levels: Sequence[int],
    variances: Sequence[Variance],
    per_level: float,
) -> list[np.ndarray]:
    """Variances of each factor's effects, one a class; refuse what cannot be drawn (E302)."""
    spread = [np.asarray(own, dtype=np.float64) for own in variances]
    for wrong, column, words in (
        (rows < 1, "rows", "there is at least one row"),
        (features < 2, "features", "the first two features interact: there are at least two"),
        (classes < 2, "classes", "there are at least two classes"),
        (not levels or min(levels) < 1, "levels", "every factor has at least one level, and there is a factor"),
        (len(levels) != len(spread), "variances", "there is a variance, or one a class, for every factor"),
        (any(own.shape not in ((), (classes,)) for own in spread), "variances", "one variance, or one for every class"),
        (any(not (np.isfinite(own) & (own >= 0)).all() for own in spread), "variances", "a variance is 0 or more"),
        (not np.isfinite(per_level) or per_level < 0, "per_level", "a rate is 0 or more"),
    ):
        if wrong:
            raise ConfigError(words, code="E302", column=column)
    return [np.broadcast_to(own, (classes,)) for own in spread]
