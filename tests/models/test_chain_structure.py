"""Forbidden transitions, published weighting, and data that contradict them, against enumeration and hand counts."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch

from tests.models.simulated import CPU, chains, fitted, rows_of, thirds
from tests.oracles import chain as oracle
from toolkit import fit
from toolkit.data.demo.dyads import FEATURES, STATES, dyads
from toolkit.data.grouped import GroupedDataset
from toolkit.data.sequences import SequenceBatch
from toolkit.errors import ConfigError, DataError
from toolkit.models import GenericCrf, NmeCrf
from toolkit.models.chain_covariates import ChainParts
from toolkit.models.chain_structure import chain_parts, forbidden_cells, refuse_forbidden
from toolkit.models.prepare import fit_scaler, problem
from toolkit.models.tables import transitions_table
from toolkit.runs.folder import load_run

QUICK = {"epochs": 3, "lr": 0.05}
CELLS = tuple(itertools.product(STATES, STATES))


def conversations(persons: int = 4, segments: int = 100) -> GroupedDataset:
    """Onset-coded conversations of a few families."""
    frame, _ = dyads(rng=np.random.default_rng(3), persons=persons, families=persons // 2, segments=segments)
    return GroupedDataset.from_frame(
        frame, target="state", features=list(FEATURES), groups="person", time="segment", group="depressed",
        cluster="family", classes=STATES,
    )  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def few_rounds():
    """What is tested here does not need settled variances."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("toolkit.models.rounds.POLISH_STEPS", 2)
        yield


@cache
def onset_run():
    data = conversations()
    return fitted(NmeCrf(hidden=(), effects="last+T", forbidden="self", learn_ends=True, **QUICK), data), data


def layer_of(data: GroupedDataset, config):
    """Problem of a linear network whose outputs are its features; and the arguments of its loss."""
    from toolkit.models.networks import Mlp

    scaler = fit_scaler(data, np.arange(data.n_rows), task="sequence")
    module = Mlp(len(scaler.names), (), len(data.classes))
    return problem(
        data, np.asarray(data.person), scaler, module, task="sequence", dtype=torch.float64, device=CPU,
        parts=chain_parts(config, data.classes, None),
    ), scaler  # fmt: skip


