"""Person effects in networks of one's own: an LSTM, a small convolutional network, a transformer block, and others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import torch
from torch import nn

from tests.models.simulated import CPU, fitted, thirds
from toolkit import GroupedDataset, fit, load_run
from toolkit.effects.posterior import loss_curvature
from toolkit.effects.random_effects import EffectLayout, personal_outputs
from toolkit.errors import ConfigError, ToolkitError
from toolkit.models import GenericMlp, Module, NmeCrf, NmeMlp
from toolkit.models.effect_tables import effects_table, variance_table
from toolkit.models.own_network import OwnNetwork, effects_enter_linearly, own_network
from toolkit.models.placement import effect_layout
from toolkit.models.prepare import fit_scaler, problem
from toolkit.models.starting import start_network
from toolkit.runs.adapting import adapt
from toolkit.runs.reproducing import refit
from toolkit.runs.restore import restore_network

PERSONS, ROWS = 6, 12
QUICK = {"epochs": 12, "lr": 0.02}


class Lstm(nn.Module):
    """The last state of five days of three readings."""

    def __init__(self, **settings) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True, **settings)
        width = settings.get("proj_size", 4) * (2 if settings.get("bidirectional") else 1)
        self.head = nn.Linear(width, 1)

    def forward(self, days):
        return self.head(self.lstm(days)[0][:, -1])


class Gru(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 4, num_layers=2, bidirectional=True)
        self.head = nn.Linear(8, 1)

    def forward(self, days):
        return self.head(self.gru(days.transpose(0, 1))[0][-1])


class Cnn(nn.Module):
    """One convolution with batch normalisation, pooled to a vector."""

    def __init__(self, outputs: int = 1) -> None:
        super().__init__()
        self.seen = nn.Conv2d(1, 3, 2)
        self.norm = nn.BatchNorm2d(3)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(3, outputs)

    def forward(self, images):
        return self.head(self.drop(torch.relu(self.norm(self.seen(images))).mean(dim=(2, 3))))


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.zeros(5, 3))
        self.block = nn.TransformerEncoderLayer(3, 1, 6, batch_first=True)
        self.head = nn.Linear(3, 1)

    def forward(self, days):
        return self.head(self.block(days + self.position).mean(dim=1))


class Rounded(nn.Module):
    """Ends in something else than its last linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(15, 1)

    def forward(self, rows):
        return torch.nn.functional.softplus(self.head(rows))


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.head = nn.Linear(15, 15), nn.Linear(15, 15), nn.Linear(15, 1)
        self.two.weight = self.one.weight

    def forward(self, rows):
        return self.head(torch.relu(self.two(torch.relu(self.one(rows)))))


def seeded(kind, *given, **settings) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return kind(*given, **settings)


def lstm() -> Module:
    return Module(module=seeded(Lstm), shape=(5, 3))


def cnn(outputs: int = 1) -> Module:
    module = seeded(Cnn, outputs)
    with torch.no_grad():
        module.norm.running_mean.add_(0.1)
    return Module(module=module, shape=(1, 5, 3))


def transformer() -> Module:
    return Module(module=seeded(Transformer), shape=(5, 3))


KINDS = {"lstm": lstm, "cnn": cnn, "transformer": transformer}
LAST = {"lstm": "head", "cnn": "head", "transformer": "head"}
FIRST = {"lstm": "lstm", "cnn": "seen", "transformer": "block.self_attn"}


def frame(seed: int = 0, persons: int = PERSONS, rows: int = ROWS) -> pd.DataFrame:
    """Fifteen readings a row (five days of three), and an outcome with person intercepts."""
    rng = np.random.default_rng(seed)
    code = np.repeat(np.arange(persons), rows)
    values = rng.standard_normal((len(code), 15))
    bias = rng.standard_normal(persons)
    target = values[:, :3].sum(axis=1) + bias[code] + 0.5 * rng.standard_normal(len(code))
    made = pd.DataFrame(values).add_prefix("x")
    return made.assign(
        y=target, who=np.array([f"p{k}" for k in range(persons)])[code], t=np.tile(np.arange(rows), persons)
    )


