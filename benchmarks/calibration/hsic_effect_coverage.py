"""Coverage of the intervals of the HSIC effect sizes: ``python -m benchmarks.calibration.hsic_effect_coverage``.

Two groups, four values per person, normal ones that differ in mean or skewed (exponential) ones that differ in scale;
families of two that are alike (persons counts families then); and a number in place of groups.
The true effect is that of large samples. The jackknife overstates the spread of an estimate near no effect, so that
intervals there may cover too often ("conservative"), but must not cover too rarely.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from analyses.hsic_effect import hsic_effect_size

RESULTS = Path(__file__).parents[1] / "results"
SEED, BAND, SIMULATIONS = 20_249, (0.9335, 0.9655), 2_000
PERSONS, EFFECTS = (10, 20, 38, 100, 195), (0.0, 0.5, 1.0, 2.0)


def draw(kind: str, n: int, effect: float, rng: np.random.Generator) -> dict[str, Any]:
    """Values of n persons, every second one in the group that differs; of n families; or a number they depend on."""
    group = np.arange(n) % 2
    way = np.array([1, 0.5, 0, 0])
    if kind == "normal":
        return {"x": rng.standard_normal((n, 4)) + effect * group[:, None] * way, "group": group}
    if kind == "skewed":
        return {"x": rng.exponential(size=(n, 4)) * (1 + effect * group[:, None]), "group": group}
    if kind == "number":
        number = rng.standard_normal(n)
        x = rng.standard_normal((n, 4)) + 0.5 * effect * number[:, None] * way
        return {"x": x, "group": number, "group_kernel": "gaussian"}
    family = np.repeat(np.arange(n), 2)
    noise = np.sqrt(0.4) * rng.standard_normal((n, 4))[family] + np.sqrt(0.6) * rng.standard_normal((2 * n, 4))
    return {"x": noise + effect * group[family, None] * way, "group": group[family], "unit": family}


def truth(kind: str, effect: float, samples: int = 60, n: int = 1_500) -> np.ndarray:
    """CKA and H in large samples."""
    if effect == 0:
        return np.zeros(2)
    rng = np.random.default_rng(SEED)
    found = [hsic_effect_size(**draw(kind, n, effect, rng)) for _ in range(samples)]
    return np.mean([(f.alignment, f.energy) for f in found], axis=0)


def coverage(kind: str, n: int, effect: float, true: np.ndarray, simulations: int, seed: int) -> dict[str, float]:
    """Share of intervals that hold the true effect, and the bias of the estimates."""
    held, total = np.zeros(2), np.zeros(2)
    for stream in np.random.SeedSequence(seed).spawn(simulations):
        found = hsic_effect_size(**draw(kind, n, effect, np.random.default_rng(stream)))
        low = np.array([found.alignment_low, found.energy_low])
        high = np.array([found.alignment_high, found.energy_high])
        held += (low <= true) & (true <= high)
        total += (found.alignment, found.energy)
    names = ("cka_coverage", "energy_coverage", "cka_bias", "energy_bias")
    return dict(zip(names, np.round([*held / simulations, *(total / simulations - true)], 4).tolist(), strict=True))


def verdict(rate: float) -> str:
    """Where a coverage lies."""
    return "in band" if BAND[0] <= rate <= BAND[1] else "conservative" if rate > BAND[1] else "too low"


def measure() -> list[dict[str, object]]:
    """Every kind of values, effect and number of persons."""
    rows = []
    for kind in ("normal", "skewed", "families", "number"):
        for effect in EFFECTS:
            true = truth(kind, effect)
            for n in PERSONS:
                row = coverage(kind, n, effect, true, SIMULATIONS, SEED + len(rows))
                judged = {f"{name}_verdict": verdict(row[f"{name}_coverage"]) for name in ("cka", "energy")}
                case = {"kind": kind, "effect": effect, "persons": n, "cka": float(true[0]), "energy": float(true[1])}
                rows.append(case | row | judged)
                print(rows[-1], flush=True)
    return rows


if __name__ == "__main__":
    started = time.perf_counter()
    with threadpool_limits(limits=1):
        rows = measure()
    settings = {"simulations": SIMULATIONS, "seed": SEED, "nominal": 0.95, "band": BAND}
    settings |= {"seconds": round(time.perf_counter() - started)}
    text = json.dumps({"settings": settings, "coverage": rows}, indent=2)
    (RESULTS / "hsic_effect_coverage.json").write_text(text + "\n", encoding="utf-8")
