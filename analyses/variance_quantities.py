"""ICC and R2 from sums over persons, and their intervals from leaving whole units out."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from analyses.component_interval import Ratio, ratio_ends, sample_skewness
from analyses.icc import icc_of_log_f, icc_one_way, one_way_sums
from analyses.resampling import count_block_sizes, multinomial_counts

QUANTITIES = {
    "icc_target": "ICC of the target as it was answered",
    "r2_marginal": "marginal R2 (shared part of the model)",
    "r2_conditional": "conditional R2 (shared part and person effects)",
    "icc_model": "share of persons in what the shared part leaves over",
    "explained": "1 - squared error / variance",
}
# Widening (a, b) of the limits towards more and less variance between persons, see `analyses.component_interval`.
WIDENING = {
    "icc_target": (0.5, 0.0),
    "r2_marginal": (4.0, 2.0),
    "r2_conditional": (3.0, 1.0),
    "icc_model": (1.5, 0.0),
    "explained": (4.0, 1.0),
}
# Logarithms that grow with the variance between persons, and those that fall.
GROWS = {"icc_target": True, "r2_marginal": False, "r2_conditional": True, "icc_model": True, "explained": False}


def person_sums(y: np.ndarray, p: np.ndarray, f: np.ndarray, codes: np.ndarray, persons: int) -> np.ndarray:
    """Sums per person of f, d = p - f, e = y - p, y and their squares, then those of the one-way analysis of y."""
    centre = y.mean()
    columns = [f - centre, p - f, y - p, y - centre]
    moments = [np.bincount(codes, weights=c**k, minlength=persons) for k in (1, 2) for c in columns]
    return np.column_stack([*moments, one_way_sums(y - centre, codes, persons)])


def quantities(totals: Float[np.ndarray, "resamples columns"]) -> Float[np.ndarray, "resamples quantities"]:
    """All of QUANTITIES from summed `person_sums`."""
    shared, persons, residual, target = _spread(totals).T
    with np.errstate(invalid="ignore", divide="ignore"):
        total = shared + persons + residual
        parts = [shared / total, (shared + persons) / total, persons / (persons + residual)]
        explained = 1 - totals[:, 6] / totals[:, 9] / target
    return np.column_stack([icc_one_way(totals[:, 8:]), *parts, explained])


def jackknife_ends(
    sums: Float[np.ndarray, "units columns"], level: float
) -> tuple[Float[np.ndarray, " quantities"], Float[np.ndarray, " quantities"]]:
    """Ends of the interval of each of QUANTITIES, whole units left out one by one.

    The scales: ``log F`` of the one-way analysis for the ICC of the target, ``logit`` for R2 and the ICC of the model,
    ``log(mean squared error / variance)`` for the explained share. An estimate of exactly 0 or 1 (no person effects,
    no residual) is its own interval; NaN where one unit alone carries a variance, or with fewer than four units.
    """
    total = sums.sum(axis=0)
    everything, points = np.vstack([total, total - sums]), quantities(total[None])[0]
    z, parts = _log_ratios(everything), _components(everything)
    share = _shares(total[None])[0]
    rows = np.maximum(sums[:, 9], 1)
    answers, effects = sample_skewness(sums[:, 3] / rows), sample_skewness(sums[:, 1] / rows)
    ends = []
    for k, name in enumerate(QUANTITIES):
        of_answers = name in ("icc_target", "explained")
        ratio = Ratio(
            value=float(z[0, k]),
            without=z[1:, k],
            component=z[1:, k] if name == "icc_target" else parts[1:, int(of_answers)],
            share=float(share[k]),
            grows=GROWS[name],
            skewness=answers if of_answers else effects,
            more=WIDENING[name][0],
            less=WIDENING[name][1],
        )
        ends.append(_ends(name, ratio, float(points[k]), total, level))
    low, high = np.array(ends).T
    return low, high


def percentile_ends(
    sums: Float[np.ndarray, "units columns"], resamples: int, level: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Percentiles of each of QUANTITIES over resamples of whole units; too short with few of them."""
    drawn = [
        quantities(multinomial_counts(len(sums), block.stop - block.start, rng) @ sums)
        for block in count_block_sizes(len(sums), resamples)
    ]
    tail = 50 * (1 - level)
    low, high = np.nanpercentile(np.concatenate(drawn), [tail, 100 - tail], axis=0)
    return low, high


def _ends(name: str, ratio: Ratio, point: float, total: np.ndarray, level: float) -> tuple[float, float]:
    if np.isnan(point) or np.isinf(ratio.value) or np.ptp(ratio.without) == 0:
        return point, point
    low, _, high = ratio_ends(ratio, level)
    if name == "icc_target":
        size = (total[9] - total[10] / total[9]) / (total[8] - 1)
        low, high = icc_of_log_f(low, size), icc_of_log_f(high, size)
    elif name == "explained":
        low, high = 1 - np.exp(high), 1 - np.exp(low)
    else:
        low, high = 1 / (1 + np.exp(-low)), 1 / (1 + np.exp(-high))
    return float(np.minimum(low, point)), float(np.maximum(high, point))


def _spread(totals: Float[np.ndarray, "sets columns"]) -> Float[np.ndarray, "sets 4"]:
    """Variances over rows of f, d, e and y."""
    rows = totals[:, 9][:, None]
    return np.maximum(totals[:, 4:8] / rows - (totals[:, :4] / rows) ** 2, 0.0)


def _between(totals: Float[np.ndarray, "sets columns"]) -> tuple[np.ndarray, np.ndarray]:
    """Sums of squares of y between and within persons."""
    return np.maximum(totals[:, 13] - totals[:, 11] ** 2 / totals[:, 9], 0.0), totals[:, 12]


def _log_ratios(totals: Float[np.ndarray, "sets columns"]) -> Float[np.ndarray, "sets quantities"]:
    """The scales of `jackknife_ends`; infinite or NaN where a variance is zero."""
    shared, persons, residual, target = _spread(totals).T
    between, within = _between(totals)
    groups, n = totals[:, 8], totals[:, 9]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = [
            between / (groups - 1) / (within / (n - groups)),
            shared / (persons + residual),
            (shared + persons) / residual,
            persons / residual,
            totals[:, 6] / n / target,
        ]
        return np.log(np.column_stack(ratios))


def _components(totals: Float[np.ndarray, "sets columns"]) -> Float[np.ndarray, "sets 2"]:
    """Logarithms of the variance of the person effects' contribution, and of y between persons."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(np.column_stack([_spread(totals)[:, 1], _between(totals)[0] / totals[:, 9]]))


def _shares(totals: Float[np.ndarray, "sets columns"]) -> Float[np.ndarray, "sets quantities"]:
    """Share of the variance between persons in the sum whose logarithm enters each scale; 0 where there is none."""
    shared, persons, residual, _ = _spread(totals).T
    between, within = _between(totals)
    ones = np.ones_like(shared)
    parts = [ones, persons, persons, persons, between]
    sums = [ones, persons + residual, shared + persons, persons, between + within]
    return np.column_stack(
        [np.divide(a, b, out=np.zeros_like(a), where=b > 0) for a, b in zip(parts, sums, strict=True)]
    )
