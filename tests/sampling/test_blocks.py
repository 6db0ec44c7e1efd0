"""The block sampler against exact quadrature and conjugate posteriors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.sampling.problems import generator, one_factor, quadrature_means
from toolkit.errors import DataError
from toolkit.sampling import Blocks, Clusters, Gaussian, Target
from toolkit.sampling.reference import curvature


def drawn(sampler, target, *, transitions, warm=20, seed=5):
    g = generator(seed)
    state = sampler.advance(target, sampler.begin(target, generator=g), transitions=warm, generator=g)
    kept = []
    state = sampler.advance(target, state, transitions=transitions, generator=g, keep=kept.append)
    return [torch.stack([draw[place] for draw in kept]).numpy() for place in range(len(target.clusters))], state


@pytest.mark.parametrize("proposal", ["laplace", "hmc"])
@pytest.mark.parametrize("name", ["gaussian", "bernoulli", "poisson", "ordinal"])
def test_means_of_one_factor_agree_with_quadrature(name, proposal):
    target = one_factor(name)
    (draws,), state = drawn(Blocks(proposal=proposal), target, transitions=1500)
    mean, sd = quadrature_means(target)
    error = sd / np.sqrt(1500 / 3)  # three draws count as one independent draw, or better
    assert (np.abs(draws.mean(0) - mean) < 4 * error).mean() >= 0.99
    np.testing.assert_allclose(draws.std(0).mean(), sd.mean(), rtol=0.03)
    assert not state.diagnostics.stopped


@pytest.mark.parametrize("proposal", ["laplace", "hmc"])
def test_means_of_two_classes_agree_with_quadrature(proposal):
    target = one_factor("categorical", outputs=2, levels=40, rows=300)
    (draws,), _ = drawn(Blocks(proposal=proposal), target, transitions=1500)
    mean, sd = quadrature_means(target, points=81)
    assert (np.abs(draws.mean(0) - mean) < 4 * sd / np.sqrt(1500 / 3)).mean() >= 0.99
    np.testing.assert_allclose(draws.std(0).mean(), sd.mean(), rtol=0.03)


@pytest.mark.parametrize("name", ["gaussian", "bernoulli", "poisson"])
def test_proposals_of_an_earlier_target_stay_exact_for_another(name):
    first = one_factor(name)
    shift, smaller = 0.4, tuple(0.7 * covariance for covariance in first.covariances)
    target = Target(first.fixed + shift, first.density, first.clusters, smaller)
    sampler, g = Blocks(rounds=0), generator(6)
    state = sampler.advance(first, sampler.begin(first, generator=g), transitions=5, generator=g)
    information = state.memory.references[0][0].information
    moved = tuple(mode - shift for mode in state.modes or ())
    state = replace(state, modes=moved)
    kept = []
    state = sampler.advance(target, state, transitions=1500, generator=g, keep=kept.append)
    assert state.memory.references[0][0].information is information
    mean, sd = quadrature_means(target)
    draws = torch.stack([draw[0] for draw in kept]).numpy()
    assert (np.abs(draws.mean(0) - mean) < 4 * sd / np.sqrt(1500 / 3)).mean() >= 0.99
    np.testing.assert_allclose(draws.std(0).mean(), sd.mean(), rtol=0.03)


def test_a_kept_mode_and_curvature_follow_the_prior():
    first = one_factor("gaussian")
    target = Target(first.fixed, first.density, first.clusters, (0.5 * first.covariances[0],))
    sampler, g = Blocks(rounds=0), generator(6)
    state = sampler.advance(first, sampler.begin(first, generator=g), transitions=1, generator=g)
    state = sampler.advance(target, state, transitions=1, generator=g)
    mean, sd = quadrature_means(target)
    reference = state.memory.references[0][0]
    np.testing.assert_allclose(reference.mode, mean, atol=3e-3)  # steps to the first mode end there
    np.testing.assert_allclose(reference.root[0], sd, rtol=1e-4)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_curvatures_of_many_levels_are_those_of_one(size):
    g = generator(4)
    roots = torch.randn((7, size, size), generator=g, dtype=torch.float64)
    information, prior = (roots @ roots.mT).permute(1, 2, 0), torch.eye(size, dtype=torch.float64) / 0.7
    covariance, root, whitening = curvature(information, prior)
    for level in range(7):
        expected = torch.linalg.inv(information[:, :, level] + prior)
        torch.testing.assert_close(covariance[:, :, level], expected)
        torch.testing.assert_close(root[:, :, level] @ root[:, :, level].T, expected)
        torch.testing.assert_close(whitening[:, :, level] @ root[:, :, level], torch.eye(size, dtype=torch.float64))


def test_a_level_without_rows_is_drawn_from_the_prior():
    target = one_factor("bernoulli")
    (draws,), _ = drawn(Blocks(), target, transitions=2000)
    assert abs(draws[:, 0, -1].mean()) < 4 * np.sqrt(0.8 / 2000)
    np.testing.assert_allclose(draws[:, 0, -1].var(), 0.8, rtol=0.15)


def test_logits_that_are_not_finite_are_named():
    target = one_factor("bernoulli")
    fixed = target.fixed.clone()
    fixed[0, 3] = torch.nan
    with pytest.raises(DataError, match=r"E170.*row 5"):
        Target(fixed, target.density, target.clusters, target.covariances)


def test_a_covariance_that_is_not_positive_definite_is_named():
    target = one_factor("bernoulli")
    with pytest.raises(DataError, match="E171"):
        Target(target.fixed, target.density, target.clusters, (torch.zeros(1, 1),)).precisions  # noqa: B018


def test_sizes_that_do_not_fit_are_named():
    clusters = Clusters(torch.tensor([0, 1]), 2)
    with pytest.raises(DataError, match="E172"):
        Target(torch.zeros(1, 3), Gaussian(torch.zeros(3), 1.0), (clusters,), (torch.eye(1),))
