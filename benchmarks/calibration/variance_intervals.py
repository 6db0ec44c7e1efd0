"""How often intervals of a variance component hold the truth, by number of levels and reliability of the effects.

Levels have unequal numbers of rows (what a level's rows leave open varies by a gamma distribution of shape 2); the
variance is estimated by maximum likelihood, its 95 % interval by `analyses.variance_interval`. Beside it stands that of
a chi-squared distribution with ``sum r_q^2`` degrees of freedom (the Fisher information alone), which is far off where
reliabilities are low.

    python -m benchmarks.calibration.variance_intervals
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.stats import chi2

from analyses.variance_interval import variance_interval

RESULT = Path(__file__).parents[1] / "results" / "variance_intervals.json"
LEVELS, OPEN = (6, 12, 40, 200), (0.25, 1.0, 9.0)


def likeliest(seen: Float[np.ndarray, "run level"], rows: Float[np.ndarray, " level"]) -> Float[np.ndarray, "run 1"]:
    """The variance over levels of every simulated run, by EM with the mean profiled out."""
    variance = np.ones((len(seen), 1))
    for _ in range(400):
        weight = 1.0 / (variance + rows)
        mean = (weight * seen).sum(axis=1, keepdims=True) / weight.sum(axis=1, keepdims=True)
        effect, left = variance * weight * (seen - mean), variance * rows * weight
        variance = np.maximum((effect**2 + left).mean(axis=1, keepdims=True), 1e-8)
    return variance


def cell(levels: int, rows_leave: float, runs: int, rng: np.random.Generator) -> dict[str, float]:
    """Coverage in one cell; the true variance is 1."""
    rows = np.maximum(rows_leave * rng.gamma(2.0, 0.5, size=levels), 0.05 * rows_leave)
    seen = rng.normal(size=(runs, levels)) + np.sqrt(rows) * rng.normal(size=(runs, levels))
    variance = likeliest(seen, rows)
    reliability = variance / (variance + rows)
    found = [variance_interval(float(one), r) for one, r in zip(variance[:, 0], reliability, strict=True)]
    low, high = np.array([one.low for one in found]), np.array([one.high for one in found])
    degrees = np.maximum((reliability**2).sum(axis=1) * (levels - 1) / levels, 1e-3)
    with np.errstate(divide="ignore", over="ignore"):
        plain = [degrees * variance[:, 0] / chi2.ppf(p, degrees) for p in (0.975, 0.025)]
    return {
        "levels": levels,
        "reliability": float(reliability.mean()),
        "covered": float(np.mean((low <= 1.0) & (high >= 1.0))),
        "truth_above": float(np.mean(high < 1.0)),
        "truth_below": float(np.mean(low > 1.0)),
        "median_low": float(np.median(low)),
        "median_high": float(np.median(high)),
        "covered_by_information_alone": float(np.mean((plain[0] <= 1.0) & (plain[1] >= 1.0))),
    }


def main() -> None:
    """All cells, printed and kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=4_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    cells = []
    print("levels  reliability  covered  median interval  information alone")
    for levels in LEVELS:
        for rows_leave in OPEN:
            rng = np.random.default_rng([asked.seed, levels, int(100 * rows_leave)])
            one = cell(levels, rows_leave, asked.runs, rng)
            cells.append(one)
            span = f"[{one['median_low']:.2f}, {one['median_high']:.2f}]"
            print(
                f"{levels:6d}  {one['reliability']:11.2f}  {one['covered']:7.3f}  {span:>15}  "
                f"{one['covered_by_information_alone']:17.3f}"
            )
            RESULT.write_text(json.dumps({"runs": asked.runs, "seed": asked.seed, "cells": cells}, indent=1) + "\n")


if __name__ == "__main__":
    main()
