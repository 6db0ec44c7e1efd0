"""What a fitted chain says about data, as tables: best paths, states, moves, expected transitions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from toolkit.data.grouped import GroupedDataset
from toolkit.effects.marginal_information import Information
from toolkit.errors import ConfigError, DataError
from toolkit.models.fitted import FittedNetwork, Level
from toolkit.numerics import chain


def best_paths(network: FittedNetwork, data: GroupedDataset, count: int, level: Level = "person") -> pd.DataFrame:
    """The most likely paths of each sequence, best first; a path takes the rows of its sequence.

    Args:
        network: a fitted chain.
        data: rows of whole sequences.
        count: paths of each sequence; a sequence with fewer possible ones has fewer.
        level: of the person effects, see `FittedNetwork.predict`.

    Returns:
        Columns row, person, sequence (its number among those of the data), rank (1 is the best), state, and probability
        of the whole path given the predictors.

    Raises:
        DataError: E302 if the model is no chain, E130 for less than one path; else as `FittedNetwork.predict`.
    """
    chains, layout = _chains(network, data, level)
    paths, scores = chain.n_best(**chains.scores, count=count)
    probability = torch.exp(scores - chain.log_partition(**chains.scores)[:, None]).cpu().numpy()
    found, rows = paths.cpu().numpy(), np.asarray(layout.rows)
    batch, rank, step = np.nonzero(found >= 0)
    row = rows[batch, step]
    return pd.DataFrame(
        {
            "row": np.asarray(data.row_numbers)[row],
            "person": _labels(data, row),
            "sequence": batch,
            "rank": rank + 1,
            "state": pd.array(np.array(network.classes, dtype=object)[found[batch, rank, step]], dtype="string"),
            "probability": probability[batch, rank].astype(np.float64),
        }
    )


def state_probabilities(network: FittedNetwork, data: GroupedDataset, level: Level = "person") -> pd.DataFrame:
    """Probability of every state in each row given the predictors of its whole sequence, ``p(y_t | x)``.

    Returns:
        Columns row, person and ``probability_<state>``, in the order of the rows.

    Raises:
        DataError: as `best_paths`.
    """
    _only_chains(network)
    values = network.predict(data, level, prediction="sequence")
    frame = pd.DataFrame(
        {"row": np.asarray(data.row_numbers), "person": _labels(data, np.arange(data.n_rows))},
    )
    return frame.assign(**{f"probability_{name}": values[:, code] for code, name in enumerate(network.classes or ())})


def move_probabilities(network: FittedNetwork, data: GroupedDataset, level: Level = "person") -> pd.DataFrame:
    """Probability of every move into each row from the one before it, ``p(y_{t-1}, y_t | x)``.

    Returns:
        Columns row (the later one), person, from_state, to_state, probability; the first row of a sequence has none.

    Raises:
        DataError: as `best_paths`.
    """
    chains, layout = _chains(network, data, level)
    pairs = chain.marginals(**chains.scores)[1].cpu().numpy().astype(np.float64)
    later = np.asarray(layout.rows)[:, 1:]
    batch, step = np.nonzero(later >= 0)
    row, size = later[batch, step], pairs.shape[-1]
    order = np.argsort(row, kind="stable")
    row, states = row[order], np.array(network.classes, dtype=object)
    return pd.DataFrame(
        {
            "row": np.repeat(np.asarray(data.row_numbers)[row], size * size),
            "person": pd.array(np.repeat(_labels(data, row), size * size), dtype="string"),
            "from_state": pd.array(np.tile(np.repeat(states, size), len(row)), dtype="string"),
            "to_state": pd.array(np.tile(states, size * len(row)), dtype="string"),
            "probability": pairs[batch, step][order].ravel(),
        }
    )


def expected_transitions(
    network: FittedNetwork,
    data: GroupedDataset,
    covariance: Float[np.ndarray, "persons d d"] | None,
    *,
    draws: int,
    level: float = 0.95,
    rng: np.random.Generator,
    shared: Information | None = None,
) -> pd.DataFrame:
    """Expected transitions of every person, averaged over the posterior of the person's effects.

    Given effects, the expected number of moves from i into j is ``sum_t p(y_{t-1} = i, y_t = j | x, eta)``, and its
    share of the moves out of i the expected transition probability. Effects are drawn from ``N(mode, C_i)``, each
    person's posterior; effects of further grouping factors, shared parameters and variances are held. With ``shared``
    transitions, their shifts, last layer and ends are drawn as well, from their normal approximation, and each mode
    gives way as it would (Kass and Steffey, 1989): where a person has few rows much of the uncertainty is about the
    average. A person who was not in training has no effects of their own to draw.

    Args:
        network: a fitted chain.
        data: rows of whole sequences.
        covariance: posterior covariance of the effects of the network's persons; None for a model without effects.
        draws: from the posterior.
        level: of the interval.
        rng: source of the draws.
        shared: information about shared parameters (`toolkit.models.covariate_table.shared_information`).

    Returns:
        Columns person, from_state, to_state, at_mode (share at the posterior mode), expected (mean over the draws), sd,
        low and high (quantiles of the draws), count (expected number, mean over the draws). Shares are NaN where the
        model never expects the state.

    Raises:
        DataError: E302 if the model is no chain. ConfigError: E302 for less than two draws.
    """
    _only_chains(network)
    if draws < 2:
        raise ConfigError("draws: at least two are needed", code="E302", column="draws")
    counts = _counts(network, data)
    mode = _shares(counts)
    if covariance is None or not network.effects.layout.size:
        drawn = np.stack([counts, counts])
    else:
        drawn = np.stack(
            [_counts(_with_draw(with_shared(network, shared, rng), covariance, rng), data) for _ in range(draws)]
        )
    shares = _shares(drawn)
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(shares, [tail, 1.0 - tail], axis=0)  # NaN where any draw has none
    size, persons = counts.shape[-1], np.array(data.persons, dtype=object)
    states = np.array(network.classes, dtype=object)
    present = np.unique(np.asarray(data.person))
    columns = {"at_mode": mode, "expected": shares.mean(axis=0), "sd": shares.std(axis=0, ddof=1), "low": low}
    columns |= {"high": high, "count": drawn.mean(axis=0)}
    return pd.DataFrame(
        {
            "person": pd.array(np.repeat(persons[present], size * size), dtype="string"),
            "from_state": pd.array(np.tile(np.repeat(states, size), len(present)), dtype="string"),
            "to_state": pd.array(np.tile(states, size * len(present)), dtype="string"),
            **{name: values[present].ravel() for name, values in columns.items()},
        }
    )


def _with_draw(network: FittedNetwork, covariance: np.ndarray, rng: np.random.Generator) -> FittedNetwork:
    """The network with person effects drawn from their posterior."""
    effects = network.effects
    values, vectors = np.linalg.eigh(covariance)
    roots = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
    moved = np.einsum("pde,pe->pd", roots, rng.standard_normal(covariance.shape[:2]))
    eta = effects.eta.detach() + torch.as_tensor(moved).to(effects.eta)
    return replace(network, effects=replace(effects, eta=eta))


def with_shared(network: FittedNetwork, shared: Information | None, rng: np.random.Generator) -> FittedNetwork:
    """The network with shared parameters drawn about their estimates, and the modes that go with them."""
    if shared is None:
        return network
    values, vectors = np.linalg.eigh(shared.inverse()[0].cpu().numpy())
    moved = vectors @ (np.sqrt(np.maximum(values, 0.0)) * rng.standard_normal(len(values)))
    parameters = dict(network.shared)
    for name in shared.names:
        own = torch.as_tensor(moved[shared.place(name)]).to(parameters[name])
        parameters[name] = parameters[name].detach() + own.reshape(parameters[name].shape)
    effects = network.effects
    if shared.responses is not None:
        given = shared.responses @ torch.as_tensor(moved).to(shared.responses)
        effects = replace(effects, eta=effects.eta.detach() + given.to(effects.eta))
    return replace(network, shared=parameters, effects=effects)


def _counts(network: FittedNetwork, data: GroupedDataset) -> Float[np.ndarray, "persons S S"]:
    """Expected number of each transition of each person of the data."""
    pairs, codes = network.pair_marginals(data)
    found = np.zeros((data.n_persons, *pairs.shape[1:]))
    np.add.at(found, codes, pairs)
    return found


def _shares(counts: Float[np.ndarray, "*some S S"]) -> Float[np.ndarray, "*some S S"]:
    """Shares of the row; NaN where the row has next to nothing."""
    totals = counts.sum(axis=-1, keepdims=True)
    return np.divide(counts, totals, out=np.full_like(counts, np.nan), where=totals > 1e-12)


def _chains(network: FittedNetwork, data: GroupedDataset, level: Level):  # noqa: ANN202 - private records of fitted.py
    """Scores of the sequences at a level, and the sequences."""
    _only_chains(network)
    scores, layout = network.chain_scores(data, level)
    assert layout.sequences is not None
    return scores, layout.sequences


def _only_chains(network: FittedNetwork) -> None:
    if network.task != "sequence":
        raise DataError("only chain models have paths and transitions", code="E302", remedy="use predict")


def _labels(data: GroupedDataset, rows: np.ndarray) -> np.ndarray:
    """Person of each row."""
    return np.array(data.persons, dtype=object)[np.asarray(data.person)[rows]]