def study(**settings) -> GroupedDataset:
    made = frame(**settings)
    return GroupedDataset.from_frame(made, target="y", features=list(made.columns[:15]), groups="who", time="t")


def network_of(own: Module) -> tuple[OwnNetwork, dict[str, torch.Tensor]]:
    module = own_network(own, 15, None, dtype=torch.float64, device=CPU)
    return module, module.start(dtype=torch.float64, device=CPU)


def layout_of(names, shared) -> EffectLayout:
    labels = [f"{name}[{k}]" for name in names for k in range(shared[name].numel())]
    return EffectLayout(names=tuple(names), shapes=tuple(tuple(shared[n].shape) for n in names), labels=tuple(labels))


# ---------------------------------------------------------------- evaluation


@pytest.mark.parametrize(
    "own",
    [
        lstm(), cnn(), transformer(), Module(module=seeded(Gru), shape=(5, 3)),
        Module(module=seeded(Lstm, num_layers=2, bidirectional=True, bias=False), shape=(5, 3)),
        Module(module=seeded(Lstm, proj_size=2), shape=(5, 3)), Module(module=seeded(Tied)),
    ],
    ids=["lstm", "cnn", "transformer", "gru", "lstm-both-ways", "lstm-projected", "tied"],
)  # fmt: skip
def test_zero_effects_are_the_module_itself_and_each_persons_own_are_a_module_with_those_parameters(own):
    module, shared = network_of(own)
    varying = [name for name in shared if name not in module.fixed]
    rng = torch.Generator().manual_seed(0)
    rows = torch.randn((3, 4, 15), generator=rng, dtype=torch.float64)
    plain = module.network.double()
    shaped = rows.reshape(-1, *(own.shape or (15,)))
    zero = {name: shared[name].expand(3, *shared[name].shape) for name in varying}
    with torch.no_grad():
        expected = plain(shaped).reshape(3, 4, 1)
        torch.testing.assert_close(personal_outputs(module, shared, zero, rows), expected)
        own_values = {
            name: value + 0.1 * torch.randn(value.shape, generator=rng, dtype=torch.float64)
            for name, value in zero.items()
        }
        found = personal_outputs(module, shared, own_values, rows)
        for person in range(3):
            mine = {**shared, **{name: value[person] for name, value in own_values.items()}}
            plain.load_state_dict({**plain.state_dict(), **mine}, strict=True)
            if module.tied:
                plain.two.weight = plain.one.weight
            torch.testing.assert_close(found[person], plain(rows[person].reshape(-1, *(own.shape or (15,)))))


@pytest.mark.slow
def test_what_cannot_run_side_by_side_runs_one_after_the_other():
    together, shared = network_of(lstm())
    alone, _ = network_of(lstm())
    assert together.side_by_side
    alone.side_by_side = False
    assert not network_of(Module(module=seeded(Lstm, proj_size=2), shape=(5, 3)))[0].side_by_side
    data = study()
    scaler = fit_scaler(data, np.arange(data.n_rows), task="regression")
    names = ["lstm.weight_hh_l0", "head.weight", "head.bias"]
    layout = layout_of(names, shared)
    eta = 0.1 * torch.randn((PERSONS, layout.size), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = [
        loss_curvature(
            problem(data, np.asarray(data.person), scaler, module, task="regression", dtype=torch.float64, device=CPU),
            shared, layout, eta,
        )
        for module in (together, alone)
    ]  # fmt: skip
    torch.testing.assert_close(*found)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", [case if case == "cnn" else pytest.param(case, marks=pytest.mark.slow) for case in KINDS]
)
def test_effects_of_a_person_act_on_their_rows_only(kind):
    data = study()
    trained = fitted(NmeMlp(module=KINDS[kind](), effects="all", **QUICK), data)
    network = trained.network
    before = network.predict(data)
    network.effects.eta[2] += 0.3
    moved = np.abs(network.predict(data) - before) > 1e-9
    mine = np.asarray(data.person) == 2
    assert moved[mine].all()
    assert not moved[~mine].any()
    network.effects.eta.zero_()
    np.testing.assert_allclose(network.predict(data), network.predict(data, "population"), rtol=1e-9)


