"""Moves that the likelihood does not see: logits stay, and the posterior along them is the prior's normal."""

from __future__ import annotations

import torch

from tests.sampling.problems import DOUBLE, density, generator
from toolkit.sampling import Clusters, Target
from toolkit.sampling.moves import null_shift, shared_columns, translate


def two_factors(outputs=2):
    g = generator(6)
    a, b = (Clusters(torch.randint(q, (30,), generator=g), q) for q in (3, 4))
    covariances = (torch.eye(outputs, dtype=DOUBLE) * 0.7 + 0.2, torch.eye(outputs, dtype=DOUBLE) * 1.5)
    fixed = torch.randn((outputs, 30), generator=g, dtype=DOUBLE)
    return Target(fixed, density("categorical", fixed, g), (a, b), covariances)


def test_translations_sum_to_zero_over_factors():
    target = two_factors()
    (shared,) = shared_columns(target.clusters)
    first, second = translate(target, target.prior_draw(generator()), shared, generator(2))
    torch.testing.assert_close(first, -second)


def test_translations_have_the_conditional_normal():
    target = two_factors()
    (shared,) = shared_columns(target.clusters)
    draw, g = target.prior_draw(generator()), generator(2)
    found = torch.stack([translate(target, draw, shared, g)[0] for _ in range(4000)])
    # c added to one factor and taken from the other: quadratic with precision 3 P1 + 4 P2
    p1, p2 = target.precisions
    spread = torch.linalg.inv(3 * p1 + 4 * p2)
    mean = spread @ (p2 @ draw[1].sum(1) - p1 @ draw[0].sum(1))
    assert ((found.mean(0) - mean).abs() < 4 * (spread.diagonal() / 4000).sqrt()).all()
    torch.testing.assert_close(found.T.cov(), spread, atol=0.012, rtol=0.1)


def test_null_directions_have_the_conditional_normal():
    target = two_factors()
    effects, g = target.prior_draw(generator())[0], generator(2)
    found = torch.stack([null_shift(target, 0, effects, g) for _ in range(4000)])[:, 0]
    precision, ones = target.precisions[0], torch.ones(2, dtype=DOUBLE)
    variance = 1 / (ones @ precision @ ones)
    mean = -variance * (ones @ precision @ effects)
    assert ((found.mean(0) - mean).abs() < 4 * (variance / 4000).sqrt()).all()
    torch.testing.assert_close(found.var(0), variance.expand(3), rtol=0.1, atol=0)


def test_a_slope_is_shared_only_with_the_same_column():
    column = torch.linspace(-1, 1, 10, dtype=DOUBLE)
    codes = torch.arange(10) % 2
    both = torch.stack([torch.ones_like(column), column])
    found = shared_columns((Clusters(codes, 2, both), Clusters(codes, 2), Clusters(codes, 2, column[None])))
    assert [(part.factors, part.effects) for part in found] == [((0, 1), (0, 0)), ((0, 2), (1, 0))]
