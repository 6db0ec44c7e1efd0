"""Training of a network of experts: what each stage moves, what it starts from, what comes out, and what is refused."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
import torch

from tests.models.experts_study import FEATURES, rows_of, study
from tests.oracles import experts as oracle
from toolkit import fit
from toolkit.data.splits import within_person_time
from toolkit.errors import ConfigError, DataError, ToolkitWarning
from toolkit.models import Pen, PenShared, pen_training
from toolkit.models import experts as algebra
from toolkit.models.expert_prior import SIGMA2, VARIANCES
from toolkit.models.pen_training import STAGES
from toolkit.optimise.stages import descend
from toolkit.optimise.status import Status

QUICK = {"shared_epochs": 6, "head_epochs": 6, "gate_epochs": 8, "epochs": 8, "lr": 0.02, "batch": 32}
EXTRACTOR = "extractor."


@pytest.fixture(scope="module")
def frame():
    return study()


@pytest.fixture(scope="module")
def rows(frame):
    return rows_of(frame)


def same(first: dict, second: dict) -> list[str]:
    """Names of the tensors that are equal to the last bit."""
    return [name for name in first if torch.equal(first[name], second[name])]


def states_between_stages(monkeypatch, config, data, labels=None):
    """The parameters before each stage and at the end, and the stages as they were handed over."""
    seen, stages_seen = [], []

    def one_by_one(stages, parameters, settings, **options):
        outcome = None
        for stage in stages:
            seen.append({name: value.detach().clone() for name, value in parameters.items()})
            stages_seen.append(stage)
            found = descend([stage], parameters, settings, **options)
            outcome = found if stage.epochs or outcome is None else outcome
        seen.append({name: value.detach().clone() for name, value in parameters.items()})
        return outcome

    monkeypatch.setattr(pen_training, "descend", one_by_one)
    labels = within_person_time(data).labels if labels is None else labels
    pen_training.train_pen(config, data, labels, generator=torch.Generator().manual_seed(1), device=torch.device("cpu"))
    return seen, stages_seen


@pytest.mark.parametrize("prior", ["none", "nme"])
def test_four_stages_each_move_what_is_theirs(rows, monkeypatch, prior):
    states, stages = states_between_stages(monkeypatch, Pen(hidden=(4,), prior=prior, **QUICK), rows)
    assert len(stages) == len(STAGES) == 4
    extractor = {name for name in states[0] if name.startswith(EXTRACTOR)}
    owned = [extractor | {*algebra.HEAD}, {*algebra.HEAD}, {*algebra.GATE}, {*algebra.EXPERTS, *algebra.GATE}]
    assert [set(stage.names) for stage in stages] == owned
    everything = set(states[0])
    for number, (before, after) in enumerate(itertools.pairwise(states)):
        moved = everything - set(same(before, after))
        also = {SIGMA2, VARIANCES, *algebra.HEAD} if number == 3 and prior == "nme" else set()
        assert moved == owned[number] | also, STAGES[number]


def test_experts_start_from_the_shared_head(rows, monkeypatch):
    config = Pen(hidden=(4,), **QUICK)
    started = []
    original = pen_training.mixture_terms

    def first(trainee, *arguments):
        if not started:
            started.append({name: value.detach().clone() for name, value in trainee.parameters.items()})
        return original(trainee, *arguments)

    monkeypatch.setattr(pen_training, "mixture_terms", first)
    fit(config, rows, seed=1)
    for expert in range(5):
        assert torch.equal(started[0][algebra.EXPERT_WEIGHT][expert], started[0][algebra.HEAD_WEIGHT])
        assert torch.equal(started[0][algebra.EXPERT_BIAS][expert], started[0][algebra.HEAD_BIAS])


@pytest.mark.parametrize(
    ("config", "stages"),
    [
        (Pen(**QUICK), ["head", "gate", "experts"]),
        (Pen(identities=False, **QUICK), ["head", "experts"]),
        (Pen(hidden=(3,), **QUICK), ["shared", "head", "gate", "experts"]),
        (PenShared(hidden=(3,), **{k: v for k, v in QUICK.items() if k != "gate_epochs"}), ["shared", "head"]),
        (PenShared(head_epochs=4), ["head"]),
    ],
)
def test_a_trace_names_the_stages(rows, config, stages):
    trace = fit(config, rows, seed=1).trace()
    assert list(dict.fromkeys(trace["phase"])) == stages
    assert trace["epoch"].tolist() == list(range(1, len(trace) + 1))
    assert np.isfinite(trace[["objective", "loss", "validation"]].to_numpy()).all()


def test_the_objective_of_the_trace_is_that_of_the_paper(rows):
    """One batch, one epoch: the first row of the last stage is Eq. 4 at the experts' start."""
    config = Pen(**{**QUICK, "batch": 10_000, "epochs": 1, "lambda_0": 0.3, "lambda_1": 0.2})
    kept = []
    original = pen_training.mixture_terms

    def spy(trainee, *arguments):
        kept.append(({name: value.detach().clone() for name, value in trainee.parameters.items()}, trainee))
        return original(trainee, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pen_training, "mixture_terms", spy)
        run = fit(config, rows, seed=1, split=None)
    parameters, trainee = kept[0]
    z, y = trainee.train.features.tolist(), trainee.train.targets.tolist()
    experts = list(
        zip(parameters[algebra.EXPERT_WEIGHT].tolist(), parameters[algebra.EXPERT_BIAS].tolist(), strict=True)
    )
    gate = list(zip(parameters[algebra.GATE_WEIGHT].tolist(), parameters[algebra.GATE_BIAS].tolist(), strict=True))
    owners = [[int(code)] for code in np.asarray(rows.person)]
    expected = oracle.joint(experts, gate, z, y, owners, 0.3, 0.2)
    found = run.trace().query("phase == 'experts'").iloc[0]
    assert found["objective"] == pytest.approx(expected, rel=1e-9)
    assert found["objective"] == pytest.approx(found["loss"] + 0.3 * found["gate"] + 0.2 * found["sparsity"])


