"""Coverage of persons' intervals in chains: ``python -m benchmarks.calibration.chain_person_intervals``.

Onset-coded conversations of independent persons (`toolkit.data.demo.dyads`), with few and more segments a person. A
chain whose transitions vary by person is fitted to each data set. 95 % intervals of every person's log transition
probabilities, taken from draws of the person's posterior, should hold the true ones in 95 % of cases: with Laplace's
normal posterior about the mode, and with mean and covariance by importance sampling (`toolkit.effects.importance`).
Both hold shared transitions, shifts and last layer as if they were known; ``with_shared`` draws these too, and the
modes with them, as ``run.expected_transitions(..., fitted_to=data)`` does.
"""

from __future__ import annotations

import argparse
import json
import warnings
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmarks.calibration.keeping import RESULTS, keep
from benchmarks.simulations.dyads_recovery import log_odds
from toolkit import fit
from toolkit.data.demo.dyads import FEATURES, STATES, dyads
from toolkit.data.grouped import GroupedDataset
from toolkit.effects.importance import corrected_moments
from toolkit.effects.marginal_information import Information
from toolkit.effects.posterior import Posterior
from toolkit.errors import ToolkitWarning
from toolkit.models import NmeCrf
from toolkit.models.chain_quantities import with_shared
from toolkit.models.covariate_table import shared_information
from toolkit.models.fitted import FittedNetwork
from toolkit.models.joint_adaptation import speaking_rows
from toolkit.models.training import Trained

SEED, PERSONS, DRAWS, SAMPLED = 47, 60, 400, 1_000
# segments a person, and data sets
CASES = {40: 5, 80: 5}


def one(seed: np.random.SeedSequence, segments: int) -> dict[str, float]:
    """One data set: shares of intervals that hold, by either posterior."""
    rng = np.random.default_rng(seed)
    frame, truth = dyads(
        rng=rng, persons=PERSONS, families=PERSONS, segments=PERSONS * segments, sd=0.4, correlation=0.0
    )
    data = GroupedDataset.from_frame(
        frame, target="state", features=list(FEATURES), groups="person", time="segment", group="depressed",
        classes=STATES,
    )  # fmt: skip
    config = NmeCrf(
        hidden=(), effects="T", forbidden=("self",), transition_covariates=("depressed",), lr=0.05, epochs=150
    )
    run = fit(config, data, seed=1, split=None, progress=None)
    assert isinstance(run.trained, Trained)
    network, at = run.trained.network, run.trained.estimate.posterior
    assert isinstance(at, Posterior)
    rows = speaking_rows(network, data, np.full(data.n_rows, "train"), network.all_codes(data))
    found = corrected_moments(rows, network.shared, network.effects, at, 1.0, draws=SAMPLED, rng=rng)
    with np.errstate(divide="ignore"):
        true = log_odds(np.log(np.asarray(truth.probabilities)))
    posteriors = Posteriors(network=network, group=np.asarray(truth.group), rng=rng)
    mode, covariance = network.effects.eta.numpy(), at.covariance.numpy()
    information = shared_information(run.trained, data, np.full(data.n_rows, "train"))
    return {
        "laplace": posteriors.held(true, mode, covariance),
        "importance": posteriors.held(true, found.mean, found.covariance),
        "with_shared": posteriors.held(true, mode, covariance, information),
        "least_effective": float(found.effective.min()),
        "sd_ratio": float((found.sd / np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))).mean()),
        "mean_off": float(np.abs((found.mean - mode) / found.sd).mean()),
    }


@dataclass(frozen=True, kw_only=True, eq=False)
class Posteriors:
    """Draws of the persons' log transition probabilities inside a long sequence."""

    network: FittedNetwork
    group: np.ndarray
    rng: np.random.Generator

    def held(
        self, true: np.ndarray, centre: np.ndarray, covariance: np.ndarray, shared: Information | None = None
    ) -> float:
        """Share of the 95 % intervals that hold the true values."""
        roots, drawn = np.linalg.cholesky(covariance), []
        group = self.group[:, None, None]
        for _ in range(DRAWS):
            network = with_shared(self.network, shared, self.rng)
            modes = centre if shared is None else network.effects.eta.numpy()
            own = modes + np.einsum("pde,pe->pd", roots, self.rng.standard_normal(roots.shape[:2]))
            scores = network.effects.layout.unflatten(torch.as_tensor(own))["transitions"].numpy()
            base = network.shared["transitions"].numpy() + group * network.shared["slopes"].numpy()[0]
            drawn.append(log_odds(base + scores))
        low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
        return float(((low <= true) & (true <= high)).mean())


def measure(cases: dict[int, int]) -> dict[str, dict[str, float]]:
    """All data sets of some cases."""
    rows = {}
    for segments, count in cases.items():
        found = [one(seed, segments) for seed in np.random.SeedSequence([SEED, segments]).spawn(count)]
        rows[f"{segments} segments"] = {
            **{name: round(fmean(part[name] for part in found), 4) for name in found[0]}, "data_sets": count
        }  # fmt: skip
        print(segments, rows[f"{segments} segments"], flush=True)
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--segments", type=int, choices=list(CASES))
    chosen = parser.parse_args().segments
    warnings.simplefilter("ignore", ToolkitWarning)
    path = RESULTS / "chain_person_intervals.json"
    before = json.loads(path.read_text(encoding="utf-8"))["coverage"] if chosen and path.exists() else {}
    with threadpool_limits(limits=1):
        measured = measure({chosen: CASES[chosen]} if chosen else CASES)
    keep("chain_person_intervals", {"persons": PERSONS, "seed": SEED}, {"coverage": before | measured})
