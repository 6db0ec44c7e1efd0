"""Coverage of the interval of Cramér's V: ``python -m benchmarks.calibration.base_rates_intervals``.

Persons have state shares of their own, with normal or skewed (exponential) effects on the logits, and runs of equal
states (every second observation repeats the one before). The true V is that of the groups' expected shares, weighted as
the groups are observed: 0, .15 and .29. `naive` inverts the noncentral chi-squared distribution, as if
observations were independent. Band for 2,000 simulations: 93.35 to 96.55 %; a true 0 can be missed from one side only.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2, ncx2
from threadpoolctl import threadpool_limits

from analyses.rao_scott import cramers_v_interval, rao_scott

RESULTS = Path(__file__).parents[1] / "results"
SEED = 20_274
BAND = (0.9335, 0.9655)
BASE = np.array([0.5, 0.0, -0.5])
EFFECTS = {
    "normal": lambda rng, size: rng.standard_normal(size),
    "skewed": lambda rng, size: rng.exponential(size=size) - 1,
}


def chances(kind: str, family: np.ndarray, alike: float, shift: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """State shares of each person."""
    shared = EFFECTS[kind](rng, (int(family[-1]) + 1, 3))[family] if alike else 0.0
    logits = BASE + np.sqrt(alike) * shared + np.sqrt(1 - alike) * EFFECTS[kind](rng, (family.size, 3))
    logits[:, 1] += shift
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def naive_interval(statistic: float, df: int, scale: float) -> tuple[float, float]:
    """From the noncentral chi-squared distribution."""
    ends = []
    for level in (0.975, 0.025):
        if chi2.cdf(statistic, df) <= level:
            ends.append(0.0)
            continue
        top = statistic + 20 * np.sqrt(statistic + df) + 50
        ends.append(brentq(lambda ncp, level=level: ncx2.cdf(statistic, df, ncp) - level, 1e-9, top))
    return float(np.sqrt(ends[0] / scale)), float(np.sqrt(ends[1] / scale))


def coverage(kind: str, units: int, alike: float, shift: float, simulations: int, seed: int) -> dict[str, float]:
    """Share of simulations in which the intervals hold the true V."""
    common = np.random.default_rng(SEED)
    many = np.arange(1_000_000)
    expected = [chances(kind, many, alike, np.full(many.size, s), common).mean(axis=0) for s in (0.0, shift)]
    expected = np.array([expected[0], expected[0] if shift == 0 else expected[1]])
    held, true, widths = {"default": 0, "naive": 0}, 0.0, []
    for stream in np.random.SeedSequence(seed).spawn(simulations):
        rng = np.random.default_rng(stream)
        sizes = 1 + rng.permutation(np.arange(units) % 4) if alike else np.ones(units, dtype=int)
        family, group = np.repeat(np.arange(units), sizes), np.arange(units) % 2
        rows = rng.integers(10, 31, family.size)
        drawn = 2 * rng.multinomial(rows, chances(kind, family, alike, shift * group[family], rng))
        counts = np.zeros((units, 3))
        np.add.at(counts, family, drawn)
        weight = np.array([counts[group == g].sum() for g in (0, 1)]) / counts.sum()
        pooled = weight @ expected
        true = float(np.sqrt((weight[:, None] * (expected - pooled) ** 2 / pooled).sum()))
        low, high = cramers_v_interval(counts, group, draws=999, rng=rng)
        held["default"] += low <= true <= high
        widths.append(high - low)
        found = rao_scott(counts, group)
        low, high = naive_interval(found.statistic, found.df, counts.sum())
        held["naive"] += low <= true <= high
    rates = {name: round(count / simulations, 4) for name, count in held.items()}
    return {"true_v": round(true, 3), **rates, "mean_width": round(float(np.mean(widths)), 3)}


def main(simulations: int = 2000) -> None:
    """Measure, print and keep the results."""
    started, rows = time.perf_counter(), []
    cases = [(kind, n, 0.0, 0.8) for kind in EFFECTS for n in (10, 20, 38, 100, 195)]
    cases += [("normal", n, 0.4, 0.8) for n in (10, 20, 38, 100)]
    cases += [("normal", n, 0.0, shift) for shift in (0.0, 1.6) for n in (20, 100)]
    for k, (kind, units, alike, shift) in enumerate(cases):
        rates = coverage(kind, units, alike, shift, simulations, SEED + k)
        who = f"families of 1 to 4 alike at {alike}" if alike else "independent persons"
        inside = rates["default"] >= BAND[0] and (shift == 0 or rates["default"] <= BAND[1])
        rows.append({"effects": kind, "units": units, "who": who, **rates, "in_band": bool(inside)})
        print(rows[-1], flush=True)
    settings = {"seed": SEED, "simulations": simulations, "draws": 999, "band": BAND}
    settings |= {"seconds": round(time.perf_counter() - started)}
    text = json.dumps({"settings": settings, "coverage": rows}, indent=1)
    (RESULTS / "base_rates_intervals.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    with threadpool_limits(limits=1):
        main()
