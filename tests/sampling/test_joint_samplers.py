"""Nuts, Hmc and Mala against quadrature; the published halving; dual averaging."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.sampling.problems import DOUBLE, generator, one_factor, quadrature_means
from toolkit.sampling import Blocks, Hmc, Mala, Nuts
from toolkit.sampling.diagnostics import mcse
from toolkit.sampling.joint import joint


def chains(sampler, target, *, warm, transitions, seed=1):
    found = []
    for chain in range(2):
        g = generator(seed + chain)
        state = sampler.advance(target, sampler.begin(target, generator=g), transitions=warm, generator=g)
        kept = []
        state = sampler.advance(target, state, transitions=transitions, generator=g, keep=kept.append)
        found.append(torch.stack([draw[0] for draw in kept]).numpy())
    return np.stack(found), state


CASES = [
    (Nuts(step=0.25), 30, 200),
    (Nuts(adapt=True, adaptation=60), 60, 200),
    (Hmc(step=0.4), 100, 800),
    (Mala(step=0.3), 200, 3000),
]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gaussian", "bernoulli", "poisson", "ordinal", "categorical"])
@pytest.mark.parametrize(("sampler", "warm", "transitions"), CASES)
def test_means_agree_with_quadrature(sampler, warm, transitions, name):
    outputs = 2 if name == "categorical" else 1
    target = one_factor(name, levels=30, rows=150, outputs=outputs)
    draws, state = chains(sampler, target, warm=warm, transitions=transitions)
    mean, sd = quadrature_means(target, points=81)
    error = np.maximum(mcse(draws), sd / np.sqrt(draws[..., 0, 0].size))  # never better than independent draws
    assert (np.abs(draws.mean((0, 1)) - mean) < 4 * error).mean() >= 0.99
    assert not state.diagnostics.stopped
    assert state.diagnostics.divergences == 0


def test_nuts_agrees_with_the_blocks():
    target = one_factor("bernoulli", levels=10, rows=60)
    ours, _ = chains(Blocks(), target, warm=20, transitions=1500)
    theirs, _ = chains(Nuts(step=0.3), target, warm=30, transitions=120)
    independent = theirs.var((0, 1)) / theirs[..., 0, 0].size  # antithetic chains may report less: not relied upon
    error = np.sqrt(mcse(ours) ** 2 + np.maximum(mcse(theirs) ** 2, independent))
    assert (np.abs(ours.mean((0, 1)) - theirs.mean((0, 1))) / error < 4).all()


@pytest.mark.parametrize("name", ["gaussian", "bernoulli", "poisson", "ordinal", "categorical"])
def test_the_gradient_is_that_of_the_log_posterior(name):
    target = one_factor(name, levels=4, rows=12, outputs=3 if name == "categorical" else 1)
    whole = joint(target)
    point = whole.point(whole.flat(target.prior_draw(generator())))
    for place in range(len(point.flat)):
        ends = []
        for step in (1e-5, -1e-5):
            moved = point.flat.clone()
            moved[place] += step
            ends.append(whole.point(moved).log_posterior)
        assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(float(point.gradient[place]), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("sampler", [Nuts(step=50.0, max_depth=2), Hmc(step=50.0), Mala(step=50.0)])
def test_a_sampler_that_stops_accepting_says_so_then_halves_its_step(sampler):
    target = one_factor("poisson", levels=20, rows=200)
    g = generator()
    state = sampler.advance(target, sampler.begin(target, generator=g), transitions=3, generator=g)
    assert state.diagnostics.stopped
    assert "stopped accepting" in state.diagnostics.sentence
    assert sampler.advance(target, state, transitions=1, generator=g).diagnostics.step == 25.0


def test_dual_averaging_comes_near_the_acceptance_it_aims_at():
    target = one_factor("bernoulli", levels=10, rows=60)
    g = generator()
    sampler = Hmc(step=0.01, adapt=True, adaptation=150, wanted=0.8)
    state = sampler.advance(target, sampler.begin(target, generator=g), transitions=150, generator=g)
    state = sampler.advance(target, state, transitions=100, generator=g)
    assert 0.6 < state.diagnostics.acceptance[0] < 0.95


def test_a_new_target_renews_the_point():
    target, other = one_factor("bernoulli"), one_factor("bernoulli", seed=9)
    g = generator()
    sampler = Nuts(max_depth=2)
    state = sampler.advance(target, sampler.begin(target, generator=g), transitions=1, generator=g)
    state = sampler.advance(other, state, transitions=0, generator=g)
    expected = joint(other).point(joint(other).flat(state.draw))
    assert state.memory.point.log_posterior == pytest.approx(expected.log_posterior)
    assert state.draw[0].dtype == DOUBLE
