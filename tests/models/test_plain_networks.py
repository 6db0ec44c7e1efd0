"""Comparators without random effects: what they compute against slower ways, what they may know, and their runs."""

from __future__ import annotations

import sys
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file
from scipy import integrate
from scipy.stats import norm
from torch import nn

from toolkit import fit, load_run
from toolkit.data.simulate import lmmnn
from toolkit.data.split_designs import latest_rows, random_rows
from toolkit.errors import ConfigError, DataError, RunFolderError, ToolkitWarning
from toolkit.models import (
    Armed,
    DeepGlmm,
    EmbeddingMlp,
    GenericMlp,
    Lstm,
    MapCnn,
    MeNets,
    OneHotMlp,
    SvDkl,
    TargetEncodingMlp,
)
from toolkit.models.comparators.entity_embeddings import EmbeddingNetwork, embedding_size
from toolkit.models.comparators.lstm import LstmNetwork, person_units
from toolkit.models.comparators.map_cnn import MapNetwork
from toolkit.models.comparators.one_hot import OneHotNetwork
from toolkit.models.dropping import DroppableMlp, leave_out
from toolkit.models.plain import Reading, draw_parameters
from toolkit.models.prepare import fit_scaler
from toolkit.runs import checkpoint
from toolkit.runs.adapting import adapt
from toolkit.runs.exporting import export_without_persons

QUICK = {"hidden": (6,), "epochs": 4, "batch": 32, "lr": 0.01}
ROWS = {"rows": 300, "levels": 12}


def data_of(kind: str, seed: int = 0, **settings):
    return lmmnn(kind, rng=np.random.default_rng(seed), **(ROWS | settings)).data


def split_of(data, seed: int = 1):
    return random_rows(data, (0.6, 0.2, 0.2), rng=np.random.default_rng(seed))


