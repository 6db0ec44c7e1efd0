"""Coverage of bootstrap intervals of transition differences: ``python -m benchmarks.calibration.interval_coverage``.

Two groups of n / 2 persons and 16 cells without any difference; single intervals should cover zero in 95 % of cells,
simultaneous ones should cover all cells at once in 95 % of simulations.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from analyses.transitions import compare_transitions
from toolkit.errors import ToolkitWarning

RESULTS = Path(__file__).parents[1] / "results"
SEED = 20_241


def draw(kind: str, n: int, rng: np.random.Generator) -> np.ndarray:
    """Person matrices: normal scores, or probabilities with skewed effects (each row Dirichlet(1, 1, 1, 1))."""
    return rng.standard_normal((n, 4, 4)) if kind == "normal" else rng.dirichlet(np.ones(4), (n, 4))


def coverage(kind: str, n: int, method: str, simulations: int, resamples: int, seed: int) -> dict[str, float]:
    """Share of cells covered by single intervals, and of simulations covered throughout by simultaneous ones."""
    single, together = 0.0, 0
    group = np.arange(n) < n // 2
    for stream in np.random.SeedSequence(seed).spawn(simulations):
        rng = np.random.default_rng(stream)
        found = compare_transitions(draw(kind, n, rng), group, resamples=resamples, method=method, rng=rng)
        single += float(np.mean((found.low <= 0) & (found.high >= 0)))
        together += bool(np.all((found.low_simultaneous <= 0) & (found.high_simultaneous >= 0)))
    return {"single": round(single / simulations, 4), "simultaneous": together / simulations}


def measure(simulations: int = 2000, resamples: int = 999) -> dict[str, dict[str, float]]:
    """Every combination of effects, persons and method."""
    cases = [(kind, n) for kind in ("normal", "skewed") for n in (20, 38, 100)]
    return {
        f"{kind}, {n} persons, {method}": coverage(kind, n, method, simulations, resamples, SEED + k)
        for k, (kind, n) in enumerate(cases)
        for method in ("percentile", "bootstrap-t")
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore", ToolkitWarning)
    with threadpool_limits(limits=1):
        rates = measure()
    for case, row in rates.items():
        print(case, row)
    settings = {"simulations": 2000, "resamples": 999, "seed": SEED, "nominal": 0.95}
    text = json.dumps({"settings": settings, "coverage": rates}, indent=2)
    (RESULTS / "interval_coverage.json").write_text(text + "\n", encoding="utf-8")