# ---------------------------------------------------------------- where effects are


@pytest.mark.parametrize("kind", KINDS)
def test_first_last_and_all_follow_the_order_of_the_parameters(kind):
    own = KINDS[kind]()
    trainable = [name for name, _ in own.module.named_parameters()]
    data = study()
    scaler = fit_scaler(data, np.arange(10), task="regression")

    def varying(effects):
        config = NmeMlp(module=own, effects=effects)
        module, shared = start_network(
            config, data, scaler, generator=torch.Generator(), dtype=torch.float64, device=CPU
        )
        return effect_layout(config, module, shared, scaler, None).names

    assert varying("last") == ("head.weight", "head.bias")
    first = FIRST[kind]
    assert varying("first") == tuple(n for n in trainable if n.rpartition(".")[0] == first)
    assert varying("all") == tuple(trainable)
    assert varying(("head.bias", "*weight*")) == tuple(n for n in trainable if "weight" in n or n == "head.bias")


def test_a_name_that_matches_nothing_offers_the_nearest():
    with pytest.raises(ConfigError, match=r"E302: effects: 'haed\.bias' matches no parameter") as caught:
        fitted(NmeMlp(module=lstm(), effects="haed.bias"), study())
    assert "nearest: head.bias" in caught.value.remedy


@pytest.mark.parametrize("effects", ["one.weight", "two.weight", "all", "*.weight"])
def test_shared_parameters_cannot_vary(effects):
    with pytest.raises(ConfigError, match=r"E302: effects: .*(one|two)\.weight cannot vary by person, being shared"):
        fitted(NmeMlp(module=Module(module=Tied()), effects=effects), study())


def test_frozen_parameters_cannot_vary_and_stay():
    own = cnn()
    own.module.seen.requires_grad_(False)
    with pytest.raises(
        ConfigError, match=r"effects: seen.weight, seen.bias cannot vary by person, being frozen"
    ) as bad:
        fitted(NmeMlp(module=own, effects="all"), study())
    assert "head.weight" in bad.value.remedy
    assert "seen" not in bad.value.remedy
    data = study()
    shared = fitted(GenericMlp(module=own, **QUICK), data).network.shared
    before = own.module.state_dict()
    for name, value in before.items():
        same = torch.equal(shared[name], value.to(shared[name]))
        assert same == (name.startswith("seen") or "running" in name or "batches" in name), name


def test_the_module_itself_is_left_as_it_is():
    own = lstm()
    before = {name: value.clone() for name, value in own.module.state_dict().items()}
    own.module.train()
    fitted(GenericMlp(module=own, **QUICK), study())
    assert own.module.training
    assert all(value.requires_grad and value.dtype == torch.float32 for value in own.module.parameters())
    assert all(torch.equal(value, before[name]) for name, value in own.module.state_dict().items())


# ---------------------------------------------------------------- exact or approximate


def test_whether_the_posterior_is_exact_is_found_by_trying():
    def exact(own, *names):
        module, shared = network_of(own)
        return effects_enter_linearly(module, shared, layout_of(names, shared))

    assert exact(cnn(), "head.weight", "head.bias")
    assert exact(lstm(), "head.bias")
    assert exact(transformer(), "head.weight", "head.bias")
    assert not exact(cnn(), "seen.bias")
    assert not exact(cnn(), "seen.bias", "head.weight", "head.bias")
    assert not exact(lstm(), "lstm.weight_hh_l0")
    assert not exact(Module(module=Rounded()), "head.weight", "head.bias")
    linear = nn.Sequential(nn.Linear(15, 2), nn.Linear(2, 1))
    assert exact(Module(module=linear), "0.weight", "0.bias")  # linear throughout: exact in either layer, not in both
    assert not exact(Module(module=linear), "0.weight", "1.weight")


@pytest.mark.parametrize(("own", "word"), [(cnn, "exact"), (lambda: Module(module=Rounded()), "Laplace")])
def test_the_manifest_says_which(own, word):
    config = NmeMlp(module=own(), effects="last", variance_update="paper", **QUICK)
    run = fit(config, study(), seed=1, progress=None)
    assert run.manifest["status"]["posterior"].startswith(word)