def losses_of(data: GroupedDataset, config, parameters: dict[str, torch.Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Loss of each person, and the emission scores of the rows."""
    part, scaler = layer_of(data, config)
    chain = {name: value for name, value in parameters.items() if not name.startswith("layers")}
    weight, bias = parameters["layers.0.weight"], parameters["layers.0.bias"]
    outputs = part.inputs @ weight.T + bias
    emissions = scaler.features(data) @ weight.numpy().T + bias.numpy()
    return part.loss(outputs, chain).numpy(), emissions


def random_parameters(features: int, states: int, *, ends: bool = True) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(7)
    shapes = {"layers.0.weight": (states, features), "layers.0.bias": (states,), "transitions": (states, states)}
    shapes |= {"start": (states,), "end": (states,)} if ends else {}
    return {name: torch.as_tensor(rng.normal(size=shape)) for name, shape in shapes.items()}


def short_days(missing: bool = False) -> GroupedDataset:
    """Three persons with short days; no state follows itself, and no z follows a y."""
    days = {"a": ["xyx", "z", "zyx"], "b": ["xz", "yx"], "c": ["zxyx"]}
    rows = [(who, day, state) for who, given in days.items() for day, word in enumerate(given) for state in word]
    frame = pd.DataFrame(rows, columns=["person", "day", "y"])
    rng = np.random.default_rng(1)
    frame = frame.assign(t=np.arange(len(frame)), a=rng.normal(size=len(frame)), b=rng.normal(size=len(frame)))
    if missing:
        frame.loc[[1, 5, 8, 9], "y"] = None
    return rows_of(frame, sequence="day", classes=("x", "y", "z"), allow_missing_target=True)


def by_enumeration(data: GroupedDataset, emissions: np.ndarray, parameters, forbidden) -> np.ndarray:
    """Loss of each person from the list of all paths; forbidden moves have a score of minus infinity."""
    scores = parameters["transitions"].numpy().copy()
    if forbidden is not None:
        scores[forbidden] = -math.inf
    ends = [parameters[name].tolist() if name in parameters else None for name in ("start", "end")]
    batch, total = SequenceBatch.from_grouped(data), np.zeros(data.n_persons)
    for person, rows, states in zip(batch.person, batch.rows, batch.states, strict=True):
        kept = rows >= 0
        loglik = oracle.log_likelihood(emissions[rows[kept]].tolist(), states[kept].tolist(), scores.tolist(), *ends)
        total[person] -= loglik
    return total


# ---------------------------------------------------------------- likelihood


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("forbidden", [(), "self", (("y", "z"),), ("self", ("y", "z"))])
def test_the_loss_of_a_person_is_that_of_enumeration(forbidden, missing):
    data = short_days(missing)
    config = NmeCrf(hidden=(), forbidden=forbidden, learn_ends=True)
    parameters = random_parameters(2, 3)
    found, emissions = losses_of(data, config, parameters)
    expected = by_enumeration(data, emissions, parameters, forbidden_cells(config.forbidden, data.classes))
    np.testing.assert_allclose(found, expected[np.unique(np.asarray(data.person))], rtol=1e-10, atol=1e-10)


def test_a_sequence_without_any_label_says_nothing_about_states():
    data = short_days()
    target = np.array(data.target)
    target[np.asarray(data.person) == 1] = np.nan
    found, _ = losses_of(replace(data, target=target), NmeCrf(hidden=()), random_parameters(2, 3))
    assert found[1] == pytest.approx(0.0, abs=1e-10)
    assert found[0] > 0.1


def test_the_published_weighting_multiplies_by_the_rows_of_a_person():
    data, parameters = short_days(), random_parameters(2, 3)
    once, _ = losses_of(data, NmeCrf(hidden=(), variance_update="paper"), parameters)
    published, _ = losses_of(data, NmeCrf(hidden=(), variance_update="paper", weighting="as_published"), parameters)
    rows = np.array([7, 4, 4])  # by hand: xyx, z, zyx; xz, yx; zxyx
    np.testing.assert_allclose(published, rows * once, rtol=1e-12)
    np.testing.assert_allclose(published[2], 4 * by_hand(data, parameters), rtol=1e-10)


def by_hand(data: GroupedDataset, parameters: dict[str, torch.Tensor]) -> float:
    """Loss of the third person: one sequence, z x y x."""
    _, emissions = losses_of(data, NmeCrf(hidden=()), parameters)
    rows, path = emissions[np.asarray(data.person) == 2], [2, 0, 1, 0]
    start, end, matrix = (parameters[name].numpy() for name in ("start", "end", "transitions"))

    def score(states) -> float:
        total = start[states[0]] + end[states[-1]] + sum(rows[step, state] for step, state in enumerate(states))
        return float(total + sum(matrix[a, b] for a, b in itertools.pairwise(states)))

    every = [score(states) for states in itertools.product(range(3), repeat=4)]
    return math.log(sum(math.exp(value) for value in every)) - score(path)


def test_the_published_weighting_changes_the_fit_as_it_changed_theirs():
    data = conversations()
    base = NmeCrf(hidden=(), variance_update="paper", **QUICK)
    plain = fitted(base, data, thirds(data))
    heavy = fitted(base.model_copy(update={"weighting": "as_published"}), data, thirds(data))
    first = [trained.outcome.trace[0]["loss"] for trained in (plain, heavy)]
    assert first[1] > 10 * first[0]  # the loss per row grows with the rows of a person
    assert not torch.allclose(plain.network.shared["transitions"], heavy.network.shared["transitions"])


# ---------------------------------------------------------------- forbidden transitions after a fit


@pytest.mark.slow
def test_forbidden_transitions_have_no_effect_no_score_and_no_probability():
    trained, data = onset_run()
    layout = trained.network.effects.layout
    assert not any(label == f"transitions[{state},{state}]" for label in layout.labels for state in STATES)
    assert sum(label.startswith("transitions[") for label in layout.labels) == 12
    assert layout.size == trained.network.effects.eta.shape[1] == 4 * 4 + 4 + 12
    table = transitions_table(trained, data.as_classes())
    same = table["from_state"] == table["to_state"]
    for column in ("probability", "expected", "generic", "observed"):
        assert (table.loc[same, column] == 0).all(), column
        assert np.isfinite(table[column]).all()
    assert table.loc[same, "score"].isna().all()
    assert table.loc[~same, "score"].notna().all()
    np.testing.assert_allclose(table.groupby(["person", "from_state"])["probability"].sum(), 1.0, rtol=1e-12)


@pytest.mark.slow
def test_no_path_and_no_pair_uses_a_forbidden_transition():
    trained, data = onset_run()
    network = trained.network
    pairs, _ = network.pair_marginals(data)
    assert (pairs[:, np.arange(4), np.arange(4)] == 0).all()
    batch = SequenceBatch.from_grouped(data)
    for path in (network.decode(data)[np.asarray(rows)[np.asarray(rows) >= 0]] for rows in batch.rows):
        assert (np.diff(path) != 0).all()
    before = np.asarray(batch.states)
    ahead = network.predict(data, prediction="forecast")
    for rows, states in zip(np.asarray(batch.rows), before, strict=True):
        kept = rows >= 0
        assert (ahead[rows[kept][1:], states[kept][:-1]] == 0).all()


def test_the_shared_scores_of_forbidden_cells_stay_where_they_started():
    trained, _ = onset_run()
    assert (torch.diagonal(trained.network.shared["transitions"]) == 0).all()


@pytest.mark.slow
def test_a_linear_chain_reports_raw_slopes_with_and_without_forbidden_cells():
    data = conversations()
    free = fitted(NmeCrf(hidden=(), effects="last+T", **QUICK), data)
    kept = onset_run()[0].reported_scale
    labels = [*free.network.effects.layout.labels]
    chosen = [place for place, label in enumerate(labels) if label in onset_run()[0].network.effects.layout.labels]
    np.testing.assert_allclose(kept, free.reported_scale[np.ix_(chosen, chosen)])


@pytest.mark.parametrize("effects", [pytest.param("T", marks=pytest.mark.slow), "last"])
def test_forbidden_transitions_go_with_every_placement(effects):
    data = conversations()
    trained = fitted(NmeCrf(hidden=(3,), effects=effects, forbidden=("self", ("positive", "aggressive")), **QUICK),
                     replace(data, target=without_moves(data)))  # fmt: skip
    assert np.isfinite(np.asarray(trained.network.effects.eta)).all()
    expected = 16 - 5 if effects == "T" else 4 * 3 + 4
    assert trained.network.effects.layout.size == expected


def without_moves(data: GroupedDataset) -> np.ndarray:
    """States with aggressive after positive turned into dysphoric, where that does not follow itself."""
    batch, target = SequenceBatch.from_grouped(data), np.array(data.target)
    for rows in np.asarray(batch.rows):
        for before, here in itertools.pairwise(rows[rows >= 0]):
            if target[before] == target[here] or (target[before], target[here]) == (3, 1):
                target[here] = 0 if target[before] else 2
    return target


@pytest.mark.slow
def test_a_run_folder_keeps_what_is_forbidden(tmp_path):
    data = conversations()
    config = NmeCrf(hidden=(), forbidden=(("aggressive", "aggressive"), ("other", "other")), **QUICK)
    run = fit(config, data, seed=1, out=tmp_path / "run", progress=None)
    saved = load_run(tmp_path / "run")
    assert saved.manifest["config"]["forbidden"] == [["aggressive", "aggressive"], ["other", "other"]]
    np.testing.assert_array_equal(saved.predict(data), run.predict(data))
    table = saved.transitions()
    zero = table[(table["from_state"] == table["to_state"]) & table["from_state"].isin(["aggressive", "other"])]
    assert (zero["probability"] == 0).all()
    assert len(saved.posterior().of("transitions[").parameters) == 14


# ---------------------------------------------------------------- data and settings that do not fit


def test_a_forbidden_transition_in_the_data_is_named_by_row():
    data = short_days()
    with pytest.raises(DataError, match="E160") as caught:
        refuse_forbidden(data, forbidden_cells((("y", "x"),), data.classes))
    assert caught.value.rows == (4, 8, 12, 16)
    assert "do not forbid" in caught.value.remedy
    refuse_forbidden(data, forbidden_cells(("self",), data.classes))
    with pytest.raises(DataError, match="onset coding"):
        refuse_forbidden(
            rows_of(chains(2, 1, 8)[0], sequence="day"), forbidden_cells(("self",), ("calm", "glad", "tense"))
        )


def test_a_gap_that_only_a_forbidden_transition_could_fill_is_found():
    frame = pd.DataFrame({"person": ["a"] * 6, "t": range(6), "y": ["x", None, "y", "x", None, "x"]})
    data = rows_of(frame, features=[], classes=("x", "y"), allow_missing_target=True)
    with pytest.raises(DataError, match="E160") as caught:  # x ? y needs two moves, and both states alternate
        refuse_forbidden(data, forbidden_cells(("self",), ("x", "y")))
    assert caught.value.rows == (4,)


def test_fitting_and_forecasting_refuse_forbidden_transitions():
    data = conversations()
    target = np.array(data.target)
    target[5] = target[4]
    wrong = replace(data, target=target)
    with pytest.raises(DataError, match="E160"):
        fit(GenericCrf(forbidden="self", **QUICK), wrong, seed=1, progress=None)
    network = onset_run()[0].network
    with pytest.raises(DataError, match="E160"):
        network.predict(wrong, prediction="forecast")
    network.predict(wrong, prediction="sequence")  # does not read the states


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"forbidden": ("calm", "sad")}, "'self' and pairs"),
        ({"forbidden": "none"}, "'self' and pairs"),
        ({"forbidden": ("self", "self")}, "named twice"),
        ({"forbidden": (("a", "b", "c"),)}, "forbidden"),
        ({"transition_covariates": ("a", "a")}, "named twice"),
        ({"weighting": "twice"}, "weighting"),
        ({"weighting": "as_published"}, "no likelihood"),
    ],
)
def test_settings_of_chains_that_make_no_sense(settings, words):
    with pytest.raises(ConfigError, match="E302") as caught:
        NmeCrf(**settings)
    assert words in str(caught.value)


def test_states_of_forbidden_transitions_have_to_be_there():
    with pytest.raises(ConfigError, match="did you mean 'positive'"):
        forbidden_cells((("positve", "other"),), STATES)
    with pytest.raises(ConfigError, match="nothing could follow"):
        forbidden_cells(tuple(("other", state) for state in STATES), STATES)
    assert forbidden_cells((), STATES) is None
    with pytest.raises(ConfigError, match="weighting"):
        GenericCrf(weighting="as_published")


def test_parts_of_a_chain_are_empty_without_settings():
    parts = chain_parts(NmeCrf(), ("a", "b"), None)
    assert isinstance(parts, ChainParts)
    assert (parts.forbidden, parts.covariates, parts.by_rows) == (None, None, False)
