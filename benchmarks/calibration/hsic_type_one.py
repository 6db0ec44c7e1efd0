"""Type-I error of the HSIC test when persons of a family are alike: ``python -m benchmarks.calibration.hsic_type_one``.

Families of two share a label that says nothing. Persons' values correlate within the family. Permuting persons treats
the members as independent; permuting families does not.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from analyses.hsic import hsic_test

RESULTS = Path(__file__).parents[1] / "results"
SEED = 20_240


def rejections(correlation: float, simulations: int, families: int, permutations: int, seed: int) -> dict[str, float]:
    """Share of simulations with p <= .05 by permuting persons and by permuting families."""
    found = {"persons": 0, "families": 0}
    family = np.repeat(np.arange(families), 2)
    label = (np.arange(families) % 2)[family]
    for stream in np.random.SeedSequence(seed).spawn(simulations):
        rng = np.random.default_rng(stream)
        shared = rng.standard_normal((families, 4))[family]
        own = rng.standard_normal((2 * families, 4))
        x = np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own
        naive = hsic_test(x, label, permutations=permutations, rng=rng)
        honest = hsic_test(x, label, unit=family, permutations=permutations, rng=rng)
        found["persons"] += naive.pvalue <= 0.05
        found["families"] += honest.pvalue <= 0.05
    return {name: count / simulations for name, count in found.items()}


def measure(simulations: int = 2000, families: int = 40, permutations: int = 199) -> dict[str, dict[str, float]]:
    """Rejection rates at family correlations 0, .4 and .8."""
    return {
        f"correlation {correlation}": rejections(correlation, simulations, families, permutations, SEED + k)
        for k, correlation in enumerate((0.0, 0.4, 0.8))
    }


if __name__ == "__main__":
    with threadpool_limits(limits=1):
        rates = measure()
    for case, row in rates.items():
        print(case, row)
    settings = {"simulations": 2000, "families": 40, "permutations": 199, "seed": SEED, "nominal": 0.05}
    text = json.dumps({"settings": settings, "rejections": rates}, indent=2)
    (RESULTS / "hsic_type_one.json").write_text(text + "\n", encoding="utf-8")
