"""Person effects on a transition matrix: our Laplace posterior beside NUTS, given the shared parameters.

    python benchmarks/peers/chain_posterior_nuts.py --sample    samples with numpyro (no dependency: pip install
                                                                numpyro into an environment of its own) and keeps means,
                                                                SDs and Monte Carlo errors in tests/golden
    python benchmarks/peers/chain_posterior_nuts.py             prints ours beside them, writes benchmarks/results

The persons are simulated: three states, 6 to 240 labelled steps a person in sequences of at most 20, given emission
scores, prior SD 0.8 of each of the nine effects. The sampler has a likelihood of its own (forward recursion in jax).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "chain_posterior_nuts.csv"
RESULT = ROOT / "benchmarks" / "results" / "chain_posterior_nuts.json"
STATES, LONGEST, DEVIATION = 3, 20, 0.8
STEPS = (6, 20, 60, 240)
SHARED = np.array([[0.6, 0.0, -0.3], [-0.2, 0.5, 0.1], [0.0, -0.4, 0.7]])
CHAINS, WARMUP, DRAWS = 4, 500, 2_500


def simulated_persons() -> pd.DataFrame:
    """Rows in order: person, day (a sequence), t, state and emission scores ``e0 .. e2``."""
    rng = np.random.default_rng(7)
    parts = []
    for person, steps in enumerate(STEPS):
        scores = SHARED + DEVIATION * rng.standard_normal((STATES, STATES))
        matrix = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        state = 0
        for step in range(steps):
            new = step % LONGEST == 0
            state = int(rng.integers(STATES)) if new else int(rng.choice(STATES, p=matrix[state]))
            emission = 0.5 * rng.standard_normal(STATES) + np.eye(STATES)[state]
            parts.append((f"p{person}", step // LONGEST, step, state, *np.round(emission, 4)))
    return pd.DataFrame(parts, columns=["person", "day", "t", "state", "e0", "e1", "e2"])


def padded(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Emissions (sequence, time, state), states and mask of one person."""
    days = [part for _, part in rows.groupby("day", sort=False)]
    emissions = np.zeros((len(days), LONGEST, STATES))
    states, mask = np.zeros((len(days), LONGEST), dtype=int), np.zeros((len(days), LONGEST), dtype=bool)
    for place, part in enumerate(days):
        emissions[place, : len(part)] = part[["e0", "e1", "e2"]]
        states[place, : len(part)] = part["state"]
        mask[place, : len(part)] = True
    return emissions, states, mask


def sample() -> None:
    """NUTS for every person; means, SDs and the Monte Carlo errors of both."""
    import jax  # pyright: ignore[reportMissingImports]
    import jax.numpy as jnp  # pyright: ignore[reportMissingImports]
    import numpyro  # pyright: ignore[reportMissingImports]
    from numpyro.diagnostics import effective_sample_size  # pyright: ignore[reportMissingImports]
    from numpyro.infer import MCMC, NUTS  # pyright: ignore[reportMissingImports]

    numpyro.enable_x64()
    found = []
    for code, (person, rows) in enumerate(simulated_persons().groupby("person", sort=False)):
        emissions, states, mask = padded(rows)

        def log_likelihood(matrix, emissions=emissions, states=states, mask=mask):  # noqa: ANN001, ANN202
            def step(carry, here):  # noqa: ANN001, ANN202
                alpha, score, last = carry
                emission, state, known = here
                moved = jax.nn.logsumexp(alpha[:, :, None] + matrix, axis=1) + emission
                gain = matrix[last, state] + jnp.take_along_axis(emission, state[:, None], 1)[:, 0]
                alpha = jnp.where(known[:, None], moved, alpha)
                return (alpha, jnp.where(known, score + gain, score), jnp.where(known, state, last)), None

            first = jnp.take_along_axis(emissions[:, 0], states[:, :1], 1)[:, 0]
            sequence = (emissions[:, 1:].swapaxes(0, 1), states[:, 1:].T, mask[:, 1:].T)
            (alpha, score, _), _ = jax.lax.scan(step, (emissions[:, 0], first, states[:, 0]), sequence)
            return (score - jax.nn.logsumexp(alpha, axis=1)).sum()

        def model(log_likelihood=log_likelihood) -> None:  # noqa: ANN001
            normal = numpyro.distributions.Normal(0.0, DEVIATION)
            eta = numpyro.sample("eta", normal.expand([STATES, STATES]).to_event(2))
            numpyro.factor("chain", log_likelihood(SHARED + eta))

        sampler = MCMC(
            NUTS(model, target_accept_prob=0.9), num_warmup=WARMUP, num_samples=DRAWS, num_chains=CHAINS,
            chain_method="vectorized", progress_bar=False,
        )  # fmt: skip
        sampler.run(jax.random.PRNGKey(code))
        draws = np.asarray(sampler.get_samples(group_by_chain=True)["eta"])
        size = effective_sample_size(draws)
        mean, sd = draws.mean(axis=(0, 1)), draws.std(axis=(0, 1), ddof=1)
        spread = (draws - mean) ** 2
        error = 0.5 * spread.std(axis=(0, 1)) / np.sqrt(effective_sample_size(spread)) / sd
        found += [
            (person, a, b, mean[a, b], sd[a, b], sd[a, b] / np.sqrt(size[a, b]), error[a, b])
            for a in range(STATES)
            for b in range(STATES)
        ]
    names = ["person", "from", "to", "mean", "sd", "mean_mcse", "sd_mcse"]
    pd.DataFrame(found, columns=names).round(6).to_csv(GOLDEN, index=False)


