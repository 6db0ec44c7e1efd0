"""Coverage of bootstrap intervals of transition differences: ``python -m benchmarks.calibration.interval_coverage``.

Two groups of n / 2 persons and 16 cells without any difference; single intervals should cover zero in 95 % of cells,
simultaneous ones should cover all cells at once in 95 % of simulations. "auto" is the default; the others stand beside
it. With 2,000 simulations four binomial standard errors are about .0165 for the simultaneous coverage, hence the band.
"""

from __future__ import annotations

import json
import time
import warnings
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from analyses.transitions import compare_transitions
from toolkit.errors import ToolkitWarning

RESULTS = Path(__file__).parents[1] / "results"
SEED = 20_241
PERSONS = (10, 20, 38, 100, 195)
SINGLE_BAND, FAMILYWISE_BAND = (0.9335, 0.9655), (0.0345, 0.0665)


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


def judged(row: dict[str, float]) -> dict[str, float | bool]:
    """The rates with whether each lies in its band."""
    familywise = round(1 - row["simultaneous"], 4)
    return {
        **row,
        "familywise_error": familywise,
        "single_in_band": SINGLE_BAND[0] <= row["single"] <= SINGLE_BAND[1],
        "familywise_in_band": FAMILYWISE_BAND[0] <= familywise <= FAMILYWISE_BAND[1],
    }


def measure(simulations: int = 2000, resamples: int = 499) -> dict[str, dict[str, float | bool]]:
    """Every combination of effects and persons; every method up to 38 persons, where they differ."""
    rates = {}
    for k, (kind, n) in enumerate((kind, n) for kind in ("normal", "skewed") for n in PERSONS):
        methods = ("auto", "percentile", "bca") if n <= 38 else ("auto",)
        for method in methods:
            row = judged(coverage(kind, n, method, simulations, resamples, SEED + k))
            print(kind, n, method, row, flush=True)
            rates[f"{kind}, {n} persons, {method}"] = row
    return rates


if __name__ == "__main__":
    warnings.simplefilter("ignore", ToolkitWarning)
    started = time.perf_counter()
    with threadpool_limits(limits=1):
        rates = measure()
    settings = {"simulations": 2000, "resamples": 499, "seed": SEED, "nominal": 0.95}
    settings |= {"single_band": SINGLE_BAND, "familywise_band": FAMILYWISE_BAND}
    settings |= {"seconds": round(time.perf_counter() - started)}
    text = json.dumps({"settings": settings, "coverage": rates}, indent=2)
    (RESULTS / "interval_coverage.json").write_text(text + "\n", encoding="utf-8")
