"""Settings of the training loop: what is watched, half precision, compiling, and what is trained in mini-batches."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from tests.effects.test_minibatches import prepared
from tests.models.test_minibatch_fits import Memory, study
from toolkit.data.grouped import GroupedDataset
from toolkit.effects.batches import drawn_batches
from toolkit.effects.personal_module import PersonalModule
from toolkit.errors import ConfigError, ToolkitWarning
from toolkit.models import GenericMlp, MlpLme, Module, NmeCrf, NmeMlp, Pen, SpecificMlp
from toolkit.models.training import train
from toolkit.optimise.watching import Watch

CPU = torch.device("cpu")


def fitted(config, *, data: GroupedDataset | None = None, validated: bool = True, **keeper):
    data = data or study()
    labels = np.where((np.arange(data.n_rows) % 20 < 14) | (not validated), "train", "validation")
    memory = Memory(**keeper)
    return train(config, data, labels, generator=memory.generator, device=CPU, keeper=memory)


def states() -> GroupedDataset:
    data = study()
    return GroupedDataset(
        features=data.features, feature_names=data.feature_names, target=(np.asarray(data.target) > 0).astype(float),
        target_name="state", classes=("down", "up"), groupings=data.groupings, time=data.time,
        row_numbers=data.row_numbers,
    )  # fmt: skip


SHORT = {"hidden": (2,), "effects": "first", "epochs": 6, "patience": 9}
CHAIN = {**SHORT, "variance_update": "paper"}


@pytest.mark.parametrize(
    ("config", "larger"),
    [
        # "paper" leaves effects where the best state had them
        (NmeMlp(**SHORT, monitor="ccc", variance_update="paper"), True),
        pytest.param(NmeMlp(**SHORT, monitor="rmse_by_person", batch=60), False, marks=pytest.mark.slow),
        pytest.param(NmeMlp(**SHORT, task="binary", monitor="auc"), True, marks=pytest.mark.slow),
        (NmeCrf(**CHAIN, monitor="krippendorff_alpha"), True),
        (NmeCrf(**CHAIN, monitor="accuracy_by_person", prediction="forecast", batch=60), True),
    ],
)
def test_the_state_with_the_best_metric_is_kept(config, larger):
    found = fitted(config, data=None if config.monitor[:4] in {"ccc", "rmse"} else states())
    watched = [row["monitor"] for row in found.outcome.trace if "monitor" in row]
    assert found.outcome.best_epoch == 1 + (np.nanargmax if larger else np.nanargmin)(watched)
    assert config.monitor in found.outcome.sentence(validated=True)
    # what was watched is what the run would report of these rows
    data = study() if not config.monitor.startswith(("auc", "kripp", "acc")) else states()
    rows = data.take(np.arange(data.n_rows) % 20 >= 14)
    if config.monitor == "ccc":
        from toolkit.metrics import ccc

        value = ccc(np.asarray(rows.target), found.network.predict(rows))
        assert value == pytest.approx(max(watched), abs=1e-9)


def test_an_undefined_metric_is_the_worst():
    watch = Watch(loss=lambda: 1.0, metric=lambda: math.nan, larger=True, name="ccc")
    assert watch.judged(math.nan) == math.inf
    assert watch.judged(0.9) < watch.judged(0.1)
    smaller = Watch(loss=lambda: 1.0, metric=lambda: 0.0, larger=False, name="rmse")
    assert smaller.judged(0.1) < smaller.judged(0.9)


def test_a_monitor_that_is_none_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'ccc'") as caught:
        NmeMlp(monitor="cccc")
    assert caught.value.code == "E302"
    with pytest.raises(ConfigError, match="'rmse' is no metric of task 'sequence'"):
        NmeCrf(monitor="rmse")
    with pytest.raises(ConfigError, match="monitor needs validation rows"):
        fitted(NmeMlp(**SHORT, monitor="ccc"), validated=False)


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (NmeMlp, {"mixed_precision": True}, "single precision"),
        (NmeMlp, {"compile": True}, "mini-batches"),
        (MlpLme, {"batch": 32}, "EM with retraining"),
        (MlpLme, {"schedule": "cosine"}, "EM with retraining"),
        (Pen, {"monitor": "ccc"}, "networks of experts"),
        (Pen, {"mixed_precision": True}, "networks of experts"),
        (NmeCrf, {"class_weights": "balanced"}, "do not apply to chains.*krippendorff_alpha"),
    ],
)
def test_settings_that_cannot_apply_are_refused(kind, settings, words):
    with pytest.raises(ConfigError, match=words) as caught:
        kind(**settings)
    assert caught.value.code == "E302"


def test_half_precision_is_for_gpus():
    with pytest.raises(ConfigError, match="mixed_precision is for GPUs"):
        fitted(NmeMlp(**SHORT, precision="float32", mixed_precision=True))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("batch", [None, 60])
def test_half_precision_trains_on_a_gpu(batch):
    data = study()
    labels = np.where(np.arange(data.n_rows) % 20 < 14, "train", "validation")
    config = NmeMlp(**{**SHORT, "epochs": 30}, precision="float32", mixed_precision=True, batch=batch)
    found = train(config, data, labels, generator=torch.Generator().manual_seed(1), device=torch.device("cuda"))
    assert found.outcome.trace[-1]["loss"] < found.outcome.trace[0]["loss"]


def test_half_precision_gives_nearly_the_same_gradients():
    exact, rough = (gradients(mixed=mixed) for mixed in (False, True))
    assert rough[0].dtype == exact[0].dtype
    for one, other in zip(rough, exact, strict=True):
        assert torch.linalg.vector_norm(one - other) < 0.02 * torch.linalg.vector_norm(other)


def gradients(**settings) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients of shared parameters and effects in the first batch."""
    state, sweep, padded = prepared("regression", "all", (4, 3), "persons", 20)
    network = PersonalModule(module=padded.module, layout=state.layout, **settings)
    object.__setattr__(sweep.objective, "network", network)
    batch = next(drawn_batches(sweep.rows, sweep.size, sweep.by, torch.Generator().manual_seed(1)))
    sweep.gradients(batch, state.weight, state.precision())
    assert sweep.of_shared is not None
    assert sweep.of_effects is not None
    return sweep.of_shared.clone(), sweep.of_effects.clone()


