"""Coverage of the intervals of bias against baseline: ``python -m benchmarks.calibration.baseline_intervals``.

Correlations 0 and .8 between normal, skewed (Beta(1, 3), skewness .86) and strongly skewed (exponential, skewness
2) values, at 10 to 195 independent persons, and at .8 in families of one to four. "default" is `low` to `high` of
`bias_baseline`; Fisher's and the bootstrap interval stand beside it for Pearson. The true value of Spearman's and the
percentage bend correlation is that of 4,000,000 draws. The corrected slope (true value .8) is measured with the true
levels as baseline, and with a baseline measured with error. Band for 2,000 simulations: 93.35 to 96.55 %.
"""

from __future__ import annotations

import json
import time
import warnings
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from analyses.baseline import bias_baseline
from analyses.baseline_slope import corrected_slope
from analyses.correlation import KINDS, correlate
from analyses.correlation_bootstrap import bootstrap_percentile
from analyses.resampling import make_units
from toolkit.errors import DataError, ToolkitWarning

RESULTS = Path(__file__).parents[1] / "results"
SEED = 20_272
BAND = (0.9335, 0.9655)
PERSONS = (10, 20, 38, 100, 195)
VALUES = {
    "normal": lambda rng, size: rng.standard_normal(size),
    "skewed": lambda rng, size: (rng.beta(1, 3, size) - 0.25) / np.sqrt(0.0375),
    "strongly skewed": lambda rng, size: rng.exponential(size=size) - 1,
}


