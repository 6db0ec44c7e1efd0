"""What NME-CRF finds again in the simulated study `dyads`: ``python -m benchmarks.simulations.dyads_recovery``.

195 persons in 98 families, 15,228 onset-coded segments, four states; two transitions differ between the groups, scores
of relatives correlate by .4, features depend on the state. Fitted with transitions that vary by person and by family
(the families' share is their correlation), and with persons alone (whose intervals can be compared with the truth).

Transition scores are compared as log-odds inside a long sequence (`toolkit.models.covariate_table.long_run`), which the
ends of sequences do not determine.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmarks.calibration.keeping import keep
from toolkit import fit
from toolkit.data.demo.dyads import FAMILIES, FEATURES, MEANS, PERSONS, SEGMENTS, STATES, DyadsTruth, dyads
from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ToolkitWarning
from toolkit.models import NmeCrf
from toolkit.models.covariate_table import long_run
from toolkit.models.fitted import FittedNetwork
from toolkit.models.training import Trained
from toolkit.runs.run import Run

SEED, DRAWS = 2_026, 2_000
CELLS = ~np.eye(len(STATES), dtype=bool)


def recover(
    *, persons: int = PERSONS, families: int = FAMILIES, segments: int = SEGMENTS, seed: int = SEED, epochs: int = 200
) -> dict[str, dict[str, float]]:
    """Fit both models to one simulated study and compare them with its truth."""
    frame, truth = dyads(rng=np.random.default_rng(seed), persons=persons, families=families, segments=segments)
    found: dict[str, dict[str, float]] = {}
    for name, groups in (("persons alone", ["person"]), ("persons in families", ["person", "family"])):
        started = time.process_time()
        data = GroupedDataset.from_frame(
            frame, target="state", features=list(FEATURES), groups=groups, time="segment", group="depressed",
            cluster="family", classes=STATES,
        )  # fmt: skip
        config = NmeCrf(
            hidden=(), effects="T", forbidden=("self",), transition_covariates=("depressed",), lr=0.05, epochs=epochs
        )
        run = fit(config, data, seed=1, split=None, progress=None)
        spent = round(time.process_time() - started, 1)
        found[name] = {
            **emissions(run),
            **transitions(run, truth),
            **group_effect(run, truth),
            **variances(run, truth),
            **(intervals(run, truth) if len(groups) == 1 else {}),
            "cpu_seconds": spent,
        }
    return found


def emissions(run: Run) -> dict[str, float]:
    """Weights of the features against those of the simulation: features have unit variance around `MEANS`."""
    network = _network(run)
    weight = network.shared["layers.0.weight"].numpy() / np.asarray(network.scaler.scale)
    true = np.array(MEANS)
    ours, theirs = (values - values.mean(axis=0) for values in (weight, true))
    return {
        "emission_weights_r": _r(ours, theirs),
        "emission_weights_rmse": _rmse(ours, theirs),
        "emission_weights_slope": float((ours * theirs).sum() / (theirs**2).sum()),
    }


def transitions(run: Run, truth: DyadsTruth) -> dict[str, float]:
    """Transition probabilities of every person, and those of the average person for comparison."""
    true = np.asarray(truth.probabilities)[:, CELLS]
    table = run.transitions()
    scores = np.where(table["score"].isna(), -np.inf, table["score"]).reshape(-1, 4, 4)
    personal = torch.exp(long_run(torch.as_tensor(scores))).numpy()[:, CELLS]
    side = np.asarray(truth.group)
    mean = np.stack([true[side == label].mean(axis=0) for label in (0, 1)])
    ours = np.stack([personal[side == label].mean(axis=0) for label in (0, 1)])
    return {
        "group_mean_probabilities_rmse": _rmse(ours, mean),
        "personal_probabilities_r": _r(personal - ours[side], true - mean[side]),
        "personal_probabilities_rmse": _rmse(personal, true),
        "rmse_of_the_group_means": _rmse(mean[side], true),
    }


def group_effect(run: Run, truth: DyadsTruth) -> dict[str, float]:
    """Differences of log-odds between the groups, against the mean of their row."""
    known = np.where(CELLS, truth.effect, np.nan)
    known = (known - np.nanmean(known, axis=1, keepdims=True))[CELLS]
    table = run.transition_covariates()
    cells = table.set_index(["from_state", "to_state"])["estimate"]
    names = [(a, b) for a in STATES for b in STATES if a != b]
    true = dict(zip(names, known, strict=True))
    chosen = {"dysphoric_to_positive": ("dysphoric", "positive"), "positive_to_dysphoric": ("positive", "dysphoric")}
    held = (table["low"] <= known) & (known <= table["high"])
    return {
        "group_effect_r": _r(table["estimate"].to_numpy(), known),
        "group_effect_mean_se": float(table["se"].mean()),
        "group_effect_intervals_held": float(held.mean()),
        **{f"group_effect_{name}": float(cells[cell]) for name, cell in chosen.items()},
        **{f"group_effect_{name}_true": float(true[cell]) for name, cell in chosen.items()},
    }


def variances(run: Run, truth: DyadsTruth) -> dict[str, float]:
    """Variance of the persons' log-odds within groups, as the estimated variances imply it, and the families' share."""
    network, rng = _network(run), np.random.default_rng(7)
    factors = [network.effects, *(factor.effects for factor in network.further)]
    implied = []
    for place in range(len(factors) + 1):  # each factor on its own, and all together
        scores = np.broadcast_to(_shared(network), (DRAWS, 4, 4)).copy()
        for effects in factors if place == len(factors) else factors[place : place + 1]:
            roots = np.linalg.cholesky(effects.covariance.numpy())
            eta = torch.as_tensor(rng.standard_normal((DRAWS, len(roots))) @ roots.T)
            scores += effects.layout.unflatten(eta)["transitions"].numpy()
        implied.append(float(log_odds(scores).var(axis=0).mean()))
    true, side = log_odds(_log_probabilities(truth)), np.asarray(truth.group)
    within = true - np.stack([true[side == label].mean(axis=0) for label in (0, 1)])[side]
    found = {"variance_of_log_odds": implied[-1], "variance_of_log_odds_true": float(within.var(axis=0, ddof=2).mean())}
    if len(factors) > 1:
        found |= {"family_correlation": implied[1] / (implied[0] + implied[1]), "family_correlation_true": 0.4}
    return found


def intervals(run: Run, truth: DyadsTruth) -> dict[str, float]:
    """Share of the persons' 95 % intervals of log-odds that hold the true ones; intervals from posterior draws."""
    network, rng = _network(run), np.random.default_rng(8)
    effects, slopes = network.effects, network.shared["slopes"].numpy()[0]
    assert isinstance(run.trained, Trained)
    assert run.trained.estimate.posterior is not None
    roots = np.linalg.cholesky(run.trained.estimate.posterior.covariance.numpy())
    base = _shared(network) + np.asarray(truth.group)[:, None, None] * slopes
    drawn = []
    for _ in range(DRAWS // 10):
        noise = np.einsum("pde,pe->pd", roots, rng.standard_normal(roots.shape[:2]))
        own = effects.layout.unflatten(effects.eta + torch.as_tensor(noise))["transitions"].numpy()
        drawn.append(log_odds(base + own))
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    true, mode = log_odds(_log_probabilities(truth)), np.mean(drawn, axis=0)
    side = np.asarray(truth.group)
    means = np.stack([true[side == label].mean(axis=0) for label in (0, 1)])[side]
    return {
        "person_intervals_held": float(((low <= true) & (true <= high)).mean()),
        "person_log_odds_r": _r(mode - log_odds(base), true - means),
        "mean_reliability": float(run.random_effects()["reliability"].mean()),
    }


def log_odds(scores: np.ndarray) -> np.ndarray:
    """Log transition probabilities inside a long sequence, less their row's mean (persons, cells that can occur)."""
    allowed = torch.as_tensor(np.where(CELLS, scores, -np.inf))
    logs = np.where(CELLS, long_run(allowed).numpy(), np.nan)
    return (logs - np.nanmean(logs, axis=-1, keepdims=True))[:, CELLS]


def _log_probabilities(truth: DyadsTruth) -> np.ndarray:
    """The persons' true log transition probabilities (persons, 4, 4)."""
    with np.errstate(divide="ignore"):
        return np.log(np.asarray(truth.probabilities))


def _shared(network: FittedNetwork) -> np.ndarray:
    """Transition scores of the average person of the first group."""
    return network.shared["transitions"].numpy()


def _network(run: Run) -> FittedNetwork:
    network = run.trained.network
    assert isinstance(network, FittedNetwork)
    return network


def _r(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def _rmse(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.sqrt(np.mean((one - other) ** 2)))


def measure(size: dict[str, int]) -> dict[str, Any]:
    """One draw of the study."""
    found = {name: {key: round(value, 3) for key, value in row.items()} for name, row in recover(**size).items()}
    for name, row in found.items():
        print(f"\n{name}")
        for key, value in row.items():
            print(f"  {key:42s} {value:8.3f}", flush=True)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for option, default in (("persons", PERSONS), ("families", FAMILIES), ("segments", SEGMENTS), ("epochs", 200)):
        parser.add_argument(f"--{option}", type=int, default=default)
    asked = vars(parser.parse_args())
    warnings.simplefilter("ignore", ToolkitWarning)
    with threadpool_limits(limits=1):
        tables = measure(asked)
    name = "dyads_recovery" if asked["persons"] == PERSONS else f"dyads_recovery_{asked['persons']}"
    keep(name, {**asked, "seed": SEED}, tables)
