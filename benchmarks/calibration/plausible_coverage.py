"""Coverage of group differences from plausible values: ``python -m benchmarks.calibration.plausible_coverage``.

Persons of two groups have four effects; in the first the groups differ by one standard deviation. Each person is
measured with an error of their own, so that reliabilities run from about .3 to .9, and the posterior is the one of a
model that does not know the groups. Intervals should cover the true differences in 95 % of simulations; the plug-in
interval of the first effect shows what shrinkage does to it.
"""

from __future__ import annotations

import warnings

import numpy as np
from threadpoolctl import threadpool_limits

from analyses.plausible_transitions import plausible_transitions
from benchmarks.calibration.keeping import in_bands, keep
from toolkit.errors import ToolkitWarning

SEED = 20_245
SIMULATIONS, DRAWS, RESAMPLES = 2000, 20, 99
PERSONS = (10, 20, 38, 100, 195)
DIFFERENCE = np.array([1.0, 0.0, 0.0, 0.0])


def study(n: int, skewed: bool, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Scores, posterior means, covariances, prior and group of one simulated study."""
    side = np.arange(n) < n // 2
    own = rng.exponential(1.0, (n, 4)) - 1 if skewed else rng.standard_normal((n, 4))
    eta = own + np.where(side, 0.5, -0.5)[:, None] * DIFFERENCE
    noise = rng.uniform(0.1, 2.0, (n, 4))
    measured = eta + np.sqrt(noise) * rng.standard_normal((n, 4))
    variance = 1 + DIFFERENCE**2 / 4
    kept = variance / (variance + noise)
    mean = kept * measured
    covariance = np.zeros((n, 4, 4))
    covariance[:, np.arange(4), np.arange(4)] = kept * noise
    return mean.reshape(n, 2, 2), mean, covariance, np.diag(variance), side


def coverage(n: int, skewed: bool, seed: int, simulations: int = SIMULATIONS) -> dict[str, float]:
    """Share of simulations in which the intervals hold the true differences."""
    hits = {"plausible, effect 1": 0.0, "plausible, effects 2 to 4": 0.0, "plug-in, effect 1": 0.0}
    for stream in np.random.SeedSequence(seed).spawn(simulations):
        rng = np.random.default_rng(stream)
        found = plausible_transitions(*study(n, skewed, rng), value="score", draws=DRAWS, resamples=RESAMPLES, rng=rng)
        inside = ((found.low.ravel() <= DIFFERENCE) & (found.high.ravel() >= DIFFERENCE)).astype(float)
        plain = found.plug_in
        hits["plausible, effect 1"] += inside[0]
        hits["plausible, effects 2 to 4"] += inside[1:].mean()
        hits["plug-in, effect 1"] += float(plain.low[0, 0] <= DIFFERENCE[0] <= plain.high[0, 0])
    return {name: round(count / simulations, 4) for name, count in hits.items()}


def measure() -> dict[str, dict[str, float | bool]]:
    """Every number of persons, normal and skewed effects."""
    rates = {}
    for k, (skewed, n) in enumerate((skewed, n) for skewed in (False, True) for n in PERSONS):
        name = f"{'skewed' if skewed else 'normal'} effects, {n} persons"
        rates[name] = in_bands(coverage(n, skewed, SEED + k))
        print(name, rates[name], flush=True)
    return rates


if __name__ == "__main__":
    warnings.simplefilter("ignore", ToolkitWarning)
    with threadpool_limits(limits=1):
        tables = {"coverage": measure()}
    settings = {"simulations": SIMULATIONS, "draws": DRAWS, "resamples": RESAMPLES, "seed": SEED, "nominal": 0.95}
    keep("plausible_coverage", settings, tables)
