"""Logistic models with effects of several factors: against the same approximation with dense matrices."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from toolkit.numerics.binary_effects.laplace import approximate
from toolkit.numerics.binary_effects.level_rows import level_rows
from toolkit.numerics.binary_effects.one_factor import maximise
from toolkit.numerics.binary_effects.row_blocks import PIECE
from toolkit.numerics.binary_effects.several import maximise_several
from toolkit.numerics.binary_effects.weighted import structure_of
from toolkit.numerics.mixed.design import Factor, relative_factors


def factor(codes, levels, *columns, blocks):
    return Factor(codes=codes, levels=levels, design=np.column_stack(columns), blocks=blocks)


def crossed(rows=300, seed=0):
    """Three factors, two with a slope, one of them uncorrelated; a level without rows."""
    rng = np.random.default_rng(seed)
    x, one = rng.normal(size=rows), np.ones(rows)
    factors = (
        factor(rng.integers(0, 9, rows), 9, one, blocks=(1,)),
        factor(rng.integers(0, 20, rows), 21, one, x, blocks=(2,)),
        factor(rng.integers(0, 5, rows), 5, one, x, blocks=(1, 1)),
    )
    return structure_of(factors), (rng.random(rows) < 0.5).astype(float), rng.normal(size=rows)


THETA = np.array([1.0, 0.4, 0.7, 0.5, 0.6, 0.8])


def dense(structure, target, logits, relative):
    """Laplace's approximation, its effects and their covariance, with one dense matrix."""
    columns = []
    for own, lower in zip(structure.factors, relative, strict=True):
        for effect, values in enumerate((own.design @ lower).T):
            part = np.zeros((len(target), own.levels))
            part[np.arange(len(target)), own.codes] = values
            columns.append((part, effect))
    v = np.concatenate([part for part, _ in columns], axis=1)
    u = np.zeros(v.shape[1])
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(-logits - v @ u))
        matrix = (v * (p * (1 - p))[:, None]).T @ v + np.eye(len(u))
        u = u + np.linalg.solve(matrix, v.T @ (target - p) - u)
    eta = logits + v @ u
    value = (target * eta - np.logaddexp(0, eta)).sum() - 0.5 * u @ u - 0.5 * np.linalg.slogdet(matrix)[1]
    return value, u, np.linalg.inv(matrix)


@pytest.mark.parametrize("piece", [PIECE, 60])
def test_value_and_derivatives_are_those_of_dense_matrices(piece, monkeypatch):
    monkeypatch.setattr("toolkit.numerics.binary_effects.row_blocks.PIECE", piece)
    structure, target, logits = crossed()
    relative = relative_factors(THETA, structure.factors)
    found = approximate(structure, target, logits, relative)
    assert found.value == pytest.approx(dense(structure, target, logits, relative)[0], abs=1e-7)
    moved = [logits + change * (np.arange(len(logits)) == 3) for change in (1e-5, -1e-5)]
    values = [dense(structure, target, own, relative)[0] for own in moved]
    assert found.by_logit[3] == pytest.approx((values[0] - values[1]) / 2e-5, abs=1e-6)
    for place, own in enumerate(relative):
        for row, column in zip(*structure.factors[place].free, strict=True):
            values = []
            for change in (1e-5, -1e-5):
                changed = [matrix.copy() for matrix in relative]
                changed[place][row, column] += change
                values.append(dense(structure, target, logits, changed)[0])
            assert found.by_factor[place][row, column] == pytest.approx((values[0] - values[1]) / 2e-5, abs=1e-6)
        assert own.shape == found.by_factor[place].shape


@pytest.mark.slow
def test_maximum_effects_and_covariances():
    structure, target, logits = crossed(rows=400, seed=1)
    found = maximise_several(structure, target, logits, np.ones((400, 1)), curvature=True)

    def loss(place):
        return -dense(structure, target, logits + place[-1], relative_factors(place[:-1], structure.factors))[0]

    best = minimize(loss, np.append(found.theta, found.beta), method="Nelder-Mead", options={"maxfev": 150})
    assert found.converged
    assert -best.fun <= found.value + 1e-6
    _, u, covariance = dense(structure, target, logits + found.beta[0], found.relative)
    begin = 0
    for own, lower, effects, spread in zip(
        structure.factors, found.relative, found.effects, found.covariances, strict=True
    ):
        places = begin + np.arange(own.size)[None, :] * own.levels + np.arange(own.levels)[:, None]
        np.testing.assert_allclose(effects, u[places] @ lower.T, atol=1e-5)
        block = covariance[places[:, :, None], places[:, None, :]]
        np.testing.assert_allclose(spread, lower @ block @ lower.T, atol=1e-6)
        begin += own.levels * own.size
    assert np.isfinite(found.information).all()


def test_one_factor_is_quadrature_with_one_node():
    rng = np.random.default_rng(2)
    codes, x = rng.integers(0, 30, 900), rng.normal(size=(900, 2))
    fixed = np.column_stack([np.ones(900), x])
    target = (rng.random(900) < 1.0 / (1.0 + np.exp(-x[:, 0] - rng.normal(size=30)[codes]))).astype(float)
    one = maximise(level_rows(target, codes, 30), np.zeros(900), fixed, nodes=1, curvature=True)
    structure = structure_of((factor(codes, 30, np.ones(900), blocks=(1,)),))
    several = maximise_several(structure, target, np.zeros(900), fixed, curvature=True)
    assert several.value == pytest.approx(one.value, abs=1e-7)
    assert float(several.theta[0]) == pytest.approx(one.theta, rel=1e-4)
    np.testing.assert_allclose(several.beta, one.beta, rtol=1e-4)
    np.testing.assert_allclose(several.information, one.information, rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(several.effects[0][:, 0], one.evaluation.mean, atol=1e-4)
    np.testing.assert_allclose(np.sqrt(several.covariances[0][:, 0, 0]), one.evaluation.sd, rtol=1e-4)


def test_a_mode_of_covariances_far_away_does_not_lose_the_likelihood():
    """Effects found for other covariances can be worse than none at all; the search then begins with none."""
    rng = np.random.default_rng(1)
    one = np.ones(300)
    factors = tuple(factor(rng.integers(0, levels, 300), levels, one, blocks=(1,)) for levels in (40, 25, 12))
    structure, target = structure_of(factors), (rng.random(300) < 0.5).astype(float)
    near, far = ([np.eye(1) * size for size in sizes] for sizes in ((1.0, 1.0, 1.0), (1.1, -14.0, 1.0)))
    warm = approximate(structure, target, np.zeros(300), near).mode
    cold = approximate(structure, target, np.zeros(300), far)
    again = approximate(structure, target, np.zeros(300), far, warm)
    assert again.value < 0
    assert again.value == pytest.approx(cold.value, abs=1e-3)
