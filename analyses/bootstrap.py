"""Cluster bootstrap of means and of differences between two groups' means, for many cells at once.

Resampling whole units with replacement means weighting each unit by how often it was drawn, so that every resample of
every cell, and its standard error, comes out of one product of the matrix of counts with unit sums (Cameron, Gelbach &
Miller, 2008, Review of Economics and Statistics 90, 414-427).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from analyses import wording
from analyses.intervals import (
    METHODS,
    WARN_BELOW,
    Intervals,
    choose_method,
    few_units_note,
    make_intervals,
    studentise_shift,
)
from analyses.resampling import Units, check_draws, count_block_sizes, multinomial_counts
from toolkit.errors import DataError

RELATIVE_ZERO = 1e-12
SINGLE_FROM = 40


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contrast:
    """Mean (one side) or difference of two means (side True minus side False) per cell, with intervals.

    Attributes:
        point: shape (cells,). error: its linearised standard error over units. means: shape (sides, cells), True
            first. rows: valid rows, shape (sides, cells).
        intervals: see `Intervals`. method: "percentile", "bca" or "bootstrap-t", as used.
        units_per_side: units with at least one row on the side. notes: sentences for the reader.
    """

    point: np.ndarray
    error: np.ndarray
    means: np.ndarray
    rows: np.ndarray
    intervals: Intervals
    method: str
    units_per_side: tuple[int, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stratum:
    """Units that are drawn together, with what is summed over them.

    Attributes:
        n_units: units in the stratum.
        signs: +1 or -1 of each side that lies in this stratum.
        columns: linear terms first (centred sums, sizes, side by side), then their products, shape (units, columns).
        cuts: where one block of columns ends and the next begins.
        total: rows of the stratum when each unit has equally many in every cell; the columns are then only the centred
            sums and their squares. None otherwise.
    """

    n_units: int
    signs: tuple[float, ...]
    columns: np.ndarray
    cuts: tuple[int, ...]
    total: float | None = None


def bootstrap_contrast(
    values: Float[np.ndarray, "rows cells"],
    side: Bool[np.ndarray, " rows"] | None,
    units: Units,
    *,
    resamples: int,
    method: str,
    level: float,
    rng: np.random.Generator,
) -> Contrast:
    """Mean over rows per cell, or the difference of two sides' means, with intervals from resampled whole units.

    The mean is a ratio of totals, ``sum of valid values / number of valid rows``, so that units of any size and cells
    that are NaN in some rows (a state never visited) are handled alike. Units are resampled within each side when every
    unit lies on one side; when some units have rows on both, all units are resampled jointly.

    Args:
        values: NaN marks a cell that a row has no value for.
        side: True and False rows; None for the mean itself.
        units: what is resampled.
        resamples: number of resamples, at least 99.
        method: "auto", "percentile", "bca" or "bootstrap-t".
        level: of the intervals, such as .95.
        rng: source of the resamples.

    Raises:
        DataError: E124 when a side has fewer than two units.
        ConfigError: E125 too few resamples, E302 an unknown method or an impossible level.
    """
    check_draws(resamples, "resamples")
    sides = np.ones((1, values.shape[0]), dtype=bool) if side is None else np.stack([side, ~side])
    sums, sizes, members = _unit_totals(values, sides, units)
    per_side = tuple(int(count) for count in members.sum(axis=1))
    if min(per_side) < 2:
        raise DataError(
            f"a group has fewer than two {units.name}: there is nothing to resample",
            code="E124",
            column="group",
            remedy="Compare groups with at least two (11 are needed to display a group)",
        )
    effective = min(units.n_units, 2 * min(per_side)) if side is not None else units.n_units
    used = choose_method(method, level, effective, units.name, (*METHODS, "bca"))
    rows = sizes.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums.sum(axis=1) / rows
    signs = (1.0, -1.0)[: len(sides)]
    scale = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    # Values of size 1, so that their squares stay within single precision whatever the unit of measurement.
    strata = _strata(sums / scale, sizes, means / scale, members, signs)
    point = means[0] - means[1] if len(sides) == 2 else means[0]
    _, error = _evaluate(strata, [np.ones((1, s.n_units)) for s in strata], len(point))
    shift, studentised = _draw(strata, len(point), resamples, rng)
    tested = np.isfinite(point) & (error[0] > RELATIVE_ZERO)
    error = error[0] * scale
    acceleration = _acceleration(strata, len(point)) if used == "bca" else None
    intervals = make_intervals(
        point,
        error,
        shift * scale,
        studentised,
        method=used,
        tested=tested,
        level=level,
        acceleration=acceleration,
    )
    notes = _notes(intervals, effective, units.name, resamples, point)
    return Contrast(
        point=point,
        error=error,
        means=means,
        rows=rows,
        intervals=intervals,
        method=used,
        units_per_side=per_side,
        notes=notes,
    )


def _unit_totals(values: np.ndarray, sides: np.ndarray, units: Units) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums and numbers of valid rows, shape (sides, units, cells), and which units have rows on a side."""
    valid = ~np.isnan(values)
    filled = np.where(valid, values, 0.0)
    sums = np.stack([units.sums(filled * on[:, None]) for on in sides])
    sizes = np.stack([units.sums((valid & on[:, None]).astype(np.float64)) for on in sides])
    members = np.stack([units.sums(on.astype(np.float64)) > 0 for on in sides])
    if np.all(sizes == sizes[:, :, :1]):
        # Nothing is missing: one column of sizes serves every cell.
        sizes = sizes[:, :, :1]
    return sums, sizes, members


