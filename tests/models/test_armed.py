"""ARMED: its posterior where it is known in closed form, its adversary, and who is guessed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence
from torch.nn import functional

from tests.models.panel_rows import panel
from toolkit import fit
from toolkit.data.simulate import multiclass
from toolkit.errors import ConfigError, ToolkitWarning
from toolkit.models import Armed
from toolkit.models.comparators.armed import NOBODY, UNKNOWN, ArmedNetwork


def filled(hidden=(3, 2), outputs: int = 1, columns=(), levels: int = 4) -> ArmedNetwork:
    network = ArmedNetwork(2, levels, hidden, outputs, columns).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in network.parameters():
            value.copy_(torch.randn(value.shape, generator=generator, dtype=torch.float64))
    return network.eval()


def drawn_rows(count: int) -> torch.Tensor:
    return torch.randn((count, 2), generator=torch.Generator().manual_seed(4), dtype=torch.float64)


def test_known_guessed_and_no_persons():
    network, rows = filled(outputs=3, columns=(1,)), drawn_rows(3)
    found = network(rows, torch.tensor([2, UNKNOWN, NOBODY]))
    fixed, means = network.perceptron(rows), network.tables[0].view(4, 2, 3)
    torch.testing.assert_close(found[0], fixed[0] + means[2, 0] + rows[0, 1] * means[2, 1])
    chances = network.guessed(rows[1:2]).softmax(dim=1)[0]
    mixed = torch.stack([chances[level] * means[level] for level in range(4)]).sum(dim=0)
    torch.testing.assert_close(found[1], fixed[1] + mixed[0] + rows[1, 1] * mixed[1])
    torch.testing.assert_close(found[2], fixed[2])


def test_the_divergence_is_that_of_normals():
    network = filled(columns=(0,))
    prior = torch.tensor([0.3, 0.7], dtype=torch.float64)
    posterior = Normal(network.tables[0], functional.softplus(network.tables[1]))
    expected = kl_divergence(posterior, Normal(torch.zeros(4, 2).double(), prior.expand(4, 2))).sum()
    torch.testing.assert_close(network.divergence(prior), expected)


def test_the_adversary_learns_what_the_network_unlearns():
    network, rows, codes = filled(), drawn_rows(9), torch.arange(9) % 4
    loss = functional.cross_entropy(network.recognised(network.perceptron.activations(rows), 0.5), codes)
    first = network.perceptron.get_parameter("layers.0.weight")
    turned, own = torch.autograd.grad(loss, [first, network.tables[2]], retain_graph=True)
    straight = network.perceptron.activations(rows)
    plain = functional.cross_entropy(network.recognised(straight, -1.0), codes)  # weight -1: gradients as they are
    as_is, again = torch.autograd.grad(plain, [first, network.tables[2]])
    torch.testing.assert_close(turned, -0.5 * as_is)
    torch.testing.assert_close(own, again)


def test_logits_are_added_before_the_one_sigmoid():
    config, network = Armed(task="binary", adversary=0.0, fixed_weight=0.0, kl_weight=0.0), filled()
    rows, codes, targets = drawn_rows(6), torch.arange(6) % 4, torch.tensor([1.0, 0, 1, 1, 0, 0]).double()
    network.generator = torch.Generator().manual_seed(0)
    loss = config.own_loss(6)
    assert loss is not None
    found = loss(network, (rows, codes), targets, targets > -1)
    network.generator = torch.Generator().manual_seed(0)
    logits = network.perceptron(rows)[:, 0] + network.drawn(codes)[:, 0]
    expected = -(targets * torch.log(torch.sigmoid(logits)) + (1 - targets) * torch.log(1 - torch.sigmoid(logits)))
    guesses = functional.cross_entropy(network.guessed(rows), codes)
    torch.testing.assert_close(found, expected.mean() + guesses)


@pytest.mark.slow
def test_the_posterior_of_a_linear_model_is_the_exact_one():
    """Intercepts given the rest are independent, so that the mean field is the posterior."""
    data = panel(persons=8, rows=15, slope=0.0)
    config = Armed(hidden=(), adversary=0.0, fixed_weight=0.0, intercept_sd=0.5, epochs=1500, lr=0.05, batch=120,
                   schedule="one-cycle", precision="float64")  # fmt: skip
    run = fit(config, data, seed=1, split=None)
    network: Any = run.trained.network  # pyright: ignore[reportAttributeAccessIssue]
    module, scaler = network.module, network.scaler
    inputs = torch.as_tensor(scaler.features(data))
    left = torch.as_tensor(scaler.target(data)) - module.perceptron(inputs)[:, 0]
    noise = float(module.log_noise.exp())
    sums = torch.zeros(8).double().index_add(0, torch.as_tensor(np.array(data.person)), left)
    precision = 15 / noise + 1 / 0.25
    torch.testing.assert_close(module.tables[0][:, 0], sums / noise / precision, atol=0.03, rtol=0.0)
    spread = functional.softplus(module.tables[1])[:, 0]
    torch.testing.assert_close(spread, torch.full_like(spread, math.sqrt(1 / precision)), rtol=0.1, atol=0.0)


def test_several_classes_and_an_unknown_person():
    data = multiclass(rng=np.random.default_rng(0), rows=300, classes=3, levels=(6,), variances=(1.0,)).data
    labels = np.where(np.asarray(data.person) == 2, "test", "train")
    with pytest.warns(ToolkitWarning, match="W209"):
        run = fit(Armed(task="multiclass", hidden=(5,), epochs=3, batch=50), data, seed=1, split=labels)
    chances = run.predict(data)
    np.testing.assert_allclose(chances.sum(axis=1), 1.0)
    unseen = labels == "test"
    assert not np.allclose(chances[unseen], run.predict(data, "population")[unseen])


def test_what_does_not_apply_is_refused():
    data = panel(persons=5, rows=6)
    with pytest.raises(ConfigError, match="hidden layers"):
        Armed(hidden=())
    with pytest.raises(ConfigError, match="'age'"):
        fit(Armed(slopes=("age",)), data, seed=1)
    two = multiclass(rng=np.random.default_rng(0), rows=100, classes=3, levels=(6, 5), variances=(1.0, 1.0)).data
    with pytest.raises(ConfigError, match="one grouping factor"):
        Armed().check(two)
