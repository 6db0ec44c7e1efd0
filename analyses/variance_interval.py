"""Interval of one variance component from its estimate and the reliabilities of the effects.

Level q of a grouping factor has an effect b_q ~ N(0, sigma2), of which its own rows say d_q ~ N(b_q, s_q2). Then
``r_q = sigma2 / (sigma2 + s_q2)`` is the reliability of its estimate, and d_q has the variance sigma2 / r_q. The Fisher
information on log sigma2 is half of ``sum r_q^2``. As if there were Q levels of one reliability r with ``Q r^2 = sum
r_q^2`` (r the mean of r_q with weights r_q^2), the variance of d has the limits of a chi-squared
distribution, from which the part s2 = sigma2 (1 - r) / r that rows add is taken off:

    [nu T / chi2_(1 - a/2) - s2, nu T / chi2_(a/2) - s2],  T = sigma2 / r,  nu = Q (L - 1) / L,

with 0 where the lower limit would lie below (one of the L levels goes with the mean). For equal numbers of rows it is
the exact interval of a one-way analysis of variance with s2 known (Thomas & Hultquist, 1978, Annals of Statistics 6,
582-587, replace unequal numbers in the same way). The shared part of the model and the other variances are taken as
known; ``benchmarks/calibration/variance_intervals.py`` counts how often the truth lies inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEAST = 1e-9  # reliability below which effects say nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceInterval:
    """Limits of a variance.

    Attributes:
        low, high: NaN where the effects say nothing, or where there are fewer than three levels.
        information: ``sum r_q^2``, the number of perfectly known levels that would say as much.
    """

    low: float
    high: float
    information: float


def variance_interval(variance: float, reliability: np.ndarray, level: float = 0.95) -> VarianceInterval:
    """Interval of a variance component.

    Args:
        variance: its estimate.
        reliability: of every level's effect, ``1 - Var(b_q | data) / sigma2`` (levels,).
        level: of the interval.
    """
    from scipy.stats import chi2

    known = np.clip(np.asarray(reliability, dtype=np.float64), 0.0, 1.0)
    known = known[np.isfinite(known)]
    information = float(np.sum(known**2))
    if len(known) < 3 or not variance > 0 or known.max() < LEAST:
        return VarianceInterval(low=float("nan"), high=float("nan"), information=information)
    mean = float(np.sum(known**3)) / information
    degrees = information / mean**2 * (len(known) - 1) / len(known)
    total, rows = variance / mean, variance * (1.0 - mean) / mean
    low, high = (degrees * total / chi2.ppf([0.5 + level / 2, 0.5 - level / 2], degrees) - rows).tolist()
    return VarianceInterval(low=max(low, 0.0), high=high, information=information)