def _strata(
    sums: np.ndarray, sizes: np.ndarray, means: np.ndarray, members: np.ndarray, signs: tuple[float, ...]
) -> list[Stratum]:
    """One stratum per side when no unit lies on both, else one with all units."""
    centred = sums - np.nan_to_num(means)[:, None, :] * sizes
    if np.any(members.sum(axis=0) > 1) or len(signs) == 1:
        return [_stratum(list(centred), list(sizes), signs)]
    return [_stratum([centred[k][inside]], [sizes[k][inside]], (signs[k],)) for k, inside in enumerate(members)]


def _stratum(sums: list[np.ndarray], sizes: list[np.ndarray], signs: tuple[float, ...]) -> Stratum:
    """Lay out the columns whose weighted sums give the shifts and their variance (see `_evaluate`)."""
    if len(signs) == 1 and sizes[0].shape[1] == 1 and np.all(sizes[0] == sizes[0][0]):
        return Stratum(
            n_units=sums[0].shape[0],
            signs=signs,
            columns=np.concatenate([sums[0], sums[0] ** 2], axis=1),
            cuts=(sums[0].shape[1], 2 * sums[0].shape[1]),
            total=float(sizes[0].sum()),
        )
    linear = [*sums, *sizes]
    products = []
    for k in range(len(signs)):
        for m in range(k, len(signs)):
            products += [sums[k] * sums[m], sums[k] * sizes[m], sizes[k] * sums[m], sizes[k] * sizes[m]]
    blocks = [*linear, *products]
    widths = np.cumsum([block.shape[1] for block in blocks])
    return Stratum(
        n_units=sums[0].shape[0],
        signs=signs,
        columns=np.ascontiguousarray(np.concatenate(blocks, axis=1)),
        cuts=tuple(widths.tolist()),
    )


def _evaluate(strata: list[Stratum], weights: list[np.ndarray], cells: int) -> tuple[np.ndarray, np.ndarray]:
    """``theta* - theta`` and its linearised standard error under weights, both of shape (resamples, cells)."""
    sums = [(weight @ stratum.columns).T for stratum, weight in zip(strata, weights, strict=True)]
    shift, error = _moved(strata, sums, cells)
    return shift.T, error.T


