"""How well predictions agree with the truth: pooled over rows, or per person and then averaged.

Every metric is called as ``metric(truth, prediction)``, works in float64 and returns NaN where it is not defined
(one state only, a constant target), never a number that merely looks like one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from toolkit.errors import DataError
from toolkit.results import read_only

Metric = Callable[[Any, Any], float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PerPerson:
    """A metric within each person, and its mean over the persons for whom it is defined.

    Attributes:
        persons: labels, in sorted order.
        values: metric per person, shape (persons,); NaN where undefined.
        counts: rows per person, shape (persons,).
        mean: mean of the defined values; NaN when there is none.
        n_used: persons that entered the mean.
        n_excluded: persons left out because the metric is undefined for them.
    """

    persons: tuple[Any, ...]
    values: np.ndarray
    counts: np.ndarray
    mean: float
    n_used: int
    n_excluded: int


def rmse(truth: ArrayLike, prediction: ArrayLike) -> float:
    """Root mean squared error, ``sqrt(mean((truth - prediction)^2))``, in the units of the target."""
    y, p = _numbers(truth, prediction)
    return float(np.sqrt(np.mean((y - p) ** 2)))


def nrmse(truth: ArrayLike, prediction: ArrayLike) -> float:
    """RMSE divided by the population SD of the truth: 0 is perfect, 1 no better than the mean.

    NaN for a constant truth.
    """
    y, p = _numbers(truth, prediction)
    return float("nan") if _constant(y) else rmse(y, p) / float(y.std())


def pearson(truth: ArrayLike, prediction: ArrayLike) -> float:
    """Pearson's r; NaN when either side is constant or there is one row only."""
    y, p = _numbers(truth, prediction)
    if _constant(y) or _constant(p):
        return float("nan")
    y, p = y - y.mean(), p - p.mean()
    # Dividing each side first keeps tiny and huge values away from under- and overflow.
    r = np.dot(y / np.linalg.norm(y), p / np.linalg.norm(p))
    return float(np.clip(r, -1.0, 1.0))


def ccc(truth: ArrayLike, prediction: ArrayLike) -> float:
    """Concordance correlation, ``2 s_yp / (s_y^2 + s_p^2 + (mean_y - mean_p)^2)`` with population moments.

    NaN for a constant truth (nothing to agree with). A constant prediction of a varying truth has no concordance: 0.

    Source: Lin (1989), A concordance correlation coefficient to evaluate reproducibility.
    """
    y, p = _numbers(truth, prediction)
    if _constant(y):
        return float("nan")
    covariance = np.mean((y - y.mean()) * (p - p.mean()))
    return float(2 * covariance / (y.var() + p.var() + (y.mean() - p.mean()) ** 2))


def accuracy(truth: ArrayLike, prediction: ArrayLike) -> float:
    """Share of rows in which the predicted label is the true one."""
    y, p = _labels(truth, prediction)
    return float(np.mean(y == p))


def krippendorff_alpha(truth: ArrayLike, prediction: ArrayLike) -> float:
    """Krippendorff's alpha for nominal labels, truth and prediction taken as the two raters.

    ``alpha = 1 - D_o / D_e``, with D_o the share of rows that disagree and
    ``D_e = 1 - sum_c n_c (n_c - 1) / (N (N - 1))`` over the N = 2 rows pooled labels (small-sample form).
    NaN when one state only occurs in both: there is nothing to agree about.

    Source: Krippendorff (2011), Computing Krippendorff's alpha-reliability.
    """
    y, p = _labels(truth, prediction)
    _, counts = np.unique(np.concatenate([y, p]), return_counts=True)
    total = 2 * y.size
    # Whole numbers until the last step: agreement expected by chance, times total (total - 1).
    by_chance = total * (total - 1) - int(np.sum(counts * (counts - 1)))
    if by_chance == 0:
        return float("nan")
    return float(1.0 - np.mean(y != p) * (total * (total - 1)) / by_chance)


