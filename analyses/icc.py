"""Intraclass correlations from sums, so that every bootstrap resample is one matrix product."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def one_way_sums(values: Float[np.ndarray, " rows"], codes: np.ndarray, groups: int) -> Float[np.ndarray, "groups 6"]:
    """Per group: 1, rows, rows^2, sum, squares within, squares between; what `icc_one_way` needs."""
    rows = np.bincount(codes, minlength=groups).astype(np.float64)
    total = np.bincount(codes, weights=values, minlength=groups)
    mean = np.divide(total, rows, out=np.zeros_like(total), where=rows > 0)
    within = np.bincount(codes, weights=(values - mean[codes]) ** 2, minlength=groups)
    between = rows * mean**2
    return np.stack([(rows > 0).astype(np.float64), rows, rows**2, total, within, between], axis=1)


def icc_one_way(totals: Float[np.ndarray, "... 6"]) -> np.ndarray:
    """ICC(1) of rows within persons, ``(MSB - MSW) / (MSB + (n0 - 1) MSW)``, groups of any size.

    ``n0 = (N - sum n_i^2 / N) / (k - 1)`` replaces the common group size (Searle, Casella & McCulloch, 1992); with
    equal sizes it is the ICC1 of pingouin. NaN where it is not defined; it can be below zero.

    Args:
        totals: the columns of `one_way_sums` added up over groups (weighted in a bootstrap resample).
    """
    groups, n, squares, total, within, between = np.moveaxis(np.asarray(totals, dtype=np.float64), -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        msb = (between - total**2 / n) / (groups - 1)
        msw = within / (n - groups)
        size = (n - squares / n) / (groups - 1)
        return np.asarray((msb - msw) / (msb + (size - 1) * msw))


def two_way_sums(values: Float[np.ndarray, "targets raters"]) -> Float[np.ndarray, "targets columns"]:
    """Per target: 1, squared row mean, sum of squares, and its value under each rater."""
    mean = values.mean(axis=1)
    return np.column_stack([np.ones(len(values)), mean**2, (values**2).sum(axis=1), values])


def icc_two_way(totals: Float[np.ndarray, "... columns"]) -> np.ndarray:
    """ICC(2,1), absolute agreement of single raters (McGraw & Wong's ICC(A,1)), from summed `two_way_sums`.

    ``(MSR - MSE) / (MSR + (k - 1) MSE + k (MSC - MSE) / n)`` with MSR between targets, MSC between raters, MSE the
    rest; n targets, k raters (Shrout & Fleiss, 1979). 1 for identical raters; NaN where targets do not differ.
    """
    totals = np.asarray(totals, dtype=np.float64)
    squares, k = totals[..., 2], totals.shape[-1] - 3
    msr, msc, mse, n = two_way_squares(totals)
    differ = (n - 1) * (msr + (k - 1) * mse) > 1e-12 * np.maximum(squares, 1e-300)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (msr - mse) / (msr + (k - 1) * mse + k * (msc - mse) / n)
    return np.where(differ, found, np.nan)


def two_way_squares(totals: Float[np.ndarray, "... columns"]) -> Float[np.ndarray, "4 ..."]:
    """Mean squares between targets, between raters and of the rest, and the number of targets."""
    n, row_squares, squares = totals[..., 0], totals[..., 1], totals[..., 2]
    columns = totals[..., 3:] / n[..., None]
    k = columns.shape[-1]
    grand = columns.mean(axis=-1)
    between = np.maximum(k * (row_squares - n * grand**2), 0.0)
    raters = n * ((columns - grand[..., None]) ** 2).sum(axis=-1)
    rest = np.maximum(squares - n * k * grand**2 - between - raters, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack([between / (n - 1), raters / (k - 1), rest / ((n - 1) * (k - 1)), n])


def icc_of_log_f(log_f: float, size: float) -> float:
    """``(F - 1) / (F + n0 - 1)`` without overflow: the ICC that belongs to a ratio of mean squares."""
    inverse = np.exp(-log_f)
    return float((1 - inverse) / (1 + (size - 1) * inverse))


def two_way_log_f(totals: Float[np.ndarray, "... columns"]) -> np.ndarray:
    """``log(1 + k ICC / (1 - ICC))`` of `icc_two_way`: ``log((MSR + d) / (MSE + d))``, ``d = (MSC - MSE) / n``.

    MSE is taken as at least 1e-12 of MSR, so that identical raters have a finite value.
    """
    msr, msc, mse, n = two_way_squares(totals)
    mse = np.maximum(mse, 1e-12 * msr)
    shift = (msc - mse) / n
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.log((msr + shift) / (mse + shift)))
