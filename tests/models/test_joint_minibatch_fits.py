"""Fits of several grouping factors by mini-batches: where the full batch ends, to the bit after an interruption."""

from __future__ import annotations

import signal
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from tests.analysed_runs import nme
from tests.bad_input.test_training_faults import disturbed
from tests.family_study import family_frame, write_family_study
from tests.models.test_minibatch_fits import Memory
from toolkit import fit, load_run
from toolkit.data.grouped import GroupedDataset
from toolkit.models import NmeCrf, NmeMlp, minibatches
from toolkit.models.training import Trained, train

GOLDEN = Path(__file__).parents[1] / "golden"
BIAS = "layers.0.bias"
EFFECTS = {"person": "last", "family": BIAS, "item": BIAS}


def nested_crossed() -> GroupedDataset:
    return GroupedDataset.from_frame(
        pd.read_csv(GOLDEN / "nested_crossed.csv"), target="y", features=["x"], groups=["person", "family", "item"]
    )


@pytest.mark.slow
@pytest.mark.parametrize(("by", "epochs"), [("persons", 20), pytest.param("rows", 60, marks=pytest.mark.slow)])
def test_batches_end_at_lme4s_variances(by, epochs):
    """Persons in families, crossed with items: the last rounds lead to the same point from wherever training ended."""
    config = NmeMlp(hidden=(), effects=EFFECTS, batch=64, batch_by=by, epochs=epochs)
    run = fit(config, nested_crossed(), seed=1, split=None)
    table = pd.read_csv(GOLDEN / "nested_crossed_lme4.csv", dtype={"level": str}).query("case == 'independent'")
    wanted = table[table["kind"].str.startswith("sd:")].set_index("kind")["value"]
    sds = run.variance_components().set_index(["term", "parameter"])["sd"]
    assert sds["person", BIAS] == pytest.approx(wanted["sd:person:(Intercept)"], rel=1e-4)
    assert sds["item", BIAS] == pytest.approx(wanted["sd:item:(Intercept)"], rel=1e-4)
    assert sds["family", BIAS] == pytest.approx(wanted["sd:family:(Intercept)"], rel=1e-4)
    whole = config.model_copy(update={"batch": None, "batch_by": None, "epochs": 40})
    full = fit(whole, nested_crossed(), seed=1, split=None)
    mine, theirs = run.random_effects("family"), full.random_effects("family")
    np.testing.assert_allclose(mine["estimate"], theirs["estimate"], atol=5e-3 * theirs["estimate"].std())
    np.testing.assert_allclose(mine["sd"], theirs["sd"], rtol=5e-3)


def families(
    target: str | list[str] = "mood", groups: tuple[str, ...] = ("who", "family", "item"), **roles
) -> GroupedDataset:
    given = {"features": ["x"], "groups": list(groups), "time": "t", **roles}
    frame = family_frame(families=4, rows=12)
    frame["x2"] = frame["mood"] ** 2 / 50 + np.random.default_rng(0).normal(size=len(frame))
    return GroupedDataset.from_frame(frame, target=target, **given)


def trained(config, keeper, data: GroupedDataset) -> Trained:
    labels = np.where(np.asarray(data.time) < 9, "train", "validation")
    return train(config, data, labels, generator=keeper.generator, device=torch.device("cpu"), keeper=keeper)


CASES = {
    "clip": (NmeMlp(hidden=(3,), effects="*.bias", batch=24, clip=1.0, schedule="cosine", epochs=14), families()),
    "lazy": (NmeMlp(hidden=(), effects="last", batch=24, batch_by="rows", monitor="ccc", epochs=14), families()),
    "two targets": (NmeMlp(hidden=(3,), effects="last", batch=24, epochs=14), families(["mood", "x2"])),
    "chain": (
        NmeCrf(hidden=(), effects={"who": "last+T", "family": "T"}, batch=24, epochs=14),
        families("state", ("who", "family"), sequence="day"),
    ),
}


@pytest.mark.parametrize(
    "name", ["clip", *(pytest.param(name, marks=pytest.mark.slow) for name in ("lazy", "two targets", "chain"))]
)
def test_an_interrupted_fit_goes_on_to_the_bit(name, monkeypatch):
    monkeypatch.setattr(minibatches, "DENSE", 0 if name == "lazy" else 10**6)
    config, data = CASES[name]
    whole = trained(config, Memory(), data)
    broken = Memory(at=11)
    with pytest.raises(KeyboardInterrupt):
        trained(config, broken, data)
    resumed = trained(config, Memory(taken=broken.taken), data)
    np.testing.assert_equal(resumed.outcome.trace, whole.outcome.trace)
    assert torch.equal(resumed.network.effects.eta, whole.network.effects.eta)
    for one, other in zip(resumed.network.further, whole.network.further, strict=True):
        assert torch.equal(one.effects.eta, other.effects.eta)
        assert torch.equal(one.effects.covariance, other.effects.covariance)
    losses = [row["loss"] for row in whole.outcome.trace if "lr" in row]
    assert losses[-1] < losses[0]


@pytest.mark.slow
def test_a_killed_fit_is_resumed_to_the_same_weights(tmp_path):
    study = write_family_study(tmp_path / "study", frame=family_frame(families=4, rows=12))
    words = ("fit", study, "--model", "nme-mlp", "--set", "hidden=()", "--set", "batch=24", "--epochs", "35", "--out")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert nme(*words, tmp_path / "whole") == 0
        ended = disturbed("os.kill(os.getpid(), signal.SIGKILL)", *words, tmp_path / "run")
        assert ended.returncode == -signal.SIGKILL
        assert nme(*words, tmp_path / "run", "--resume") == 0
    for name in ("generic.safetensors", "persons.safetensors"):
        mine, theirs = (load_file(tmp_path / run / name) for run in ("run", "whole"))
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[key], theirs[key]) for key in mine)
    assert load_run(tmp_path / "run").manifest["resume_count"] == 1


def test_a_network_of_ones_own_takes_factors_in_batches():
    from torch import nn

    from toolkit.models import Module

    module = Module(module=nn.Sequential(nn.Linear(1, 3), nn.Tanh(), nn.Linear(3, 1)), shape=(1,), standardise=True)
    config = NmeMlp(module=module, effects="last", batch=24, epochs=8, variance_update="paper")
    found = trained(config, Memory(), families())
    assert [factor.grouping for factor in found.network.further] == ["family", "item"]
    assert all(factor.effects.eta.abs().max() > 0 for factor in found.network.further)
