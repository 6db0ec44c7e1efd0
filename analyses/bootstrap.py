"""Cluster bootstrap of means and of differences between two groups' means, for many cells at once.

Resampling whole units with replacement means weighting each unit by how often it was drawn, so that every resample of
every cell, and its standard error, comes out of one product of the matrix of counts with unit sums (Cameron, Gelbach &
Miller, 2008, Review of Economics and Statistics 90, 414-427).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from analyses import wording
from analyses.intervals import WARN_BELOW, Intervals, choose_method, few_units_note, make_intervals, studentise_shift
from analyses.resampling import Units, check_draws, count_block_sizes, multinomial_counts
from toolkit.errors import DataError

RELATIVE_ZERO = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contrast:
    """Mean (one side) or difference of two means (side True minus side False) per cell, with intervals.

    Attributes:
        point: shape (cells,). means: shape (sides, cells), True first. rows: valid rows, shape (sides, cells).
        intervals: see `Intervals`. method: "percentile" or "bootstrap-t", as used.
        units_per_side: units with at least one row on the side. notes: sentences for the reader.
    """

    point: np.ndarray
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
    """

    n_units: int
    signs: tuple[float, ...]
    columns: np.ndarray
    cuts: tuple[int, ...]


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
        method: "auto", "percentile" or "bootstrap-t".
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
    used = choose_method(method, level, effective, units.name)
    rows = sizes.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums.sum(axis=1) / rows
    signs = (1.0, -1.0)[: len(sides)]
    strata = _strata(sums, sizes, means, members, signs)
    point = means[0] - means[1] if len(sides) == 2 else means[0]
    _, error = _evaluate(strata, [np.ones((1, s.n_units)) for s in strata], len(point))
    draws = _draw(strata, len(point), resamples, rng)
    scale = float(np.nanmax(np.abs(values), initial=0.0))
    tested = np.isfinite(point) & (error[0] > RELATIVE_ZERO * scale)
    intervals = make_intervals(point, error[0], *draws, method=used, tested=tested, level=level)
    notes = _notes(intervals, effective, units.name, resamples, point)
    return Contrast(
        point=point, means=means, rows=rows, intervals=intervals, method=used, units_per_side=per_side, notes=notes
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
    """``theta* - theta`` and its linearised standard error under weights, both of shape (resamples, cells).

    With side k's mean ``m_k = S_k / N_k`` the influence of unit u is ``e_u = sum_k sign_k (S_ku - m_k N_ku) / N_k``,
    and the variance is ``U / (U - 1) sum_u w_u e_u^2``, expanded into products that do not depend on the weights.
    """
    shift = np.zeros((weights[0].shape[0], cells))
    variance = np.zeros_like(shift)
    with np.errstate(invalid="ignore", divide="ignore"):
        for stratum, weight in zip(strata, weights, strict=True):
            blocks = np.split(weight @ stratum.columns, stratum.cuts[:-1], axis=1)
            n_sides = len(stratum.signs)
            sizes = blocks[n_sides : 2 * n_sides]
            moved = [blocks[k] / sizes[k] for k in range(n_sides)]
            for k, sign in enumerate(stratum.signs):
                shift += sign * moved[k]
            spread = _spread_of_influence(stratum.signs, blocks[2 * n_sides :], sizes, moved)
            variance += spread * (stratum.n_units / (stratum.n_units - 1))
    return shift, np.sqrt(np.maximum(variance, 0.0))


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
    """All resamples: the shifts and the studentised shifts; undefined ones are NaN."""
    shift, error = np.empty((resamples, cells)), np.empty((resamples, cells))
    blocks = list(count_block_sizes(sum(stratum.n_units for stratum in strata), resamples))
    buffers = [np.empty((blocks[0].stop, s.n_units)) for s in strata]
    for block in blocks:
        rows = block.stop - block.start
        weights = [multinomial_counts(s.n_units, rows, rng, out) for s, out in zip(strata, buffers, strict=True)]
        shift[block], error[block] = _evaluate(strata, weights, cells)
    return shift, studentise_shift(shift, error)


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
