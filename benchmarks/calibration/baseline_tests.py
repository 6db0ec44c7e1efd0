"""Type-I error and power of bias against baseline: ``python -m benchmarks.calibration.baseline_tests``.

Bias and baseline are unrelated. Persons are independent, or come in families of one to four (unequal sizes) whose
members are alike in both variables at correlation 0, .4 or .8. "default" is the p of `bias_baseline` with families as
units; "naive" takes every person as independent. "control" is `permuted_identity` over whole families. Each is to
reject in 3.45 to 6.65 % of 2,000 simulations at .05. Power at a true correlation of .3 and .5 stands beside it.
"""

from __future__ import annotations

import json
import time
import warnings
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from analyses.baseline import bias_baseline
from analyses.baseline_identity import permuted_identity
from analyses.baseline_slope import corrected_slope
from analyses.correlation import KINDS
from toolkit.errors import ToolkitWarning

RESULTS = Path(__file__).parents[1] / "results"
SEED = 20_271
BAND = (0.0345, 0.0665)
KIND_DRAWS = {
    "normal": lambda rng, size: rng.standard_normal(size),
    "skewed": lambda rng, size: (rng.beta(1, 3, size) - 0.25) / np.sqrt(0.0375),
}


def draw(
    kind: str, families: int, alike: float, r: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bias, baseline and family of each person; families have 1, 2, 3 and 4 persons in equal parts."""
    family = np.repeat(np.arange(families), 1 + np.arange(families) % 4) if alike >= 0 else np.arange(families)
    alike = max(alike, 0.0)
    sides = []
    for _ in range(2):
        shared, own = KIND_DRAWS[kind](rng, families)[family], KIND_DRAWS[kind](rng, family.size)
        sides.append(np.sqrt(alike) * shared + np.sqrt(1 - alike) * own)
    return r * sides[0] + np.sqrt(1 - r**2) * sides[1], sides[0], family


def rejections(
    kind: str, families: int, alike: float, r: float, simulations: int, seed: int, draws: int = 199
) -> dict[str, float]:
    """Share of simulations with p <= .05; `alike` below 0 means independent persons."""
    counts: dict[str, int] = {}
    for stream in np.random.SeedSequence(seed).spawn(simulations):
        rng = np.random.default_rng(stream)
        x, y, family = draw(kind, families, alike, r, rng)
        pvalues = {}
        for correlation in KINDS:
            found = bias_baseline(x, y, unit=family, correlation=correlation, resamples=draws, rng=rng)
            pvalues[f"{correlation}, default"] = found.pvalue
            if found.by_unit:
                naive = bias_baseline(x, y, correlation=correlation, resamples=99, rng=rng)
                pvalues[f"{correlation}, naive"] = naive.pvalue
        pvalues["control"] = permuted_identity(x, y, unit=family, permutations=draws, rng=rng).pvalue
        pvalues["slope"] = corrected_slope(x, y, reliability=np.full(x.size, 0.8), unit=family).pvalue
        for name, p in pvalues.items():
            counts[name] = counts.get(name, 0) + (p <= 0.05)
    return {name: count / simulations for name, count in counts.items()}


def cases() -> list[tuple[str, int, float, float, int]]:
    """Distribution, families, likeness (below 0: independent persons), true correlation, simulations."""
    found = [(kind, n, -1.0, 0.0, 2000) for kind in KIND_DRAWS for n in (10, 20, 38, 100)]
    found += [("normal", n, alike, 0.0, 2000) for n in (10, 20) for alike in (0.0, 0.4, 0.8)]
    found += [("normal", 40, 0.8, 0.0, 2000)]
    return found + [("normal", 40, alike, r, 500) for alike in (-1.0, 0.4) for r in (0.3, 0.5)]


def main() -> None:
    """Measure, print and keep the results."""
    warnings.simplefilter("ignore", ToolkitWarning)
    started, rows = time.perf_counter(), []
    for k, (kind, families, alike, r, simulations) in enumerate(cases()):
        rates = rejections(kind, families, alike, r, simulations, SEED + k)
        honest = {name: BAND[0] <= rate <= BAND[1] for name, rate in rates.items() if "naive" not in name}
        who = "independent persons" if alike < 0 else f"families alike at {alike}"
        row = {"values": kind, "units": families, "who": who, "true_r": r, "simulations": simulations, **rates}
        rows.append(row | ({"outside_band": [name for name, ok in honest.items() if not ok]} if r == 0 else {}))
        print(rows[-1], flush=True)
    settings = {"seed": SEED, "band": BAND, "resamples": 199, "seconds": round(time.perf_counter() - started)}
    text = json.dumps({"settings": settings, "rejections": rows}, indent=1)
    (RESULTS / "baseline_tests.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    with threadpool_limits(limits=1):
        main()
