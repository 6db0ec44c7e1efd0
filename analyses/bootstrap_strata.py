"""Sums over units from which every resample of a mean, and its standard error, comes by one matrix product.

Resampling whole units with replacement means weighting each unit by how often it was drawn, so that every resample of
every cell, and its standard error, comes out of one product of the matrix of counts with unit sums (Cameron, Gelbach &
Miller, 2008, Review of Economics and Statistics 90, 414-427).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from analyses.resampling import Units


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


def unit_totals(values: np.ndarray, sides: np.ndarray, units: Units) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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


def lay_out_strata(
    sums: np.ndarray, sizes: np.ndarray, means: np.ndarray, members: np.ndarray, signs: tuple[float, ...]
) -> list[Stratum]:
    """One stratum per side when no unit lies on both, else one with all units."""
    centred = sums - np.nan_to_num(means)[:, None, :] * sizes
    if np.any(members.sum(axis=0) > 1) or len(signs) == 1:
        return [_stratum(list(centred), list(sizes), signs)]
    return [_stratum([centred[k][inside]], [sizes[k][inside]], (signs[k],)) for k, inside in enumerate(members)]


def _stratum(sums: list[np.ndarray], sizes: list[np.ndarray], signs: tuple[float, ...]) -> Stratum:
    """Lay out the columns whose weighted sums give the shifts and their variance (see `evaluate_strata`)."""
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


def evaluate_strata(strata: list[Stratum], weights: list[np.ndarray], cells: int) -> tuple[np.ndarray, np.ndarray]:
    """``theta* - theta`` and its linearised standard error under weights, both of shape (resamples, cells)."""
    sums = [(weight @ stratum.columns).T for stratum, weight in zip(strata, weights, strict=True)]
    shift, error = moved_strata(strata, sums, cells)
    return shift.T, error.T


def moved_strata(strata: list[Stratum], sums: list[np.ndarray], cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Shift and standard error, shape (cells, resamples), from weighted sums of columns, shape (columns, resamples)."""
    moved = [moved_stratum(stratum, total, cells) for stratum, total in zip(strata, sums, strict=True)]
    return sum_over_strata(moved)


def sum_over_strata(moved: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Shift and standard error of the whole contrast from the shift and the variance of each stratum."""
    shift, variance = moved[0]
    for more, spread in moved[1:]:
        shift, variance = shift + more, variance + spread
    return shift, np.sqrt(np.maximum(variance, 0.0))


def moved_stratum(stratum: Stratum, total: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """One stratum's part of the shift and of its variance, shape (cells, resamples), from weighted sums of its columns.

    With side k's mean ``m_k = S_k / N_k`` the influence of unit u is ``e_u = sum_k sign_k (S_ku - m_k N_ku) / N_k``,
    and the variance is ``U / (U - 1) sum_u w_u e_u^2``, expanded into products that do not depend on the weights. When
    every unit has equally many rows, ``sum_u w_u e_u^2 = (sum_u w_u S_u^2 - S*^2 / U) / N^2``.
    """
    correction = stratum.n_units / (stratum.n_units - 1)
    if stratum.total is not None:
        spread = total[:cells] ** 2
        spread *= -1 / stratum.n_units
        spread += total[cells:]
        spread *= correction / stratum.total**2
        return total[:cells] * (stratum.signs[0] / stratum.total), spread
    blocks = np.split(total, stratum.cuts[:-1], axis=0)
    n_sides = len(stratum.signs)
    sizes = blocks[n_sides : 2 * n_sides]
    with np.errstate(invalid="ignore", divide="ignore"):
        moved = [blocks[k] / sizes[k] for k in range(n_sides)]
        shift = np.zeros((cells, total.shape[1]), dtype=total.dtype)
        for k, sign in enumerate(stratum.signs):
            shift += sign * moved[k]
        spread = correction * _spread_of_influence(stratum.signs, blocks[2 * n_sides :], sizes, moved)
    return shift, spread


def linear_columns(stratum: Stratum, cells: int) -> Float[np.ndarray, "units columns"]:
    """The columns that the means need, without those for their variance."""
    return stratum.columns[:, : cells if stratum.total is not None else stratum.cuts[2 * len(stratum.signs) - 1]]


def moved_means(stratum: Stratum, total: np.ndarray, cells: int) -> Float[np.ndarray, "cells resamples"]:
    """One stratum's part of the shift from weighted sums of `linear_columns`."""
    if stratum.total is not None:
        return total * (stratum.signs[0] / stratum.total)
    n_sides = len(stratum.signs)
    blocks = np.split(total, stratum.cuts[: 2 * n_sides - 1], axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = [sign * blocks[k] / blocks[n_sides + k] for k, sign in enumerate(stratum.signs)]
    return np.broadcast_to(np.sum(parts, axis=0), (cells, total.shape[1]))


def bca_acceleration(strata: list[Stratum], cells: int) -> Float[np.ndarray, " cells"]:
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
    shift = moved_strata(shrunk, sums, cells)[0]
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