@pytest.mark.slow
def test_the_gate_recognises_the_persons_and_their_experts_have_their_slopes(frame, rows):
    run = fit(Pen(gate_epochs=60, epochs=150, head_epochs=60, lr=0.03, batch=32, lambda_0=0.1), rows, seed=1)
    network = run.trained.network
    weights = network.gate(rows)
    assert (weights.argmax(axis=1) == np.asarray(rows.person)).mean() > 0.97
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-12)
    test = run.metrics().query("split == 'test' and scope == 'mean' and metric == 'rmse'").set_index("level")["value"]
    assert test["person"] < 0.6 * test["population"]
    experts = run.experts()
    for person, mine in frame.groupby("who"):
        design = np.column_stack([mine[["x", "y"]], np.ones(len(mine))])
        slope = np.linalg.lstsq(design, mine["valence"], rcond=None)[0][0] * frame["x"].std()
        found = experts[(experts["expert"] == person) & (experts["parameter"] == "head.weight[x]")]["weight"].iloc[0]
        assert found == pytest.approx(slope, abs=4.0)


@pytest.mark.slow
def test_one_seed_is_one_result_to_the_last_bit_and_another_is_another(rows):
    config = Pen(hidden=(3,), prior="nme", **QUICK)
    first, second, other = (fit(config, rows, seed=seed).trained.network.shared for seed in (1, 1, 2))
    assert same(first, second) == list(first)
    assert algebra.GATE_WEIGHT not in same(first, other)


def test_rows_that_do_not_train_leave_no_trace_in_the_parameters(frame, rows):
    labels = np.array(within_person_time(rows).labels)
    labels[labels == "validation"] = "test"
    config = Pen(hidden=(3,), **QUICK)
    other = frame.copy()
    other.loc[labels == "test", ["valence", *FEATURES]] *= 7.0
    first = fit(config, rows, seed=1, split=labels).trained.network.shared
    second = fit(config, rows_of(other), seed=1, split=labels).trained.network.shared
    assert same(first, second) == list(first)


