"""Kernels and their bandwidth: how alike two persons are, by the conventions of the R package dHSIC.

Gaussian ``exp(-|a - b|^2 / (2 w^2))``, by default with ``w = sqrt(median |a - b|^2 / 2)``; Laplace
``exp(-|a - b| / w)`` with the Euclidean (not the city-block) distance, by default with ``w = median |a - b|``; discrete
1 for equal rows and 0 for different ones; linear ``a . b`` on centred values. Medians are taken over all pairs i < j,
the upper one of an even number of pairs.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

KERNELS = ("gaussian", "laplace", "discrete", "linear")
WITH_BANDWIDTH = ("gaussian", "laplace")
ZERO_BANDWIDTH = 0.001


def median_bandwidth(data: Float[np.ndarray, "n d"], kernel: str = "gaussian") -> float:
    """The rule of dHSIC: ``sqrt(median / 2)`` of the squared distances of all pairs, upper median; 0.001 when it is 0.

    For the Laplace kernel (which dHSIC does not have) the upper median of the distances themselves. The R package takes
    the first 1,000 (shuffled) rows when there are more; here every pair counts at any n.

    Args:
        data: one row per person.
        kernel: "gaussian" or "laplace".
    """
    return _median_rule(_distances(data, kernel), kernel)


def kernel_with_median(
    data: Float[np.ndarray, "n d"], kernel: str, multiple: float
) -> tuple[Float[np.ndarray, "n n"], float]:
    """`kernel_matrix` at `multiple` of the median bandwidth, and that bandwidth; distances are taken once."""
    away = _distances(data, kernel)
    width = multiple * _median_rule(away.copy(), kernel)
    return _from_distances(away, kernel, width), width


def kernel_matrix(data: Float[np.ndarray, "n d"], kernel: str, width: float) -> Float[np.ndarray, "n n"]:
    """Similarity of every pair of rows.

    Args:
        data: one row per person.
        kernel: "gaussian", "laplace", "discrete" or "linear" (see the head of this file).
        width: bandwidth in the unit of the data; the last two take no notice of it.
    """
    if kernel == "linear":
        shifted = data - data.mean(axis=0)
        return shifted @ shifted.T
    return _from_distances(_distances(data, kernel), kernel, width)


def _distances(data: np.ndarray, kernel: str) -> np.ndarray:
    """Distances of all pairs i < j, for the Laplace kernel; squared ones for the others."""
    from scipy.spatial.distance import pdist

    return pdist(data, "euclidean" if kernel == "laplace" else "sqeuclidean")


def _median_rule(away: np.ndarray, kernel: str) -> float:
    """The bandwidth from the distances of `_distances`, which are put into another order."""
    middle = away.size // 2
    away.partition(middle)
    width = float(away[middle] if kernel == "laplace" else np.sqrt(0.5 * away[middle]))
    return width if width > 0 else ZERO_BANDWIDTH


def _from_distances(away: np.ndarray, kernel: str, width: float) -> np.ndarray:
    """The kernel of `_distances`, which are overwritten."""
    from scipy.spatial.distance import squareform

    if kernel == "discrete":
        away = (away == 0).astype(np.float64)
    else:
        away /= -width if kernel == "laplace" else -2 * width**2
        np.exp(away, out=away)
    matrix = squareform(away, checks=False)
    np.fill_diagonal(matrix, 1.0)
    return matrix


def centred(gram: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """H K H in place: after it the order of centring the label kernel no longer matters."""
    means = gram.mean(axis=0)
    gram -= means[:, None]
    gram -= means[None, :]
    gram += means.mean()
    return gram


def low_rank_factor(similarity: Float[np.ndarray, "m m"]) -> Float[np.ndarray, "m r"]:
    """F with ``F F' = H L H`` on the distinct label values; two groups need one column, m groups m - 1.

    The Gram matrix on the other side is centred, so that constants added to rows or columns of L cancel.
    """
    values, vectors = np.linalg.eigh(centred(similarity.copy()))
    kept = values > 1e-14 * max(values.max(), 1e-300) * len(values)
    return vectors[:, kept] * np.sqrt(values[kept])


def pivoted_factor(
    similarity: Float[np.ndarray, "m m"], most: int, tolerance: float = 1e-13
) -> Float[np.ndarray, "m r"] | None:
    """F with ``F F' = L`` up to `tolerance` of the largest similarity, or None when that takes over `most` columns.

    Cholesky with pivots, stopped as soon as nothing is left: a smooth kernel on one number needs a few dozen columns at
    any n. Source: Fine & Scheinberg (2001), JMLR 2, 243-264.
    """
    left = np.diag(similarity).astype(np.float64).copy()
    limit = tolerance * max(float(left.max()), 1e-300)
    columns = np.zeros((len(left), most + 1))
    for rank in range(most + 1):
        pivot = int(np.argmax(left))
        if left[pivot] <= limit:
            return columns[:, :rank]
        column = similarity[:, pivot] - columns[:, :rank] @ columns[pivot, :rank]
        columns[:, rank] = column / np.sqrt(left[pivot])
        left = np.maximum(left - columns[:, rank] ** 2, 0.0)
        left[pivot] = 0.0
    return None
