"""Fits by mini-batches: they find what the full batch finds, and an interrupted one goes on to the bit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ConfigError
from toolkit.models import NmeCrf, NmeMlp, Pen, minibatches
from toolkit.models.training import train

CPU = torch.device("cpu")


def study(persons: int = 12, rows: int = 20) -> GroupedDataset:
    rng = np.random.default_rng(1)
    who = np.repeat(np.arange(persons), rows)
    x = rng.standard_normal(len(who))
    y = (1.0 + rng.standard_normal(persons)[who]) * x + rng.standard_normal(persons)[who]
    frame = pd.DataFrame({"x": x, "who": [f"p{code}" for code in who], "t": np.arange(len(who))})
    frame["y"] = y + 0.5 * rng.standard_normal(len(who))
    frame["state"] = np.where(y > 0, "up", "down")
    return GroupedDataset.from_frame(frame, target="y", features="x", groups="who", time="t")


class Memory:
    """A keeper that takes a copy after a given epoch and stops there, or starts from one."""

    def __init__(self, at: int = -1, taken: dict | None = None) -> None:
        self.at, self.taken, self.generator = at, taken, torch.Generator().manual_seed(3)

    def begin(self, descent) -> None:
        if self.taken is not None:
            descent.take_up(self.taken["tensors"], self.taken["numbers"])
            self.generator.set_state(self.taken["random"])

    def epoch_ended(self, descent) -> None:
        if descent.epoch == self.at:
            tensors = {name: value.clone() for name, value in descent.tensors().items()}
            numbers, random = descent.numbers(), self.generator.get_state()
            self.taken = {"tensors": tensors, "numbers": numbers, "random": random}
            raise KeyboardInterrupt

    def end(self) -> None:
        pass


def trained(config, keeper):
    data = study()
    labels = np.where(np.arange(data.n_rows) % 20 < 14, "train", "validation")
    return train(config, data, labels, generator=keeper.generator, device=CPU, keeper=keeper)


@pytest.mark.parametrize(
    ("schedule", "dense"),
    [
        pytest.param("plateau", True, marks=pytest.mark.slow),
        pytest.param("cosine", False, marks=pytest.mark.slow),
        pytest.param("constant", False, marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_fit_goes_on_to_the_bit(schedule, dense, monkeypatch):
    monkeypatch.setattr(minibatches, "DENSE", 10**6 if dense else 0)
    effects = "last" if schedule == "constant" else "first"  # carried to the end, or left where they are
    config = NmeMlp(hidden=(3,), effects=effects, epochs=14, patience=40, batch=48, schedule=schedule, clip=1.0)
    whole = trained(config, Memory())
    broken = Memory(at=11)
    with pytest.raises(KeyboardInterrupt):
        trained(config, broken)
    resumed = trained(config, Memory(taken=broken.taken))
    assert resumed.outcome.trace == whole.outcome.trace
    assert torch.equal(resumed.network.effects.eta, whole.network.effects.eta)
    for name, value in whole.network.shared.items():
        assert torch.equal(resumed.network.shared[name], value)


@pytest.mark.slow
def test_batches_find_what_the_full_batch_finds():
    """A linear model in em mode ends at the same fixed point however it got there."""
    full, batched = (trained(NmeMlp(hidden=(), epochs=200, patience=60, batch=batch), Memory()) for batch in (None, 48))
    torch.testing.assert_close(
        batched.network.effects.covariance, full.network.effects.covariance, rtol=0.02, atol=1e-3
    )


@pytest.mark.parametrize("by", ["persons", pytest.param("rows", marks=pytest.mark.slow)])
def test_chains_train_in_batches_of_whole_sequences(by):
    data = study()
    data = GroupedDataset.from_frame(
        pd.DataFrame({
            "x": np.asarray(data.features)[:, 0], "s": np.where(np.asarray(data.target) > 0, "up", "down"),
            "who": [f"p{code}" for code in np.asarray(data.person)], "t": np.arange(data.n_rows),
            "day": np.arange(data.n_rows) // 5,
        }),
        target="s", features="x", groups="who", time="t", sequence="day",
    )  # fmt: skip
    labels = np.where(np.arange(data.n_rows) % 20 < 15, "train", "validation")
    config = NmeCrf(hidden=(), epochs=6, batch=50, variance_update="paper", batch_by=by, effects="last+T")
    found = train(config, data, labels, generator=torch.Generator().manual_seed(1), device=CPU)
    losses = [row["loss"] for row in found.outcome.trace if "lr" in row]
    assert losses[-1] < losses[0]


def test_settings_that_cannot_apply_are_refused():
    with pytest.raises(ConfigError, match="batch_by"):
        NmeMlp(batch_by="rows")
    with pytest.raises(ConfigError, match="clip"):
        Pen(clip=1.0)
