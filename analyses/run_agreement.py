"""Agreement of persons' estimates over runs of one model: ICC(2,1) with its interval, ranks, signs."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float

from analyses.component_interval import Ratio, ratio_ends, sample_skewness
from analyses.icc import icc_of_log_f, icc_two_way, two_way_log_f, two_way_squares, two_way_sums
from analyses.resampling import multinomial_counts

# Persons' values that differ by less than this share of the largest value do not differ.
FLAT = 1e-9
WIDENING = 0.5


def agreement(
    runs: Float[np.ndarray, "runs persons parameters"],
    *,
    method: str,
    resamples: int,
    level: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, "5 parameters"]:
    """ICC(2,1), the ends of its interval, rank and sign agreement of every parameter; NaN where nobody differs.

    Args:
        runs: estimates.
        method: "jackknife" or "percentile".
        resamples: of persons, drawn by "percentile" only.
        level: of the interval.
        rng: source of the resamples.
    """
    found = np.full((5, runs.shape[2]), np.nan)
    counts = multinomial_counts(runs.shape[1], resamples, rng) if method == "percentile" else None
    for k in range(runs.shape[2]):
        values = runs[:, :, k]
        if np.all(is_flat(values)):
            continue
        sums = two_way_sums((values - values.mean()).T)
        ends = icc_ends(values, level) if counts is None else _percentiles(counts @ sums, level)
        found[:, k] = [icc_two_way(sums.sum(axis=0)), *ends, pairwise_ranks(values), same_side(values)]
    return found


def icc_ends(values: Float[np.ndarray, "runs persons"], level: float) -> tuple[float, float]:
    """Interval of ICC(2,1) for persons and runs like these, on the scale ``log F = log(1 + k ICC / (1 - ICC))``.

    Persons are left out one by one (see `analyses.component_interval`). How far other runs might shift all persons
    alike is known from k runs only: its variance over runs, as far as it exceeds chance, gets chi-squared limits with
    k - 1 degrees of freedom, and the two distances are added as squares (MOVER).

    Coverage of 95 % intervals in 2,000 simulated studies (benchmarks/calibration/stability_coverage.py, 2 to 10 runs):
    normal and skewed values (skewness 1) .93 to .97 from 10 persons on; strongly skewed ones (exponential) .92 to .95
    from 10 to 38 and .94 to .96 from 100; runs that shift all persons alike .96 to .98. Percentiles over persons held
    .79 to .82 at 10 (strongly skewed .67) and know nothing of other runs; the interval of McGraw & Wong (1996), as in
    pingouin, held .87 with 3 shifted runs and 100 persons (1,000 studies). The ICC itself is low with few persons: .04
    at 10 for an ICC of .75, .09 with strongly skewed values.
    """
    sums = two_way_sums((values - values.mean()).T)
    total = sums.sum(axis=0)
    z = two_way_log_f(np.vstack([total, total - sums]))
    ratio = Ratio(
        value=float(z[0]),
        without=z[1:],
        component=z[1:],
        share=1.0,
        grows=True,
        skewness=sample_skewness(values.mean(axis=0)),
        more=WIDENING,
        less=0.0,
    )
    low, centre, high = ratio_ends(ratio, level)
    down, up = _shift_limits(total, level)
    ends = centre - np.hypot(centre - low, down), centre + np.hypot(high - centre, up)
    point, size = float(icc_two_way(total)), float(len(values))
    low, high = (icc_of_log_f(float(end), size) for end in ends)
    return float(np.minimum(low, point)), float(np.maximum(high, point))


def _shift_limits(total: np.ndarray, level: float) -> tuple[float, float]:
    """How much lower and higher log F would be with the largest and the least plausible variance of runs' shifts."""
    _, msc, mse, n = two_way_squares(total)
    runs = total.size - 3
    excess = float(max(msc - mse, 0.0))
    if excess == 0:
        return 0.0, 0.0
    tail = (1 - level) / 2
    now = float(mse + excess / n)
    most, least = (mse + excess / n * (runs - 1) / _chi2_quantile(q, runs - 1) for q in (tail, 1 - tail))
    # Without a rest (identical but for a shift) the least plausible variance still leaves one.
    return float(np.log(most / now)), float(np.log(now / least))


@lru_cache(maxsize=256)
def _chi2_quantile(probability: float, degrees: int) -> float:
    from scipy.stats import chi2

    return float(chi2.ppf(probability, degrees))


def _percentiles(drawn: np.ndarray, level: float) -> tuple[float, float]:
    tail, found = 50 * (1 - level), icc_two_way(drawn)
    if not np.isfinite(found).any():
        return float("nan"), float("nan")
    low, high = np.nanpercentile(found, [tail, 100 - tail])
    return float(low), float(high)


def pairwise_ranks(values: Float[np.ndarray, "runs persons"]) -> float:
    """Mean Spearman correlation over pairs of runs; NaN where a run has no differences between persons."""
    from scipy.stats import rankdata

    if np.any(is_flat(values)):
        return float("nan")
    matrix = np.corrcoef(rankdata(values, axis=1))
    return float(matrix[np.triu_indices(len(values), 1)].mean())


def same_side(values: Float[np.ndarray, "runs persons"]) -> float:
    """Share of persons, over pairs of runs, that lie on the same side of the run's mean."""
    above = (values > values.mean(axis=1, keepdims=True)).sum(axis=0)
    runs = len(values)
    pairs = above * (above - 1) + (runs - above) * (runs - above - 1)
    return float(pairs.mean() / (runs * (runs - 1)))


def is_flat(values: np.ndarray) -> np.ndarray:
    """Whether all persons (last axis) have the same value."""
    return np.ptp(values, axis=-1) <= FLAT * np.maximum(np.abs(values).max(axis=-1), 1e-300)
