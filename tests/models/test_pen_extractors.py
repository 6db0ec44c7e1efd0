"""Feature extractors: none, hidden layers, and a convolutional network of one's own on images that persons draw."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from tests.models.experts_study import rows_of, study
from toolkit import GroupedDataset, fit, load_run
from toolkit.errors import ConfigError, RunFolderError, ToolkitError
from toolkit.models import Pen, PenShared
from toolkit.models.extractors import PREFIX, Extractor, extractor_parameters, feature_map
from toolkit.runs.adapting import adapt
from toolkit.runs.restore import restore_network

SIDE, PERSONS, ROWS = 8, 4, 24
QUICK = {"shared_epochs": 4, "head_epochs": 10, "gate_epochs": 10, "epochs": 10, "lr": 0.02, "batch": 24}


class SmallCnn(nn.Module):
    """Two convolutions with batch normalisation, pooled to a vector: a ResNet in little."""

    def __init__(self, channels: int = 6, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first = nn.Conv2d(3, channels, 3, padding=1)
            self.norm = nn.BatchNorm2d(channels)
            self.second = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, images):
        hidden = torch.relu(self.norm(self.first(images)))
        return torch.relu(self.second(hidden)).mean(dim=(2, 3))


class OtherCnn(SmallCnn):
    pass


@pytest.fixture(scope="module")
def images() -> GroupedDataset:
    """Bright spots whose brightness is the target; everybody draws them in a colour and on a ground of their own."""
    rng = np.random.default_rng(4)
    person = np.repeat(np.arange(PERSONS), ROWS)
    target = rng.uniform(-1, 1, size=len(person))
    colour, ground = rng.uniform(0.2, 1.0, size=(PERSONS, 3)), rng.uniform(0, 1, size=(PERSONS, 3))
    spot = np.zeros((SIDE, SIDE))
    spot[2:6, 2:6] = 1.0
    pictures = ground[person][:, :, None, None] + (
        target[:, None, None, None] * colour[person][:, :, None, None] * spot
    )
    pictures = pictures + 0.05 * rng.normal(size=pictures.shape)
    frame = pd.DataFrame(pictures.reshape(len(person), -1)).add_prefix("pixel")
    names = list(frame.columns)
    frame = frame.assign(
        who=np.array([f"Painter-{k}" for k in range(PERSONS)])[person], t=np.tile(np.arange(ROWS), PERSONS), y=target
    )
    return GroupedDataset.from_frame(frame, target="y", features=names, groups="who", time="t")


def cnn(frozen: bool = True, **settings) -> Extractor:
    return Extractor(module=SmallCnn(**settings), shape=(3, SIDE, SIDE), frozen=frozen)


@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_extractor_stays_and_another_is_trained(images, frozen):
    extractor = cnn(frozen)
    before = {name: value.clone() for name, value in extractor.module.state_dict().items()}
    run = fit(Pen(extractor=extractor, **QUICK), images, seed=1)
    after = {
        name.removeprefix(PREFIX): value
        for name, value in run.trained.network.shared.items()
        if name.startswith(PREFIX)
    }
    assert after.keys() == before.keys()
    assert all(torch.equal(value, extractor.module.state_dict()[name]) for name, value in before.items())
    parameters = {name for name, _ in extractor.module.named_parameters()}
    for name, value in before.items():
        moved = not torch.equal(after[name], value.to(after[name]))
        assert moved == (name in parameters and not frozen), name
    stages = run.trace()["phase"].unique().tolist()
    assert ("shared" in stages) != frozen


def test_pictures_are_predicted(images):
    run = fit(Pen(extractor=cnn(frozen=False), **{**QUICK, "shared_epochs": 40, "epochs": 30}), images, seed=1)
    metrics = run.metrics().query("scope == 'pooled' and split == 'test' and metric == 'pearson'").set_index("level")
    assert metrics.loc["person", "value"] > 0.8


def test_the_features_are_those_of_the_module_on_the_pixels_as_they_are(images):
    extractor = cnn()
    run = fit(Pen(extractor=extractor, precision="float32", **QUICK), images, seed=1)
    pixels = torch.as_tensor(np.array(images.features)).float().reshape(-1, 3, SIDE, SIDE)
    with torch.no_grad():
        expected = extractor.module.eval()(pixels)
    torch.testing.assert_close(run.trained.network.extracted(images), expected)


def test_a_run_with_a_module_is_restored_with_it(images, tmp_path):
    run = fit(Pen(extractor=cnn(frozen=False), prior="nme", **QUICK), images, seed=1, out=tmp_path / "run")
    saved = load_run(tmp_path / "run")
    network = restore_network(saved, extractor=cnn(frozen=False, seed=9))  # its parameters are in the folder
    np.testing.assert_array_equal(network.predict(images), run.predict(images))
    np.testing.assert_array_equal(network.gate(images), run.trained.network.gate(images))
    assert saved.manifest["config"]["extractor"]["class"] == "SmallCnn"
    assert saved.manifest["config"]["extractor"]["shape"] == [3, SIDE, SIDE]


@pytest.mark.parametrize(
    "extractor",
    [
        Extractor(module=OtherCnn(), shape=(3, SIDE, SIDE)),
        Extractor(module=SmallCnn(channels=5), shape=(3, SIDE, SIDE)),
        Extractor(module=SmallCnn(), shape=(3, SIDE * 2, SIDE // 2)),
    ],
)
def test_another_module_is_refused(images, tmp_path, extractor):
    fit(PenShared(extractor=cnn(), head_epochs=3), images, seed=1, out=tmp_path / "run")
    with pytest.raises(ConfigError, match=r"E302: this extractor is not the one .* needs a SmallCnn with"):
        restore_network(load_run(tmp_path / "run"), extractor=extractor)


def test_without_the_module_everything_but_prediction_works(images, tmp_path):
    fit(Pen(extractor=cnn(), **QUICK), images, seed=1, out=tmp_path / "run")
    saved = load_run(tmp_path / "run")
    assert len(saved.predictions()) == images.n_rows
    assert not saved.experts().empty
    sentence = r"E405: the run was fitted with a feature extractor of your own.*restore_network\(run, extractor="
    for asked in (
        lambda: saved.predict(images),
        lambda: saved.predict_frame(images),
        lambda: restore_network(saved).gate(images),
        lambda: adapt(saved, _new(images), seed=1),
    ):
        with pytest.raises(ToolkitError, match=sentence):
            asked()


def test_a_module_for_a_run_without_one_is_refused(tmp_path):
    data = rows_of(study())
    fit(PenShared(head_epochs=3), data, seed=1, out=tmp_path / "run")
    with pytest.raises(ConfigError, match="E302: the run was fitted without an extractor"):
        restore_network(load_run(tmp_path / "run"), extractor=cnn())


@pytest.mark.slow
def test_a_run_with_a_module_adapts_in_memory(images):
    run = fit(Pen(extractor=cnn(frozen=False), **QUICK), images, seed=1)
    before = {name: value.clone() for name, value in run.trained.network.shared.items()}
    after = adapt(run, _new(images), seed=1).trained.network.shared
    for name, value in before.items():
        assert torch.equal(run.trained.network.shared[name], value)
        if name.startswith(PREFIX):
            assert torch.equal(after[name], value)


def _new(data: GroupedDataset) -> GroupedDataset:
    """The same rows of persons by other names."""
    names = list(data.feature_names)
    frame = pd.DataFrame(np.asarray(data.features), columns=names)
    who = [f"New {data.persons[code]}" for code in np.asarray(data.person)]
    frame = frame.assign(who=who, t=np.asarray(data.time), y=np.asarray(data.target))
    return GroupedDataset.from_frame(frame, target="y", features=names, groups="who", time="t")


@pytest.mark.parametrize(
    ("extractor", "said"),
    [
        (Extractor(module=SmallCnn()), "does not take rows of this shape"),
        (Extractor(module=SmallCnn(), shape=(3, 4, 4)), f"takes 48 values a row and the data have {3 * SIDE**2}"),
        (Extractor(module=SmallCnn(), shape=(1, 3 * SIDE, SIDE)), "does not take rows of this shape"),
        (Extractor(module=nn.Linear(5, 2)), "does not take rows of this shape"),
    ],
)
def test_rows_that_a_module_does_not_take_are_refused(images, extractor, said):
    with pytest.raises(ConfigError, match=f"E302: the extractor .*{said}"):
        fit(PenShared(extractor=extractor, head_epochs=3), images, seed=1)


def test_what_is_known_of_an_extractor_changes_with_its_parameters():
    first, again, other = cnn().describe(), cnn().describe(), cnn(seed=1).describe()
    assert first == again
    assert first["sha256"] != other["sha256"]
    assert first["parameters"] == sum(value.numel() for value in SmallCnn().parameters())
    with torch.no_grad():
        changed = cnn()
        changed.module.norm.running_mean.add_(1.0)
    assert changed.describe()["sha256"] != first["sha256"]  # layers' statistics count as well


def test_hidden_layers_are_a_perceptron_with_relu():
    features = feature_map((4, 3), None, 2)
    parameters = extractor_parameters(
        features, generator=torch.Generator().manual_seed(0), dtype=torch.float64, device=torch.device("cpu")
    )
    rows = torch.as_tensor(np.random.default_rng(0).normal(size=(5, 2)))
    layers = [
        (
            parameters[f"{PREFIX}network.layers.{k}.weight"].numpy(),
            parameters[f"{PREFIX}network.layers.{k}.bias"].numpy(),
        )
        for k in range(2)
    ]
    expected = rows.numpy()
    for weight, bias in layers:
        expected = np.maximum(expected @ weight.T + bias, 0.0)
    np.testing.assert_allclose(features.outputs(parameters, rows).numpy(), expected)
    assert features.size == 3
    assert set(features.trained) == set(parameters)


def test_many_rows_are_extracted_in_parts_with_the_same_result(monkeypatch):
    features = feature_map((4,), None, 2)
    parameters = extractor_parameters(
        features, generator=torch.Generator().manual_seed(0), dtype=torch.float64, device=torch.device("cpu")
    )
    rows = torch.randn((50, 2), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    whole = features.all_outputs(parameters, rows)
    monkeypatch.setattr("toolkit.models.extractors.ROWS_AT_ONCE", 7)
    torch.testing.assert_close(features.all_outputs(parameters, rows), whole)
    assert features.all_outputs(parameters, rows[:0]).shape == (0, 4)


@pytest.mark.slow
def test_a_resumed_fit_needs_the_same_module(images, tmp_path, monkeypatch):
    from toolkit.runs import checkpoint

    monkeypatch.setattr(checkpoint, "SHARE", float("inf"))
    config = {**QUICK, "shared_epochs": 15, "patience": 50}

    def stop(epoch: int, *_: object) -> None:
        if epoch == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(Pen(extractor=cnn(frozen=False), **config), images, seed=1, out=tmp_path / "run", progress=stop)
    with pytest.raises(RunFolderError, match=r"E303.*settings"):
        fit(Pen(extractor=cnn(frozen=False, seed=3), **config), images, seed=1, out=tmp_path / "run", resume=True)
    resumed = fit(Pen(extractor=cnn(frozen=False), **config), images, seed=1, out=tmp_path / "run", resume=True)
    whole = fit(Pen(extractor=cnn(frozen=False), **config), images, seed=1)
    for name, value in whole.trained.network.shared.items():
        assert torch.equal(resumed.trained.network.shared[name], value), name
