"""Error rates of transitions adjusted for base rates: ``python -m benchmarks.calibration.base_rate_adjustment_errors``.

The groups differ in how often states occur and in nothing else: each person has shares of their own, one group is in
the third state far more often, and the next state does not depend on the one before, or does so alike in both groups
(everybody tends to stay in the first state). Plain probabilities differ in a whole column; what is adjusted
(`excess_transitions`) should be found different in 5 % of cells at .05. Below, the groups differ in dependence, with
equal base rates: staying in the first state is more likely in one of them.
"""

from __future__ import annotations

import warnings

import numpy as np
from threadpoolctl import threadpool_limits

from analyses.base_rate_adjustment import excess_transitions
from analyses.matrices import observed_transitions
from analyses.simulation import softmax, transition_counts
from analyses.transitions import compare_transitions
from benchmarks.calibration.keeping import in_bands, keep
from toolkit.errors import ToolkitWarning

SEED = 20_251
SIMULATIONS, RESAMPLES = 2000, 399
CASES = tuple((persons, transitions) for persons in (20, 40, 100) for transitions in (60, 200))


def counts(
    persons: int, transitions: int, shift: float, stay: tuple[float, float], rng: np.random.Generator
) -> np.ndarray:
    """Counts of a study whose first half is the first group."""
    first = np.arange(persons) < persons // 2
    rates = np.array([0.5, 0.2, -0.5]) + 0.4 * rng.standard_normal((persons, 3))
    rates[first, 2] += shift
    scores = np.repeat(rates[:, None, :], 3, axis=1)
    scores[:, 0, 0] += np.where(first, *stay)
    return transition_counts(softmax(scores), transitions, rng).astype(np.float64)


def rejections(
    persons: int, transitions: int, shift: float, stay: tuple[float, float], simulations: int, seed: int
) -> np.ndarray:
    """Share of simulations with p at most .05 in every cell: adjusted, then plain probabilities."""
    group, found = np.arange(persons) < persons // 2, np.zeros((2, 3, 3))
    for stream in np.random.SeedSequence(seed).spawn(simulations):
        rng = np.random.default_rng(stream)
        seen = counts(persons, transitions, shift, stay, rng)
        for k, t in enumerate((excess_transitions(seen), observed_transitions(seen))):
            pvalue = compare_transitions(t, group, resamples=RESAMPLES, rng=rng).pvalue
            found[k] += pvalue <= 0.05
    return found / simulations


def measure() -> dict[str, dict[str, dict[str, float | bool]]]:
    """Both tables."""
    null, power = {}, {}
    for k, (persons, transitions) in enumerate(CASES):
        name = f"{persons} persons, {transitions} transitions"
        for dependence, stay in (("independent", 0.0), ("alike", 1.0)):
            adjusted, plain = rejections(persons, transitions, 1.0, (stay, stay), SIMULATIONS, SEED + k)
            row = in_bands({"adjusted, mean error": adjusted.mean(), "adjusted, worst cell error": adjusted.max()})
            null[f"{name}, {dependence}"] = row | {"plain, mean over cells": float(plain.mean())}
            print(name, dependence, row, flush=True)
        adjusted, plain = rejections(persons, transitions, 0.0, (1.0, 0.0), SIMULATIONS // 4, SEED + 50 + k)
        power[name] = {"adjusted, the cell": float(adjusted[0, 0]), "plain, the cell": float(plain[0, 0])}
        print(name, power[name], flush=True)
    return {"base rates differ": null, "dependence differs": power}


if __name__ == "__main__":
    warnings.simplefilter("ignore", ToolkitWarning)
    with threadpool_limits(limits=1):
        tables = measure()
    keep("base_rate_adjustment_errors", {"simulations": SIMULATIONS, "resamples": RESAMPLES, "seed": SEED}, tables)