def test_where_compiling_fails_the_network_runs_as_it_is(monkeypatch):
    plain = gradients()

    def broken(*_: object, **__: object):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.warns(ToolkitWarning, match=r"W236: torch.compile does not work here \(RuntimeError\)"):
        found = gradients(compiled=True)
    assert all(torch.equal(one, other) for one, other in zip(found, plain, strict=True))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_compiled_gradients_are_the_same():
    for one, other in zip(gradients(compiled=True), gradients(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)


def test_a_perceptron_is_not_compiled():
    with pytest.raises(ConfigError, match="written out by hand"):
        fitted(NmeMlp(**SHORT, batch=60, compile=True))


def own_network() -> Module:
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(1, 3), nn.Tanh(), nn.Linear(3, 1)).double()
    network[0].bias.requires_grad_(False)
    return Module(module=network, standardise=True)


@pytest.mark.parametrize("by", ["persons", "rows"])
def test_a_network_of_ones_own_trains_in_mini_batches(by):
    own = own_network()
    found = fitted(NmeMlp(module=own, effects="0.weight", epochs=8, batch=48, batch_by=by, variance_update="paper"))
    assert found.outcome.trace[-1]["loss"] < found.outcome.trace[0]["loss"]
    assert torch.equal(found.network.shared["0.bias"], own.module[0].bias)  # frozen
    assert not torch.equal(found.network.shared["2.weight"], own.module[2].weight)


def test_what_is_persons_own_stays_put_in_mini_batches():
    start = fitted(SpecificMlp(hidden=(2,), epochs=1, lr=1e-12, batch=48)).network
    found = fitted(SpecificMlp(hidden=(2,), epochs=5, batch=48)).network
    assert not torch.equal(found.shared["layers.0.weight"], start.shared["layers.0.weight"])
    assert float(found.effects.eta.abs().max()) > 0


def test_networks_without_person_effects_train_in_mini_batches():
    trace = fitted(GenericMlp(hidden=(3,), epochs=8, batch=48)).outcome.trace
    assert trace[-1]["loss"] < trace[0]["loss"]


@pytest.mark.parametrize(
    ("effects", "words"), [("layers.7.weight", "layers.1.weight"), ("layer.*", "layers"), ("0.bias", "frozen")]
)
def test_bad_names_are_refused_in_mini_batches_too(effects, words):
    module = {"module": own_network()} if effects.startswith("0") else {"hidden": (2,)}
    with pytest.raises(ConfigError, match=words) as caught:
        fitted(NmeMlp(**module, effects=effects, batch=48, epochs=2))
    assert caught.value.code == "E302"


def test_tied_weights_cannot_vary_in_mini_batches():
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(1, 1)
            self.second = nn.Linear(1, 1)
            self.second.weight = self.first.weight

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            return self.second(torch.tanh(self.first(rows)))

    with pytest.raises(ConfigError, match="tied weights"):
        fitted(NmeMlp(module=Module(module=Tied().double()), effects="first.weight", batch=48, epochs=2))


@pytest.mark.parametrize("batch", [None, 48])
def test_effects_whose_posterior_cannot_be_held_are_refused_before_training(batch):
    with pytest.raises(ConfigError, match=r"6,850 parameters .* 12 persons .* 4.5 GB") as caught:
        fitted(NmeMlp(hidden=(100, 50, 25, 12), effects="all", covariance="full", batch=batch))
    assert caught.value.code == "E302"
    assert caught.value.column == "effects"
