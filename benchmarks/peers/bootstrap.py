"""Bootstrap of 16 cell differences beside scipy and arch: ``python -m benchmarks.peers.bootstrap``.

The peers give percentile intervals of 16 differences and nothing else. The first of ours does the same through the
engine; the others are whole analyses as users call them, with simultaneous intervals, FDR, Holm and checked input.
"""

from __future__ import annotations

import numpy as np
import scipy.stats

from analyses.bootstrap import bootstrap_contrast
from analyses.resampling import make_units
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


def arch_bootstrap(t: np.ndarray, group: np.ndarray, resamples: int) -> object:
    """The same by arch, which resamples in a Python loop."""
    from arch.bootstrap import IndependentSamplesBootstrap

    cells = t.reshape(len(t), -1)
    drawn = IndependentSamplesBootstrap(cells[group], cells[~group], seed=1)
    return drawn.conf_int(lambda a, b: a.mean(axis=0) - b.mean(axis=0), reps=resamples, method="percentile")


def measure(n: int, rounds: int, loop: int) -> dict[str, dict[str, float]]:
    """One size; the peers run `loop` resamples and are extrapolated."""
    rng = np.random.default_rng(1)
    t, group, family = rng.dirichlet(np.ones(4), (n, 4)), np.arange(n) % 2 == 0, np.arange(n) // 4
    by_family, flat, persons = family % 2 == 0, t.reshape(n, -1), make_units(None, n)
    options = {"resamples": RESAMPLES, "method": "percentile", "level": 0.95}
    candidates = {
        "ours, percentile intervals only": lambda: bootstrap_contrast(
            flat, group, persons, **options, rng=rng, simultaneous=False
        ),
        "ours, percentile with max-T": lambda: compare_transitions(t, group, method="percentile", rng=rng),
        "ours, bootstrap-t with max-T": lambda: compare_transitions(t, group, method="bootstrap-t", rng=rng),
        "ours, default (symmetric-t) with max-T": lambda: compare_transitions(t, group, rng=rng),
        "ours, default, families": lambda: compare_transitions(t, by_family, unit=family, rng=rng),
        "scipy.stats.bootstrap, as it comes": lambda: scipy_bootstrap(t, group, loop, None, rng),
        "scipy.stats.bootstrap, batches of 100": lambda: scipy_bootstrap(t, group, loop, 100, rng),
        "arch IndependentSamplesBootstrap": lambda: arch_bootstrap(t, group, loop),
    }
    scale = {name: RESAMPLES / loop for name in candidates if not name.startswith("ours")}
    return compare(interleave(candidates, rounds), scale)


if __name__ == "__main__":
    report(
        "bootstrap",
        {
            "195 persons, 16 cells, 10,000 resamples": measure(195, 7, 10_000),
            "5,000 persons, 16 cells, 10,000 resamples": measure(5000, 5, 500),
        },
    )
