"""Perceptrons and chains with person effects: predictions, known and unknown persons, leaks, seeds, recovery."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import BaseModel

from tests.models.simulated import chains, classes, fitted, numbers, rows_of, thirds
from toolkit.effects.random_effects import RandomEffects
from toolkit.errors import ConfigError, DataError, ToolkitWarning
from toolkit.models import GenericCrf, GenericMlp, NmeCrf, NmeMlp
from toolkit.models.effect_tables import effects_table
from toolkit.models.training import Trained
from toolkit.numerics import chain

QUICK = {"epochs": 20, "lr": 0.05}


def make(kind: str):
    """Configuration and data of a kind of outcome, small and quick."""
    if kind == "crf":
        return NmeCrf(hidden=(3,), **QUICK), rows_of(chains(persons=5, days=2, steps=8)[0], sequence="day")
    if kind == "regression":
        return NmeMlp(hidden=(4,), **QUICK), rows_of(numbers(persons=5))
    frame = classes(2 if kind == "binary" else 3, persons=5, rows=20)
    return NmeMlp(hidden=(4,), task=kind, **QUICK), rows_of(frame)


def fitted_quickly(kind: str, config: BaseModel, data, labels, **seed: int) -> Trained:
    """A fit; that of classes ends after a few of the last rounds, which take most of its time."""
    with pytest.MonkeyPatch.context() as patch:
        if kind != "regression":
            patch.setattr("toolkit.models.rounds.POLISH_STEPS", 3)
            patch.setattr("toolkit.models.rounds.ROUGH_STEPS", 3)
        return fitted(config, data, labels, **seed)


KINDS = ["regression", "binary", "multiclass", "crf"]


@pytest.fixture(scope="module")
def quick() -> dict[str, tuple[Trained, object]]:
    """One fitted model of each kind, with its data."""
    found = {}
    for kind in KINDS:
        config, data = make(kind)
        found[kind] = (
            fitted_quickly(kind, config, data, thirds(data)),
            data if kind == "regression" else data.as_classes(),
        )
    return found


def without_effects(trained: Trained):
    network = trained.network
    effects = replace(network.effects, eta=torch.zeros_like(network.effects.eta))
    return replace(network, effects=effects)


# ---------------------------------------------------------------- predictions


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_have_the_form_promised(quick, kind):
    trained, data = quick[kind]
    values = trained.network.predict(data)
    assert values.dtype == np.float64
    if kind == "regression":
        assert values.shape == (data.n_rows,)
    else:
        assert values.shape == (data.n_rows, len(data.classes))
        np.testing.assert_allclose(values.sum(axis=1), 1.0, rtol=1e-9)
        assert values.min() >= 0


@pytest.mark.parametrize("kind", KINDS)
def test_zero_effects_are_the_population(quick, kind):
    trained, data = quick[kind]
    network = trained.network
    np.testing.assert_allclose(
        without_effects(trained).predict(data), network.predict(data, "population"), rtol=1e-9, atol=1e-12
    )
    assert np.abs(network.predict(data) - network.predict(data, "population")).max() > 1e-3


def unknown(data, known: tuple[str, ...]):
    """The same rows of persons nobody has seen, except those named."""
    factor = data.groupings[0]
    levels = tuple(level if level in known else f"new {level}" for level in factor.levels)
    return replace(data, groupings=(replace(factor, levels=levels),))


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_person_gets_the_population(quick, kind):
    trained, data = quick[kind]
    network, known = trained.network, data.persons[1]
    strangers = unknown(data, (known,))
    mine = np.asarray(data.person) == 1
    found = network.predict(strangers)
    np.testing.assert_allclose(found[mine], network.predict(data)[mine], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found[~mine], network.predict(data, "population")[~mine], rtol=1e-9, atol=1e-12)
    table = network.predict_frame(strangers)
    assert table["person_known"].tolist() == mine.tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_strict_refuses_unknown_persons(quick, kind):
    trained, data = quick[kind]
    strangers = unknown(data, (data.persons[1],))
    with pytest.raises(DataError, match=r"E119: \d+ persons were not in training \(rows") as caught:
        trained.network.predict(strangers, strict=True)
    assert "new p" not in str(caught.value)
    trained.network.predict(strangers, "population", strict=True)
    trained.network.predict(data, strict=True)


@pytest.mark.parametrize("kind", KINDS)
def test_features_are_matched_by_name(quick, kind):
    trained, data = quick[kind]
    network = trained.network
    swapped = replace(data, features=np.asarray(data.features)[:, ::-1].copy(), feature_names=("b", "a"))
    np.testing.assert_array_equal(network.predict(swapped), network.predict(data))
    extra = np.column_stack([np.full(data.n_rows, 99.0), data.features])
    more = replace(data, features=extra, feature_names=("z", "a", "b"))
    with pytest.warns(ToolkitWarning, match="W218"):
        predicted = network.predict(more)
    np.testing.assert_array_equal(predicted, network.predict(data))
    with pytest.raises(DataError, match="E405") as caught:
        network.predict(replace(data, features=np.asarray(data.features)[:, :1].copy(), feature_names=("a",)))
    assert caught.value.column == "b"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", ["person", "population"])
def test_row_order_and_company_do_not_matter(quick, kind, level):
    trained, data = quick[kind]
    network = trained.network
    whole = network.predict(data, level)
    order = np.random.default_rng(0).permutation(data.n_rows)
    np.testing.assert_allclose(network.predict(data.take(order), level), whole[order], rtol=1e-9, atol=1e-12)
    some = np.asarray(data.person) >= 3  # whole persons, so that a chain keeps its sequences
    np.testing.assert_allclose(network.predict(data.take(some), level), whole[some], rtol=1e-9, atol=1e-12)
    if kind != "crf":
        np.testing.assert_allclose(network.predict(data.take([7]), level), whole[[7]], rtol=1e-9, atol=1e-12)


def test_an_unknown_level_is_an_error(quick):
    trained, data = quick["regression"]
    with pytest.raises(DataError, match="E302"):
        trained.network._checked_codes.__wrapped__(trained.network, data, "persons", False)


# ---------------------------------------------------------------- leaks


def test_a_forecast_knows_no_later_row(quick):
    trained, data = quick["crf"]
    network = trained.network
    place = np.asarray(data.time) % 8  # step within the sequence
    later = place > 4
    rng = np.random.default_rng(1)
    features, target = np.array(data.features), np.array(data.target)
    features[later] = 5 * rng.standard_normal(features[later].shape)
    target[later] = (target[later] + 1) % 3
    changed = replace(data, features=features, target=target)
    for level in ("person", "population"):
        before = network.predict(data, level, prediction="forecast")
        after = network.predict(changed, level, prediction="forecast")
        np.testing.assert_array_equal(before[~later], after[~later])
        assert np.abs(before[later] - after[later]).max() > 1e-3
    hindsight = network.predict(data, prediction="sequence"), network.predict(changed, prediction="sequence")
    assert np.abs(hindsight[0][~later] - hindsight[1][~later]).max() > 1e-4


def test_a_forecast_does_not_know_its_own_row_state(quick):
    trained, data = quick["crf"]
    target = np.array(data.target)
    last = np.asarray(data.time) % 8 == 7
    target[last] = (target[last] + 1) % 3
    changed = replace(data, target=target)
    for prediction in ("forecast", "sequence"):
        np.testing.assert_array_equal(
            trained.network.predict(data, prediction=prediction),
            trained.network.predict(changed, prediction=prediction),
        )


def everything(trained: Trained) -> dict[str, torch.Tensor]:
    network = trained.network
    return {**network.shared, "eta": network.effects.eta, "Sigma": network.effects.covariance}


@pytest.mark.parametrize(
    "kind", [case if case == "regression" else pytest.param(case, marks=pytest.mark.slow) for case in KINDS]
)
def test_test_rows_change_no_parameter(kind):
    config, data = make(kind)
    labels = thirds(data)
    data = data if kind == "regression" else data.as_classes()
    held = labels == "test"
    target, features = np.array(data.target), np.array(data.features)
    target[held] = target[held][::-1] if kind != "regression" else 1e3
    features[held] *= -7.0
    first = fitted_quickly(kind, config, data, labels)
    mine = everything(first)
    other = fitted_quickly(kind, config, replace(data, target=target, features=features), labels)
    for name, value in everything(other).items():
        assert torch.equal(mine[name], value), name
    np.testing.assert_array_equal(other.network.scaler.scale, first.network.scaler.scale)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["regression", "crf"])
def test_validation_rows_only_decide_when_to_stop(kind):
    """Without early stopping in reach they change nothing but the epoch that is kept."""
    config, data = make(kind)
    labels = thirds(data)
    data = data if kind == "regression" else data.as_classes()
    held = labels == "validation"
    target = np.array(data.target)
    target[held] = target[held][::-1]
    first, second = (
        fitted_quickly(kind, config, chosen, labels).estimate.outcome.trace
        for chosen in (data, replace(data, target=target))
    )
    shared = min(len(first), len(second), 40)
    for mine, other in zip(first[:shared], second[:shared], strict=True):
        if mine["epoch"] > 10:
            break  # the learning rate follows the validation loss
        assert mine["loss"] == other["loss"]
    assert first[0]["validation"] != second[0]["validation"]


# ---------------------------------------------------------------- seeds, threads, precision


@pytest.mark.parametrize(
    "kind", [case if case == "regression" else pytest.param(case, marks=pytest.mark.slow) for case in KINDS]
)
def test_the_same_seed_gives_the_same_numbers(quick, kind):
    config, data = make(kind)
    again = everything(fitted_quickly(kind, config, data, thirds(data)))
    for name, value in everything(quick[kind][0]).items():
        assert torch.equal(again[name], value), name
    other = everything(fitted_quickly(kind, config, data, thirds(data), seed=2))
    assert not torch.equal(other["layers.0.weight"], again["layers.0.weight"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["regression", "crf"])
def test_the_number_of_threads_does_not_matter(quick, kind):
    config, data = make(kind)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        other = everything(fitted_quickly(kind, config, data, thirds(data)))
    finally:
        torch.set_num_threads(threads)
    for name, value in everything(quick[kind][0]).items():
        torch.testing.assert_close(other[name], value, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    "kind",
    ["regression", pytest.param("multiclass", marks=pytest.mark.slow), pytest.param("crf", marks=pytest.mark.slow)],
)
def test_single_precision_is_honoured(quick, kind):
    config, data = make(kind)
    single = fitted_quickly(kind, config.model_copy(update={"precision": "float32"}), data, thirds(data))
    assert {value.dtype for value in everything(single).values()} == {torch.float32}
    assert {value.dtype for value in everything(quick[kind][0]).values()} == {torch.float64}
    data = data if kind == "regression" else data.as_classes()
    mine, theirs = single.network.predict(data), quick[kind][0].network.predict(data)
    assert mine.dtype == np.float64
    assert np.abs(mine - theirs).mean() < 0.05 * max(theirs.std(), 0.2)


# ---------------------------------------------------------------- likelihoods and recovery


@pytest.mark.slow
def test_a_chain_without_effects_has_pytorch_crfs_likelihood():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchcrf import CRF
    data = rows_of(chains(persons=4, days=2, steps=7)[0], sequence="day").as_classes()
    # every row trains, so that no sequence is cut
    for config in (GenericCrf(hidden=(3,), **QUICK), NmeCrf(hidden=(3,), learn_ends=True, **QUICK)):
        trained = fitted(config, data)
        network = without_effects(trained) if isinstance(config, NmeCrf) else trained.network
        arguments, _ = network._chain(data, network.codes(data))
        peer = CRF(3, batch_first=True).double()
        zero = torch.zeros(3, dtype=torch.float64)
        with torch.no_grad():
            peer.transitions.copy_(network.shared["transitions"])
            peer.start_transitions.copy_(network.shared.get("start", zero))
            peer.end_transitions.copy_(network.shared.get("end", zero))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its torch.where takes a byte mask
            expected = peer(arguments.scores["emissions"], arguments.states, reduction="none").detach()
            decoded = np.array(peer.decode(arguments.scores["emissions"]))
        found = chain.log_likelihood(states=arguments.states, **arguments.scores)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
        if isinstance(config, GenericCrf):
            last = trained.estimate.outcome.trace[-1]["loss"]  # per row, before the last step
            assert float(-expected.sum()) / data.n_rows == pytest.approx(last, rel=2e-2)
        paths = network.decode(data)
        rows = np.asarray(_rows(data))
        np.testing.assert_array_equal(paths[rows], decoded)


def _rows(data) -> np.ndarray:
    from toolkit.data.sequences import SequenceBatch

    return np.asarray(SequenceBatch.from_grouped(data).rows)


def correlation(trained: Trained, parameter: str, truth: pd.Series) -> float:
    table = effects_table(trained)
    found = table[table["parameter"] == parameter].set_index("level")["estimate"]
    return float(np.corrcoef(found.loc[truth.index], truth)[0, 1])


@pytest.mark.slow
def test_person_intercepts_are_recovered():
    frame = numbers(persons=12)
    trained = fitted(NmeMlp(hidden=(6,), effects="last", lr=0.03, epochs=200), rows_of(frame))
    truth = frame.groupby("person")["bias"].first()
    assert correlation(trained, "layers.1.bias", truth) > 0.95


@pytest.mark.parametrize(("task", "count"), [("binary", 2), ("multiclass", 3)])
def test_class_models_learn_persons(task, count):
    frame = classes(count)
    data = rows_of(frame)
    labels = thirds(data)
    settings = {"hidden": (), "task": task, "lr": 0.05, "epochs": 300}
    ours = fitted(NmeMlp(effects="layers.0.bias", **settings), data, labels)
    generic = fitted(GenericMlp(**settings), data, labels)
    data, held = data.as_classes(), labels == "test"
    truth = np.asarray(data.target)[held]

    def hits(trained: Trained) -> float:
        return float(np.mean(trained.network.predict(data)[held].argmax(axis=1) == truth))

    assert hits(ours) > hits(generic) + 0.03
    assert hits(ours) > 1.3 / count
    bias = frame.groupby("person")[[f"bias{k}" for k in range(1, count)]].first()
    if task == "binary":
        assert correlation(ours, "layers.0.bias", bias["bias1"]) > 0.9
    else:
        table = effects_table(ours).pivot(index="level", columns="parameter", values="estimate").loc[bias.index]
        against_first = table["layers.0.bias[glad]"] - table["layers.0.bias[calm]"]
        assert np.corrcoef(against_first, bias["bias1"])[0, 1] > 0.9


@pytest.mark.slow
def test_person_transitions_are_recovered():
    frame, stay = chains()
    data = rows_of(frame, sequence="day")
    trained = fitted(NmeCrf(hidden=(), effects="T", lr=0.05, epochs=200), data)
    table = effects_table(trained).set_index(["level", "parameter"])["estimate"].unstack()
    states = ("calm", "glad", "tense")
    diagonal = table[[f"transitions[{state},{state}]" for state in states]].mean(axis=1)
    others = table[[f"transitions[{a},{b}]" for a in states for b in states if a != b]].mean(axis=1)
    found = (diagonal - others).loc[[f"p{person:02d}" for person in range(len(stay))]]
    assert np.corrcoef(found, stay)[0, 1] > 0.9


@pytest.mark.slow
def test_person_effects_of_all_layers_can_be_fitted():
    config, data = make("regression")
    trained = fitted(config.model_copy(update={"effects": "all"}), data, thirds(data))
    assert torch.isfinite(trained.network.effects.eta).all()
    residual = np.asarray(data.target) - trained.network.predict(data)
    assert residual.std() < 0.6 * np.asarray(data.target).std()


@pytest.mark.slow
def test_effects_are_random_effects_of_the_layout():
    config, data = make("crf")
    trained = fitted(config, data)
    effects = trained.network.effects
    assert isinstance(effects, RandomEffects)
    assert effects.eta.shape == (data.n_persons, effects.layout.size) == (5, 3 * 3 + 3 + 9)
    states = ("calm", "glad", "tense")
    assert effects.layout.labels[-9:] == tuple(f"transitions[{a},{b}]" for a in states for b in states)


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (NmeMlp, {"efects": "last"}, "did you mean 'effects'"),
        (NmeMlp, {"variance": "em"}, "variance_update"),
        (GenericMlp, {"effects": "last"}, "effects"),
        (GenericMlp, {"variance_update": "em"}, "variance_update"),
        (NmeCrf, {"task": "binary"}, "task"),
        (NmeMlp, {"learn_ends": True}, "learn_ends"),
        (NmeMlp, {"lr": 0.0}, "lr"),
        (NmeMlp, {"lr": -1.0}, "lr"),
        (NmeMlp, {"lr": float("nan")}, "lr"),
        (NmeMlp, {"lr": float("inf")}, "lr"),
        (NmeMlp, {"epochs": 0}, "epochs"),
        (NmeMlp, {"patience": 0}, "patience"),
        (NmeMlp, {"hidden": (4, 0)}, "hidden"),
        (NmeMlp, {"weight_decay": -0.1}, "weight_decay"),
        (NmeMlp, {"variance_update": "reml"}, "variance_update"),
        (NmeMlp, {"precision": "float16"}, "precision"),
        (NmeMlp, {"loss": "cross_entropy"}, "use 'mse'"),
        (NmeMlp, {"task": "binary", "loss": "mse"}, "use 'cross_entropy'"),
        (NmeMlp, {"task": "ranking"}, "task"),
        (NmeMlp, {"task": "ordinal", "loss": "mse"}, "use 'cross_entropy'"),
        (NmeMlp, {"task": "count", "loss": "mse"}, "use 'poisson'"),
        (NmeMlp, {"class_weights": {}}, "leave it out"),
        (NmeMlp, {"class_weights": "balanced"}, "only classes"),
        (NmeMlp, {"task": "binary", "class_weights": {"0": -1.0}}, "class_weights"),
        (NmeMlp, {"exposure": "minutes"}, "count"),
        (NmeCrf, {"class_weights": "balanced"}, "do not apply to chains"),
        (NmeMlp, {"task": "ordinal", "module": {}}, "perceptron"),
    ],
)
def test_settings_that_make_no_sense_are_errors(kind: type[BaseModel], settings, words):
    with pytest.raises(ConfigError, match="E302") as caught:
        kind(**settings)
    assert words in str(caught.value)


def test_a_configuration_cannot_be_changed():
    with pytest.raises(Exception, match="frozen"):
        NmeMlp().lr = 1.0
