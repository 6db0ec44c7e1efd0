"""MeNets: its EM step against dense algebra and the maximum of a linear mixed model, and its runs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.models.panel_rows import panel
from toolkit import fit
from toolkit.errors import ConfigError
from toolkit.models import Lmm, MeNets
from toolkit.models.comparators.menets import EffectsNetwork, PersonSums, em_step


def sums_of(design: torch.Tensor, left: torch.Tensor, codes: torch.Tensor, persons: int) -> PersonSums:
    gram = torch.zeros((persons, 2, 2), dtype=torch.float64)
    gram.index_add_(0, codes, design[:, :, None] * design[:, None, :])
    cross = torch.zeros((persons, 2), dtype=torch.float64).index_add_(0, codes, design * left[:, None])
    return PersonSums(gram=gram, cross=cross, squares=left.square().sum(), rows=len(left))


def test_an_em_step_is_the_dense_one():
    rng = np.random.default_rng(0)
    codes = torch.as_tensor(np.repeat(np.arange(6), 5))
    design, left = torch.as_tensor(rng.normal(size=(30, 2))), torch.as_tensor(rng.normal(size=30))
    d, s2 = torch.tensor([[0.7, 0.2], [0.2, 0.4]], dtype=torch.float64), torch.tensor(0.6, dtype=torch.float64)
    effects, covariance, variance = em_step(sums_of(design, left, codes, 6), d, s2)
    second, errors = torch.zeros_like(d), 0.0
    for person in range(6):
        own = codes == person
        z, r = design[own], left[own]
        inverse = torch.linalg.inv(z @ d @ z.T + s2 * torch.eye(5))
        b, p = d @ z.T @ inverse @ r, d - d @ z.T @ inverse @ z @ d
        torch.testing.assert_close(effects[person], b)
        second = second + (torch.outer(b, b) + p) / 6
        errors = errors + (r - z @ b).square().sum() + torch.trace(z @ p @ z.T)
    torch.testing.assert_close(covariance, second)
    torch.testing.assert_close(variance, torch.as_tensor(errors) / 30)


def test_its_fixed_point_is_the_maximum_of_the_mixed_model():
    data = panel(persons=40, rows=10)
    run = fit(Lmm(random="(1 + x1 | person)", reml=False), data, seed=1, split=None)
    left = torch.as_tensor(np.array(data.target) - run.predict(data, "population"))
    x = torch.as_tensor(np.array(data.features)[:, 0])
    design = torch.stack([torch.ones_like(x), x], dim=1)
    sums = sums_of(design, left, torch.as_tensor(np.array(data.person)), 40)
    covariance, variance = torch.eye(2, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64)
    for _ in range(3000):
        _, covariance, variance = em_step(sums, covariance, variance)
    found = run.variance_components().set_index("parameter")["variance"]
    assert float(variance) == pytest.approx(float(found["residual"]), rel=1e-3)
    expected = [value for name, value in found.items() if name != "residual"]
    np.testing.assert_allclose(covariance.diagonal(), expected, rtol=2e-3)


def test_effects_add_what_the_person_has():
    network = EffectsNetwork(2, 3, (4,)).double()
    with torch.no_grad():
        for value in network.parameters():
            value.copy_(torch.randn(value.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    rows = torch.randn((5, 2), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    codes = torch.tensor([0, 2, -1, 1, -1])
    last = torch.relu(network.perceptron.layers[0](rows))
    plain = network.perceptron.layers[1](last)[:, 0]
    for row in range(5):
        own = network.tables[0][codes[row]] if codes[row] >= 0 else torch.zeros(5).double()
        expected = plain[row] + last[row] @ own[:4] + own[4]
        torch.testing.assert_close(network(rows, codes)[row], expected)


def test_person_effects_help():
    data = panel(persons=30, rows=20, spread=2.0)
    labels = np.where(np.arange(data.n_rows) % 4 == 0, "test", "train")
    run = fit(MeNets(hidden=(6,), epochs=25, lr=0.01, batch=64, schedule="constant"), data, seed=1, split=labels)
    rows = run.tables["predictions"].query("split == 'test'")
    with_effects = ((rows["truth"] - rows["prediction"]) ** 2).mean()
    assert with_effects < 0.6 * ((rows["truth"] - rows["prediction_population"]) ** 2).mean()


def test_classes_and_several_factors_are_refused():
    with pytest.raises(ConfigError, match="E302"):
        MeNets(task="binary")
