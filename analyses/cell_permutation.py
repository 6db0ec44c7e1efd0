"""Permutation p-values per cell and their max-T version: the group labels dealt anew over whole units.

Westfall & Young (1993), Resampling-based multiple testing, ch. 2 (single-step max-T). The statistic is Welch's t over
units; studentising keeps the test of equal means close to its level when the groups also differ in spread (Janssen,
1997, Statistics & Probability Letters 36, 9-21).
"""

# pyright: strict
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from analyses.resampling import Units, check_draws, permutation_blocks
from toolkit.results import read_only

BLOCK_ROWS = 500


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CellPermutation:
    """Permutation p-values, shape (cells,); NaN in cells that do not vary.

    Attributes:
        pvalue: of each cell on its own. pvalue_max: corrected for all cells (max-T).
        permutations: how many. within_units: labels changed places within units, because units hold both groups.
    """

    pvalue: np.ndarray
    pvalue_max: np.ndarray
    permutations: int
    within_units: bool


def permute_cells(
    values: Float[np.ndarray, "rows cells"],
    side: Bool[np.ndarray, " rows"],
    units: Units,
    *,
    permutations: int,
    rng: np.random.Generator,
) -> CellPermutation:
    """P of every cell's difference, ``(b + 1) / (B + 1)`` with b the permutations at least as extreme (two-sided).

    Whole units change sides when each lies on one side; when units hold rows of both, labels change places within
    units only.

    Raises:
        ConfigError: E125 too few permutations.
    """
    check_draws(permutations, "permutations")
    mixed = bool(np.any(units.sums(side.astype(float)) * units.sums((~side).astype(float)) > 0))
    valid = ~np.isnan(values)
    centred = np.where(valid, values - _column_means(values), 0.0)
    spread = centred.std(axis=0)
    centred = centred / np.where(spread > 0, spread, 1.0)
    if mixed:
        label, strata, sums, sizes = side, units.codes, centred, valid.astype(np.float64)
    else:
        label, strata = units.sums(side.astype(np.float64)) > 0, None
        sums, sizes = units.sums(centred), units.sums(valid.astype(np.float64))
    columns = np.concatenate([sums, sizes, sums**2, sums * sizes, sizes**2], axis=1)
    observed = _welch(label[None].astype(np.float64), columns)[0]
    tested = np.isfinite(observed) & (spread > 1e-12 * np.maximum(1e-300, np.abs(_column_means(values))))
    extreme, beyond_max = np.zeros(len(observed)), np.zeros(len(observed))
    bar = np.abs(observed) * (1 - 1e-9) - 1e-12
    for block in permutation_blocks(label.astype(np.float64), strata, permutations, rng, BLOCK_ROWS):
        null = np.abs(_welch(block, columns))
        # Without variance the statistic is undefined; it counts as extreme, so that p never comes out too small.
        null[np.isnan(null)] = np.inf
        extreme += (null >= bar).sum(axis=0)
        if tested.any():
            beyond_max += (null[:, tested].max(axis=1)[:, None] >= bar).sum(axis=0)
    p, corrected = ((count + 1) / (permutations + 1) for count in (extreme, beyond_max))
    return CellPermutation(
        pvalue=read_only(np.where(tested, p, np.nan)),
        pvalue_max=read_only(np.where(tested, corrected, np.nan)),
        permutations=permutations,
        within_units=mixed,
    )


def _column_means(values: np.ndarray) -> np.ndarray:
    valid = ~np.isnan(values)
    return np.where(valid, values, 0.0).sum(axis=0) / np.maximum(valid.sum(axis=0), 1)


def _welch(labels: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Welch's t of two ratio means per row of labels, shape (rows, cells); NaN without variance or without data."""
    cells, units = columns.shape[1] // 5, columns.shape[0]
    inside = labels @ columns
    count = labels.sum(axis=1, keepdims=True)
    difference, variance = np.zeros((len(labels), cells)), np.zeros((len(labels), cells))
    with np.errstate(invalid="ignore", divide="ignore"):
        for part, n, sign in ((inside, count, 1.0), (columns.sum(axis=0) - inside, units - count, -1.0)):
            s, size, ss, sn, nn = np.split(part, 5, axis=1)
            mean = s / size
            difference += sign * mean
            variance += (ss - 2 * mean * sn + mean**2 * nn) / size**2 * (n / (n - 1))
        return np.where(variance > 1e-14 * difference**2, difference / np.sqrt(np.maximum(variance, 1e-300)), np.nan)