def test_persons_without_training_rows_have_no_expert(rows):
    labels = np.array(within_person_time(rows).labels)
    labels[np.asarray(rows.person) == 2] = "test"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToolkitWarning)
        run = fit(Pen(**QUICK), rows, seed=1, split=labels)
    network = run.trained.network
    assert network.groups.names == ("Anna-0", "Anna-1", "Anna-3", "Anna-4")
    assert network.levels == network.groups.names
    shown = run.predict_frame(rows)
    assert (shown["person_known"].to_numpy() == (np.asarray(rows.person) != 2)).all()
    with pytest.raises(DataError, match=r"E119: 1 person was not in training .*the gate needs no identity"):
        run.predict(rows, strict=True)
    assert np.isfinite(run.predict(rows)).all()


def test_a_loss_that_is_no_number_is_rolled_back_with_a_warning(rows, monkeypatch):
    original, seen = pen_training.mixture_terms, []

    def lost(*arguments):
        found = original(*arguments)
        seen.append(1)
        return found | {"objective": found["objective"] * float("nan")} if len(seen) > 3 * 3 else found

    monkeypatch.setattr(pen_training, "mixture_terms", lost)  # three batches of 32 in an epoch
    with pytest.warns(ToolkitWarning, match="E301"):
        run = fit(Pen(**QUICK), rows, seed=1)
    assert run.status is Status.NOT_FINITE
    assert not run.manifest["status"]["converged"]
    trace = run.trace()
    assert (trace["phase"] == "experts").sum() == 3
    assert all(bool(torch.isfinite(value).all()) for value in run.trained.network.shared.values())
    assert np.isfinite(run.predictions()[["prediction", "prediction_population"]].to_numpy()).all()


@pytest.mark.parametrize("stage", ["shared", "gate"])
def test_training_that_breaks_off_early_leaves_the_shared_networks_predictions(rows, monkeypatch, stage):
    name = {"shared": "shared_terms", "gate": "gate_terms"}[stage]
    original = getattr(pen_training, name)

    def lost(*arguments):
        found = original(*arguments)
        return found | {"objective": found["objective"] * float("nan")}

    monkeypatch.setattr(pen_training, name, lost)
    with pytest.warns(ToolkitWarning, match="E301"):
        run = fit(Pen(hidden=(3,), **QUICK), rows, seed=1)
    np.testing.assert_allclose(run.predict(rows), run.predict(rows, "population"), rtol=1e-12)


def test_a_learning_rate_far_too_large_is_a_warning(rows):
    with pytest.warns(ToolkitWarning, match="E301.*learning rate"):
        run = fit(Pen(**{**QUICK, "lr": 1e200}), rows, seed=1)
    assert np.isfinite(run.predictions()["prediction"]).all()


def test_a_gate_that_collapsed_says_what_to_do(rows, monkeypatch):
    original = pen_training.descend

    def collapsing(stages, parameters, *arguments, **options):
        outcome = original(stages, parameters, *arguments, **options)
        parameters[algebra.GATE_BIAS][2] = 1e3
        return outcome

    monkeypatch.setattr(pen_training, "descend", collapsing)
    sentence = r"W228: the gate has collapsed: one of 5 experts has 100 % of the weight, .*lambda_0.*fewer experts"
    with pytest.warns(ToolkitWarning, match=sentence):
        run = fit(Pen(**QUICK), rows, seed=1)
    assert any(note.startswith("W228") for note in run.manifest["warnings"])


def test_a_gate_in_use_says_nothing(rows):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(Pen(**QUICK), rows, seed=1)
    assert not [entry for entry in caught if "W228" in str(entry.message)]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"experts": 1}, "one expert is the shared network"),
        ({"prior": "nme", "experts": 3}, "one expert for each person"),
        ({"prior": "nme", "identities": False}, "one expert for each person"),
        ({"prior": "nme", "experts_per_person": 2}, "one expert for each person"),
        ({"hidden": (3,), "extractor": {"class": "Net"}}, "do not go together"),
        ({"extractor": torch.nn.Linear(4, 2)}, "wrap the module: Extractor"),
        ({"lambda_0": -1.0}, "lambda_0"),
        ({"lambda_1": float("inf")}, "lambda_1"),
        ({"experts": "persons"}, "experts"),
        ({"gate_epoch": 3}, "gate_epochs"),
    ],
)
def test_settings_that_make_no_sense(settings, said):
    with pytest.raises(ConfigError, match="E302") as caught:
        Pen(**settings)
    assert said in str(caught.value)


