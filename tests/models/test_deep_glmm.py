"""DeepGLMM: its likelihoods against dense normals and quadrature, linear panels against mixed models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate
from scipy.special import expit
from scipy.stats import norm
from torch.distributions import MultivariateNormal

from tests.models.panel_rows import panel
from toolkit import fit
from toolkit.errors import ConfigError
from toolkit.models import DeepGlmm, Glmm, Lmm
from toolkit.models.comparators.deep_glmm_likelihood import (
    FREEDOM,
    PanelRows,
    coefficient_modes,
    normal_likelihood,
    proposal_at_modes,
    sampled_likelihood,
)


def rows_of(binary: bool) -> tuple[PanelRows, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    codes = torch.as_tensor(np.repeat(np.arange(4), 6))
    fixed, width = torch.as_tensor(rng.normal(size=24)), 1 if binary else 2
    design = torch.as_tensor(1.5 * rng.normal(size=(24, width)))
    target = torch.as_tensor((rng.uniform(size=24) < 0.6) * 1.0 if binary else rng.normal(size=24))
    return PanelRows(codes=codes, levels=4, target=target, binary=binary), fixed, design


def test_numbers_have_the_dense_likelihood():
    rows, fixed, design = rows_of(binary=False)
    noise, expected = torch.tensor(0.7).double(), 0.0
    for person in range(4):
        own = rows.codes == person
        covariance = design[own] @ design[own].T + noise * torch.eye(6)
        expected = expected + MultivariateNormal(fixed[own], covariance).log_prob(rows.target[own])
    torch.testing.assert_close(normal_likelihood(rows, fixed, design, noise), torch.as_tensor(expected))
    modes, curvature = coefficient_modes(rows, fixed, design, noise)
    z = design[:6]
    exact = z.T @ torch.linalg.solve(z @ z.T + noise * torch.eye(6), rows.target[:6] - fixed[:6])
    torch.testing.assert_close(modes[0], exact)
    torch.testing.assert_close(curvature[0], z.T @ z / noise + torch.eye(2))


def test_classes_have_the_likelihood_of_quadrature():
    rows, fixed, design = rows_of(binary=True)
    modes, curvature = coefficient_modes(rows, fixed, design, torch.ones(()).double())
    normals = torch.randn((20_000, 4, 1 + FREEDOM), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = sampled_likelihood(rows, fixed, design, proposal_at_modes(modes, curvature, normals))
    expected = 0.0
    for person in range(4):
        own = (rows.codes == person).numpy()
        signs = 2 * rows.target.numpy()[own] - 1
        values, slope = fixed.numpy()[own], design.numpy()[own, 0]

        def density(a, signs=signs, values=values, slope=slope):
            return float(np.prod(expit(signs * (values + slope * a)))) * norm.pdf(a)

        total, _ = integrate.quad(density, -9, 9)
        expected += np.log(total)
        near = float(modes[person, 0])
        assert density(near) >= max(density(near - 0.01), density(near + 0.01))
    assert float(found) == pytest.approx(expected, abs=0.01)


@pytest.mark.slow
def test_a_linear_panel_of_numbers_is_a_linear_mixed_model():
    data = panel(persons=40, rows=10)
    run = fit(DeepGlmm(hidden=(), samples=6, epochs=250), data, seed=1, split=None)
    exact = fit(Lmm(random="(1 + x1 + x2 | person)"), data, seed=1, split=None)
    for level in ("person", "population"):
        difference = run.predict(data, level) - exact.predict(data, level)
        assert np.sqrt(np.mean(difference**2)) < 0.15 * np.std(exact.predict(data, level))
    module: Any = run.trained.network.module  # pyright: ignore[reportAttributeAccessIssue]
    noise = float(module.log_noise.exp()) * run.trained.network.scaler.target_scale**2  # pyright: ignore
    assert noise == pytest.approx(1.0, rel=0.2)


@pytest.mark.slow
def test_a_linear_panel_of_classes_is_a_logistic_mixed_model():
    data = panel(persons=60, rows=12, slope=0.0, binary=True)
    run = fit(DeepGlmm(hidden=(), samples=6, epochs=250, task="binary"), data, seed=1, split=None)
    exact = fit(Glmm(random="(1 | person)"), data, seed=1, split=None)
    for level in ("person", "population"):
        difference = run.predict(data, level)[:, 1] - exact.predict(data, level)[:, 1]
        assert np.sqrt(np.mean(difference**2)) < 0.08


def test_a_network_learns_what_bends_and_stops_by_the_validation_rows():
    data = panel(persons=12, rows=15)
    labels = np.array(["train", "train", "train", "validation", "test"])[np.arange(data.n_rows) % 5]
    run = fit(DeepGlmm(hidden=(3,), samples=2, epochs=40, patience=40), data, seed=1, split=labels)
    trace = run.tables["trace"]
    assert run.manifest["status"]["best_epoch"] == 1 + trace["validation"].argmin()
    assert trace["validation"].min() < 0.8 * trace["validation"].iloc[0]
    again = fit(DeepGlmm(hidden=(3,), samples=2, epochs=40, patience=40), data, seed=1, split=labels)
    np.testing.assert_array_equal(run.predict(data), again.predict(data))


def test_what_does_not_apply_is_refused():
    wrong: tuple[dict[str, Any], ...] = (
        {"task": "multiclass"},
        {"batch": 32},
        {"precision": "float32"},
        {"dropout": 0.2},
    )
    for settings in wrong:
        with pytest.raises(ConfigError, match="E302"):
            DeepGlmm(**settings)
    with pytest.raises(ConfigError, match="2000 parameters"):
        fit(DeepGlmm(hidden=(100, 100)), panel(persons=5, rows=6), seed=1)
