"""Linear mixed models against the dense normal distribution, and by what must not matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from toolkit.numerics.mixed import plan, schur
from toolkit.numerics.mixed.design import Design, Factor, relative_factors, start
from toolkit.numerics.mixed.deviance import solve
from toolkit.numerics.mixed.maximise import maximise
from toolkit.numerics.mixed.moments import indicator, moments
from toolkit.numerics.mixed.posterior import blups, conditional_covariances
from toolkit.numerics.mixed.slopes import average_information, gradient

ROWS = 60


def crossed(rng: np.random.Generator, *, blocks: tuple[int, ...] = (2,), rows: int = ROWS) -> Design:
    """Persons with a level and a slope, crossed with items; one person and one item have no rows."""
    x = rng.normal(size=rows)
    person, item = rng.integers(0, 7, size=rows), rng.integers(0, 4, size=rows)
    ones = np.ones(rows)
    effects = rng.normal(size=(8, 2)), 0.7 * rng.normal(size=5)
    outcome = 1.0 + 0.5 * x + effects[0][person, 0] + effects[0][person, 1] * x + effects[1][item]
    return Design(
        outcome=outcome + 0.6 * rng.normal(size=rows),
        fixed=np.column_stack([ones, x]),
        factors=(
            Factor(codes=item, levels=5, design=ones[:, None], blocks=(1,)),
            Factor(codes=person, levels=8, design=np.column_stack([ones, x]), blocks=blocks),
        ),
    )


def in_caller_order(design: Design, theta: np.ndarray) -> list[np.ndarray]:
    """Relative factors of the design's factors; theta goes by the moments' order."""
    sums = moments(design)
    found = relative_factors(theta, sums.factors)
    return [found[sums.order.index(place)] for place in range(len(design.factors))]


def dense_variance(design: Design, theta: np.ndarray) -> np.ndarray:
    """``I + sum_k Z_k (I x L_k L_k') Z_k'``, written out."""
    variance = np.eye(len(design.outcome))
    for factor, relative in zip(design.factors, in_caller_order(design, theta), strict=True):
        z = indicator(factor).toarray()
        variance += z @ np.kron(np.eye(factor.levels), relative @ relative.T) @ z.T
    return variance


def dense_deviance(design: Design, theta: np.ndarray, *, reml: bool) -> float:
    """The profiled deviance by dense algebra."""
    variance = dense_variance(design, theta)
    inverse = np.linalg.inv(variance)
    x, y = design.fixed, design.outcome
    information = x.T @ inverse @ x
    beta = np.linalg.solve(information, x.T @ inverse @ y)
    left = y - x @ beta
    squares = float(left @ inverse @ left)
    degrees = len(y) - x.shape[1] if reml else len(y)
    if not reml:
        return -2.0 * float(multivariate_normal(x @ beta, squares / degrees * variance).logpdf(y))
    logdet = np.linalg.slogdet(variance)[1] + np.linalg.slogdet(information)[1]
    return float(logdet + degrees * (1.0 + np.log(2.0 * np.pi * squares / degrees)))


THETA = np.array([0.8, -0.3, 0.5, 1.2])


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("blocks", [(2,), (1, 1)])
def test_deviance_is_that_of_the_dense_normal(reml, blocks):
    design = crossed(np.random.default_rng(1), blocks=blocks)
    theta = THETA if blocks == (2,) else THETA[[0, 2, 3]]
    found = solve(moments(design), theta, reml=reml).deviance
    assert found == pytest.approx(dense_deviance(design, theta, reml=reml), rel=1e-11)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_deviance_of_any_table_and_theta(seed, reml):
    rng = np.random.default_rng(seed)
    design = crossed(rng, rows=int(rng.integers(12, 40)))
    theta = rng.normal(size=4)
    theta[[0, 2, 3]] = np.abs(theta[[0, 2, 3]])
    found = solve(moments(design), theta, reml=reml).deviance
    assert found == pytest.approx(dense_deviance(design, theta, reml=reml), rel=1e-8)


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("theta", [THETA, np.array([0.8, -0.3, 0.5, 0.0]), np.array([2.0, 1.5, 0.01, 0.3])])
def test_gradient_is_the_derivative(reml, theta):
    sums = moments(crossed(np.random.default_rng(2)))
    step = 1e-6
    numbers = [
        (solve(sums, theta + step * unit, reml=reml).deviance - solve(sums, theta - step * unit, reml=reml).deviance)
        / (2 * step)
        for unit in np.eye(4)
    ]
    found = gradient(sums, solve(sums, theta, reml=reml), reml=reml)
    assert found == pytest.approx(np.array(numbers), abs=2e-4)


def nearly_nested(rng: np.random.Generator, rows: int = 400) -> Design:
    """Pupils, who seldom change class, in classes with a slope, which seldom change school; and crossed raters."""
    pupil = rng.integers(0, 120, size=rows)
    own_class = np.where(rng.random(rows) < 0.95, pupil // 3, rng.integers(0, 40, size=rows))
    school = np.where(rng.random(rows) < 0.97, own_class // 5, rng.integers(0, 8, size=rows))
    x = rng.integers(-1, 2, size=rows).astype(float)  # sums of slopes cancel to zero here and there
    ones = np.ones(rows)
    plain = [(pupil, 121), (school, 8), (rng.integers(0, 6, size=rows), 6)]
    factors = [Factor(codes=codes, levels=levels, design=ones[:, None], blocks=(1,)) for codes, levels in plain]
    slopes = Factor(codes=own_class, levels=41, design=np.column_stack([ones, x]), blocks=(2,))
    outcome = rng.normal(size=120)[pupil] + rng.normal(size=40)[own_class] * (1.0 + x) + rng.normal(size=rows)
    return Design(outcome=outcome, fixed=np.column_stack([ones, x]), factors=(factors[0], slopes, *factors[1:]))


@pytest.mark.parametrize("design", [crossed, nearly_nested])
def test_sparse_factors_say_what_dense_ones_say(design, monkeypatch):
    made = design(np.random.default_rng(3))
    sums = moments(made)
    theta = 0.3 + np.random.default_rng(1).random(sum(len(factor.free[0]) for factor in sums.factors))
    dense = solve(sums, theta, reml=True)
    assert dense.halves.rest.sparse is None
    monkeypatch.setattr(schur, "DENSE", 1)
    monkeypatch.setattr(schur, "FILLED", 2.0)
    monkeypatch.setattr(plan, "SMALL", 2)
    monkeypatch.setattr(plan, "SHARE", 1)
    sums = moments(made)
    sparse = solve(sums, theta, reml=True)
    assert sparse.halves.rest.sparse is not None
    assert len(sparse.halves.rest.sparse.plan.rounds) > 1
    assert sparse.deviance == pytest.approx(dense.deviance, rel=1e-12)
    assert gradient(sums, sparse, reml=True) == pytest.approx(gradient(sums, dense, reml=True), rel=1e-9)
    assert average_information(sums, sparse) == pytest.approx(average_information(sums, dense), rel=1e-9)
    for one, other in zip(blups(sums, sparse), blups(sums, dense), strict=True):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-12)
    for one, other in zip(conditional_covariances(sums, sparse), conditional_covariances(sums, dense), strict=True):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-14)


def test_average_information_is_near_the_second_derivative_with_many_levels():
    rng = np.random.default_rng(4)
    person = np.repeat(np.arange(400), 8)
    outcome = rng.normal(size=400)[person] + rng.normal(size=3200)
    factor = Factor(codes=person, levels=400, design=np.ones((3200, 1)), blocks=(1,))
    sums = moments(Design(outcome=outcome, fixed=np.ones((3200, 1)), factors=(factor,)))
    best = maximise(sums, reml=False)
    step = np.array([1e-4])
    slopes = [gradient(sums, solve(sums, best.theta + sign * step, reml=False), reml=False) for sign in (1, -1)]
    second = (slopes[0] - slopes[1]) / 2e-4
    assert average_information(sums, best.solution)[0] == pytest.approx(second, rel=0.05)


def test_blups_and_their_covariances_are_the_conditional_normal():
    design = crossed(np.random.default_rng(5))
    sums = moments(design)
    solution = solve(sums, THETA, reml=False)
    relative = in_caller_order(design, THETA)
    z = np.hstack([indicator(factor).toarray() for factor in design.factors])
    prior = np.zeros((z.shape[1], z.shape[1]))
    begin = 0
    for factor, own in zip(design.factors, relative, strict=True):
        size = factor.levels * factor.size
        prior[begin : begin + size, begin : begin + size] = np.kron(np.eye(factor.levels), own @ own.T)
        begin += size
    gain = prior @ z.T @ np.linalg.inv(dense_variance(design, THETA))
    means = gain @ (design.outcome - design.fixed @ solution.beta)
    spread = solution.sigma2 * (prior - gain @ z @ prior)
    found, covariances = blups(sums, solution), conditional_covariances(sums, solution)
    begin = 0
    for place, factor in enumerate(design.factors):
        own = sums.order.index(place)
        size = factor.levels * factor.size
        assert found[own].ravel() == pytest.approx(means[begin : begin + size], abs=1e-10)
        for level in range(factor.levels):
            chosen = slice(begin + level * factor.size, begin + (level + 1) * factor.size)
            assert covariances[own][level] == pytest.approx(spread[chosen, chosen], abs=1e-10)
        begin += size


def test_a_level_without_rows_keeps_its_prior():
    sums = moments(crossed(np.random.default_rng(6)))
    solution = solve(sums, THETA, reml=False)
    empty = int(np.flatnonzero(np.bincount(sums.factors[0].codes, minlength=8) == 0)[0])
    assert blups(sums, solution)[0][empty] == pytest.approx(np.zeros(2), abs=1e-14)
    prior = solution.sigma2 * solution.relative[0] @ solution.relative[0].T
    assert conditional_covariances(sums, solution)[0][empty] == pytest.approx(prior)


@pytest.mark.parametrize("reml", [False, True])
def test_the_maximum_is_one(reml):
    sums = moments(crossed(np.random.default_rng(7), rows=300))
    best = maximise(sums, reml=reml)
    assert best.converged
    rng = np.random.default_rng(8)
    for _ in range(20):
        beside = best.theta + 0.02 * rng.normal(size=4)
        beside[[0, 2, 3]] = np.abs(beside[[0, 2, 3]])
        assert solve(sums, beside, reml=reml).deviance >= best.solution.deviance - 1e-8
    elsewhere = maximise(sums, reml=reml, begin=np.array([0.3, 0.4, 2.0, 0.1]))
    assert elsewhere.solution.deviance == pytest.approx(best.solution.deviance, abs=1e-6)


def test_a_variance_that_is_zero_is_found_at_zero():
    rng = np.random.default_rng(9)
    codes = np.repeat(np.arange(30), 10)
    outcome = rng.normal(size=300)
    outcome -= np.bincount(codes, weights=outcome)[codes] / 10  # no level differs at all
    factor = Factor(codes=codes, levels=30, design=np.ones((300, 1)), blocks=(1,))
    best = maximise(moments(Design(outcome=outcome, fixed=np.ones((300, 1)), factors=(factor,))), reml=False)
    assert best.converged
    assert best.theta[0] == pytest.approx(0.0, abs=1e-4)
    assert best.solution.deviance == pytest.approx(
        -2.0 * float(np.sum(-0.5 * np.log(2 * np.pi * outcome.var()) - 0.5)) * 300, abs=1e-6
    )


def test_order_of_rows_and_labels_does_not_matter():
    design = crossed(np.random.default_rng(10))
    order = np.random.default_rng(11).permutation(ROWS)
    turned = np.random.default_rng(12).permutation(8)
    shuffled = Design(
        outcome=design.outcome[order],
        fixed=design.fixed[order],
        factors=tuple(
            Factor(
                codes=(turned[factor.codes] if factor.levels == 8 else factor.codes)[order],
                levels=factor.levels,
                design=factor.design[order],
                blocks=factor.blocks,
            )
            for factor in design.factors
        ),
    )
    one, other = (maximise(moments(each), reml=False) for each in (design, shuffled))
    assert one.solution.deviance == pytest.approx(other.solution.deviance, abs=1e-7)
    assert blups(moments(design), one.solution)[0] == pytest.approx(
        blups(moments(shuffled), other.solution)[0][turned], abs=1e-4
    )


def test_start_values_are_ones_on_the_diagonal():
    factor = Factor(codes=np.zeros(3, dtype=np.int64), levels=1, design=np.ones((3, 3)), blocks=(2, 1))
    assert start([factor]).tolist() == [1.0, 0.0, 1.0, 1.0]
