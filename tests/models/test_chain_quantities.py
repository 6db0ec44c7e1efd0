"""Best paths, probabilities of states and moves, and expected transitions of a fitted chain, against enumeration."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from tests.models.simulated import chains, rows_of
from toolkit import fit
from toolkit.data.sequences import SequenceBatch
from toolkit.effects.marginal_information import marginal_information
from toolkit.errors import ConfigError, DataError
from toolkit.models import GenericCrf, NmeCrf, NmeMlp
from toolkit.models.chain_quantities import expected_transitions
from toolkit.models.climbing import to_mode
from toolkit.models.fit_state import VarianceRule, start_state
from toolkit.models.joint_adaptation import speaking_rows
from toolkit.numerics.covariance import to_log_cholesky

STATES = ("calm", "glad", "tense")


@cache
def fitted_run():
    """Sequences of one to six rows, in which tense never follows calm."""
    frame = chains(persons=4, days=3, steps=6)[0]
    frame = frame[(frame["day"] != 1) | (frame["t"] % 6 < 4)]
    frame = frame[(frame["day"] != 2) | (frame["t"] % 6 < 1)].reset_index(drop=True)
    follows = (frame["y"].shift() == "calm") & (frame["y"] == "tense")
    frame.loc[follows, "y"] = "glad"
    data = rows_of(frame.sample(frac=1.0, random_state=1), sequence="day", classes=STATES)
    config = NmeCrf(hidden=(), effects="last+T", learn_ends=True, forbidden=(("calm", "tense"),), lr=0.05, epochs=15)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("toolkit.models.rounds.POLISH_STEPS", 2)
        return fit(config, data, seed=1, split=None, progress=None), data


def enumerated(network, data):
    """Of each sequence: its rows, and every possible path with its probability."""
    scores, layout = network.chain_scores(data)
    given = scores.scores
    for place, rows in enumerate(np.asarray(layout.sequences.rows)):
        length = int((rows >= 0).sum())
        emission, matrix = given["emissions"][place], given["transitions"][place]
        found = {}
        for path in itertools.product(range(3), repeat=length):
            total = float(given["start"][path[0]] + given["end"][path[-1]])
            total += sum(float(emission[step, state]) for step, state in enumerate(path))
            total += sum(float(matrix[a, b]) for a, b in itertools.pairwise(path))
            if total > -1e8:
                found[path] = math.exp(total)
        whole = sum(found.values())
        yield rows[:length], {path: value / whole for path, value in found.items()}


@pytest.mark.slow
def test_the_best_paths_are_those_of_the_list_of_all_paths():
    run, data = fitted_run()
    table = run.best_paths(data, n_best=4)
    batch = SequenceBatch.from_grouped(data)
    for number, (rows, paths) in enumerate(enumerated(run.trained.network, data)):
        ranked = sorted(paths.items(), key=lambda item: -item[1])[:4]
        own = table[table["sequence"] == number]
        assert own["rank"].max() == len(ranked)
        for rank, (path, probability) in enumerate(ranked, start=1):
            one = own[own["rank"] == rank].set_index("row").loc[np.asarray(data.row_numbers)[rows]]
            assert one["state"].tolist() == [STATES[state] for state in path]
            np.testing.assert_allclose(one["probability"], probability, rtol=1e-10)
        assert set(own["person"]) == {data.persons[batch.person[number]]}
    first = table[table["rank"] == 1].sort_values("row")["state"].to_numpy()
    np.testing.assert_array_equal(first, run.decode(data)[np.argsort(np.asarray(data.row_numbers))])


@pytest.mark.slow
def test_probabilities_of_states_and_moves_are_sums_over_paths():
    run, data = fitted_run()
    states, moves = run.state_probabilities(data), run.move_probabilities(data)
    assert states["row"].tolist() == np.asarray(data.row_numbers).tolist()
    cells = moves.set_index(["row", "from_state", "to_state"])["probability"]
    later = 0
    for rows, paths in enumerated(run.trained.network, data):
        numbers = np.asarray(data.row_numbers)[rows]
        for step, row in enumerate(rows):
            for code, name in enumerate(STATES):
                expected = sum(value for path, value in paths.items() if path[step] == code)
                assert states[f"probability_{name}"].iloc[row] == pytest.approx(expected, rel=1e-9, abs=1e-14)
            if step:
                later += 1
                for a, b in itertools.product(range(3), repeat=2):
                    expected = sum(v for path, v in paths.items() if path[step - 1 : step + 1] == (a, b))
                    found = cells[(numbers[step], STATES[a], STATES[b])]
                    assert found == pytest.approx(expected, rel=1e-9, abs=1e-14)
    assert len(moves) == 9 * later
    assert (moves.loc[(moves["from_state"] == "calm") & (moves["to_state"] == "tense"), "probability"] == 0).all()


def test_expected_transitions_average_over_the_posterior():
    run, data = fitted_run()
    network, found = run.trained.network, run.trained.estimate.posterior
    covariance = found.covariance.numpy()
    table = run.expected_transitions(data, draws=3, rng=np.random.default_rng(5))
    rng, shares, counts = np.random.default_rng(5), [], []
    persons = SequenceBatch.from_grouped(data).person
    for _ in range(3):
        values, vectors = np.linalg.eigh(covariance)
        noise = rng.standard_normal(covariance.shape[:2])
        moved = np.stack([v @ (np.sqrt(np.maximum(d, 0)) * z) for d, v, z in zip(values, vectors, noise, strict=True)])
        drawn = replace(network, effects=replace(network.effects, eta=network.effects.eta + torch.as_tensor(moved)))
        total = np.zeros((4, 3, 3))
        for person, (_, paths) in zip(persons, enumerated(drawn, data), strict=True):
            for path, value in paths.items():
                for a, b in itertools.pairwise(path):
                    total[person, a, b] += value
        counts.append(total)
        shares.append(total / total.sum(axis=2, keepdims=True))
    np.testing.assert_allclose(table["expected"], np.mean(shares, axis=0).ravel(), rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(table["sd"], np.std(shares, axis=0, ddof=1).ravel(), rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(table["count"], np.mean(counts, axis=0).ravel(), rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(table["at_mode"], run.transitions()["expected"], rtol=1e-9)
    none = expected_transitions(network, data, np.zeros_like(covariance), draws=2, rng=rng)
    np.testing.assert_allclose(none["expected"], none["at_mode"], rtol=1e-12)
    assert (none["sd"].abs() < 1e-12).all()


@pytest.mark.slow
def test_modes_give_way_to_shared_parameters_as_the_responses_say():
    run, data = fitted_run()
    network = run.trained.network
    rows = speaking_rows(network, data, np.full(data.n_rows, "train"), network.all_codes(data))
    effects = network.effects
    shared = {name: value.clone() for name, value in network.shared.items()}
    state = start_state(shared, effects.layout, len(effects.eta), VarianceRule(update="em"))
    state.eta.copy_(effects.eta)
    state.log_cholesky.copy_(to_log_cholesky(effects.covariance, diagonal=True))
    to_mode(rows, state)
    information = marginal_information(rows, shared, [state.effects], ["layers.0.weight"])
    for name in ("transitions", "layers.0.weight"):
        for place, column in list(zip(range(3), range(*information.place(name).indices(10_000)), strict=False)):
            modes = []
            for step in (1e-4, -1e-4):
                shared[name].view(-1)[place] += step
                to_mode(rows, state)
                modes.append(state.eta.clone())
                shared[name].view(-1)[place] -= step
            expected = (modes[0] - modes[1]) / 2e-4
            np.testing.assert_allclose(information.responses[..., column].numpy(), expected.numpy(), atol=1e-4)


@pytest.mark.slow
def test_intervals_with_the_shared_parameters_are_wider():
    run, data = fitted_run()
    narrow, wide = (
        run.expected_transitions(data, draws=60, rng=np.random.default_rng(5), **more)
        for more in ({}, {"fitted_to": data})
    )
    np.testing.assert_array_equal(narrow["at_mode"], wide["at_mode"])
    assert wide["sd"].mean() > 1.05 * narrow["sd"].mean()
    alone = fit(NmeCrf(hidden=(), variance_update="unregularised", epochs=3), data, seed=1, split=None, progress=None)
    with pytest.raises(ConfigError, match="fitted_to") as caught:
        alone.expected_transitions(data, rng=np.random.default_rng(1), fitted_to=data)
    assert caught.value.code == "E302"


@pytest.mark.slow
def test_models_without_person_effects_and_other_models():
    run, data = fitted_run()
    plain = fit(GenericCrf(hidden=(), epochs=3), data, seed=1, split=None, progress=None)
    table = plain.expected_transitions(data, rng=np.random.default_rng(1))
    np.testing.assert_allclose(table["expected"], table["at_mode"])
    with pytest.raises(ConfigError, match="draws"):
        run.expected_transitions(data, draws=1, rng=np.random.default_rng(1))
    with pytest.raises(DataError, match="E130"):
        run.best_paths(data, n_best=0)
    rows = fit(NmeMlp(hidden=(), task="multiclass", epochs=3), data, seed=1, split=None, progress=None)
    for call in (
        lambda: rows.best_paths(data),
        lambda: rows.state_probabilities(data),
        lambda: rows.move_probabilities(data),
        lambda: rows.expected_transitions(data, rng=np.random.default_rng(1)),
        lambda: rows.decode(data),
    ):
        with pytest.raises(DataError, match="E302"):
            call()