@pytest.mark.parametrize("experts", [5, 6])
def test_as_many_experts_as_persons_is_said_to_be_one_each(rows, experts):
    with pytest.raises(ConfigError, match=rf'E302: {experts} experts for 5 training persons.*experts="person"'):
        fit(Pen(experts=experts, **QUICK), rows, seed=1)


def test_anonymous_experts_may_be_more_than_the_persons(rows):
    run = fit(Pen(experts=7, identities=False, **QUICK), rows, seed=1)
    assert run.trained.network.groups.names[-1] == "expert 7"
    assert run.experts()["persons"].eq("").all()


def test_one_training_person_is_refused(frame):
    with pytest.raises(DataError, match="E116: needs at least 2 persons"):
        fit(Pen(**QUICK), rows_of(frame[frame["who"] == "Anna-1"]), seed=1)


def test_a_prior_over_too_many_numbers_is_refused_before_training(monkeypatch, rows):
    monkeypatch.setattr("toolkit.models.expert_prior.MOST_NUMBERS", 100)
    with pytest.raises(ConfigError, match=r'E302: a prior over 5 experts of 4 features needs too much memory.*"none"'):
        fit(Pen(prior="nme", **QUICK), rows, seed=1)


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_classes(frame, task):
    data = rows_of(frame, target="high" if task == "binary" else "state")
    run = fit(Pen(task=task, prior="nme", **{**QUICK, "epochs": 30, "gate_epochs": 30}), data, seed=1)
    probabilities = run.predict(data)
    assert probabilities.shape == (len(frame), 2 if task == "binary" else 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    shown = run.predict_frame(data)
    assert (shown["prediction"] == frame["high" if task == "binary" else "state"]).mean() > 0.6
    components = run.variance_components()
    assert (components["variance"] > 0).all()
    assert "residual" not in set(components["term"])


def test_a_task_that_is_not_the_targets(frame):
    with pytest.raises(ConfigError, match="E302: task 'regression' needs a numeric target"):
        fit(Pen(**QUICK), rows_of(frame, target="state"), seed=1)
    with pytest.raises(ConfigError, match="E302: task 'binary' needs a target with two classes"):
        fit(Pen(task="binary", **QUICK), rows_of(frame, target="state"), seed=1)


def test_several_targets_are_predicted_as_one_each_at_least(frame):
    both = fit(Pen(**QUICK), rows_of(frame, target=["valence", "arousal"]), seed=1)
    data = rows_of(frame, target=["valence", "arousal"])
    values = both.predict(data)
    assert values.shape == (len(frame), 2)
    shown = both.predict_frame(data)
    np.testing.assert_array_equal(shown["prediction_arousal"], values[:, 1])
    np.testing.assert_array_equal(shown["prediction"], values[:, 0])
    for name in ("valence", "arousal"):
        table = both.predictions(name)
        np.testing.assert_array_equal(table["truth"], frame[name])
        pooled = both.metrics(name).query("scope == 'pooled' and split == 'train' and level == 'person'")
        pooled = pooled.set_index("metric")["value"]
        mine = table[table["split"] == "train"]
        assert pooled["rmse"] == pytest.approx(np.sqrt(((mine["truth"] - mine["prediction"]) ** 2).mean()))
        assert {"ccc", "rmse"} <= set(pooled.index)
    with pytest.raises(DataError, match="E103"):
        both.predictions("mood")


def test_as_published_are_the_papers_settings():
    config = Pen.as_published()
    assert (config.optimiser, config.lr, config.lambda_0, config.lambda_1) == ("adadelta", 1.0, 1e-3, 1e-3)
    assert (config.shared_epochs, config.head_epochs, config.epochs, config.patience) == (10, 30, 30, 5)
    assert (config.prior, config.experts, config.hidden) == ("none", "person", ())
    assert PenShared.as_published(hidden=(8,)).hidden == (8,)