@pytest.mark.slow
def test_em_on_the_last_layer_of_a_cnn_is_the_mixed_model_on_its_features():
    data = study(persons=20, rows=15)
    config = NmeMlp(module=cnn(), effects="head.bias", epochs=100, lr=0.05)
    trained = fitted(config, data)
    assert trained.estimate.exact
    network = trained.network
    last = {name: value for name, value in network.shared.items() if not name.startswith("head")}
    module = network.module.network
    with torch.no_grad():
        pixels = torch.as_tensor(np.array(data.features)).reshape(-1, 1, 5, 3)
        state = {**module.state_dict(), **last}
        module.double().load_state_dict(state)
        design = torch.relu(module.norm(module.seen(pixels))).mean(dim=(2, 3)).numpy()
    # the shared slopes are where training left them, the intercept and the variances at the mixed model's
    rest = np.asarray(data.target) - design @ network.shared["head.weight"].numpy()[0] * network.scaler.target_scale
    oracle = sm.MixedLM(rest, np.ones((data.n_rows, 1)), np.asarray(data.person)).fit(reml=False)
    components = variance_table(trained).set_index("parameter")["variance"]
    assert components["head.bias"] == pytest.approx(float(oracle.cov_re[0, 0]), rel=1e-3)
    assert components["residual"] == pytest.approx(oracle.scale, rel=1e-3)
    effects = effects_table(trained)["estimate"].to_numpy()
    blups = np.array([oracle.random_effects[code].iloc[0] for code in range(20)])
    np.testing.assert_allclose(effects, blups, atol=2e-3 * np.abs(blups).max())


# ---------------------------------------------------------------- tasks and settings


@pytest.mark.slow
def test_classes_states_and_generic_networks():
    made = frame()
    made["y"] = np.array(["low", "mid", "high"])[pd.qcut(made["y"], 3, labels=False)]
    data = GroupedDataset.from_frame(made, target="y", features=list(made.columns[:15]), groups="who", time="t")
    for config in (
        NmeMlp(module=cnn(3), task="multiclass", effects="head.bias", variance_update="paper", **QUICK),
        GenericMlp(module=cnn(3), task="multiclass", **QUICK),
        NmeCrf(module=cnn(3), effects="last+T", variance_update="paper", **QUICK),
    ):
        trained = fitted(config, data, thirds(data))
        values = trained.network.predict(data.as_classes())
        np.testing.assert_allclose(values.sum(axis=1), 1.0)
        if not isinstance(config, GenericMlp):
            assert trained.estimate.exact
            label = trained.network.effects.layout.labels
            assert "head.bias[low]" in label
            assert ("transitions[low,mid]" in label) == isinstance(config, NmeCrf)


def test_features_come_as_they_are_or_standardised():
    data = study()
    seen = fitted(GenericMlp(module=cnn(), epochs=1), data).network.scaler
    assert seen.names == data.feature_names
    np.testing.assert_array_equal(seen.features(data), data.features)
    own = Module(module=Cnn(), shape=(1, 5, 3), standardise=True)
    values = fitted(GenericMlp(module=own, epochs=1), data).network.scaler.features(data)
    np.testing.assert_allclose(values.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(values.std(axis=0), 1.0)


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (lambda: Module(module=Cnn(), shape=(1, 4, 4)), "takes 16 values a row and the data have 15 features"),
        (lambda: Module(module=Cnn(), shape=(3, 5)), "does not take rows of this shape"),
        (lambda: cnn(2), "gives 2 values a row and the outcome needs 1"),
        (lambda: Module(module=nn.Sequential(nn.Flatten(), nn.ReLU())), "no parameters that can be trained"),
    ],
)
def test_a_module_that_does_not_fit_is_refused(own, words):
    with pytest.raises(ConfigError, match=f"E302: the module.*{words}"):
        fitted(NmeMlp(module=own(), epochs=1), study())


