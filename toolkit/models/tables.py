"""Tables of a fitted model: what the run folder holds and the analyses read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from scipy.special import softmax

from toolkit.data.grouped import GroupedDataset
from toolkit.data.sequences import SequenceBatch, time_order
from toolkit.effects.terms import SLOPES, TRANSITIONS
from toolkit.models.fitted import FittedNetwork
from toolkit.models.training import Trained

MINIMUM_ROWS = 10


def persons_table(data: GroupedDataset, labels: np.ndarray) -> pd.DataFrame:
    """Persons with their group, cluster, rows per part and baseline level.

    The baseline is the mean of a numeric target (the first of several) over the person's training rows. Persons with
    fewer than ten rows with a label stay in the training but are left out of the metrics (``in_metrics``).
    """
    codes, count = np.asarray(data.person), data.n_persons
    rows = {part: np.bincount(codes[labels == part], minlength=count) for part in ("train", "validation", "test")}
    total = np.bincount(codes, minlength=count)
    labelled = np.bincount(codes[~np.isnan(np.asarray(data.targets)).all(axis=1)], minlength=count)
    training = (labels == "train") & ~np.isnan(np.asarray(data.target))
    numeric = data.classes is None
    sums = np.bincount(codes[training], weights=np.asarray(data.target)[training], minlength=count)
    known = np.bincount(codes[training], minlength=count)
    with np.errstate(invalid="ignore"):
        baseline = np.where(known > 0, sums / known, np.nan) if numeric else np.full(count, np.nan)
    return pd.DataFrame(
        {
            "person": pd.array(list(data.persons), dtype="string"),
            "group": pd.array(list(data.person_group), dtype="string"),
            "cluster": pd.array(list(data.person_cluster), dtype="string"),
            "rows": total,
            **{f"rows_{part}": values for part, values in rows.items()},
            "baseline": baseline,
            "in_metrics": labelled >= MINIMUM_ROWS,
        }
    )


def transitions_table(trained: Trained, data: GroupedDataset) -> pd.DataFrame:
    """Transitions of every person: scores, their row softmax, what the model expects, and what was observed.

    ``probability`` is the row softmax of the person's transition scores and ignores the emissions; ``expected``
    divides the expected number of transitions given the person's predictors by its row sum (NaN where the row is
    never expected); ``generic`` leaves the person's effects out; ``observed`` counts transitions in all rows. Where
    transitions have covariates, scores are those at the mean of the person's sequences. A forbidden transition has no
    score and probability zero.
    """
    network = trained.network
    assert network.classes is not None
    states, persons = network.classes, network.levels
    size = len(states)
    shared, scores = transition_scores(trained, data)
    cells = {"from_state": np.repeat(np.array(states, dtype=object), size), "to_state": np.array(states * size)}
    return pd.DataFrame(
        {
            "person": pd.array(np.repeat(np.array(persons, dtype=object), size * size), dtype="string"),
            **{name: pd.array(list(values) * len(persons), dtype="string") for name, values in cells.items()},
            "score": np.where(np.isneginf(scores), np.nan, scores).ravel(),
            "probability": softmax(scores, axis=2).ravel(),
            "expected": _expected(network, data).ravel(),
            "generic": softmax(shared, axis=2).ravel(),
            "observed": observed_counts(data, size).ravel(),
        }
    )


def _transition_effects(network: FittedNetwork, data: GroupedDataset) -> np.ndarray | None:
    """Effects of every person on the transitions (persons, state, state), with those of the levels the person is in.

    A person in several levels of a factor gets the mean of their effects, weighted by rows.
    """
    effects = network.effects.layout.unflatten(network.effects.eta).get(TRANSITIONS)
    total = None if effects is None else as_array(effects)
    codes = network.all_codes(data) if network.further else None
    for place, factor in enumerate(network.further, start=1):
        own = factor.effects.layout.unflatten(factor.effects.eta).get(TRANSITIONS)
        if own is None or codes is None:
            continue
        known = (codes[:, 0] >= 0) & (codes[:, place] >= 0)
        rows = np.zeros((len(network.levels), len(factor.levels)))
        np.add.at(rows, (codes[known, 0], codes[known, place]), 1.0)
        rows /= np.maximum(rows.sum(axis=1, keepdims=True), 1.0)
        mean = np.einsum("pl,lst->pst", rows, as_array(own))
        total = mean if total is None else total + mean
    return total


def transition_scores(trained: Trained, data: GroupedDataset) -> tuple[np.ndarray, np.ndarray]:
    """Scores of each person without and with the effects (persons, state, state); forbidden ones -inf."""
    network = trained.network
    shared = as_array(network.shared[TRANSITIONS])
    base = np.broadcast_to(shared, (len(network.levels), *shared.shape))
    if network.covariates is not None:
        batch = SequenceBatch.from_grouped(data)
        values, codes = network.covariates.values(data, batch), np.asarray(batch.person)
        count = np.maximum(np.bincount(codes, minlength=len(network.levels)), 1)
        sums = np.stack([np.bincount(codes, weights=z, minlength=len(network.levels)) for z in values.T], axis=1)
        base = base + np.einsum("pk,kst->pst", sums / count[:, None], as_array(network.shared[SLOPES]))
    effects = _transition_effects(network, data)
    scores = base if effects is None else base + effects
    if network.forbidden is None:
        return base, scores
    return np.where(network.forbidden, -np.inf, base), np.where(network.forbidden, -np.inf, scores)


def _expected(network: FittedNetwork, data: GroupedDataset) -> np.ndarray:
    """Expected transitions given the predictors, as shares of their row (persons, state, state)."""
    pairs, codes = network.pair_marginals(data)
    mass = np.zeros((len(network.levels), *pairs.shape[1:]))
    np.add.at(mass, codes, pairs)
    totals = mass.sum(axis=2, keepdims=True)
    return np.divide(mass, totals, out=np.full_like(mass, np.nan), where=totals > 1e-12)


def observed_counts(data: GroupedDataset, states: int) -> np.ndarray:
    """Observed transitions within sequences, (persons, state, state); pairs with a missing label are not counted."""
    batch = SequenceBatch.from_grouped(data)
    labels, persons = np.asarray(batch.states), np.asarray(batch.person)
    before, after = labels[:, :-1], labels[:, 1:]
    both = (before >= 0) & (after >= 0)
    counts = np.zeros((data.n_persons, states, states), dtype=np.int64)
    np.add.at(counts, (np.broadcast_to(persons[:, None], both.shape)[both], before[both], after[both]), 1)
    return counts


def previous_states(data: GroupedDataset) -> np.ndarray:
    """The same person's last labelled state before each row, as a code; -1 for a person's first row."""
    order = time_order(data, np.arange(data.n_rows))
    codes, labels = np.asarray(data.person)[order], np.asarray(data.target)[order]
    place = np.arange(data.n_rows)
    seen = np.maximum.accumulate(np.where(np.isnan(labels), -1, place))
    before = np.concatenate([[-1], seen[:-1]])
    starts = np.concatenate([[True], codes[1:] != codes[:-1]])
    first = np.maximum.accumulate(np.where(starts, place, 0))
    previous = np.full(data.n_rows, -1, dtype=np.int64)
    valid = before >= first
    previous[order[valid]] = labels[before[valid]].astype(np.int64)
    return previous


def trace_table(trained: Trained) -> pd.DataFrame:
    """Training by epoch, with one column ``variance[parameter]`` per variance on the scale of the estimation.

    Rounds after the last epoch (phase ``variances``) move effects and variances only.
    """
    columns = ["epoch", "objective", "loss", "penalty", "sigma2", "variance_mean", "validation", "lr"]
    rows = list(trained.estimate.outcome.trace)
    columns += ["monitor"] if rows and "monitor" in rows[0] else []
    columns += [name for name in (rows[0] if rows else ()) if name.startswith("variance[")]
    frame = pd.DataFrame(rows, columns=columns).astype("float64")
    frame["phase"] = pd.array(np.where(frame["objective"].notna(), "training", "variances"), dtype="string")
    return frame


def as_array(values: torch.Tensor) -> np.ndarray:
    """Detached float64 array of a tensor."""
    return values.detach().cpu().numpy().astype(np.float64)