def filled(module: nn.Module, seed: int = 0) -> nn.Module:
    """A network in double precision with every number drawn."""
    module.double()
    draw_parameters(module, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for value in module.parameters():
            value += 0.3 * torch.randn(
                value.shape, generator=torch.Generator().manual_seed(seed + 1), dtype=value.dtype
            )
    return module


def drawn_rows(count: int, width: int = 3) -> torch.Tensor:
    return torch.randn((count, width), generator=torch.Generator().manual_seed(9), dtype=torch.float64)


@pytest.fixture
def crashing():
    class Crash(Exception):
        pass

    def progress(epoch: int, *_: object) -> None:
        if epoch == 3:
            raise Crash

    return Crash, progress


@pytest.mark.parametrize("hidden", [(), (4, 3)])
def test_levels_looked_up_are_a_wide_first_layer(hidden):
    network = filled(OneHotNetwork(3, [5, 2], hidden))
    assert isinstance(network, OneHotNetwork)
    rows, codes = drawn_rows(40), torch.randint(-1, 2, (40, 2), generator=torch.Generator().manual_seed(1))
    wide = [torch.nn.functional.one_hot(own + 1, count + 1)[:, 1:] for own, count in zip(codes.T, (5, 2), strict=True)]
    inputs = torch.cat([rows, *wide], dim=1).double()
    first, *others = network.perceptron.layers
    assert isinstance(first, nn.Linear)
    values = inputs @ torch.cat([first.weight, *(table.T for table in network.tables)], dim=1).T + first.bias
    for layer in others:
        values = layer(torch.relu(values))
    torch.testing.assert_close(network(rows, codes), values[:, 0])


def test_an_unknown_level_has_the_mean_embedding():
    network = filled(EmbeddingNetwork(3, [5, 4], [2, 3], (4,)))
    assert isinstance(network, EmbeddingNetwork)
    rows = drawn_rows(2)
    first, second = network.tables
    expected = network.perceptron(
        torch.cat([rows, torch.stack([first[3], first.mean(dim=0)]), torch.stack([second.mean(dim=0), second[0]])], 1)
    )[:, 0]
    torch.testing.assert_close(network(rows, torch.tensor([[3, -1], [-1, 0]])), expected)
    assert [embedding_size(levels) for levels in (1, 100, 1000, 10_000)] == [2, 21, 77, 100]


@pytest.mark.parametrize("resolution", [39, 50, 100])
def test_windows_are_whole_maps(resolution):
    network = filled(MapNetwork(3, (5, 4), resolution))
    assert isinstance(network, MapNetwork)
    pixels = torch.randint(0, resolution, (20, 2), generator=torch.Generator().manual_seed(2))
    pixels[:3] = torch.tensor([[0, 0], [resolution - 1, resolution - 1], [resolution - 1, 0]])
    maps = torch.zeros((20, 1, resolution, resolution), dtype=torch.float64)
    maps[torch.arange(20), 0, pixels[:, 0], pixels[:, 1]] = 1.0
    rows = drawn_rows(20)
    beside = torch.relu(network.perceptron(rows))
    whole = network.last(torch.cat([beside, network.convolved(maps).flatten(1)], dim=1))[:, 0]
    assert network.convolved(maps).std(dim=0).max() > 0.01
    torch.testing.assert_close(network(rows, pixels), whole)


def test_what_is_remembered_is_what_was_before():
    """Every row by itself: its earlier rows of known outcome, one after the other, then the row."""
    data = data_of("longitudinal", rows=60, levels=8)
    target = np.where(np.random.default_rng(0).uniform(size=60) < 0.3, np.nan, np.asarray(data.target))
    data = replace(data, target=target)
    scaler = fit_scaler(data, np.flatnonzero(~np.isnan(target)), task="regression")
    network = filled(LstmNetwork(scaler.width, 2, (3,)))
    assert isinstance(network, LstmNetwork)
    units = person_units(Reading(scaler=scaler), data, remember=True)
    found = network(*(torch.as_tensor(values) for values in units.arrays)).detach().flatten()[units.place]
    features, outcome = torch.as_tensor(scaler.features(data)), torch.as_tensor(scaler.target(data))
    assert data.time is not None
    for row in range(60):
        before = np.flatnonzero((data.person == data.person[row]) & (data.time < data.time[row]) & ~np.isnan(target))
        state = torch.zeros(2, dtype=torch.float64)
        if len(before):
            before = before[np.argsort(data.time[before])]
            history = torch.cat([features[before], outcome[before, None]], dim=1)
            state = network.memory(history[None])[0][0, -1]
        expected = network.perceptron(torch.cat([features[row], state]))[0]
        torch.testing.assert_close(found[row], expected.detach())


def test_no_outcome_of_later_or_test_rows_reaches_a_prediction():
    data = data_of("longitudinal", levels=30)
    split = latest_rows(data, rng=np.random.default_rng(0))
    run = fit(Lstm(**QUICK), data, seed=1, split=split)
    assert data.time is not None
    changed = np.asarray(data.target) + np.where((split.labels != "train") | (data.time > 0.3), 100.0, 0.0)
    before, after = (
        run.predict(replace(data, target=np.where(split.labels == "train", values, np.nan)))
        for values in (np.asarray(data.target), changed)
    )
    early = data.time <= 0.3
    np.testing.assert_allclose(after[early], before[early])
    assert np.abs(after - before)[~early].max() > 0.1
    tables = run.tables["predictions"]
    np.testing.assert_allclose(tables["prediction"], before)
    assert not np.allclose(tables["prediction"], tables["prediction_population"])


def quick(kind: str):
    """Each comparator with data it is for."""
    places: dict[str, Any] = {"kind": "spatial"}
    cases: dict[str, tuple[Any, dict[str, Any]]] = {
        "one-hot": (OneHotMlp(**QUICK), {"kind": "multiple", "levels": (8, 10)}),
        "embeddings": (EmbeddingMlp(**QUICK), {"kind": "multiple", "levels": (8, 10)}),
        "target encoding": (TargetEncodingMlp(**QUICK), {"kind": "multiple", "levels": (8, 10)}),
        "lstm": (Lstm(**QUICK), {"kind": "longitudinal"}),
        "maps": (MapCnn(**QUICK, resolution=40), places),
        "svdkl": (SvDkl(**QUICK, inducing=10), places),
        "armed": (Armed(**QUICK, slopes=("x1",)), {"kind": "single"}),
        "menets": (MeNets(**QUICK), {"kind": "single"}),
        "deep glmm": (DeepGlmm(hidden=(2,), epochs=4, samples=2, lr=0.05), {"kind": "single"}),
    }
    if kind == "svdkl":
        pytest.importorskip("gpytorch", exc_type=ImportError)
    config, settings = cases[kind]
    if settings["kind"] == "multiple":
        settings["variances"] = (1.0, 1.0)
    return config, data_of(**settings)


ALL = ["one-hot", "embeddings", "target encoding", "lstm", "maps", "svdkl"]


OF_EFFECTS = ["armed", "menets", "deep glmm"]


@pytest.mark.parametrize("kind", [*ALL, *OF_EFFECTS])
def test_a_run_comes_back_from_its_folder(kind, tmp_path):
    config, data = quick(kind)
    run = fit(config, data, seed=1, split=split_of(data), out=tmp_path / "run")
    saved = load_run(tmp_path / "run")
    for level in ("person", "population"):
        np.testing.assert_allclose(saved.predict(data, level), run.predict(data, level), rtol=1e-6)
    generic = fit(GenericMlp(hidden=(2,), epochs=3), data.of_persons(), seed=1, split=split_of(data))
    for name, table in generic.tables.items():
        if name != "trace":
            pd.testing.assert_series_equal(run.tables[name].dtypes, table.dtypes)
    assert set(generic.tables["trace"]) <= set(run.tables["trace"])
    assert np.isfinite(run.tables["trace"]["validation"]).all()
    if kind != "menets":  # whose state before the first epoch, without effects, may be the best of the first few
        assert run.manifest["status"]["best_epoch"] == 1 + run.tables["trace"]["validation"].argmin()
    person = data.groupings[0]
    renamed = replace(person, levels=tuple(f"new {level}" for level in person.levels))
    with pytest.raises(ConfigError, match="E302"):
        adapt(run, replace(data, groupings=(renamed, *data.groupings[1:])), seed=1)


@pytest.mark.parametrize("kind", [*ALL, "armed", "menets"])
def test_an_interrupted_fit_goes_on_to_the_bit(kind, tmp_path, monkeypatch, crashing):
    monkeypatch.setattr(checkpoint, "SHARE", float("inf"))
    monkeypatch.setattr(checkpoint, "EVERY", 1)
    config, data = quick(kind)
    crash, progress = crashing
    whole = fit(config, data, seed=1, split=split_of(data))
    with pytest.raises(crash):
        fit(config, data, seed=1, split=split_of(data), out=tmp_path / "run", progress=progress)
    run = fit(config, data, seed=1, split=split_of(data), out=tmp_path / "run", resume=True)
    assert run.manifest["resume_count"] == 1
    np.testing.assert_array_equal(run.predict(data), whole.predict(data))


@pytest.mark.parametrize("kind", [*ALL, "armed", "deep glmm"])
def test_two_classes(kind):
    config, data = quick(kind)
    classes = replace(data, target=(np.asarray(data.target) > 1.0).astype(float), classes=("no", "yes"))
    run = fit(type(config)(**{**config.model_dump(exclude_unset=True), "task": "binary"}), classes, seed=1,
              split=split_of(data))  # fmt: skip
    chances = run.predict(classes)
    assert chances.shape == (300, 2)
    np.testing.assert_allclose(chances.sum(axis=1), 1.0)
    assert len(run.variance_components()) == 0
    assert set(run.predict_frame(classes)["prediction"]) <= {"no", "yes"}


@pytest.mark.parametrize("kind", ["one-hot", "embeddings", "target encoding"])
def test_levels_without_training_rows_are_predicted_as_the_population(kind):
    config, data = quick(kind)
    new = (np.asarray(data.groupings[0].codes) == 3) | (np.asarray(data.groupings[1].codes) == 4)
    with pytest.warns(ToolkitWarning, match="W209"), pytest.warns(ToolkitWarning, match="W246"):
        run = fit(config, data, seed=1, split=np.where(new, "test", "train"))
    both = (np.asarray(data.groupings[0].codes) == 3) & (np.asarray(data.groupings[1].codes) == 4)
    np.testing.assert_allclose(run.predict(data)[both], run.predict(data, "population")[both])
    assert not np.allclose(run.predict(data)[~new], run.predict(data, "population")[~new])
    with pytest.raises(DataError, match="E119"):
        run.predict(data, strict=True)
    with pytest.raises(DataError, match="E405"):
        run.predict(data.of_persons())


@pytest.mark.parametrize("kind", [*ALL, *OF_EFFECTS])
def test_a_copy_without_persons_predicts_the_population(kind, tmp_path):
    config, data = quick(kind)
    run = fit(config, data, seed=1, split=split_of(data), out=tmp_path / "run")
    saved = load_run(tmp_path / "run")
    if kind == "svdkl":
        with pytest.raises(RunFolderError, match="E406"):
            export_without_persons(saved, {}, tmp_path / "copy", smallest=5)
        return
    export_without_persons(saved, {}, tmp_path / "copy", smallest=5)
    copy = load_run(tmp_path / "copy")
    np.testing.assert_allclose(copy.predict(data, "population"), run.predict(data, "population"), rtol=1e-5, atol=1e-6)
    assert not [name for name in load_file(tmp_path / "copy" / "generic.safetensors") if "tables" in name]


@pytest.mark.slow
def test_weights_of_levels_help_where_levels_differ():
    data = data_of("single", rows=4000, levels=20, variances=10.0)
    split = split_of(data)
    errors = {}
    for config in (OneHotMlp(hidden=(20,), epochs=15, lr=0.01), EmbeddingMlp(hidden=(20,), epochs=15, lr=0.01)):
        rows = fit(config, data, seed=1, split=split).tables["predictions"].query("split == 'test'")
        errors[type(config).__name__] = ((rows["truth"] - rows["prediction"]) ** 2).mean()
        assert ((rows["truth"] - rows["prediction_population"]) ** 2).mean() > 5.0
    assert max(errors.values()) < 3.0


def test_a_bound_below_the_likelihood_of_the_process():
    """The bound of all rows lies below the exact log-likelihood, and near it at the best distribution of the points."""
    pytest.importorskip("gpytorch", exc_type=ImportError)
    from toolkit.models.comparators.svdkl import KernelNetwork

    rng = np.random.default_rng(0)
    network = KernelNetwork(2, (), 30, classes=False).double()
    draw_parameters(network.perceptron, torch.Generator().manual_seed(0))
    places, rows = torch.as_tensor(rng.uniform(size=(30, 2))), torch.as_tensor(rng.normal(size=(30, 2)))
    network.begin(places)
    network.process.kernel.base_kernel.lengthscale = 0.3
    targets = torch.as_tensor(rng.normal(size=30))
    squares = ((places[:, None] - places[None]) ** 2).sum(dim=-1)
    kernel = torch.exp(-squares / (2 * 0.3**2)) + torch.eye(30)
    mean = network.perceptron(rows)[:, 0].detach()
    exact = float(torch.distributions.MultivariateNormal(mean, kernel).log_prob(targets)) / 30
    optimiser = torch.optim.LBFGS(
        network.process.variational_strategy._variational_distribution.parameters(),
        max_iter=300,
        line_search_fn="strong_wolfe",
    )

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = network.bound(rows, places, targets, 30)
        loss.backward()
        return loss

    start = -float(network.bound(rows, places, targets, 30).detach())
    optimiser.step(closure)
    end = -float(network.bound(rows, places, targets, 30).detach())
    assert start < end < exact + 1e-3
    assert end == pytest.approx(exact, abs=0.02)


def test_expected_log_chances_of_classes():
    pytest.importorskip("gpytorch", exc_type=ImportError)
    from toolkit.models.comparators.svdkl import _probit

    found = _probit(torch.tensor([0.7]).double(), torch.tensor([1.3]).double(), torch.tensor([0.0]).double())
    expected, _ = integrate.quad(lambda f: norm.logcdf(-f) * norm.pdf(f, 0.7, np.sqrt(1.3)), -12, 12)
    assert float(found[0]) == pytest.approx(expected, abs=1e-6)


def test_without_gpytorch_there_is_a_way_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "gpytorch", None)
    data = data_of("spatial")
    with pytest.raises(ConfigError, match=r"not installed.*nme-toolkit\[svdkl\]"):
        fit(SvDkl(**QUICK), data, seed=1)