def _moved(strata: list[Stratum], sums: list[np.ndarray], cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Shift and standard error, shape (cells, resamples), from weighted sums of columns, shape (columns, resamples).

    With side k's mean ``m_k = S_k / N_k`` the influence of unit u is ``e_u = sum_k sign_k (S_ku - m_k N_ku) / N_k``,
    and the variance is ``U / (U - 1) sum_u w_u e_u^2``, expanded into products that do not depend on the weights. When
    every unit has equally many rows, ``sum_u w_u e_u^2 = (sum_u w_u S_u^2 - S*^2 / U) / N^2``.
    """
    shift = np.zeros((cells, sums[0].shape[1]), dtype=sums[0].dtype)
    variance = np.zeros_like(shift)
    with np.errstate(invalid="ignore", divide="ignore"):
        for stratum, total in zip(strata, sums, strict=True):
            correction = stratum.n_units / (stratum.n_units - 1)
            if stratum.total is not None:
                shift += total[:cells] * (stratum.signs[0] / stratum.total)
                spread = total[:cells] ** 2
                spread *= -1 / stratum.n_units
                spread += total[cells:]
                spread *= correction / stratum.total**2
                variance += spread
                continue
            blocks = np.split(total, stratum.cuts[:-1], axis=0)
            n_sides = len(stratum.signs)
            sizes = blocks[n_sides : 2 * n_sides]
            moved = [blocks[k] / sizes[k] for k in range(n_sides)]
            for k, sign in enumerate(stratum.signs):
                shift += sign * moved[k]
            variance += correction * _spread_of_influence(stratum.signs, blocks[2 * n_sides :], sizes, moved)
        np.maximum(variance, 0.0, out=variance)
    return shift, np.sqrt(variance, out=variance)


def _acceleration(strata: list[Stratum], cells: int) -> Float[np.ndarray, " cells"]:
    """BCa's acceleration from the jackknife over units (Efron & Tibshirani, 1993, eq. 14.15), strata as scipy does.

    ``a = sum_s sum_u (U_su / n_s)^3 / (6 (sum_s sum_u (U_su / n_s)^2)^1.5)`` with
    ``U_su = (n_s - 1) (mean - theta_-u)``.
    """
    whole = [stratum.columns.sum(axis=0)[:, None] for stratum in strata]
    cubes, squares = np.zeros(cells), np.zeros(cells)
    for k, stratum in enumerate(strata):
        left_out = [total if j != k else total - stratum.columns.T for j, total in enumerate(whole)]
        left_out = [np.broadcast_to(total, (len(total), stratum.n_units)) for total in left_out]
        theta = _jackknifed(strata, left_out, cells, k)
        pull = (stratum.n_units - 1) * (np.nanmean(theta, axis=1, keepdims=True) - theta) / stratum.n_units
        cubes += np.nansum(pull**3, axis=1)
        squares += np.nansum(pull**2, axis=1)
    return np.divide(cubes, 6 * squares**1.5, out=np.zeros(cells), where=squares > 0)


def _jackknifed(strata: list[Stratum], sums: list[np.ndarray], cells: int, k: int) -> np.ndarray:
    """The shift without each unit of stratum k; a unit that held all data of a cell leaves NaN."""
    shrunk = list(strata)
    total = strata[k].total
    if total is not None:
        shrunk[k] = replace(strata[k], total=total * (strata[k].n_units - 1) / strata[k].n_units)
    shift = _moved(shrunk, sums, cells)[0]
    return np.where(np.isfinite(shift), shift, np.nan)


def _spread_of_influence(
    signs: tuple[float, ...], products: list[np.ndarray], sizes: list[np.ndarray], moved: list[np.ndarray]
) -> np.ndarray:
    """``sum_u w_u e_u^2`` from the weighted products of `_stratum`, in its order."""
    total = np.zeros_like(moved[0])
    terms = iter(products)
    for k in range(len(signs)):
        for m in range(k, len(signs)):
            ss, sn, ns, nn = next(terms), next(terms), next(terms), next(terms)
            pair = (ss - moved[m] * sn - moved[k] * ns + moved[k] * moved[m] * nn) / (sizes[k] * sizes[m])
            total += signs[k] * signs[m] * pair * (1 if k == m else 2)
    return total


def _draw(
    strata: list[Stratum], cells: int, resamples: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "resamples cells"], Float[np.ndarray, "resamples cells"]]:
    """All resamples: the shifts and the studentised shifts; undefined ones are NaN.

    From `SINGLE_FROM` units on the sums are taken in single precision: the columns are centred, the error is some 1e-6
    of a standard error, and the products cost half. Below, a resample may lack all variance, which takes double.
    """
    single = min(stratum.n_units for stratum in strata) >= SINGLE_FROM
    kind = np.float32 if single else np.float64
    columns = [np.ascontiguousarray(stratum.columns.T, dtype=kind) for stratum in strata]
    sums = [np.empty((column.shape[0], resamples), dtype=kind) for column in columns]
    blocks = list(count_block_sizes(sum(stratum.n_units for stratum in strata), resamples))
    buffers = [np.empty((blocks[0].stop, s.n_units), dtype=kind) for s in strata]
    for block in blocks:
        for stratum, column, out, buffer in zip(strata, columns, sums, buffers, strict=True):
            weights = multinomial_counts(stratum.n_units, block.stop - block.start, rng, buffer)
            np.matmul(column, weights.T, out=out[:, block])
    shift, error = _moved(strata, sums, cells)
    return shift.T, studentise_shift(shift, error, 1e-3 if single else 1e-9, axis=1).T


def _notes(intervals: Intervals, effective: int, unit_name: str, resamples: int, point: np.ndarray) -> tuple[str, ...]:
    notes = []
    if effective < WARN_BELOW:
        sentence = few_units_note(effective, unit_name)
        notes.append(sentence[:1].upper() + sentence[1:] + ".")
    untested = int((~intervals.tested).sum())
    if untested:
        notes.append(
            f"{untested} of {point.size} cells do not vary between {unit_name} (structural zeros, or no data): "
            "they are shown without an interval, not tested, and not counted in the corrections."
        )
    if intervals.degenerate:
        notes.append(
            f"{wording.thousands(intervals.degenerate)} of {wording.thousands(resamples)} resamples left a cell "
            "without variance or without data; they are not used for that cell."
        )
    return tuple(notes)
