"""Bootstrap of 16 cell differences beside scipy.stats.bootstrap: ``python -m benchmarks.peers.bootstrap``."""

from __future__ import annotations

import numpy as np
import scipy.stats

from analyses.transitions import compare_transitions
from benchmarks.peers.timing import compare, interleave, report

RESAMPLES = 10_000


def scipy_bootstrap(
    t: np.ndarray, group: np.ndarray, resamples: int, batch: int | None, rng: np.random.Generator
) -> object:
    """The same differences by scipy, vectorised over cells."""
    cells = t.reshape(len(t), -1)
    return scipy.stats.bootstrap(
        (cells[group], cells[~group]),
        lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
        n_resamples=resamples,
        batch=batch,
        method="percentile",
        axis=0,
        rng=rng,
    )


def measure(n: int, rounds: int, loop: int) -> dict[str, dict[str, float]]:
    """One size; scipy runs `loop` resamples and is extrapolated."""
    rng = np.random.default_rng(1)
    t, group, family = rng.dirichlet(np.ones(4), (n, 4)), np.arange(n) % 2 == 0, np.arange(n) // 4
    by_family = family % 2 == 0
    candidates = {
        "ours, percentile with max-T and FDR": lambda: compare_transitions(t, group, method="percentile", rng=rng),
        "ours, bootstrap-t with max-T and FDR": lambda: compare_transitions(t, group, method="bootstrap-t", rng=rng),
        "ours, percentile, families": lambda: compare_transitions(
            t, by_family, unit=family, method="percentile", rng=rng
        ),
        "scipy.stats.bootstrap, as it comes": lambda: scipy_bootstrap(t, group, loop, None, rng),
        "scipy.stats.bootstrap, batches of 100": lambda: scipy_bootstrap(t, group, loop, 100, rng),
    }
    scale = {name: RESAMPLES / loop for name in candidates if name.startswith("scipy")}
    return compare(interleave(candidates, rounds), scale)


if __name__ == "__main__":
    report(
        "bootstrap",
        {
            "195 persons, 16 cells, 10,000 resamples": measure(195, 5, 10_000),
            "5,000 persons, 16 cells, 10,000 resamples": measure(5000, 3, 500),
        },
    )