def test_what_does_not_apply_is_refused():
    places = data_of("spatial")
    for config, data in (
        (lambda: OneHotMlp(batch_by="rows"), places),
        (lambda: Lstm(monitor="ccc"), places),
        (lambda: EmbeddingMlp(size=0), places),
        (lambda: MapCnn(hidden=()), places),
        (lambda: Lstm(task="multiclass"), places),
        (lambda: TargetEncodingMlp(folds=1), places),
        (lambda: TargetEncodingMlp(folds=1000), places),
        (lambda: TargetEncodingMlp(smoothing=-1.0), places),
        (lambda: MapCnn(resolution=20), places),
        (lambda: Lstm(**QUICK), data_of("multiple", levels=(8, 10), variances=(1.0, 1.0))),
        (lambda: MapCnn(**QUICK, coordinates=("x_coord", "x_coord")), places),
    ):
        with pytest.raises(ConfigError, match="E302"):
            fit(config(), data, seed=1)
    with pytest.raises(DataError, match="E405"):
        fit(MapCnn(**QUICK, coordinates=("east", "north")), places, seed=1)


@pytest.mark.parametrize(
    "kind", [case if case not in ("maps", "svdkl") else pytest.param(case, marks=pytest.mark.slow) for case in ALL]
)
def test_units_are_left_out_while_training_only(kind, tmp_path, monkeypatch, crashing):
    monkeypatch.setattr(checkpoint, "SHARE", float("inf"))
    monkeypatch.setattr(checkpoint, "EVERY", 1)
    config, data = quick(kind)
    config = type(config)(**config.model_dump(exclude_unset=True) | {"hidden": (8, 6, 4), "dropout": 0.5})
    crash, progress = crashing
    whole = fit(config, data, seed=1, split=split_of(data))
    np.testing.assert_array_equal(whole.predict(data), whole.predict(data))
    plain = fit(config.model_copy(update={"dropout": 0.0}), data, seed=1, split=split_of(data))
    assert not np.allclose(plain.predict(data), whole.predict(data))
    with pytest.raises(crash):
        fit(config, data, seed=1, split=split_of(data), out=tmp_path / "run", progress=progress)
    run = fit(config, data, seed=1, split=split_of(data), out=tmp_path / "run", resume=True)
    np.testing.assert_array_equal(run.predict(data), whole.predict(data))


def test_which_units_are_left_out():
    """A share of the units of every hidden layer but the last, the others larger by as much."""
    network = DroppableMlp(2, (200, 200), 3).double()
    for layer in network.layers:
        assert isinstance(layer, nn.Linear)
        nn.init.constant_(layer.weight, 1.0)
        nn.init.zeros_(layer.bias)
    leave_out(network, 0.25, torch.Generator().manual_seed(0))
    values = network.train()(torch.ones((50, 2)).double()).detach() / (2 * 200 * 200)
    assert float(values.mean()) == pytest.approx(1.0, abs=0.01)
    assert float(values[:, 0].std()) == pytest.approx(np.sqrt(0.25 / 0.75 / 200), rel=0.3)
    whole = network.eval()(torch.ones((2, 2)).double())
    torch.testing.assert_close(whole.detach(), torch.full((2, 3), 80_000.0).double())


def test_one_cycle_and_adamw():
    data = data_of("single")
    config = OneHotMlp(hidden=(6,), epochs=5, schedule="one-cycle", optimiser="adamw", weight_decay=0.01, lr=0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = fit(config, data, seed=1, split=split_of(data))
    assert run.manifest["status"]["epochs"] == 5
