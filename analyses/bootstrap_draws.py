"""Resamples of whole units: by counts and one matrix product, or smoothed where there are few of them.

With few units the classical bootstrap-t draws resamples of two or three different units, whose standard errors are far
too small; the largest t* over sixteen cells is then dominated by them, and simultaneous intervals hardly ever reject.
Adding normal noise of standard deviation
``h = 2.5 / sqrt(units)`` times the sample's own covariance, and dividing by ``sqrt(1 + h^2)``, leaves mean and
covariance as they are and removes the coincidences (the smoothed bootstrap: Silverman & Young, 1987, Biometrika 74,
469-479).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from analyses import progress
from analyses.bootstrap_strata import Stratum, linear_columns, moved_means, moved_stratum, sum_over_strata
from analyses.intervals import studentise_shift
from analyses.resampling import count_block_sizes, multinomial_counts

SINGLE_FROM = 40
SMOOTHING = 2.5
SMOOTH_CELLS = 200_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawn:
    """Resamples, shape (resamples, cells): ``theta* - theta`` and ``t*`` (NaN where a resample has no variance)."""

    shift: np.ndarray
    studentised: np.ndarray


def draw_studentised(
    strata: list[Stratum],
    cells: int,
    resamples: int,
    rng: np.random.Generator,
    *,
    smooth: bool,
    plain: bool,
    spread: bool = True,
) -> Drawn:
    """All resamples of a contrast.

    Args:
        strata: units drawn together.
        cells: how many.
        resamples: how many.
        rng: source of the draws.
        smooth: t* from smoothed resamples in strata of fewer than 40 units.
        plain: the shift is wanted without smoothing (percentiles).
        spread: t* is wanted; without it, the shift stands in its place and half of the products are saved.
    """
    if not spread:
        parts = [draw_stratum(stratum, cells, resamples, rng, smooth=False, spread=False) for stratum in strata]
        shift = np.sum([part[0] for part in parts], axis=0).T
        return Drawn(shift=shift, studentised=shift)
    smoothed = smooth and min(stratum.n_units for stratum in strata) < SINGLE_FROM
    parts = []
    for place, stratum in enumerate(strata):
        with progress.part(place, len(strata)):
            parts.append(draw_stratum(stratum, cells, resamples, rng, smooth=smooth))
    shift, error = sum_over_strata(parts)
    studentised = studentise_shift(shift, error, tolerance(strata, smooth), axis=1).T
    if plain and smoothed:
        parts = [draw_stratum(stratum, cells, resamples, rng, smooth=False) for stratum in strata]
        shift, _ = sum_over_strata(parts)
    return Drawn(shift=shift.T, studentised=studentised)


def tolerance(strata: list[Stratum], smooth: bool) -> float:
    """Share of the largest standard error below which a resample has no variance, by the precision it was drawn in."""
    single = smooth or all(stratum.n_units >= SINGLE_FROM for stratum in strata)
    return 1e-3 if single else 1e-9


def draw_stratum(
    stratum: Stratum,
    cells: int,
    resamples: int,
    rng: np.random.Generator,
    *,
    smooth: bool,
    spread: bool = True,
) -> tuple[Float[np.ndarray, "cells resamples"], Float[np.ndarray, "cells resamples"]]:
    """Shift of a stratum's part of the contrast, and its variance (NaN unless `spread`), in every resample.

    From `SINGLE_FROM` units on the sums are taken in single precision: the columns are centred, the error is some 1e-6
    of a standard error, and the products cost half. Below, a resample may lack all variance, which takes double.
    """
    if smooth and stratum.n_units < SINGLE_FROM:
        return _smoothed(stratum, cells, resamples, rng)
    kind = np.float32 if stratum.n_units >= SINGLE_FROM else np.float64
    columns = np.ascontiguousarray((stratum.columns if spread else linear_columns(stratum, cells)).T, dtype=kind)
    sums = np.empty((columns.shape[0], resamples), dtype=kind)
    blocks = list(count_block_sizes(stratum.n_units, resamples))
    buffer = np.empty((blocks[0].stop, stratum.n_units), dtype=kind)
    for block in blocks:
        weights = multinomial_counts(stratum.n_units, block.stop - block.start, rng, buffer)
        np.matmul(columns, weights.T, out=sums[:, block])
        progress.report(block.stop, resamples)
    if not spread:
        means = moved_means(stratum, sums, cells)
        return means, np.broadcast_to(np.array(np.nan, dtype=kind), means.shape)
    return moved_stratum(stratum, sums, cells)


def _smoothed(
    stratum: Stratum, cells: int, resamples: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "cells resamples"], Float[np.ndarray, "cells resamples"]]:
    """The same from units drawn with noise; the stratum has one side."""
    units = stratum.n_units
    centred = stratum.columns[:, :cells].astype(np.float32)
    sizes = _sizes(stratum, cells).astype(np.float32)
    root, width = noise_root(centred), SMOOTHING / np.sqrt(units)
    present = (sizes > 0).astype(np.float32)
    shift, variance = np.empty((2, cells, resamples), dtype=np.float32)
    step = max(1, SMOOTH_CELLS // (units * cells))
    for start in range(0, resamples, step):
        block = slice(start, min(start + step, resamples))
        drawn = rng.integers(0, units, size=(block.stop - start, units))
        noise = rng.standard_normal((block.stop - start, units, len(root)), dtype=np.float32) @ root
        values = (centred[drawn] + np.float32(width) * present[drawn] * noise) / np.float32(np.sqrt(1 + width**2))
        rows = sizes[drawn]
        with np.errstate(invalid="ignore", divide="ignore"):
            total = rows.sum(axis=1)
            mean = values.sum(axis=1) / total
            pull = ((values - mean[:, None] * rows) ** 2).sum(axis=1) / total**2
        shift[:, block], variance[:, block] = mean.T, pull.T
        progress.report(block.stop, resamples)
    return stratum.signs[0] * shift, units / (units - 1) * variance


def noise_root(centred: Float[np.ndarray, "units cells"]) -> Float[np.ndarray, "rank cells"]:
    """R with ``R'R`` the covariance of the units' values, at most as many rows as units or cells."""
    _, size, right = np.linalg.svd(centred, full_matrices=False)
    return (size[:, None] * right / np.sqrt(len(centred) - 1)).astype(centred.dtype)


def _sizes(stratum: Stratum, cells: int) -> Float[np.ndarray, "units cells"]:
    """Rows of each unit in each cell."""
    if stratum.total is not None:
        return np.full((stratum.n_units, 1), stratum.total / stratum.n_units)
    return stratum.columns[:, cells : stratum.cuts[1]]
