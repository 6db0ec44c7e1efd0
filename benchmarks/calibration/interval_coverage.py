"""Coverage of bootstrap intervals, single and simultaneous: ``python -m benchmarks.calibration.interval_coverage``.

Two groups and 16 cells without any difference: single intervals should cover zero in 95 % of cells, simultaneous ones
all cells at once in 95 % of simulations. The main table has equal groups of persons with normal effects, skewed ones
(rows of a matrix from Dirichlet(1, 1, 1, 1)) and strongly skewed ones (exponential); the default stands beside other
methods up to 38 persons, where they differ. Below it are designs that strain every method: unequal groups, families,
and groups that differ in spread and shape. The last table is the mean of one sample, as in the paired comparison of two
models. Four binomial standard errors of 2,000 simulations make the bands.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from analyses.bootstrap import bootstrap_contrast
from analyses.comparison import paired_bootstrap
from analyses.resampling import make_units
from benchmarks.calibration.keeping import in_bands, keep
from toolkit.errors import ToolkitWarning

SEED = 20_241
SIMULATIONS, RESAMPLES = 2000, 499
PERSONS = (10, 20, 38, 100, 195)
METHODS = ("auto", "percentile", "bca", "bootstrap-t")
Study = tuple[np.ndarray, np.ndarray, np.ndarray | None]
SKEWED = np.array([0.3, 0.5, 1.0, 3.0])


def draw(kind: str, n: int, rng: np.random.Generator) -> np.ndarray:
    """Sixteen cells of n persons, less their true mean."""
    if kind == "normal":
        return rng.standard_normal((n, 16))
    if kind == "skewed":
        return rng.dirichlet(np.ones(4), (n, 4)).reshape(n, 16) - 0.25
    return rng.exponential(1.0, (n, 16)) - 1


def equal_groups(kind: str, n: int) -> Callable[[np.random.Generator], Study]:
    """Two groups of n / 2 persons from one distribution."""
    return lambda rng: (draw(kind, n, rng), np.arange(n) < n // 2, None)


def strained(name: str) -> Callable[[np.random.Generator], Study]:
    """One of the designs below the main table."""
    return {
        "30 against 70 persons, skewed": lambda rng: (draw("skewed", 100, rng), np.arange(100) < 30, None),
        "12 against 26 persons, normal": lambda rng: (draw("normal", 38, rng), np.arange(38) < 12, None),
        "12 against 26 persons, skewed": lambda rng: (draw("skewed", 38, rng), np.arange(38) < 12, None),
        "40 families of 1 to 4, correlation .5": families,
        "groups of 19, spread 2 : 1": lambda rng: (
            draw("normal", 38, rng) * np.where(np.arange(38) < 19, 2.0, 1.0)[:, None],
            np.arange(38) < 19,
            None,
        ),
        "groups of 19, another skewness each": other_shape,
    }[name]


STRAINED = (
    "12 against 26 persons, normal",
    "12 against 26 persons, skewed",
    "30 against 70 persons, skewed",
    "40 families of 1 to 4, correlation .5",
    "groups of 19, spread 2 : 1",
    "groups of 19, another skewness each",
)


def families(rng: np.random.Generator) -> Study:
    """Forty families of one to four persons whose values correlate .5 within the family."""
    family = np.repeat(np.arange(40), rng.integers(1, 5, 40))
    values = np.sqrt(0.5) * (draw("normal", 40, rng)[family] + draw("normal", family.size, rng))
    return values, family < 20, family


def other_shape(rng: np.random.Generator) -> Study:
    """Dirichlet(1, 1, 1, 1) against Dirichlet(.3, .5, 1, 3), each less its mean."""
    one = draw("skewed", 19, rng)
    other = (rng.dirichlet(SKEWED, (19, 4)) - SKEWED / SKEWED.sum()).reshape(19, 16)
    return np.concatenate([one, other]), np.arange(38) < 19, None


def contrast_coverage(
    study: Callable[[np.random.Generator], Study], method: str, seed: int, simulations: int = SIMULATIONS
) -> dict[str, float]:
    """Share of cells covered by single intervals, and of simulations with any cell left out by simultaneous ones."""
    single, missed = 0.0, 0
    for stream in np.random.SeedSequence(seed).spawn(simulations):
        rng = np.random.default_rng(stream)
        values, side, family = study(rng)
        units = make_units(family, len(values))
        found = bootstrap_contrast(
            values, side, units, resamples=RESAMPLES, method=method, level=0.95, rng=rng
        ).intervals
        single += float(np.mean((found.low <= 0) & (found.high >= 0)))
        missed += bool(np.any((found.low_simultaneous > 0) | (found.high_simultaneous < 0)))
    return {"single": round(single / simulations, 4), "familywise_error": round(missed / simulations, 4)}


def paired_coverage(kind: str, n: int, seed: int) -> dict[str, float]:
    """Share of simulations in which the interval of a paired difference covers its true mean of zero."""
    covered = 0
    for stream in np.random.SeedSequence(seed).spawn(SIMULATIONS):
        rng = np.random.default_rng(stream)
        found = paired_bootstrap(draw(kind, n, rng)[:, 0], np.zeros(n), resamples=RESAMPLES, rng=rng)
        covered += found.low <= 0 <= found.high
    return {"single": round(covered / SIMULATIONS, 4)}


def measure() -> dict[str, dict[str, dict[str, float | bool]]]:
    """All three tables."""
    kinds = ("normal", "skewed", "strongly skewed")
    main, other, paired = {}, {}, {}
    for k, (kind, n) in enumerate((kind, n) for kind in kinds for n in PERSONS):
        for method in METHODS if n <= 38 else ("auto", "percentile"):
            main[f"{kind}, {n} persons, {method}"] = shown(contrast_coverage(equal_groups(kind, n), method, SEED + k))
        paired[f"{kind}, {n} persons"] = shown(paired_coverage(kind, n, SEED + 100 + k))
    for k, name in enumerate(STRAINED):
        for method in ("auto", "percentile"):
            other[f"{name}, {method}"] = shown(contrast_coverage(strained(name), method, SEED + 200 + k))
    return {"two equal groups": main, "strained designs": other, "paired differences": paired}


def shown(row: dict[str, float]) -> dict[str, float | bool]:
    """Print a row with whether it lies in its band, and pass it on."""
    judged = in_bands(row)
    print(judged, flush=True)
    return judged


if __name__ == "__main__":
    warnings.simplefilter("ignore", ToolkitWarning)
    started = time.perf_counter()
    with threadpool_limits(limits=1):
        tables = measure()
    settings = {"simulations": SIMULATIONS, "resamples": RESAMPLES, "seed": SEED, "nominal": 0.95}
    keep("interval_coverage", settings | {"seconds": round(time.perf_counter() - started)}, tables)
