"""Kernels and normalised dependence of one specification of a group comparison."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from analyses import progress
from analyses.kernels import centred, kernel_matrix, kernel_with_median

BLOCK = 256


def specification_kernel(
    matrices: Float[np.ndarray, "persons S S"], kernel: str, multiple: float, diagonal: bool
) -> Float[np.ndarray, "persons persons"]:
    """Centred Gram matrix of the persons' transitions; the bandwidth is a multiple of the median distance's rule.

    Kernels and their median bandwidths are those of `analyses.kernels`.
    """
    size = matrices.shape[1]
    cells = np.ones((size, size), dtype=bool) if diagonal else ~np.eye(size, dtype=bool)
    data = matrices[:, cells]
    gram = kernel_matrix(data, kernel, 1.0) if kernel == "linear" else kernel_with_median(data, kernel, multiple)[0]
    return centred(gram)


def cka_scale(gram: Float[np.ndarray, "n n"], labels: Int[np.ndarray, " n"], groups: int) -> float:
    """``1 / sqrt(sum K^2 sum L^2)``, which no permutation of persons changes; 0 where nothing varies."""
    indicator = np.eye(groups)[labels]
    centred = indicator - indicator.mean(axis=0)
    norm = np.linalg.norm(gram) * np.linalg.norm(centred @ centred.T)
    return float(1 / norm) if norm > 0 else 0.0


def permuted_alignment(
    gram: Float[np.ndarray, "n n"], groups: int, draws: Int[np.ndarray, "draws n"]
) -> Float[np.ndarray, " draws"]:
    """``sum K L`` under every labelling, L being 1 for two persons of one group (K is centred, so L need not be)."""
    total = np.zeros(len(draws))
    for start in range(0, len(draws), BLOCK):
        progress.report(start, len(draws))
        block = draws[start : start + BLOCK]
        for group in range(groups):
            chosen = (block == group).astype(np.float64)
            total[start : start + BLOCK] += np.einsum("bn,bn->b", chosen @ gram, chosen)
    return total
