"""Networks with random effects: linear limits against exact mixed models, plain oracles, what is kept and refused."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from toolkit import GroupedDataset, fit, load_run
from toolkit.data import simulate
from toolkit.errors import ConfigError, DataError, ToolkitWarning
from toolkit.models import Lmm, Lmmnn
from toolkit.models.fitted import FittedNetwork
from toolkit.models.lmmnn_fit import TrainedLmmnn
from toolkit.models.lmmnn_training import batches_of

LINEAR: dict[str, Any] = {"hidden": (), "weight_decay": 0.0, "precision": "float64"}


def study(rows: int = 800, persons: int = 40, seed: int = 0) -> GroupedDataset:
    """Persons with levels and slopes of their own, of families with levels of their own."""
    rng = np.random.default_rng(seed)
    person = rng.integers(0, persons, rows)
    t, x = rng.uniform(0, 2, rows), rng.normal(size=rows)
    level, slope = rng.normal(0, 1.0, persons), rng.normal(0, 0.7, persons)
    family = rng.normal(0, 2.0, 10)[person % 10]
    y = 3.0 + x + level[person] + slope[person] * t + family + rng.normal(0, 0.5, rows)
    frame = pd.DataFrame(
        {"y": y, "x": x, "t": t, "person": [f"p{k:02}" for k in person], "family": [f"f{k % 10}" for k in person]}
    )
    return GroupedDataset.from_frame(frame, target="y", features=["x", "t"], groups=["person", "family"])


@pytest.fixture(scope="module")
def data() -> GroupedDataset:
    return study()


@pytest.fixture(scope="module")
def slopes(data):
    """A run with slopes, a power and families."""
    config = Lmmnn(random="(1 + t + I(t^2) | person) + (1 | family)", hidden=(8, 4), epochs=15, batch=64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToolkitWarning)
        return fit(config, data, seed=1)


@pytest.mark.parametrize(
    "random",
    [
        "(1 | person)",
        pytest.param("(1 + t | person)", marks=pytest.mark.slow),
        pytest.param("(1 | person) + (1 | family)", marks=pytest.mark.slow),
    ],
)
def test_without_hidden_layers_it_is_the_linear_mixed_model(data, random):
    config = Lmmnn(random=random, lr=0.02, epochs=150, batch=300, **LINEAR)
    network, exact = fit(config, data, seed=1, split=None), fit(Lmm(random=random), data, seed=1, split=None)
    mine, theirs = network.variance_components(), exact.variance_components()
    np.testing.assert_allclose(mine["variance"], theirs["variance"], rtol=0.02)
    np.testing.assert_allclose(network.predict(data), exact.predict(data), atol=0.05)
    np.testing.assert_allclose(network.random_effects()["sd"], exact.random_effects()["sd"], rtol=0.02)
    # the likelihood cannot be above the maximum, and is close to it
    gap = float(exact.likelihood()["log_likelihood"][0] - network.likelihood()["log_likelihood"][0])
    assert -1e-8 <= gap < 0.5
    assert int(network.likelihood()["parameters"][0]) == int(exact.likelihood()["parameters"][0])


@pytest.mark.slow
def test_the_polish_is_the_mixed_model_of_what_the_network_leaves(data):
    """Outcome minus network as the outcome of a mixed model with a common level: the same variances and effects."""
    run = fit(Lmmnn(random="(1 + t | person)", hidden=(6,), epochs=10, batch=64), data, seed=2, split=None)
    left = np.asarray(data.target) - run.predict(data, "population")
    frame = pd.DataFrame(
        {"left": left, "t": np.asarray(data.features)[:, 1], "person": np.array(data.persons)[np.asarray(data.person)]}
    )
    rest = GroupedDataset.from_frame(frame, target="left", features=["t"], groups=["person"])
    exact = fit(Lmm(random="(1 + t | person)"), rest, seed=1, split=None)
    np.testing.assert_allclose(
        run.variance_components()["variance"], exact.variance_components()["variance"], rtol=0.05
    )
    assert run.manifest["status"]["method"] == "exact maximum likelihood of the variances"


def test_predictions_are_the_sum_of_network_and_effects(data, slopes):
    """The quick sum against the general way, a network for every combination of levels."""
    network = slopes.trained.network
    codes = network.all_codes(data)
    quick = network._row_outputs(data, codes, "person")
    whole = FittedNetwork._row_outputs(network, data, codes, "person")
    np.testing.assert_allclose(quick, whole, atol=1e-8)
    own = slopes.random_effects("person").pivot_table(index="level", columns="parameter", values="estimate")
    person, t = np.array(data.persons)[np.asarray(data.person)], np.asarray(data.features)[:, 1]
    added = own["output.bias"][person] + t * own["slopes[t]"][person].values + t**2 * own["slopes[t^2]"][person].values
    apart = slopes.predict(data) - slopes.predict(data, "family")
    np.testing.assert_allclose(apart, added, atol=1e-6)


@pytest.mark.slow
def test_a_run_folder_predicts_the_same(data, tmp_path):
    config = Lmmnn(random="(1 + t | person) + (1 | family)", hidden=(4,), epochs=3, batch=64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToolkitWarning)
        run = fit(config, data, seed=1, out=tmp_path / "run")
    saved = load_run(tmp_path / "run")
    np.testing.assert_array_equal(saved.predict(data), run.predict(data))
    np.testing.assert_array_equal(saved.predict(data, "population"), run.predict(data, "population"))
    assert saved.model == "lmmnn"
    assert saved.manifest["config"]["random"] == "(1 + t | person) + (1 | family)"


def test_batches_of_persons_are_whole():
    config = Lmmnn(batch=40, batch_by="persons")
    codes = torch.as_tensor(np.random.default_rng(0).integers(0, 30, 500))
    deal = batches_of(config, codes)
    assert deal is not None
    first, second = deal(torch.Generator().manual_seed(1)), deal(torch.Generator().manual_seed(2))
    assert sorted(torch.cat(list(first)).tolist()) == list(range(500))
    homes = [set(codes[batch].tolist()) for batch in first]
    assert sum(len(home) for home in homes) == 30
    assert [batch.tolist() for batch in first] != [batch.tolist() for batch in second]
    assert max(len(batch) for batch in first) < 40 + 2 * 500 / 30


def test_as_published_sorts_and_takes_the_tail(data):
    config = Lmmnn(as_published=True, hidden=(4,), epochs=2)
    assert (config.batch, config.dropout, config.schedule) == (30, 0.25, "constant")
    run = fit(config, data, seed=1)
    both = int((run.split == "train").sum() + (run.split == "validation").sum())
    assert run.trained.training_rows == both - int(0.1 * both)
    # the persons at the end of the order have no rows to be trained on
    assert not np.asarray(run.random_effects()["estimate"])[-1]


@pytest.mark.slow
def test_dropout_and_batches_decide_nothing_but_the_way(data):
    plain = fit(Lmmnn(hidden=(6, 6, 6), epochs=3, batch=64), data, seed=1)
    again = fit(Lmmnn(hidden=(6, 6, 6), epochs=3, batch=64), data, seed=1)
    dropped = fit(Lmmnn(hidden=(6, 6, 6), epochs=3, batch=64, dropout=0.4), data, seed=1)
    np.testing.assert_array_equal(plain.predict(data), again.predict(data))
    assert np.abs(plain.predict(data) - dropped.predict(data)).max() > 1e-3


def test_without_polish_variances_are_those_of_the_batches(data):
    run = fit(Lmmnn(hidden=(6,), epochs=5, batch=64, polish=False), data, seed=1)
    components = run.variance_components()
    ratio = components["variance"][0] / components["variance"][1]
    assert isinstance(run.trained, TrainedLmmnn)
    batches = run.trained.batch_variances
    assert ratio == pytest.approx(batches[1] / batches[0], rel=1e-5)
    assert run.manifest["status"]["method"] == "mini-batches"


@pytest.mark.slow
def test_effects_far_from_zero_are_found():
    """A simulation of the paper in small: variances near the truth, error near what cannot be explained."""
    truth = simulate.lmmnn("single", rows=8_000, levels=80, variances=1.0, rng=np.random.default_rng(5))
    run = fit(Lmmnn(hidden=(30, 15), epochs=25, batch=128), truth.data, seed=1, split="random")
    components = run.variance_components()
    assert components["variance"][0] == pytest.approx(np.asarray(truth.effects[0]).var(), rel=0.15)
    assert components["variance"][1] == pytest.approx(1.0, rel=0.25)


def test_settings_that_do_not_apply_are_refused():
    wrongs: tuple[dict[str, Any], ...] = (
        {"patience": 5},
        {"compile": True},
        {"monitor": "ccc"},
        {"clip": 1.0},
        {"random": "(1 | a"},
    )
    for wrong in wrongs:
        with pytest.raises(ConfigError):
            Lmmnn(**wrong)
    Lmmnn(patience=5, schedule="plateau")
    with pytest.raises(ConfigError, match="batch_by"):
        Lmmnn(as_published=True, batch_by="persons")


def test_what_cannot_be_told_apart_is_refused(data):
    with pytest.raises(ConfigError, match="no grouping factor"):
        fit(Lmmnn(random="(1 | nobody)"), data, seed=1)
    with pytest.raises(ConfigError, match="no feature"):
        fit(Lmmnn(random="(1 + u | person)"), data, seed=1)
    frame = pd.DataFrame(
        {"y": np.arange(12.0) ** 1.5, "t": np.repeat(np.arange(4.0), 3), "p": np.repeat(list("abcd"), 3)}
    )
    once = GroupedDataset.from_frame(frame, target="y", features=["t"], groups=["p"])
    with pytest.raises(DataError) as refused:
        fit(Lmmnn(random="(1 + t | p)"), once, seed=1, split=None)
    assert refused.value.code == "E190"
    pairs = pd.DataFrame({"y": np.arange(10.0), "t": np.arange(10.0) % 3, "p": np.repeat(list("abcde"), 2)})
    with pytest.raises(DataError) as refused:
        fit(
            Lmmnn(random="(1 + t | p)"),
            GroupedDataset.from_frame(pairs, target="y", features=["t"], groups=["p"]), seed=1, split=None,
        )  # fmt: skip
    assert refused.value.code == "E118"


def test_a_boundary_is_reported():
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"y": rng.normal(size=200), "x": rng.normal(size=200), "p": np.arange(200) % 10})
    # the levels' means are pulled together: less varied than chance would have them
    frame["y"] -= frame.groupby("p")["y"].transform("mean")
    flat = GroupedDataset.from_frame(frame, target="y", features=["x"], groups=["p"])
    with pytest.warns(ToolkitWarning, match="boundary"):
        run = fit(Lmmnn(hidden=(3,), epochs=5, batch=64), flat, seed=1, split=None)
    assert bool(run.variance_components()["at_boundary"][0])
    assert np.abs(run.random_effects()["estimate"]).max() < 1e-2


@pytest.mark.slow
def test_the_likelihood_of_all_rows_leaves_less_to_the_network():
    """Trained by mini-batches alone the network learns a share of the effects by heart, and their variance shrinks."""
    truth = simulate.lmmnn("single", rows=3_000, levels=100, variances=4.0, rng=np.random.default_rng(2))
    base: dict[str, Any] = {"hidden": (40, 20), "epochs": 40, "batch": 128}
    by_all, by_batches = (
        fit(Lmmnn(likelihood=likelihood, **base), truth.data, seed=1, split="random") for likelihood in ("all", "batch")
    )
    test = by_all.split == "test"
    target = np.asarray(truth.data.target)[test]
    errors = [float(np.mean((run.predict(truth.data)[test] - target) ** 2)) for run in (by_all, by_batches)]
    assert errors[0] < errors[1]
    assert by_all.variance_components()["variance"][0] > by_batches.variance_components()["variance"][0]
