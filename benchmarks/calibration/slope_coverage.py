"""Coverage of the intervals of slopes on a covariate: ``python -m benchmarks.calibration.slope_coverage``.

Sixteen cells that do not depend on the covariate: single intervals should cover zero in 95 % of cells, simultaneous
ones all cells at once in 95 % of simulations. The covariate is normal or exponential (a few persons far out), effects
are normal, skewed or strongly skewed; below, families whose members share the covariate and correlate .5.
"""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits

from analyses.covariate_slopes import transition_slopes
from benchmarks.calibration.interval_coverage import draw
from benchmarks.calibration.keeping import in_bands, keep

SEED = 20_243
SIMULATIONS, RESAMPLES = 2000, 399
PERSONS = (10, 20, 38, 100, 195)
Study = tuple[np.ndarray, np.ndarray, np.ndarray | None]


def persons(kind: str, spread: str, n: int, rng: np.random.Generator) -> Study:
    """Values, covariate and no families."""
    return draw(kind, n, rng), rng.standard_normal(n) if spread == "normal" else rng.exponential(1.0, n), None


def families(kind: str, count: int, rng: np.random.Generator) -> Study:
    """Families of one to four; the covariate belongs to the family."""
    family = np.repeat(np.arange(count), rng.integers(1, 5, count))
    values = np.sqrt(0.5) * (draw(kind, count, rng)[family] + draw(kind, family.size, rng))
    return values, rng.standard_normal(count)[family], family


def coverage(case: tuple[str, str, int], seed: int) -> dict[str, float]:
    """Share of cells covered, and of simulations with any cell left out by the simultaneous intervals."""
    kind, spread, n = case
    single, missed = 0.0, 0
    for stream in np.random.SeedSequence(seed).spawn(SIMULATIONS):
        rng = np.random.default_rng(stream)
        values, covariate, family = families(kind, n, rng) if spread == "families" else persons(kind, spread, n, rng)
        found = transition_slopes(
            values.reshape(-1, 4, 4), covariate, unit=family, resamples=RESAMPLES, scale="score", rng=rng
        )
        single += float(np.mean((found.low <= 0) & (found.high >= 0)))
        missed += bool(np.any((found.low_simultaneous > 0) | (found.high_simultaneous < 0)))
    return {"single": round(single / SIMULATIONS, 4), "familywise_error": round(missed / SIMULATIONS, 4)}


def measure() -> dict[str, dict[str, float | bool]]:
    """Every combination; families of 20 and 40."""
    kinds = ("normal", "skewed", "strongly skewed")
    cases = [(kind, spread, n) for kind in kinds for spread in ("normal", "exponential") for n in PERSONS]
    cases += [(kind, "families", n) for kind in kinds for n in (20, 40)]
    rates = {}
    for k, case in enumerate(cases):
        kind, spread, n = case
        name = f"{kind}, {n} families" if spread == "families" else f"{kind}, {spread} covariate, {n} persons"
        rates[name] = in_bands(coverage(case, SEED + k))
        print(name, rates[name], flush=True)
    return rates


if __name__ == "__main__":
    with threadpool_limits(limits=1):
        tables = {"coverage": measure()}
    settings = {"simulations": SIMULATIONS, "resamples": RESAMPLES, "seed": SEED, "nominal": 0.95}
    keep("slope_coverage", settings, tables)
