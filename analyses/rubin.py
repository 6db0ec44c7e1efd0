"""Rubin's rules: one estimate and interval from the same analysis of several sets of plausible values."""

# pyright: strict, reportMissingTypeStubs=false, reportUnknownMemberType=false
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from toolkit.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pooled:
    """Combined estimates, shape (cells,); NaN in cells without variance.

    Attributes:
        estimate: mean over sets. error: ``sqrt(U + (1 + 1/M) B)``. df: its degrees of freedom.
        low, high, pvalue: from t with these degrees of freedom.
        missing: share of the variance owed to not knowing the persons' effects (fraction of missing information).
    """

    estimate: np.ndarray
    error: np.ndarray
    df: np.ndarray
    low: np.ndarray
    high: np.ndarray
    pvalue: np.ndarray
    missing: np.ndarray


def pool_by_rubin(
    estimates: Float[np.ndarray, "sets cells"],
    variances: Float[np.ndarray, "sets cells"],
    *,
    complete_df: float | int,
    level: float = 0.95,
) -> Pooled:
    """``Q = mean Q_m``, ``T = mean U_m + (1 + 1/M) B`` with B the variance of Q_m, share ``f = (1 + 1/M) B / T``.

    Degrees of freedom are ``1 / (f^2 / (M - 1) + 1 / complete_df)``: the error of both parts goes with the number of
    units. Barnard & Rubin's (1999) further factor 1 - f is meant for rows that are missing; with plausible values,
    where everybody has data, it makes intervals of few persons far too wide. Simulated coverage is in
    benchmarks/results/plausible_coverage.json.

    Args:
        estimates: of each set.
        variances: squared standard errors of each set.
        complete_df: degrees of freedom were the effects known (units less two for a difference of two groups).
        level: of the interval.

    Raises:
        DataError: E127 for arrays that do not fit or fewer than two sets.

    Source: Rubin (1987), Multiple imputation, eq. 3.1.5-3.1.8.
    """
    from scipy.stats import t as student

    if estimates.shape != variances.shape or len(estimates) < 2:
        raise DataError("two or more sets with their variances are needed", code="E127", column="estimates")
    sets = len(estimates)
    estimate, within = estimates.mean(axis=0), variances.mean(axis=0)
    between = (1 + 1 / sets) * estimates.var(axis=0, ddof=1)
    total = within + between
    known = total > 0
    share = np.divide(between, total, out=np.zeros_like(total), where=known)
    df = 1 / (share**2 / (sets - 1) + 1 / complete_df)
    error = np.sqrt(total)
    reach = np.asarray(student.ppf((1 + level) / 2, df)) * error
    size = np.divide(np.abs(estimate), error, out=np.zeros_like(error), where=known)
    pvalue = np.where(known, 2 * np.asarray(student.sf(size, df)), np.nan)
    return Pooled(
        estimate=estimate,
        error=error,
        df=df,
        low=estimate - reach,
        high=estimate + reach,
        pvalue=pvalue,
        missing=np.where(known, share, np.nan),
    )
