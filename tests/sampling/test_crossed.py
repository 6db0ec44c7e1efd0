"""Several factors, slopes, many classes in groups: against NUTS, conjugate posteriors and each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.sampling.problems import DOUBLE, density, generator
from toolkit.sampling import Blocks, Clusters, Gaussian, Hmc, Nuts, Target, groups, position
from toolkit.sampling.diagnostics import mcse, rhat
from toolkit.sampling.laplace_block import LITTLE


def crossed(name, *, outputs=1, levels=(6, 4), rows=80, slopes=False, seed=4) -> Target:
    g = generator(seed)
    fixed = 0.5 * torch.randn((outputs, rows), generator=g, dtype=DOUBLE)
    design = torch.stack([torch.ones(rows, dtype=DOUBLE), torch.randn(rows, generator=g, dtype=DOUBLE)])
    clusters = [Clusters(torch.randint(q, (rows,), generator=g), q) for q in levels]
    if slopes:
        clusters[0] = Clusters(clusters[0].codes, levels[0], design)
    covariances = [0.6 * torch.eye(c.effects * outputs, dtype=DOUBLE) + 0.1 for c in clusters]
    logits = fixed.clone()
    for c, covariance in zip(clusters, covariances, strict=True):
        root = torch.linalg.cholesky(covariance)
        logits += c.spread(root @ torch.randn((len(root), c.levels), generator=g, dtype=DOUBLE))
    return Target(fixed, density(name, logits, g), tuple(clusters), tuple(covariances))


def chains(sampler, target, *, transitions, warm=30, count=2):
    """Draws (chains, draws, everything)."""
    found = []
    for chain in range(count):
        g = generator(10 + chain)
        state = sampler.advance(target, sampler.begin(target, generator=g), transitions=warm, generator=g)
        kept = []
        sampler.advance(target, state, transitions=transitions, generator=g, keep=kept.append)
        found.append(torch.stack([torch.cat([part.flatten() for part in draw]) for draw in kept]).numpy())
    return np.stack(found)


def agree(ours, theirs, share=0.99):
    """Means within 4 and second moments within 5 Monte Carlo errors of their difference."""
    for power, bound in ((1, 4), (2, 5)):
        a, b = ours**power, theirs**power
        floor = b.var((0, 1)) / b[..., 0].size + a.var((0, 1)) / a[..., 0].size
        error = np.sqrt(np.maximum(mcse(a) ** 2 + mcse(b) ** 2, floor))
        assert (np.abs(a.mean((0, 1)) - b.mean((0, 1))) < bound * error).mean() >= share


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "outputs", "slopes"), [("bernoulli", 1, False), ("bernoulli", 1, True), ("categorical", 3, False)]
)
@pytest.mark.parametrize("proposal", ["laplace", "hmc"])
def test_crossed_factors_agree_with_nuts(name, outputs, slopes, proposal):
    target = crossed(name, outputs=outputs, slopes=slopes)
    ours = chains(Blocks(proposal=proposal), target, transitions=1500)
    theirs = chains(Nuts(step=0.3), target, transitions=350)
    agree(ours, theirs)
    assert rhat(ours).max() < 1.01


@pytest.mark.slow
def test_chains_from_different_places_agree():
    ours = chains(Blocks(), crossed("bernoulli"), transitions=1500, warm=20, count=3)
    assert rhat(ours).max() < 1.01


def conjugate(target):
    """Mean and covariance of all effects of a normal model by one dense solve."""
    assert isinstance(target.density, Gaussian)
    columns, blocks = [], []
    for c, covariance in zip(target.clusters, target.covariances, strict=True):
        design = torch.ones((1, len(c.codes)), dtype=DOUBLE) if c.design is None else c.design
        hot = torch.nn.functional.one_hot(c.codes, c.levels).to(DOUBLE)
        columns += [hot * row[:, None] for row in design]
        blocks.append(torch.kron(torch.linalg.inv(covariance).contiguous(), torch.eye(c.levels, dtype=DOUBLE)))
    z, precision = torch.cat(columns, 1), torch.block_diag(*blocks)
    spread = torch.linalg.inv(precision + z.T @ z / target.density.sigma2)
    residual = target.density.target - target.fixed[0]
    return (spread @ (z.T @ residual) / target.density.sigma2).numpy(), spread.numpy()


@pytest.mark.slow
@pytest.mark.parametrize("slopes", [False, True])
def test_normal_targets_have_the_conjugate_posterior(slopes):
    target = crossed("gaussian", slopes=slopes)
    draws = chains(Blocks(), target, transitions=1200, count=1)
    mean, covariance = conjugate(target)
    sd = np.sqrt(np.diag(covariance))
    assert (np.abs(draws.mean((0, 1)) - mean) < 4 * np.maximum(mcse(draws), sd / np.sqrt(1200))).all()
    np.testing.assert_allclose(np.cov(draws[0].T), covariance, atol=0.17 * sd.max() ** 2)


def test_normal_targets_of_which_rows_say_little_have_the_conjugate_posterior():
    target = crossed("gaussian", levels=(30, 20), rows=60)
    target = Target(target.fixed, target.density, target.clusters, tuple(0.1 * c for c in target.covariances))
    g = generator(3)
    state = Blocks().advance(target, Blocks().begin(target, generator=g), transitions=30, generator=g)
    assert all(reference.told < LITTLE for (reference,) in state.memory.references)
    draws = chains(Blocks(), target, transitions=1200, count=1)
    mean, covariance = conjugate(target)
    sd = np.sqrt(np.diag(covariance))
    assert (np.abs(draws.mean((0, 1)) - mean) < 4.5 * np.maximum(mcse(draws), sd / np.sqrt(1200))).all()
    np.testing.assert_allclose(np.cov(draws[0].T), covariance, atol=0.2 * sd.max() ** 2)


@pytest.mark.slow
def test_groups_of_classes_draw_what_all_classes_together_draw(monkeypatch):
    target = crossed("categorical", outputs=5, levels=(4, 3), rows=80)
    together = chains(Blocks(), target, transitions=1200)
    monkeypatch.setattr(groups, "LARGEST_BLOCK", 4)
    monkeypatch.setattr(groups, "CLASSES_TOGETHER", 2)
    assert len(groups.output_groups(target)) == 3
    agree(chains(Blocks(), target, transitions=1200), together)


def test_the_kept_logits_are_those_of_the_draw(monkeypatch):
    for largest in (16, 2):
        monkeypatch.setattr(groups, "LARGEST_BLOCK", largest)
        monkeypatch.setattr(groups, "CLASSES_TOGETHER", 2)
        for proposal in ("laplace", "hmc"):
            target, g = crossed("categorical", outputs=4), generator()
            sampler = Blocks(proposal=proposal)
            state = sampler.advance(target, sampler.begin(target, generator=g), transitions=7, generator=g)
            kept = torch.cat(state.memory.logits, 1)
            kept = torch.softmax(kept, 0) if state.memory.origin is None else kept / kept.sum(0)
            torch.testing.assert_close(kept, torch.softmax(target.fixed + state.added, 0))


@pytest.mark.parametrize("proposal", ["laplace", "hmc"])
def test_groups_keep_exponentials_or_logits_and_draw_the_same(monkeypatch, proposal):
    monkeypatch.setattr(groups, "LARGEST_BLOCK", 2)
    monkeypatch.setattr(groups, "CLASSES_TOGETHER", 2)
    target, sampler = crossed("categorical", outputs=5), Blocks(proposal=proposal)

    def after(limit):
        monkeypatch.setattr(position, "span", lambda like: limit)
        g = generator()
        return sampler.advance(target, sampler.begin(target, generator=g), transitions=9, generator=g)

    exponentials, renewed, logits = after(100.0), after(1.0), after(-1.0)
    assert exponentials.memory.origin is not None
    assert logits.memory.origin is None
    for state in (exponentials, renewed):
        for ours, theirs in zip(state.draw, logits.draw, strict=True):
            torch.testing.assert_close(ours, theirs)


def test_groups_come_back_from_a_start_that_is_far_away(monkeypatch):
    monkeypatch.setattr(groups, "LARGEST_BLOCK", 2)
    monkeypatch.setattr(groups, "CLASSES_TOGETHER", 2)
    target, g = crossed("categorical", outputs=4), generator()
    start = tuple(1000.0 * torch.randn(draw.shape, generator=g, dtype=DOUBLE) for draw in target.prior_draw(g))
    state = Blocks().begin(target, start=start, generator=g)
    state = Blocks().advance(target, state, transitions=30, generator=g)
    assert max(float(draw.abs().max()) for draw in state.draw) < 10


def test_groups_with_slopes_keep_logits(monkeypatch):
    monkeypatch.setattr(groups, "LARGEST_BLOCK", 2)
    monkeypatch.setattr(groups, "CLASSES_TOGETHER", 4)
    target, g = crossed("categorical", outputs=4, slopes=True), generator()
    state = Blocks().advance(target, Blocks().begin(target, generator=g), transitions=5, generator=g)
    assert state.memory.origin is None
    kept = torch.softmax(torch.cat(state.memory.logits, 1), 0)
    torch.testing.assert_close(kept, torch.softmax(target.fixed + state.added, 0))


def test_the_order_of_rows_does_not_matter():
    target, g = crossed("bernoulli"), generator()
    order = torch.randperm(80, generator=g)
    clusters = tuple(Clusters(c.codes[order], c.levels) for c in target.clusters)
    other = Target(
        target.fixed[:, order], type(target.density)(target.density.target[order]), clusters, target.covariances
    )
    start = target.prior_draw(g)
    found = []
    for one in (target, other):
        seed = generator(3)
        state = Blocks().begin(one, start=start, generator=seed)
        found.append(Blocks().advance(one, state, transitions=5, generator=seed).draw)
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("sampler", [Blocks(), Hmc(step=0.1), Nuts(step=0.1, max_depth=4)])
def test_one_seed_gives_one_chain(sampler):
    target = crossed("bernoulli")
    a, b = (chains(sampler, target, transitions=5, count=1) for _ in range(2))
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("rounds", [0, 2])
def test_a_state_goes_on_at_a_new_target(rounds):
    target, other, g, sampler = crossed("bernoulli"), crossed("bernoulli", seed=8), generator(), Blocks(rounds=rounds)
    state = sampler.advance(target, sampler.begin(target, generator=g), transitions=3, generator=g)
    before = state.memory.references
    state = sampler.advance(other, state, transitions=3, generator=g)
    assert (state.memory.references[0][0].information is before[0][0].information) == (rounds == 0)
    torch.testing.assert_close(state.memory.logits[0], other.fixed + state.added)
    assert state.target is other
