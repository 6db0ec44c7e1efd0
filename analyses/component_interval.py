"""Intervals of ratios of variances in which the variance between few persons is the uncertain part.

Intraclass correlations and R2 are functions of a ratio whose logarithm z can be left out unit by unit (jackknife), but
whose spread is not that of z alone: the variance between persons, C, rests on as many values as there are persons, and
the rest of z (A) on as many as there are rows. ``z = +-log(A + C) + ...`` bends in log C, so that a symmetric interval
for z is too short towards more variance between persons: at ten persons 77 to 90 % instead of 95 %, percentiles of a
bootstrap 55 to 80 %. So log C gets its own limits, carried through the bend, and the limits of the remaining part of z
are added to them as in the method of variance estimates recovery (MOVER), correlation included.

Towards more variance the limit of log C is moved out further when the persons' values are skewed, since a sample
without its rare large values has both too small a variance and too small a standard error:
``q se (1 + a / U + 6 g^2 / U^(2/3))`` with U units and g their skewness; towards less variance ``q se (1 + b / U)``.
The factors were chosen by simulation and checked with other seeds (benchmarks/calibration/variance_coverage.py).

Sources: Zou & Donner (2008), Statistics in Medicine 27, 1693-1702 (MOVER); Tukey's jackknife as in Efron & Tibshirani
(1993), ch. 11.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float

METHODS = ("jackknife", "percentile")
MIN_UNITS = 4
SKEWNESS_WEIGHT, SKEWNESS_POWER = 6.0, 2 / 3
# Beyond this many units of z a limit is 0 or 1 to every digit.
FAR = 500.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ratio:
    """A log ratio and the part of it that is a variance between units.

    Attributes:
        value: z from all units. without: z without each unit, shape (units,).
        component: log C without each unit, shape (units,); only its differences count.
        share: C / (A + C), within [0, 1]; 1 where z is linear in log C.
        grows: z grows (True) or falls with C.
        skewness: of the units' values.
        more, less: a and b of the module's text.
    """

    value: float
    without: np.ndarray
    component: np.ndarray
    share: float
    grows: bool
    skewness: float
    more: float
    less: float


def ratio_ends(ratio: Ratio, level: float) -> tuple[float, float, float]:
    """Low, centre and high of z; NaN where fewer than four units are left out or z is not defined without one of them.

    The centre is the jackknife's bias-corrected z: ``U z - (U - 1) mean(z_-u)``; q is the quantile of t(U - 2).
    """
    units = ratio.without.size
    if units < MIN_UNITS or not np.isfinite(ratio.without).all():
        return float("nan"), float("nan"), float("nan")
    deviation = ratio.without - ratio.without.mean()
    part = ratio.component - ratio.component.mean() if _defined(ratio) else np.zeros(units)
    inner = units - 1
    centre = units * ratio.value - inner * float(ratio.without.mean())
    slope = (1.0 if ratio.grows else -1.0) * ratio.share
    rest = deviation - slope * part
    covariance = float(np.sum(rest * part)) * inner / units * (1 if ratio.grows else -1)
    spread, part_error = (float(np.sqrt(np.sum(x**2) * inner / units)) for x in (rest, part))
    correlation = covariance / (spread * part_error) if spread * part_error > 0 else 0.0
    q = t_quantile((1 + level) / 2, units - 2)
    more = q * part_error * upper_factor(ratio.skewness, units, ratio.more)
    less = q * part_error * (1 + ratio.less / units)
    up = float(np.log1p(ratio.share * np.expm1(min(more, FAR))))
    down = float(-np.log1p(ratio.share * np.expm1(-less)))
    widths = [np.sqrt(max(x**2 + 2 * correlation * x * q * spread + (q * spread) ** 2, 0.0)) for x in (up, down)]
    above, below = widths if ratio.grows else widths[::-1]
    return centre - float(below), centre, centre + float(above)


@lru_cache(maxsize=256)
def t_quantile(probability: float, degrees: int) -> float:
    """Quantile of Student's t; remembered, since looking it up takes longer than the interval."""
    from scipy.stats import t

    return float(t.ppf(probability, degrees))


def upper_factor(skewness: float, units: int, more: float) -> float:
    """How much further the limit towards more variance lies, ``1 + a / U + 6 g^2 / U^(2/3)``."""
    return 1 + more / units + SKEWNESS_WEIGHT * skewness**2 / units**SKEWNESS_POWER


def sample_skewness(values: Float[np.ndarray, " n"]) -> float:
    """Skewness corrected for n, ``sqrt(n (n - 1)) / (n - 2) m3 / m2^1.5``; 0 for equal values or fewer than three."""
    n = values.size
    deviation = values - values.mean()
    spread = float(np.mean(deviation**2))
    if n < 3 or spread <= 1e-24 * float(np.mean(values**2)):
        return 0.0
    return float(np.mean(deviation**3) / spread**1.5 * np.sqrt(n * (n - 1)) / (n - 2))


def _defined(ratio: Ratio) -> bool:
    return ratio.share > 0 and bool(np.isfinite(ratio.component).all())
