"""Coverage of the interval of ICC(2,1) over runs: ``python -m benchmarks.calibration.stability_coverage``.

Estimates of persons in several runs: a value per person (normal, skewed: gamma of skewness 1, strongly skewed:
exponential), noise per person and run, and in "shift" designs a shift of all persons per run with a variance of .15.
"uneven": the noise of persons differs (its variance is exponential). The true ICC is the share of the persons' variance
in all, for persons and runs like these. "percentile" is the 5-run design with percentile intervals over persons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from analyses.stability import stability
from benchmarks.calibration.keeping import in_bands, keep

SEED, SIMULATIONS, RESAMPLES = 20_270, 2_000, 399
PERSONS = (10, 20, 38, 100, 195)
KINDS = ("normal", "skewed", "strongly skewed")
SETTINGS = {"simulations": SIMULATIONS, "resamples": RESAMPLES, "seed": SEED, "nominal": 0.95}


@dataclass(frozen=True)
class Design:
    """What is simulated."""

    name: str
    kind: str
    icc: float
    runs: int


def simulate(design: Design, persons: int, rng: np.random.Generator) -> np.ndarray:
    """Estimates, shape (runs, persons, 1), of total variance 1."""
    if design.kind == "normal":
        value = rng.standard_normal(persons)
    elif design.kind == "skewed":
        value = (rng.gamma(4, 1, persons) - 4) / 2
    else:
        value = rng.exponential(1, persons) - 1
    shift = 0.15 if design.name == "shift" else 0.0
    noise = np.full(persons, 1 - design.icc - shift)
    if design.name == "uneven":
        noise = noise * rng.exponential(1, persons)
    runs = np.sqrt(design.icc) * value + np.sqrt(shift) * rng.standard_normal((design.runs, 1))
    return (runs + np.sqrt(noise) * rng.standard_normal((design.runs, persons)))[:, :, None]


def coverage(design: Design, persons: int, seed: int) -> dict[str, Any]:
    """Share of intervals that hold the true ICC, their median width, and the bias of the estimate."""
    held, found = 0, []
    method = "percentile" if design.name == "percentile" else "jackknife"
    for stream in np.random.SeedSequence(seed).spawn(SIMULATIONS):
        rng = np.random.default_rng(stream)
        got = stability(["a"], runs=simulate(design, persons, rng), method=method, resamples=RESAMPLES, rng=rng)
        held += bool(got.icc_low[0] <= design.icc <= got.icc_high[0])
        found.append((got.icc[0], got.icc_high[0] - got.icc_low[0]))
    middle = np.median(found, axis=0)
    bias = float(np.mean(np.array(found)[:, 0]) - design.icc)
    rates = in_bands({"icc": round(held / SIMULATIONS, 4)})
    return rates | {"bias": round(bias, 4), "median_width": round(float(middle[1]), 3)}


def designs() -> list[tuple[Design, tuple[int, ...]]]:
    """Designs with the numbers of persons they are measured at."""
    made: list[tuple[Design, tuple[int, ...]]] = []
    made += [(Design("plain", kind, icc, 5), PERSONS) for kind in KINDS for icc in (0.3, 0.75)]
    made += [(Design("plain", kind, 0.75, runs), PERSONS) for kind in KINDS[:2] for runs in (2, 10)]
    made += [(Design("shift", "normal", 0.6, runs), PERSONS) for runs in (3, 5)]
    made.append((Design("uneven", "skewed", 0.75, 5), PERSONS))
    return made + [(Design("percentile", kind, 0.75, 5), (10, 38)) for kind in KINDS]


def measure() -> list[dict[str, Any]]:
    """Every design at every number of persons."""
    rows: list[dict[str, Any]] = []
    for design, sizes in designs():
        for persons in sizes:
            known = {"design": design.name, "kind": design.kind, "true": design.icc, "runs": design.runs}
            rows.append(known | {"persons": persons} | coverage(design, persons, SEED + len(rows)))
            print(rows[-1], flush=True)
            keep("stability_coverage", SETTINGS, {"coverage": rows})
    return rows


if __name__ == "__main__":
    with threadpool_limits(limits=1):
        keep("stability_coverage", SETTINGS, {"coverage": measure()})
