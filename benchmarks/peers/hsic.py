"""HSIC permutation test beside re-indexing the Gram matrix and beside hyppo: ``python -m benchmarks.peers.hsic``."""

from __future__ import annotations

import warnings

import numpy as np

from analyses.hsic import hsic_test
from analyses.kernels import centred, kernel_matrix, median_bandwidth
from benchmarks.peers.timing import compare, interleave, report

PERMUTATIONS = 9_999


def reindex(x: np.ndarray, group: np.ndarray, permutations: int, rng: np.random.Generator) -> float:
    """The textbook loop: permute rows and columns of one Gram matrix, multiply, sum."""
    gram = centred(kernel_matrix(x, "gaussian", median_bandwidth(x)))
    label = (group[:, None] == group[None, :]).astype(float)
    observed, exceeding = np.sum(gram * label), 0
    for _ in range(permutations):
        order = rng.permutation(len(x))
        exceeding += np.sum(gram * label[np.ix_(order, order)]) >= observed - 1e-9
    return (exceeding + 1) / (permutations + 1)


def hyppo_test(x: np.ndarray, group: np.ndarray, permutations: int) -> float:
    """The biased HSIC of hyppo with its own permutation loop (other kernel on the label, same work)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from hyppo.independence import Hsic

        return Hsic(bias=True).test(x, group[:, None].astype(float), reps=permutations, auto=False).pvalue


def measure(n: int, rounds: int, loop: int, hyppo_reps: int) -> dict[str, dict[str, float]]:
    """One size; the slow candidates run `loop` and `hyppo_reps` permutations and are extrapolated."""
    rng = np.random.default_rng(1)
    x, group, family = rng.standard_normal((n, 16)), np.arange(n) % 2, np.arange(n) // 2
    by_family = family % 2
    candidates = {
        "ours": lambda: hsic_test(x, group, permutations=PERMUTATIONS, rng=rng),
        "ours, families permuted": lambda: hsic_test(x, by_family, unit=family, permutations=PERMUTATIONS, rng=rng),
        "re-indexing the Gram matrix": lambda: reindex(x, group, loop, rng),
        "hyppo Hsic (permutation)": lambda: hyppo_test(x, group, hyppo_reps),
    }
    scale = {
        "re-indexing the Gram matrix": PERMUTATIONS / loop,
        "hyppo Hsic (permutation)": PERMUTATIONS / hyppo_reps,
    }
    return compare(interleave(candidates, rounds), scale)


if __name__ == "__main__":
    report(
        "hsic",
        {
            "195 persons x 16 values, 9,999 permutations": measure(195, 5, 2000, 400),
            "1,000 persons x 16 values, 9,999 permutations": measure(1000, 3, 60, 20),
        },
    )