def ordinal_alpha(truth: ArrayLike, prediction: ArrayLike) -> float:
    """Krippendorff's alpha for ordered classes, truth and prediction taken as the two raters.

    ``alpha = 1 - D_o / D_e`` with the squared distance ``(n_c / 2 + n_c+1 + ... + n_k-1 + n_k / 2)^2`` between classes
    c and k: a class counts for as much as it is used. NaN when one class only occurs in both.

    Args:
        truth: class codes in their order, shape (rows,).
        prediction: likewise.

    Source: Krippendorff (2011), Computing Krippendorff's alpha-reliability.
    """
    y, p = _numbers(truth, prediction)
    levels, codes = np.unique(np.concatenate([y, p]), return_inverse=True)
    if levels.size < 2:
        return float("nan")
    used = np.bincount(codes).astype(np.float64)
    place = np.cumsum(used) - used / 2.0  # of the middle of each class among all ratings
    distance = np.square(place[:, None] - place)
    observed = distance[codes[: y.size], codes[y.size :]].mean()
    expected = used @ distance @ used / (codes.size * (codes.size - 1.0))
    return float(1.0 - observed / expected)


def kendall(truth: ArrayLike, prediction: ArrayLike) -> float:
    """Kendall's tau-b, the rank correlation that allows for ties; NaN when either side is constant."""
    from scipy.stats import kendalltau

    y, p = _numbers(truth, prediction)
    if _constant(y) or _constant(p):
        return float("nan")
    found: Any = kendalltau(y, p)
    return float(found.statistic)


def ranked_probability_score(truth: ArrayLike, prediction: ArrayLike) -> float:
    """Mean ranked probability score, ``mean sum_k (P(Y <= k) - [y <= k])^2 / (classes - 1)``: 0 is perfect.

    Probability on a class next to the true one costs less than on one further away.

    Args:
        truth: class codes 0 .. classes - 1, shape (rows,).
        prediction: probabilities, shape (rows, classes).

    Source: Epstein (1969), A scoring system for probability forecasts of ranked categories.
    """
    y, p = np.asarray(truth, dtype=np.int64), np.asarray(prediction, dtype=np.float64)
    _same_length(y, p)
    below = np.cumsum(p, axis=1)[:, :-1] - (y[:, None] <= np.arange(p.shape[1] - 1))
    return float(np.square(below).mean())


def poisson_deviance(truth: ArrayLike, prediction: ArrayLike) -> float:
    """Mean Poisson deviance, ``2 mean(y log(y / mu) - (y - mu))``: 0 is perfect; for counts.

    Args:
        truth: counts, shape (rows,).
        prediction: predicted means, above zero, shape (rows,).
    """
    from scipy.special import xlogy

    y, p = _numbers(truth, prediction)
    return float(2.0 * np.mean(xlogy(y, y) - xlogy(y, p) - y + p))


def auc(truth: ArrayLike, prediction: ArrayLike) -> float:
    """Area under the ROC curve, ``P(score of a positive > score of a negative) + ties / 2``.

    Args:
        truth: binary: two values, the larger one is the positive; several classes: codes 0 .. classes - 1;
            shape (rows,).
        prediction: score of the positive, shape (rows,); or one column per class, shape (rows, classes):
            then the mean over classes of class against rest (classes that never or always occur are left out).

    Returns:
        The area; NaN when one class only occurs.
    """
    y, scores = np.asarray(truth), np.asarray(prediction, dtype=np.float64)
    _same_length(y, scores)
    if scores.ndim == 1:
        positive = y == y.max()
        if np.unique(y).size > 2:
            raise DataError(
                "the truth has more than two classes but there is one score per row",
                code="E127",
                remedy="Give one column of scores per class",
            )
        return _binary_auc(positive, scores)
    areas = np.array([_binary_auc(y == k, scores[:, k]) for k in range(scores.shape[1])])
    defined = areas[~np.isnan(areas)]
    return float(defined.mean()) if defined.size else float("nan")


