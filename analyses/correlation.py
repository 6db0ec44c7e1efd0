"""Pearson's, Spearman's and the percentage bend correlation, with intervals from leaving out whole units.

Each is a cosine of two columns of scores: ``r = sum a_i b_i / sqrt(sum a_i^2 sum b_i^2)``, where a depends on the first
variable alone and b on the second: deviations from the mean (Pearson), deviations of the ranks (Spearman), or bent
deviations from a robust centre (percentage bend; Wilcox, 1994, Psychometrika 59, 601-616).
"""

# pyright: strict, reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from analyses.resampling import Units, check_finite, check_length
from toolkit.errors import ConfigError, DataError

KINDS = ("pearson", "spearman", "bend")
MIN_PERSONS = 4
BEND = 0.2
BLOCK_CELLS = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Jackknife:
    """Interval and p of an estimate from its values without each unit in turn; NaN where they are not defined.

    Attributes:
        low, high, pvalue: on the scale asked for. error: standard error on the scale they were made on.
        without: estimate without each unit, shape (units,).
    """

    low: float
    high: float
    pvalue: float
    error: float
    without: np.ndarray


def check_kind(kind: str) -> None:
    """Raise E302 for a correlation that is not known."""
    if kind not in KINDS:
        raise ConfigError(
            "this correlation is not known", code="E302", column="correlation", remedy=f"Use {', '.join(KINDS)}"
        )


