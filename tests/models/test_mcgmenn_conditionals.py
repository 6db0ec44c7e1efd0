"""Moments of each effect given all others, against integration over a fine grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.sampling.problems import DOUBLE, density, generator
from toolkit.models.mcgmenn_conditionals import Conditional, conditional, matched, what_rows_tell
from toolkit.models.mcgmenn_design import SampledFactor
from toolkit.sampling import Clusters, RowDensity

FACTORS = 2


def factor(clusters: Clusters, size: int) -> SampledFactor:
    free = torch.eye(size).bool()
    return SampledFactor(present=np.arange(clusters.levels), levels=clusters.levels, clusters=clusters, free=free)


def integrated(found: RowDensity, clusters: Clusters, logits, draw, precision, effect: int) -> np.ndarray:
    """E b and E b^2 of one effect of every level, everything else as drawn (2, levels)."""
    grid = torch.linspace(-7, 7, 1401, dtype=DOUBLE)
    outputs = len(logits)
    kind, output = divmod(effect, outputs)
    column = torch.ones(logits.shape[1], dtype=DOUBLE) if clusters.design is None else clusters.design[kind]
    weight = torch.empty((len(grid), clusters.levels), dtype=DOUBLE)
    for place, value in enumerate(grid):
        moved = logits.clone()
        moved[output] += (value - draw[effect])[clusters.codes] * column
        effects = draw.clone()
        effects[effect] = value
        prior = -0.5 * (effects * (precision @ effects)).sum(0)
        weight[place] = prior.index_add(0, clusters.codes, found.log_density(moved))
    share = torch.softmax(weight, 0)
    return torch.stack([grid @ share, grid.square() @ share]).numpy()


def asked(found, clusters, logits, draw, centre, precision, *, slopes) -> Conditional:
    own = factor(clusters, len(draw))
    (told,) = what_rows_tell(found, [own], logits, [centre - draw])
    return conditional(draw, centre, told, precision, quadratic=found.quadratic, slopes=slopes)


@pytest.mark.parametrize("slopes", [False, True])
@pytest.mark.parametrize("name", ["gaussian", "bernoulli", "poisson", "ordinal", "categorical"])
def test_moments_are_those_of_an_integral(name, slopes):
    g, outputs, levels, rows = generator(3), 4 if name == "categorical" else 1, 40, 320
    codes = torch.randint(levels - 1, (rows,), generator=g)  # the last level has no rows
    design = torch.stack([torch.ones(rows, dtype=DOUBLE), torch.randn(rows, generator=g, dtype=DOUBLE)])
    clusters = Clusters(codes, levels, design if slopes else None)
    size = outputs * clusters.effects
    root = 0.3 * torch.randn((size, size), generator=g, dtype=DOUBLE) + 1.2 * torch.eye(size, dtype=DOUBLE)
    precision = root @ root.T
    draw = torch.linalg.inv(root).T @ torch.randn((size, levels), generator=g, dtype=DOUBLE)
    logits = 0.5 * torch.randn((outputs, rows), generator=g, dtype=DOUBLE) + clusters.spread(draw)
    found = density(name, logits, g)
    centre = 0.5 * draw + 0.1 * torch.randn(draw.shape, generator=g, dtype=DOUBLE)
    told = asked(found, clusters, logits, draw, centre, precision, slopes=slopes)
    for effect in range(size):
        mean, square = integrated(found, clusters, logits, draw, precision, effect)
        # rows of a level that are alike are told exactly, others to the fourth derivative
        error = 1e-3 if name == "gaussian" else (0.08 if slopes else 0.02)
        close = np.abs(told.mean[effect].numpy() - mean) < error
        assert close.mean() >= (0.95 if slopes else 1.0)
        assert float(told.square[effect].mean()) == pytest.approx(square.mean(), rel=error if slopes else 0.5 * error)


@pytest.mark.parametrize("p", [0.001, 0.2, 0.5, 0.9, 0.9995])
def test_rows_that_are_alike_are_matched_exactly(p):
    w = p * (1 - p)
    rows = matched(*(torch.tensor([[7.0 * value]]).double() for value in (w, w * (1 - 2 * p), w * (1 - 6 * w))))
    step = np.linspace(-6, 6, 25)[:, None, None]
    expected = 7.0 * (np.log1p(p * np.expm1(step)) - p * step)
    np.testing.assert_allclose(rows.excess(torch.as_tensor(step)), expected, rtol=1e-4, atol=1e-12)
    moved = p * np.exp(step) / (1 - p + p * np.exp(step))
    first, second = rows.slopes(torch.as_tensor(step))
    np.testing.assert_allclose(first, 7.0 * (moved - p), rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(second, 7.0 * moved * (1 - moved), rtol=1e-4, atol=1e-9)


def test_rows_that_pull_both_ways_are_matched():
    # counts with slopes of 1 and -1: a hyperbolic cosine
    rows = matched(*(torch.tensor([[value]]).double() for value in (6.0, 2.0, 6.0)))
    step = np.linspace(-3, 3, 13)[:, None, None]
    expected = 4.0 * np.expm1(step) + 2.0 * np.expm1(-step) - 2.0 * step
    np.testing.assert_allclose(rows.excess(torch.as_tensor(step)), expected, rtol=1e-6, atol=1e-12)


def test_single_precision_is_enough_next_to_one():
    # a class that is nearly certain in many rows
    p, rows = 1 - 1e-4, 8_000.0
    w = p * (1 - p)
    sums = [rows * value for value in (w, w * (1 - 2 * p), w * (1 - 6 * w))]
    both = []
    for dtype in (torch.float32, torch.float64):
        one = matched(*(torch.tensor([[value]], dtype=dtype) for value in sums))
        step = torch.tensor([-2.0, -0.1, 0.1, 2.0], dtype=dtype)[:, None, None]
        both.append(one.excess(step).double())
    np.testing.assert_allclose(both[0], both[1], rtol=2e-3)


def test_far_from_where_rows_were_asked_the_draw_stands():
    g = generator(2)
    clusters, logits = Clusters(torch.zeros(400, dtype=torch.int64), 1), torch.zeros((1, 400), dtype=DOUBLE)
    found = density("bernoulli", logits, g)
    draw, precision = torch.tensor([[0.0]], dtype=DOUBLE), torch.tensor([[0.1]], dtype=DOUBLE)
    near = asked(found, clusters, logits, draw, draw + 0.2, precision, slopes=False)
    far = asked(found, clusters, logits, draw, draw + 9.0, precision, slopes=False)
    assert far.mean.item() == far.square.item() == 0.0
    assert 0.0 < near.square.item() < 0.1
