"""All pairs of several groups at once: each group is resampled once, so that max-T runs over pairs and cells."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
from jaxtyping import Float, Int

from analyses.bootstrap import RELATIVE_ZERO, Contrast, check_sides, contrast_notes
from analyses.bootstrap_draws import SINGLE_FROM, draw_stratum, tolerance
from analyses.bootstrap_strata import Stratum, lay_out_strata, moved_stratum, sum_over_strata, unit_totals
from analyses.intervals import (
    METHODS,
    Intervals,
    adjusted_fdr,
    adjusted_holm,
    choose_method,
    make_intervals,
    studentise_shift,
)
from analyses.resampling import Units, check_draws

Moved = tuple[np.ndarray, np.ndarray]
Draws = tuple[np.ndarray, np.ndarray, np.ndarray]


def bootstrap_pairs(
    values: Float[np.ndarray, "rows cells"],
    codes: Int[np.ndarray, " rows"],
    units: Units,
    *,
    resamples: int,
    method: str,
    level: float,
    rng: np.random.Generator,
) -> dict[tuple[int, int], Contrast]:
    """``mean of group a - mean of group b`` per cell for every pair a < b, corrected over all pairs and cells.

    Units are resampled within their group; when a unit has rows in two groups, all units are resampled jointly. The
    simultaneous intervals take the quantile of the largest ``|t*|`` over all pairs and cells; the adjusted p-values
    count all of them too. Otherwise as `analyses.bootstrap.bootstrap_contrast`.

    Args:
        values: NaN marks a cell that a row has no value for.
        codes: group of each row, 0 to groups - 1.
        units: what is resampled.
        resamples: at least 99.
        method: "auto", "percentile", "bootstrap-t" or "symmetric-t".
        level: of the intervals.
        rng: source of the resamples.

    Raises:
        DataError: E124 when a group has fewer than two units.
        ConfigError: E125 too few resamples, E302 an unknown method or an impossible level.
    """
    check_draws(resamples, "resamples")
    sides = np.stack([codes == group for group in range(int(codes.max()) + 1)])
    sums, sizes, members = unit_totals(values, sides, units)
    per_side = tuple(int(count) for count in members.sum(axis=1))
    check_sides(per_side, units)
    separate = bool((members.sum(axis=0) <= 1).all())
    rows = sizes.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums.sum(axis=1) / rows
    scale = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    effective = min(units.n_units, 2 * min(per_side))
    auto = "symmetric-t" if separate else "bootstrap-t"
    used = choose_method(method, level, effective, units.name, (*METHODS, "symmetric-t"), auto)
    totals = (sums / scale, sizes, means / scale, members)
    draw = _separate_draws if separate else _joint_draws
    drawn = draw(totals, resamples, used, rng)
    found = {
        pair: _pair_contrast(pair, means, np.broadcast_to(rows, means.shape), (e * scale, s * scale, t), used, level)
        for pair, (e, s, t) in drawn.items()
    }
    told = {
        pair: replace(
            contrast,
            units_per_side=(per_side[pair[0]], per_side[pair[1]]),
            notes=contrast_notes(contrast.intervals, effective, units.name, resamples, contrast.point),
        )
        for pair, contrast in found.items()
    }
    return _corrected(told, float(np.quantile(_largest(drawn, found), level)))


def _pair_contrast(
    pair: tuple[int, int], means: np.ndarray, rows: np.ndarray, drawn: Draws, method: str, level: float
) -> Contrast:
    """One pair's differences with their own intervals."""
    error, shift, studentised = drawn
    point = means[pair[0]] - means[pair[1]]
    intervals = make_intervals(
        point,
        error,
        shift,
        studentised,
        method=method,
        tested=np.isfinite(point) & (error > RELATIVE_ZERO * np.nanmax(np.abs(means), initial=1e-300)),
        level=level,
        together="symmetric",
    )
    return Contrast(
        point=point,
        error=error,
        means=means[list(pair)],
        rows=rows[list(pair)],
        intervals=intervals,
        method=method,
        units_per_side=(),
        notes=(),
    )


