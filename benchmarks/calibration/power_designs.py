"""Error rates and power of the power analysis itself: ``python -m benchmarks.calibration.power_designs``.

Without an effect both tests must reject in about 5 % of simulated studies, for independent persons and for families at
correlations up to .8, and for onset-coded states (a state never follows itself). With an effect, the fast Welch t of
the power analysis is set beside the bootstrap of `compare_transitions` that a user would run on the same studies.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from analyses.matrices import observed_transitions
from analyses.power import power_curve
from analyses.simulation import person_scores, shift_for_difference, softmax, transition_counts, welch_of_clusters
from analyses.transitions import compare_transitions

RESULTS = Path(__file__).parents[1] / "results"
SEED = 20_241
CHANCES = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.3, 0.3, 0.4]])
VARIANCES = np.full((3, 3), 0.2)


def error_rates(simulations: int, permutations: int) -> list[dict[str, float | str]]:
    """Rejections without an effect, by family correlation and coding."""
    onset = CHANCES * (1 - np.eye(3))
    rows = []
    cases = [("all transitions", CHANCES, 1, 0.0)]
    cases += [("all transitions", CHANCES, 2, rho) for rho in (0.0, 0.4, 0.8)]
    cases += [("onset coded", onset / onset.sum(axis=1, keepdims=True), 2, 0.4)]
    for stream, (coding, chances, size, rho) in zip(np.random.SeedSequence(SEED).spawn(len(cases)), cases, strict=True):
        with np.errstate(divide="ignore"):
            scores = np.log(chances)
        found = power_curve(
            scores,
            VARIANCES,
            cell=(0, 1),
            difference=0,
            clusters=[20],
            transitions=[50],
            cluster_size=size,
            correlation=rho,
            simulations=simulations,
            permutations=permutations,
            rng=np.random.default_rng(stream),
        )
        rates = {"cell": float(found.cell_power[0]), "hsic": float(found.hsic_power[0])}
        rows.append({"coding": coding, "cluster_size": size, "correlation": rho, **rates})
    return rows


def beside_bootstrap(simulations: int, persons: int, difference: float) -> dict[str, float]:
    """Power of Welch's t and of the bootstrap on the same simulated studies."""
    rng = np.random.default_rng(SEED)
    scores, sigma = np.log(CHANCES), np.diag(VARIANCES.ravel())
    shift = shift_for_difference(scores, sigma, (0, 1), difference, rng)
    group = np.repeat([False, True], persons)
    welch, bootstrap = 0, 0
    for _ in range(simulations):
        drawn = person_scores(scores, sigma, 2 * persons, 1, 0.0, rng)
        drawn[group, 0, 1] += shift
        matrices = observed_transitions(transition_counts(softmax(drawn), 50, rng))
        welch += int(welch_of_clusters(matrices[None, :, 0, 1], persons, 1)[0] <= 0.05)
        bootstrap += int(compare_transitions(matrices, group, resamples=999, rng=rng).pvalue[0, 1] <= 0.05)
    return {"persons_per_group": persons, "welch": welch / simulations, "bootstrap": bootstrap / simulations}


def main(simulations: int = 2000, permutations: int = 199) -> None:
    """Measure, print and keep the results."""
    found = {
        "seed": SEED,
        "simulations": simulations,
        "permutations": permutations,
        "error_rates": error_rates(simulations, permutations),
        "beside_bootstrap": [beside_bootstrap(500, persons, 0.05) for persons in (20, 40)],
    }
    print(json.dumps(found, indent=1))
    (RESULTS / "power_designs.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