def test_a_bare_module_and_hidden_layers_beside_one_are_refused():
    with pytest.raises(ConfigError, match=r"E302: NmeMlp: module: .*wrap the network: Module\(module=..., shape=...\)"):
        NmeMlp(module=Cnn())
    with pytest.raises(ConfigError, match="E302: a network of your own and hidden layers do not go together"):
        NmeMlp(module=cnn(), hidden=(4,))


def test_a_model_that_cannot_be_derived_is_refused():
    class Packed(Lstm):
        def forward(self, days):
            packed = nn.utils.rnn.pack_padded_sequence(days, torch.full((len(days),), 5), batch_first=True)
            return self.head(self.lstm(packed)[1][0][-1])

    with pytest.raises(ConfigError, match="E302: torch cannot derive this module"):
        fitted(NmeMlp(module=Module(module=Packed(), shape=(5, 3)), epochs=1), study())


# ---------------------------------------------------------------- saving and restoring


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "cnn"
    run = fit(NmeMlp(module=cnn(), effects="all", **QUICK), study(), seed=1, out=folder, progress=None)
    return run, load_run(folder)


def test_a_run_predicts_again_with_its_module(saved):
    run, folder = saved
    other = Module(module=Cnn(), shape=(1, 5, 3))  # its parameters and statistics are in the folder
    network = restore_network(folder, module=other)
    np.testing.assert_array_equal(network.predict(study()), run.predict(study()))
    assert folder.manifest["config"]["module"]["class"] == "Cnn"
    assert folder.manifest["config"]["hidden"] == []


def test_without_the_module_everything_but_prediction_works(saved):
    _, folder = saved
    assert len(folder.predictions()) == PERSONS * ROWS
    assert not folder.random_effects().empty
    sentence = r"E405: the run was fitted with a network of your own.*restore_network\(run, module="
    for asked in (lambda: folder.predict(study()), lambda: adapt(folder, strangers(), seed=1)):
        with pytest.raises(ToolkitError, match=sentence):
            asked()


def strangers() -> GroupedDataset:
    made = frame(seed=5, persons=3)
    made["who"] = "new " + made["who"]
    return GroupedDataset.from_frame(made, target="y", features=list(made.columns[:15]), groups="who", time="t")


@pytest.mark.slow
def test_new_persons_are_adapted_to_with_the_module(saved):
    run, folder = saved
    here = adapt(run, strangers(), seed=1)
    there = adapt(folder, strangers(), seed=1, module=Module(module=Cnn(), shape=(1, 5, 3)))
    effects = here.random_effects()
    assert effects["estimate"].abs().max() > 1e-3
    np.testing.assert_allclose(there.random_effects()["estimate"], effects["estimate"], atol=1e-9)


@pytest.mark.parametrize("own", [lstm(), Module(module=Cnn(2), shape=(1, 5, 3)), Module(module=Cnn(), shape=(1, 3, 5))])
def test_another_module_is_refused(saved, own):
    with pytest.raises(ConfigError, match=r"E302: this module is not the one .* needs a Cnn with 25 parameters"):
        restore_network(saved[1], module=own)


@pytest.mark.slow
def test_a_module_for_a_run_without_one_is_refused(tmp_path):
    fit(NmeMlp(hidden=(2,), epochs=1), study(), seed=1, out=tmp_path / "run", progress=None)
    with pytest.raises(ConfigError, match="E302: the run was fitted without a module"):
        restore_network(load_run(tmp_path / "run"), module=cnn())


def test_such_a_run_cannot_be_fitted_again_from_its_folder(saved, tmp_path):
    _, folder = saved
    config = NmeMlp(**{**folder.manifest["config"], "effects": "all"})
    with pytest.raises(ConfigError, match="E302: the model has a network of your own, which no run folder holds"):
        refit(folder, config, study(), tmp_path / "again")


def test_the_start_values_are_the_modules_own():
    own = cnn()
    data = study()
    scaler = fit_scaler(data, np.arange(10), task="regression")
    _, shared = start_network(
        NmeMlp(module=own), data, scaler, generator=torch.Generator(), dtype=torch.float64, device=CPU
    )
    for name, value in own.module.state_dict().items():
        torch.testing.assert_close(shared[name], value.to(shared[name].dtype))