def _largest(drawn: dict[tuple[int, int], Draws], found: dict[tuple[int, int], Contrast]) -> np.ndarray:
    """Largest ``|t*|`` over all pairs and tested cells in every resample."""
    largest = np.zeros(len(next(iter(drawn.values()))[2]))
    for pair, (_, _, studentised) in drawn.items():
        tested = found[pair].intervals.tested
        if tested.any():
            largest = np.fmax(largest, np.fmax.reduce(np.abs(studentised[:, tested]), axis=1))
    return largest


def _separate_draws(
    totals: tuple[np.ndarray, ...], resamples: int, method: str, rng: np.random.Generator
) -> dict[tuple[int, int], Draws]:
    """Error, shift and t* of every pair from one set of resamples a group."""
    sums, sizes, means, members = totals
    strata = lay_out_strata(sums, sizes, means, members, (1.0,) * len(sums))
    cells = sums.shape[2]
    smooth = [draw_stratum(stratum, cells, resamples, rng, smooth=True) for stratum in strata]
    plain = smooth
    if method == "percentile":
        plain = [
            draw_stratum(stratum, cells, resamples, rng, smooth=False) if stratum.n_units < SINGLE_FROM else drawn
            for stratum, drawn in zip(strata, smooth, strict=True)
        ]
    whole = [_whole(stratum, cells) for stratum in strata]
    found = {}
    for a, b in combinations(range(len(strata)), 2):
        error = sum_over_strata([whole[a], whole[b]])[1][:, 0]
        shift, spread = sum_over_strata([smooth[a], _negative(smooth[b])])
        studentised = studentise_shift(shift, spread, tolerance([strata[a], strata[b]], smooth=True), axis=1)
        if plain is not smooth:
            shift = sum_over_strata([plain[a], _negative(plain[b])])[0]
        found[a, b] = (error, shift.T, studentised.T)
    return found


def _joint_draws(
    totals: tuple[np.ndarray, ...], resamples: int, method: str, rng: np.random.Generator
) -> dict[tuple[int, int], Draws]:
    """The same when units lie in several groups: every pair sees the same resamples of all units."""
    del method
    sums, sizes, means, members = totals
    seed, cells = int(rng.integers(2**63)), sums.shape[2]
    found = {}
    for pair in combinations(range(len(sums)), 2):
        both = list(pair)
        # All units count, also those outside the pair; marked as members of both sides they stay in one stratum.
        stratum = lay_out_strata(
            sums[both], sizes[both], means[both], np.ones_like(members[both], dtype=bool), (1.0, -1.0)
        )[0]
        error = sum_over_strata([_whole(stratum, cells)])[1][:, 0]
        drawn = draw_stratum(stratum, cells, resamples, np.random.default_rng(seed), smooth=False)
        shift, spread = sum_over_strata([drawn])
        studentised = studentise_shift(shift, spread, tolerance([stratum], smooth=False), axis=1)
        found[pair] = (error, shift.T, studentised.T)
    return found


def _whole(stratum: Stratum, cells: int) -> Moved:
    """Shift (zero) and variance of the sample itself."""
    return moved_stratum(stratum, stratum.columns.sum(axis=0)[:, None], cells)


def _negative(moved: Moved) -> Moved:
    return -moved[0], moved[1]


def _corrected(found: dict[tuple[int, int], Contrast], reach: float) -> dict[tuple[int, int], Contrast]:
    """Simultaneous intervals and adjusted p-values over all pairs."""
    p = np.stack([contrast.intervals.pvalue for contrast in found.values()])
    fdr, holm = adjusted_fdr(p), adjusted_holm(p)
    corrected = {}
    for place, (pair, contrast) in enumerate(found.items()):
        own = contrast.intervals
        wide = np.where(own.tested, reach * contrast.error, 0.0)
        intervals: Intervals = replace(
            own,
            low_simultaneous=np.minimum(own.low, contrast.point - wide),
            high_simultaneous=np.maximum(own.high, contrast.point + wide),
            pvalue_fdr=fdr[place],
            pvalue_holm=holm[place],
        )
        corrected[pair] = replace(contrast, intervals=intervals)
    return corrected
