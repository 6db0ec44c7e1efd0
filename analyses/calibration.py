"""Do predicted probabilities come true, and predicted numbers hit the mean? In bins, with intervals over persons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from analyses.resampling import check_finite, check_length, factorise
from toolkit.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pandas as pd


def calibration_bins(
    predicted: ArrayLike,
    observed: ArrayLike,
    person: ArrayLike,
    *,
    bins: int = 10,
    level: float = 0.95,
    probability: bool = True,
) -> pd.DataFrame:
    """Mean prediction and mean outcome in bins of about equal size along the predictions.

    The rows of a person resemble each other. The variance of a bin's mean is therefore taken over persons,
    ``k / (k - 1) * sum_i r_i^2 / n^2`` with r_i the person's sum of outcomes minus the bin's mean (a ratio of sums,
    linearised), and the interval uses t with k - 1 degrees of freedom, on the logit scale for probabilities. Where all
    or none of the outcomes occur, or all are of one person, there is no interval.

    Args:
        predicted: probability of the event (0 to 1), or a number, per row.
        observed: 1 where the event occurred and else 0, or the number observed.
        person: label of the person of each row.
        bins: how many; equal predictions are never parted, so that there may be fewer.
        level: of the intervals.
        probability: whether predictions are probabilities.

    Returns:
        bin, predicted, observed, low, high (means; NaN without an interval), rows, persons.

    Raises:
        DataError: E110/E111 for infinite or missing values, E127 for different lengths, E124 without rows.
        ConfigError: E302 for bins below 1 or a level outside 0 to 1.

    Source: Cochran (1977), Sampling Techniques, section 6.5 (ratio of sums over clusters).
    """
    import pandas as pd

    p, y = np.asarray(predicted, dtype=np.float64), np.asarray(observed, dtype=np.float64)
    if not p.size:
        raise DataError("there is nothing to compare", code="E124", column="predicted", remedy="give at least one row")
    check_length(p, p.size, "predicted")
    check_length(y, p.size, "observed")
    check_finite(p, "predicted")
    check_finite(y, "observed")
    if bins < 1 or not 0 < level < 1:
        wrong = "bins" if bins < 1 else "level"
        raise ConfigError("this setting is out of range", code="E302", column=wrong)
    codes, _ = factorise(person, p.size, "person")
    rows: list[dict[str, Any]] = []
    for number, inside in enumerate(_parts(p, bins), start=1):
        ends = _ends(y[inside], codes[inside], level, probability=probability)
        rows.append(
            {
                "bin": number,
                "predicted": float(p[inside].mean()),
                "observed": float(y[inside].mean()),
                "low": ends[0],
                "high": ends[1],
                "rows": int(inside.sum()),
                "persons": int(np.unique(codes[inside]).size),
            }
        )
    return pd.DataFrame(rows)


def _parts(p: np.ndarray, bins: int) -> list[np.ndarray]:
    """Masks of the bins: quantiles of the predictions, without empty ones."""
    edges = np.unique(np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1])) if bins > 1 else np.array([])
    codes = np.searchsorted(edges, p, side="right")
    return [codes == code for code in np.unique(codes)]


def _ends(y: np.ndarray, codes: np.ndarray, level: float, *, probability: bool) -> tuple[float, float]:
    """Interval of the mean of y, whole persons varying."""
    from scipy import stats

    _, member = np.unique(codes, return_inverse=True)
    persons, mean = int(member.max()) + 1, float(y.mean())
    if persons < 2 or (probability and not 0 < mean < 1):
        return float("nan"), float("nan")
    sums = np.bincount(member, weights=y - mean)
    error = float(np.sqrt(persons / (persons - 1) * np.sum(sums**2))) / len(y)
    reach = float(stats.t.ppf(0.5 + level / 2, persons - 1)) * error
    if not probability:
        return mean - reach, mean + reach
    centre, reach = float(np.log(mean / (1 - mean))), reach / (mean * (1 - mean))
    return 1 / (1 + float(np.exp(-(centre - reach)))), 1 / (1 + float(np.exp(-(centre + reach))))