def auc_one_vs_one(truth: ArrayLike, prediction: ArrayLike) -> float:
    """Mean area under the ROC curve over all pairs of classes (Hand and Till, 2001): macro one against one.

    Of a pair of classes only their rows count, and the mean of both areas does: each class's score of itself against
    the other's rows. Of two classes it is the area.

    Args:
        truth: class codes 0 .. classes - 1, shape (rows,).
        prediction: a score of each class, shape (rows, classes).

    Returns:
        The mean; classes that never occur are left out, NaN when one class only occurs.

    Raises:
        DataError: E127 without a column of scores for every class.
    """
    y, scores = np.asarray(truth), np.asarray(prediction, dtype=np.float64)
    _same_length(y, scores)
    if scores.ndim != 2 or (y.size and y.max() >= scores.shape[1]):
        raise DataError("every class needs a score", code="E127", remedy="Give one column of scores per class")
    rows_of = {code: np.flatnonzero(y == code) for code in np.unique(y).astype(int)}
    areas = []
    for first, second in itertools.combinations(rows_of, 2):
        pair = np.concatenate([rows_of[first], rows_of[second]])
        areas.append((_binary_auc(y[pair] == first, scores[pair, first])
                      + _binary_auc(y[pair] == second, scores[pair, second])) / 2)  # fmt: skip
    return float(np.mean(areas)) if areas else float("nan")


def per_person(metric: Metric, truth: ArrayLike, prediction: ArrayLike, person: ArrayLike) -> PerPerson:
    """The metric within each person, then the plain mean over persons (within-person performance).

    Args:
        metric: a function of (truth, prediction), such as `ccc`.
        truth: shape (rows,).
        prediction: shape (rows,) or (rows, classes).
        person: label of the person of each row, shape (rows,).

    Returns:
        Values per person; persons for whom the metric is undefined are excluded from the mean, and counted.
    """
    y, p, who = np.asarray(truth), np.asarray(prediction), np.asarray(person)
    _same_length(y, p)
    _same_length(y, who)
    persons, codes, counts = np.unique(who, return_inverse=True, return_counts=True)
    groups = np.split(np.argsort(codes, kind="stable"), np.cumsum(counts)[:-1])
    values = np.array([metric(y[rows], p[rows]) for rows in groups], dtype=np.float64)
    defined = ~np.isnan(values)
    return PerPerson(
        persons=tuple(persons.tolist()),
        values=read_only(values),
        counts=read_only(counts, dtype=np.int64),
        mean=float(values[defined].mean()) if defined.any() else float("nan"),
        n_used=int(defined.sum()),
        n_excluded=int((~defined).sum()),
    )


def _binary_auc(positive: np.ndarray, scores: np.ndarray) -> float:
    """Mann-Whitney's U over the number of pairs; mid-ranks give ties one half."""
    from scipy.stats import rankdata

    n_positive = int(positive.sum())
    n_negative = positive.size - n_positive
    if n_positive == 0 or n_negative == 0 or np.isnan(scores).any():
        return float("nan")
    u = rankdata(scores)[positive].sum() - n_positive * (n_positive + 1) / 2
    return float(u / (n_positive * n_negative))


def _numbers(truth: ArrayLike, prediction: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Both sides as float64 vectors of one length."""
    y, p = np.asarray(truth, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
    _same_length(y, p)
    return y, p


def _labels(truth: ArrayLike, prediction: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Both sides as label vectors of one length."""
    y, p = np.asarray(truth), np.asarray(prediction)
    _same_length(y, p)
    return y, p


def _same_length(first: np.ndarray, second: np.ndarray) -> None:
    """Raise unless both have the same positive number of rows."""
    if first.ndim == 0 or second.ndim == 0 or first.shape[0] != second.shape[0] or first.shape[0] == 0:
        raise DataError(
            "truth and prediction need the same number of rows, at least one; "
            f"their shapes are {first.shape} and {second.shape}",
            code="E127",
            remedy="Give one prediction per row",
        )


def _constant(values: np.ndarray) -> bool:
    """Whether all values are the same."""
    return bool(np.ptp(values) == 0)