def checked_pair(
    first: ArrayLike, second: ArrayLike, names: tuple[str, str]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Two columns of numbers that a correlation can be taken of.

    Raises:
        DataError: E110/E111 infinite or missing values, E115 a constant side, E116 fewer than four rows, E127 lengths.
    """
    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    check_length(x, x.size, names[0])
    check_length(y, x.size, names[1])
    check_enough(x.size, "persons")
    for name, values in zip(names, (x, y), strict=True):
        check_finite(values, name)
        if np.ptp(values) == 0:
            raise DataError(
                f"{name} is the same for every person, so that no correlation is defined",
                code="E115",
                column=name,
                remedy="A model whose person effects collapsed to zero has no bias to compare; see its status",
            )
    return x, y


def check_enough(count: int, name: str) -> None:
    """Raise E116 below four."""
    if count < MIN_PERSONS:
        raise DataError(f"{count} {name} are too few; a correlation needs at least {MIN_PERSONS}", code="E116")


def scores(values: Float[np.ndarray, "rows n"], kind: str) -> Float[np.ndarray, "rows n"]:
    """The scores whose cosine is the correlation; zero where a row has no spread."""
    if kind == "spearman":
        from scipy.stats import rankdata

        return np.asarray(rankdata(values, axis=1)) - (values.shape[1] + 1) / 2
    if kind == "bend":
        return _bent(values)
    return values - values.mean(axis=1, keepdims=True)


def _bent(values: Float[np.ndarray, "rows n"]) -> Float[np.ndarray, "rows n"]:
    """``clip((x - centre) / omega, -1, 1)`` with omega the .8 quantile of ``|x - median|`` (Wilcox, 1994).

    The centre is the mean of the values within omega of the median, moved by the balance of those beyond. omega is the
    ``floor(.8 n + .5)``-th smallest deviation, as Wilcox has it; pingouin takes ``floor(.8 n)``, so that the two can
    differ in the second digit where .8 n is rounded up.
    """
    n = values.shape[1]
    deviation = values - np.median(values, axis=1, keepdims=True)
    omega = np.sort(np.abs(deviation), axis=1)[:, [int((1 - BEND) * n + 0.5) - 1]]
    below, above = deviation < -omega, deviation > omega
    inside = ~(below | above)
    balance = (above.sum(axis=1) - below.sum(axis=1))[:, None]
    centre = ((deviation * inside).sum(axis=1, keepdims=True) + omega * balance) / inside.sum(axis=1, keepdims=True)
    spread = np.where(omega > 0, omega, 1.0)
    return np.where(omega > 0, np.clip((deviation - centre) / spread, -1, 1), 0.0)


def cosines(a: Float[np.ndarray, "rows n"], b: Float[np.ndarray, "rows n"]) -> Float[np.ndarray, " rows"]:
    """Cosine of every row of `a` with the same row of `b` (or with its only row); NaN where one has no spread."""
    size = np.sqrt(np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b))
    product = np.einsum("ij,ij->i", a, np.broadcast_to(b, a.shape))
    tiny = 1e-14 * max(float(np.max(size, initial=0.0)), 1e-300)
    return np.clip(np.divide(product, size, out=np.full(product.shape, np.nan), where=size > tiny), -1, 1)


def correlate(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], kind: str) -> float:
    """The correlation of two columns.

    Raises:
        DataError: E115 when most values of one side are the same, so that the percentage bend has no scale.
    """
    r = float(cosines(scores(x[None], kind), scores(y[None], kind))[0])
    if np.isnan(r):
        raise DataError(
            "most persons have the same value, so that the percentage bend correlation has no scale",
            code="E115",
            column="correlation",
            remedy="Use Spearman's correlation",
        )
    return r


def without_each_unit(
    x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], units: Units, kind: str
) -> Float[np.ndarray, " units"]:
    """The correlation recomputed without each unit in turn (exactly: ranks and centres are taken anew)."""
    found = np.full(units.n_units, np.nan)
    sizes = np.bincount(units.codes, minlength=units.n_units)
    for size in np.unique(sizes):
        members = np.flatnonzero(sizes == size)
        rows = max(1, BLOCK_CELLS // x.size)
        for start in range(0, members.size, rows):
            block = members[start : start + rows]
            kept = np.nonzero(units.codes[None, :] != block[:, None])[1].reshape(block.size, x.size - int(size))
            found[block] = cosines(scores(x[kept], kind), scores(y[kept], kind))
    return found


def jackknife_correlation(
    r: float, without: Float[np.ndarray, " units"], level: float, kind: str = "pearson"
) -> Jackknife:
    """Interval and p of a correlation on Fisher's scale from its values without each unit.

    ``z = atanh r``, ``se^2 = (U - 1) / U sum_u (z_-u - mean)^2``, ``tanh(z -+ q se)``; q is the quantile of t(U - 2),
    for Spearman of the normal distribution: for ranks, which move when one is taken out, the jackknife's error is too
    large by about as much as t adds. Simulated coverage is in benchmarks/calibration/baseline_intervals.py.

    Args:
        r: the correlation.
        without: the correlation without each unit.
        level: of the interval.
        kind: which correlation.
    """
    if abs(r) >= 1 - 1e-12:
        return Jackknife(low=r, high=r, pvalue=0.0, error=0.0, without=without)
    z = np.arctanh(np.clip(without, -1 + 1e-12, 1 - 1e-12))
    found = jackknife_interval(float(np.arctanh(r)), z, level, normal=kind == "spearman")
    return Jackknife(
        low=float(np.tanh(found.low)),
        high=float(np.tanh(found.high)),
        pvalue=found.pvalue,
        error=found.error,
        without=without,
    )


def jackknife_interval(
    estimate: float,
    without: Float[np.ndarray, " units"],
    level: float,
    *,
    normal: bool = False,
    df: float | None = None,
) -> Jackknife:
    """``estimate -+ t(df) se`` with the delete-one-unit jackknife's standard error; p tests zero.

    Args:
        estimate: from all units.
        without: the estimate without each unit.
        level: of the interval.
        normal: take the normal distribution instead of t.
        df: degrees of freedom; None: units less two.
    """
    from scipy.stats import norm, t

    n_units = without.size
    error = float(np.sqrt((n_units - 1) / n_units * np.sum((without - without.mean()) ** 2)))
    reference = norm() if normal else t(n_units - 2 if df is None else df)
    half = float(reference.ppf((1 + level) / 2)) * error
    pvalue = float(2 * reference.sf(abs(estimate) / error)) if error > 0 else float("nan")
    return Jackknife(low=estimate - half, high=estimate + half, pvalue=pvalue, error=error, without=without)
