"""Correlations of resampled whole units: percentiles for every kind, bootstrap-t for Pearson's r."""

# pyright: strict, reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import numpy as np
from jaxtyping import Float

from analyses import progress
from analyses.correlation import BLOCK_CELLS, cosines, scores
from analyses.intervals import make_intervals, studentise_shift
from analyses.resampling import Units, count_block_sizes, multinomial_counts


def bootstrap_pearson(
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, " n"],
    r: float,
    units: Units,
    *,
    resamples: int,
    method: str,
    level: float,
    rng: np.random.Generator,
) -> tuple[float, float, float]:
    """Low, high and p from resampled units, on the scale ``z = atanh(r)`` where r is nearly symmetric."""
    if abs(r) >= 1 - 1e-12:
        return r, r, float("nan")
    # Standardised, so that the moments of a resample stay small numbers; r does not change.
    u, v = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
    moments = units.sums(np.stack([np.ones_like(u), u, v, u * u, v * v, u * v], axis=1))
    z, error = fisher_z(moments, np.ones((1, units.n_units)))
    drawn = [
        fisher_z(moments, multinomial_counts(units.n_units, block.stop - block.start, rng))
        for block in count_block_sizes(units.n_units, resamples)
    ]
    shift = (np.concatenate([z_star for z_star, _ in drawn]) - z)[:, None]
    error_star = np.concatenate([e for _, e in drawn])[:, None]
    studentised = studentise_shift(shift, error_star)
    found = make_intervals(z, error, shift, studentised, method=method, tested=np.array([True]), level=level)
    return float(np.tanh(found.low[0])), float(np.tanh(found.high[0])), float(found.pvalue[0])


def fisher_z(
    moments: Float[np.ndarray, "units 6"], weights: Float[np.ndarray, "resamples units"]
) -> tuple[Float[np.ndarray, " resamples"], Float[np.ndarray, " resamples"]]:
    """``atanh(r)`` and its linearised standard error under weights; NaN where a resample has no variance.

    r depends on weighted totals T of (1, u, v, u^2, v^2, uv) only; by the chain rule the influence of a unit is its
    moments times the gradient of z at T, and the variance ``U / (U - 1) sum_u w_u influence_u^2`` is a quadratic form
    in the weighted products of the moments.
    """
    n_units, k = moments.shape
    products = (moments[:, :, None] * moments[:, None, :]).reshape(n_units, k * k)
    n, s_u, s_v, s_uu, s_vv, s_uv = (weights @ moments).T
    mean_u, mean_v = s_u / n, s_v / n
    var_u, var_v = s_uu / n - mean_u**2, s_vv / n - mean_v**2
    usable = (var_u > 1e-12) & (var_v > 1e-12)
    var_u, var_v = np.where(usable, var_u, 1.0), np.where(usable, var_v, 1.0)
    r = (s_uv / n - mean_u * mean_v) / np.sqrt(var_u * var_v)
    usable &= np.abs(r) < 1 - 1e-12
    r = np.where(usable, r, 0.0)
    # Influence of one row on r: (a b - r (a^2 + b^2) / 2) / n with a, b standardised within the resample.
    g_uv = 1 / np.sqrt(var_u * var_v)
    g_uu, g_vv = -r / (2 * var_u), -r / (2 * var_v)
    g_u = -mean_v * g_uv - 2 * mean_u * g_uu
    g_v = -mean_u * g_uv - 2 * mean_v * g_vv
    g_1 = mean_u * mean_v * g_uv + mean_u**2 * g_uu + mean_v**2 * g_vv
    gradient = np.stack([g_1, g_u, g_v, g_uu, g_vv, g_uv], axis=1) / (n * (1 - r**2))[:, None]
    spread = np.einsum("ri,rij,rj->r", gradient, (weights @ products).reshape(-1, k, k), gradient)
    error = np.sqrt(np.maximum(spread, 0.0) * n_units / (n_units - 1))
    return np.where(usable, np.arctanh(r), np.nan), np.where(usable, error, np.nan)


def bootstrap_percentile(
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, " n"],
    units: Units,
    kind: str,
    *,
    resamples: int,
    level: float,
    rng: np.random.Generator,
) -> tuple[float, float, float]:
    """Percentiles of the correlation over resampled units, and ``p = 2 (b + 1) / (B + 1)`` from the smaller tail.

    Resamples in which one side is constant have no correlation and are left out.
    """
    drawn = resampled_correlations(x, y, units, kind, resamples=resamples, rng=rng)
    drawn = drawn[np.isfinite(drawn)]
    if drawn.size == 0:
        return float("nan"), float("nan"), float("nan")
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    beyond = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    return float(low), float(high), min(1.0, 2 * (beyond + 1) / (drawn.size + 1))


def resampled_correlations(
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, " n"],
    units: Units,
    kind: str,
    *,
    resamples: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, " resamples"]:
    """The correlation in resamples of whole units; resamples with equally many rows are computed together."""
    order = np.argsort(units.codes, kind="stable")
    sizes = np.bincount(units.codes, minlength=units.n_units)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    drawn = rng.integers(0, units.n_units, (resamples, units.n_units))
    totals = sizes[drawn].sum(axis=1)
    found, done = np.empty(resamples), 0
    for total in np.unique(totals):
        members = np.flatnonzero(totals == total)
        step = max(1, BLOCK_CELLS // int(total))
        for start in range(0, members.size, step):
            block = members[start : start + step]
            rows = order[_rows_of(drawn[block], sizes, starts)].reshape(block.size, int(total))
            found[block] = cosines(scores(x[rows], kind), scores(y[rows], kind))
            done += block.size
            progress.report(done, resamples)
    return found


def _rows_of(drawn: np.ndarray, sizes: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Places of the rows of the drawn units, one after the other."""
    counts = sizes[drawn].reshape(-1)
    first = np.cumsum(counts) - counts
    return np.repeat(starts[drawn].reshape(-1) - first, counts) + np.arange(counts.sum())
