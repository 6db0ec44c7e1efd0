"""Type-I error of a specification curve's joint tests: ``python -m benchmarks.calibration.multiverse_error_rates``.

Observed transitions of four-state chains, two state definitions that share their persons' effects, eighteen and more
specifications each; groups that do not differ. Independent persons, and families alike at 0, .4 or .8 (a family shares
its label; whole families are permuted). Both joint tests should reject in 5 % of simulations at .05.
"""

from __future__ import annotations

import warnings

import numpy as np
from threadpoolctl import threadpool_limits

from analyses.multiverse import specification_curve
from benchmarks.calibration.keeping import in_bands, keep
from benchmarks.calibration.transition_error_rates import Design, study
from toolkit.errors import ToolkitWarning

SEED = 20_249
SIMULATIONS, PERMUTATIONS = 2000, 199
DESIGNS = (Design(), Design(share=0.25), Design(onset=True), *(Design(alike=alike) for alike in (0.0, 0.4, 0.8)))


def rejections(design: Design, simulations: int, seed: int) -> dict[str, float]:
    """Share of simulations in which each joint test rejects."""
    median, share = 0, 0
    for stream in np.random.SeedSequence(seed).spawn(simulations):
        rng = np.random.default_rng(stream)
        t, group, _, family = study(design, rng)
        t = np.nan_to_num(t, nan=0.25)
        # The second definition of states merges the last two, as another cut-off would.
        merged = np.concatenate([t[:, :3, :2], t[:, :3, 2:].sum(axis=2, keepdims=True)], axis=2)
        found = specification_curve(
            {("four states", "observed"): t, ("three states", "observed"): merged},
            group,
            cluster=family,
            multiples=(0.5, 1.0),
            permutations=PERMUTATIONS,
            rng=rng,
        )
        median += found.p_median <= 0.05
        share += found.p_share <= 0.05
    return {
        "median effect error": round(median / simulations, 4),
        "share significant error": round(share / simulations, 4),
    }


def measure() -> dict[str, dict[str, float | bool]]:
    """Every design."""
    rates = {}
    for k, design in enumerate(DESIGNS):
        rates[design.name()] = in_bands(rejections(design, SIMULATIONS, SEED + k))
        print(design.name(), rates[design.name()], flush=True)
    return rates


if __name__ == "__main__":
    warnings.simplefilter("ignore", ToolkitWarning)
    with threadpool_limits(limits=1):
        tables = {"type_one_error": measure()}
    keep("multiverse_error_rates", {"simulations": SIMULATIONS, "permutations": PERMUTATIONS, "seed": SEED}, tables)
