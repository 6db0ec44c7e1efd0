"""Kernels and their bandwidth: how alike two persons are, by the conventions of the R package dHSIC."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

ZERO_BANDWIDTH = 0.001


def median_bandwidth(data: Float[np.ndarray, "n d"]) -> float:
    """The rule of dHSIC: ``sqrt(median / 2)`` of the squared distances of all pairs, upper median.

    0.001 when that median is zero. The R package takes the first 1,000 (shuffled) rows when there are more; here every
    pair counts at any n.
    """
    from scipy.spatial.distance import pdist

    squared = pdist(data, "sqeuclidean")
    middle = squared.size // 2
    width = float(np.sqrt(0.5 * np.partition(squared, middle)[middle]))
    return width if width > 0 else ZERO_BANDWIDTH


def kernel_matrix(data: Float[np.ndarray, "n d"], kernel: str, width: float) -> Float[np.ndarray, "n n"]:
    """Similarity of every pair of rows: ``exp(-|a - b|^2 / (2 width^2))``, or (discrete) 1 if equal and 0 if not."""
    from scipy.spatial.distance import pdist, squareform

    squared = pdist(data, "sqeuclidean")
    if kernel == "discrete":
        matrix = squareform((squared == 0).astype(np.float64), checks=False)
    else:
        squared /= -2 * width**2
        matrix = squareform(np.exp(squared, out=squared), checks=False)
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