def pair(
    kind: str, r: float, family: np.ndarray, alike: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Two columns correlated at r between persons and between families alike."""
    sides = []
    for _ in range(2):
        own = VALUES[kind](rng, family.size)
        shared = VALUES[kind](rng, int(family[-1]) + 1)[family] if alike else 0.0
        sides.append(np.sqrt(alike) * shared + np.sqrt(1 - alike) * own)
    return sides[0], r * sides[0] + np.sqrt(1 - r**2) * sides[1]


def truth(kind: str, r: float, alike: float) -> dict[str, float]:
    """The correlations of the population."""
    if r == 0:
        return dict.fromkeys(KINDS, 0.0)
    many = pair(kind, r, np.arange(4_000_000), alike, np.random.default_rng(SEED))
    return {"pearson": r} | {name: correlate(*many, name) for name in KINDS if name != "pearson"}


def correlation_coverage(
    kind: str, r: float, n: int, alike: float, simulations: int, seed: int, resamples: int = 199
) -> dict[str, float]:
    """Share of simulations in which an interval holds the true value; n persons, or families when `alike` > 0."""
    family = np.repeat(np.arange(n), 1 + np.arange(n) % 4) if alike else np.arange(n)
    true = truth(kind, r, alike)
    # Spearman's default takes no resamples.
    draws = {"pearson": resamples, "spearman": 99, "bend": resamples}
    counts: dict[str, int] = {}
    for stream in np.random.SeedSequence(seed).spawn(simulations):
        rng = np.random.default_rng(stream)
        x, y = pair(kind, r, family, alike, rng)
        for name in KINDS:
            found = bias_baseline(x, y, unit=family, correlation=name, resamples=draws[name], rng=rng)
            ends = {f"{name}, default": (found.low, found.high)}
            if name == "pearson":
                ends |= {"pearson, Fisher": (found.low_fisher, found.high_fisher)}
                ends |= {"pearson, bootstrap": (found.low_bootstrap, found.high_bootstrap)}
            for which, (low, high) in ends.items():
                counts[which] = counts.get(which, 0) + (low <= true[name] <= high)
    return {which: round(count / simulations, 4) for which, count in counts.items()}


def bend_coverage(kind: str, r: float, n: int, simulations: int, seed: int, resamples: int = 999) -> float:
    """Coverage of the percentage bend's percentiles from more resamples, for independent persons.

    The 2.5 % quantile of 199 values lies at the 2.98 % point on average, so that 199 resamples cost 0.95 % of coverage;
    999 cost 0.2 %, the default 10,000 nothing.
    """
    true, covered = truth(kind, r, 0.0)["bend"], 0
    for stream in np.random.SeedSequence(seed).spawn(simulations):
        rng = np.random.default_rng(stream)
        x, y = pair(kind, r, np.arange(n), 0.0, rng)
        low, high, _ = bootstrap_percentile(x, y, make_units(None, n), "bend", resamples=resamples, level=0.95, rng=rng)
        covered += low <= true <= high
    return round(covered / simulations, 4)


def slope_coverage(kind: str, n: int, simulations: int, seed: int, beta: float = 0.8) -> dict[str, float]:
    """Mean slopes and coverage, with reliabilities between about .3 and .9, and baselines of 5 to 20 rows."""
    held: dict[str, list[float]] = {name: [] for name in ("slope", "shrunken", "covered", "with error", "its cover")}
    undefined = 0
    for stream in np.random.SeedSequence(seed).spawn(simulations):
        rng = np.random.default_rng(stream)
        level = VALUES[kind](rng, n)
        noise = 2 / rng.integers(3, 30, n)
        estimate = beta * level + 0.5 * rng.standard_normal(n) + np.sqrt(noise) * rng.standard_normal(n)
        weight = (beta**2 + 0.25) / (beta**2 + 0.25 + noise)
        found = corrected_slope(weight * estimate, level, reliability=weight)
        held["slope"].append(found.slope)
        held["shrunken"].append(found.slope_shrunken)
        held["covered"].append(found.low <= beta <= found.high)
        error = np.sqrt(1 / rng.integers(5, 20, n))
        measured = level + error * rng.standard_normal(n)
        try:
            found = corrected_slope(weight * estimate, measured, reliability=weight, baseline_error=error)
        except DataError:
            undefined += 1
            continue
        held["with error"].append(found.slope)
        held["its cover"].append(found.low <= beta <= found.high)
    means = {name: float(np.mean(values)) for name, values in held.items()}
    return {
        "mean slope": round(means["slope"], 4),
        "mean slope of shrunken estimates": round(means["shrunken"], 4),
        "slope, default": round(means["covered"], 4),
        "mean slope, baseline with error": round(means["with error"], 4),
        "slope, baseline with error": round(means["its cover"], 4),
        "undefined, baseline with error": round(undefined / simulations, 4),
    }


def measure(simulations: int) -> list[dict[str, object]]:
    """Every case."""
    rows: list[dict[str, object]] = []
    independent = [(kind, r, n, 0.0) for kind in ("normal", "skewed") for r in (0.0, 0.8) for n in PERSONS]
    independent += [("strongly skewed", 0.8, n, 0.0) for n in (10, 38, 100)]
    families = [("normal", 0.8, n, 0.4) for n in (10, 20)]
    for k, (kind, r, n, alike) in enumerate(independent + families):
        rates = correlation_coverage(kind, r, n, alike, simulations, SEED + k)
        outside = [name for name, rate in rates.items() if "default" in name and not BAND[0] <= rate <= BAND[1]]
        who = f"families of 1 to 4 alike at {alike}" if alike else "independent persons"
        rows.append({"values": kind, "true_r": r, "units": n, "who": who, **rates, "outside_band": outside})
        print(rows[-1], flush=True)
    for k, n in enumerate((20, 38, 100)):
        rate = bend_coverage("skewed", 0.8, n, simulations, SEED + 16 + k)
        rows.append({"values": "skewed", "true_r": 0.8, "units": n, "resamples": 999, "bend, default": rate})
        print(rows[-1], flush=True)
    for k, (kind, n) in enumerate((kind, n) for kind in VALUES for n in PERSONS):
        found = slope_coverage(kind, n, simulations, SEED + 1000 + k)
        watched = ("slope, default", "slope, baseline with error")
        outside = [name for name in watched if not BAND[0] <= found[name] <= BAND[1]]
        rows.append({"values": kind, "true_slope": 0.8, "units": n, **found, "outside_band": outside})
        print(rows[-1], flush=True)
    return rows


def main(simulations: int = 2000) -> None:
    """Measure, print and keep the results."""
    warnings.simplefilter("ignore", ToolkitWarning)
    started = time.perf_counter()
    rows = measure(simulations)
    settings = {"seed": SEED, "simulations": simulations, "resamples": 199, "band": BAND}
    settings |= {"seconds": round(time.perf_counter() - started)}
    text = json.dumps({"settings": settings, "coverage": rows}, indent=1)
    (RESULTS / "baseline_intervals.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    with threadpool_limits(limits=1):
        main()
