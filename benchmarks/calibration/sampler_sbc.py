"""Simulation-based calibration of the block sampler: ranks of the truth among posterior draws are uniform.

    python -m benchmarks.calibration.sampler_sbc --density bernoulli --seconds 150

Each simulation draws variances from inverse gamma priors, effects of two crossed factors, and 40 targets; the chain
alternates one block transition with a Gibbs draw of each variance (inverse gamma given the effects). Ranks of the first
effect of each factor, of each variance and of the joint log-likelihood among 31 thinned draws; chi-squared test of
uniformity over 8 bins (Talts et al., 2018; the log-likelihood as a test quantity: Modrák et al., 2023). Simulations are
kept in benchmarks/results/sampler_sbc.json after every run, which goes on where the last one stopped.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from scipy.stats import chisquare

from toolkit.sampling import Bernoulli, Blocks, Categorical, Clusters, Draw, Target

RESULT = Path(__file__).parents[1] / "results" / "sampler_sbc.json"
DENSITIES = {"bernoulli": 1, "categorical": 3}
LEVELS, ROWS, SHAPE, SCALE = (6, 4), 40, 4.0, 2.0
DRAWS, THIN, BURN, BINS = 31, 4, 24, 8
MONITORS = ("effect of factor 1", "effect of factor 2", "variance 1", "variance 2", "log-likelihood")
DOUBLE = torch.float64


def inverse_gamma(shape: float, scale: float, rng: np.random.Generator) -> float:
    """One draw, density ∝ x^(−shape − 1) exp(−scale / x)."""
    return float(scale / rng.gamma(shape))


def quantities(target: Target, draw: Draw, variances: list[float]) -> np.ndarray:
    """What is ranked: two effects, two variances, the joint log-likelihood."""
    likelihood = target.density.log_density(target.fixed + target.added(draw)).sum()
    return np.array([float(draw[0][0, 0]), float(draw[1][0, 0]), *variances, float(likelihood)])


def with_variances(target: Target, variances: list[float]) -> Target:
    """The target with other prior variances."""
    unit = torch.eye(target.outputs, dtype=DOUBLE)
    return Target(target.fixed, target.density, target.clusters, tuple(v * unit for v in variances))


def simulated(name: str, rng: np.random.Generator, g: torch.Generator) -> tuple[Target, np.ndarray]:
    """A target with a target variable drawn from the model, and the true quantities."""
    outputs = DENSITIES[name]
    variances = [inverse_gamma(SHAPE, SCALE, rng) for _ in LEVELS]
    clusters = tuple(Clusters(torch.randint(q, (ROWS,), generator=g), q) for q in LEVELS)
    fixed = 0.5 * torch.randn((outputs, ROWS), generator=g, dtype=DOUBLE)
    truth = tuple(
        v**0.5 * torch.randn((outputs, q), generator=g, dtype=DOUBLE) for v, q in zip(variances, LEVELS, strict=True)
    )
    logits = fixed + clusters[0].spread(truth[0]) + clusters[1].spread(truth[1])
    if outputs == 1:
        density = Bernoulli(torch.bernoulli(torch.sigmoid(logits[0]), generator=g))
    else:
        density = Categorical(torch.multinomial(torch.softmax(logits, 0).T, 1, generator=g)[:, 0], outputs)
    prior = [SCALE / (SHAPE - 1)] * len(LEVELS)
    target = with_variances(Target(fixed, density, clusters, (torch.eye(outputs, dtype=DOUBLE),) * 2), prior)
    return target, quantities(target, truth, variances)


def ranks(name: str, seed: int) -> list[int]:
    """Ranks of the true quantities in one simulation."""
    rng, g, sampler = np.random.default_rng(seed), torch.Generator().manual_seed(seed), Blocks(rounds=0)
    target, truth = simulated(name, rng, g)
    state = sampler.advance(target, sampler.begin(target, generator=g), transitions=1, generator=g)
    kept = []
    for turn in range(BURN + THIN * DRAWS):
        variances = [
            inverse_gamma(SHAPE + part.numel() / 2, SCALE + float(part.square().sum()) / 2, rng) for part in state.draw
        ]
        state = sampler.advance(with_variances(target, variances), state, transitions=1, generator=g)
        if turn >= BURN and (turn - BURN) % THIN == THIN - 1:
            kept.append(quantities(target, state.draw, variances))
    return (np.array(kept) < truth).sum(0).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--density", nargs="*", default=list(DENSITIES), choices=list(DENSITIES))
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=150.0, help="stop after so long; run again to go on")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for name in options.density:
        found, started = results.get(name, {}).get("ranks", []), time.monotonic()
        while len(found) < options.simulations and time.monotonic() - started < options.seconds:
            found.append(ranks(name, 1000 + len(found)))
        counts = [
            np.bincount(np.array(column) * BINS // (DRAWS + 1), minlength=BINS) for column in zip(*found, strict=True)
        ]
        pvalues = {m: float(chisquare(count).pvalue) for m, count in zip(MONITORS, counts, strict=True)}
        results[name] = {"simulations": len(found), "pvalues": pvalues, "ranks": found}
        print(name, len(found), "simulations; p of uniform ranks:", {m: round(p, 3) for m, p in pvalues.items()})
        RESULT.write_text(json.dumps(results) + "\n")


if __name__ == "__main__":
    main()