def ours() -> pd.DataFrame:
    """Mode, Laplace SD, and the moments corrected by importance sampling, in the order of the kept values."""
    import torch

    from toolkit.data.grouped import GroupedDataset
    from toolkit.effects.importance import corrected_moments
    from toolkit.effects.posterior import newton_step, whole_posterior
    from toolkit.effects.random_effects import EffectLayout, RandomEffects
    from toolkit.models.networks import Mlp
    from toolkit.models.prepare import fit_scaler, problem

    features = ["e0", "e1", "e2"]
    data = GroupedDataset.from_frame(
        simulated_persons(), target="state", features=features, groups="person", time="t", sequence="day"
    ).as_classes()
    scaler = replace(fit_scaler(data, np.arange(data.n_rows), task="sequence"), mean=np.zeros(3), scale=np.ones(3))
    double = torch.float64
    shared = {
        "layers.0.weight": torch.eye(3, dtype=double),
        "layers.0.bias": torch.zeros(3, dtype=double),
        "transitions": torch.as_tensor(SHARED),
    }
    rows = problem(
        data, np.asarray(data.person), scaler, Mlp(3, (), 3), task="sequence", dtype=double, device=torch.device("cpu")
    )
    layout = EffectLayout(names=("transitions",), shapes=((3, 3),), labels=tuple("abcdefghi"))
    effects = RandomEffects(
        layout=layout,
        eta=torch.zeros((data.n_persons, 9), dtype=double),
        covariance=DEVIATION**2 * torch.eye(9, dtype=double),
    )
    for _ in range(20):
        effects = replace(effects, eta=newton_step(rows, shared, effects, 1.0)[0])
    at = whole_posterior(rows, shared, effects, 1.0)
    better = corrected_moments(rows, shared, effects, at, 1.0, draws=20_000, rng=np.random.default_rng(1))
    frame = pd.DataFrame({"person": np.repeat(np.array(data.persons, dtype=object), 9)})
    return frame.assign(
        mode=effects.eta.numpy().ravel(),
        laplace_sd=torch.diagonal(at.covariance, dim1=1, dim2=2).sqrt().numpy().ravel(),
        corrected_mean=better.mean.ravel(),
        corrected_sd=better.sd.ravel(),
        effective=np.repeat(better.effective, 9),
    )


def compare() -> dict[str, dict[str, float]]:
    """Largest differences of each person, in posterior SDs (means) and as ratios less one (SDs)."""
    kept = pd.read_csv(GOLDEN)
    both = pd.concat([kept, ours().drop(columns="person")], axis=1)
    found = {}
    for (person, part), steps in zip(both.groupby("person"), STEPS, strict=True):
        sd = part["sd"]
        found[str(person)] = {
            "steps": steps,
            "mode_off": float(((part["mode"] - part["mean"]).abs() / sd).max()),
            "laplace_sd_off": float((part["laplace_sd"] / sd - 1).abs().max()),
            "corrected_mean_off": float(((part["corrected_mean"] - part["mean"]).abs() / sd).max()),
            "corrected_sd_off": float((part["corrected_sd"] / sd - 1).abs().max()),
            "nuts_mean_error": float((part["mean_mcse"] / sd).max()),
            "nuts_sd_error": float((part["sd_mcse"] / sd).max()),
            "effective_share": float(part["effective"].iloc[0] / 20_000),
        }
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", action="store_true", help="sample with numpyro and keep the values")
    if parser.parse_args().sample:
        sample()
    else:
        results = compare()
        for name, values in results.items():
            print(name, "  ".join(f"{key} {value:.3f}" for key, value in values.items()))
        RESULT.write_text(json.dumps(results, indent=1) + "\n")
