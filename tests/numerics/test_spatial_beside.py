"""A field beside grouping factors against the dense normal, differences and conditioning written out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from toolkit.numerics.mixed.design import Design, Factor
from toolkit.numerics.spatial.beside import FieldMoments, field_moments, solve_with_field
from toolkit.numerics.spatial.beside_estimation import carried_field, effects_beside, maximise_with_field
from toolkit.numerics.spatial.beside_slopes import field_gradient, field_information
from toolkit.numerics.spatial.carriers import Carrier, FixedCarrier, KernelCarrier, kernel_carrier
from toolkit.numerics.spatial.kernels import correlation, squared_distances

ROWS, PLACES = 160, 25


def _data(carrier: str, *, slopes: bool = True, second: bool = True) -> tuple[FieldMoments, Design, np.ndarray]:
    rng = np.random.default_rng(7)
    places = rng.uniform(-2, 2, (PLACES, 2))
    codes = np.concatenate([np.arange(PLACES), rng.integers(0, PLACES, ROWS - PLACES)])
    person, item = rng.integers(0, 12, ROWS), rng.integers(0, 9, ROWS)
    slope = np.column_stack([np.ones(ROWS), rng.normal(size=ROWS)]) if slopes else np.ones((ROWS, 1))
    factors = [Factor(codes=person, levels=12, design=slope, blocks=(slope.shape[1],))]
    if second:
        factors.append(Factor(codes=item, levels=9, design=np.ones((ROWS, 1)), blocks=(1,)))
    field = np.sin(2.0 * places[:, 0]) + places[:, 1]
    outcome = rng.normal(size=12)[person] + 0.7 * rng.normal(size=9)[item] + field[codes] + rng.normal(size=ROWS)
    design = Design(
        outcome=outcome, fixed=np.column_stack([np.ones(ROWS), rng.normal(size=ROWS)]), factors=tuple(factors)
    )
    kinds: dict[str, Carrier] = {
        "all": KernelCarrier(places, places, "matern32"),
        "some": KernelCarrier(places, places[:10], "rbf"),
        "fixed": FixedCarrier(rng.normal(size=(PLACES, 4))),
    }
    return field_moments(design, codes, kinds[carrier]), design, codes


def _covariance(moments: FieldMoments, design: Design, codes: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """V over the residual variance, row by row."""
    solution = solve_with_field(moments, theta)
    matrix = np.eye(ROWS)
    for place, relative in enumerate(solution.relative):
        factor = design.factors[moments.factors.order[place]]
        turned = factor.design @ relative
        matrix += (factor.codes[:, None] == factor.codes) * (turned @ turned.T)
    return matrix + (solution.loadings @ solution.loadings.T)[np.ix_(codes, codes)]


THETA = np.array([0.9, 0.2, 0.5, 0.6, 1.1, -0.3])
EACH = pytest.mark.parametrize(("carrier", "theta"), [("all", THETA), ("some", THETA), ("fixed", THETA[:-1])])


@EACH
def test_deviance_is_that_of_the_dense_normal(carrier: str, theta: np.ndarray) -> None:
    moments, design, codes = _data(carrier)
    covariance = _covariance(moments, design, codes, theta)
    precision = np.linalg.inv(covariance)
    x, y = design.fixed, design.outcome
    beta = np.linalg.solve(x.T @ precision @ x, x.T @ precision @ y)
    square = (y - x @ beta) @ precision @ (y - x @ beta)
    expected = np.linalg.slogdet(covariance)[1] + ROWS * (1 + math.log(2 * math.pi * square / ROWS))
    solution = solve_with_field(moments, theta)
    assert solution.deviance == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(solution.beta, beta, rtol=1e-7)


@EACH
def test_gradient_is_that_of_differences(carrier: str, theta: np.ndarray) -> None:
    moments, _, _ = _data(carrier)
    step = 1e-5
    numeric = [
        (solve_with_field(moments, theta + unit).deviance - solve_with_field(moments, theta - unit).deviance)
        / (2 * step)
        for unit in step * np.eye(len(theta))
    ]
    found = field_gradient(moments, solve_with_field(moments, theta))
    np.testing.assert_allclose(found, numeric, rtol=1e-5, atol=1e-5)


@EACH
def test_information_is_that_of_dense_matrices(carrier: str, theta: np.ndarray) -> None:
    moments, design, codes = _data(carrier)
    solution, step = solve_with_field(moments, theta), 1e-5
    slopes = [
        (_covariance(moments, design, codes, theta + u) - _covariance(moments, design, codes, theta - u)) / (2 * step)
        for u in step * np.eye(len(theta))
    ]
    precision = np.linalg.inv(_covariance(moments, design, codes, theta))
    x = design.fixed
    projection = precision - precision @ x @ np.linalg.solve(x.T @ precision @ x, x.T @ precision)
    weighted = projection @ design.outcome
    turned = np.array([slope @ weighted for slope in slopes])
    own = turned @ weighted
    expected = turned @ projection @ turned.T / solution.sigma2 - np.outer(own, own) / (ROWS * solution.sigma2**2)
    np.testing.assert_allclose(field_information(moments, solution), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("second", [True, False])
def test_effects_are_conditioned_as_normals_are(second: bool) -> None:
    moments, design, codes = _data("all", second=second)
    theta = THETA if second else np.delete(THETA, 3)
    solution = solve_with_field(moments, theta)
    covariance = solution.sigma2 * _covariance(moments, design, codes, theta)
    rest = design.outcome - design.fixed @ solution.beta
    found = effects_beside(moments, solution)
    for place, relative in enumerate(solution.relative):
        factor = design.factors[moments.factors.order[place]]
        prior = solution.sigma2 * relative @ relative.T
        for level in range(3):
            with_rows = ((factor.codes == level)[:, None] * factor.design) @ prior
            mean = with_rows.T @ np.linalg.solve(covariance, rest)
            left = prior - with_rows.T @ np.linalg.solve(covariance, with_rows)
            np.testing.assert_allclose(found.means[place][level], mean, atol=1e-8)
            np.testing.assert_allclose(found.covariances[place][level], left, atol=1e-8)
    carrier = moments.carrier
    assert isinstance(carrier, KernelCarrier)
    field = carried_field(moments, solution, theta[-1])
    points = np.concatenate([carrier.coordinates[:3], [[0.1, 0.3], [50.0, 50.0]]])
    own = field.covariance
    across = own.variance * correlation("matern32", squared_distances(points, carrier.coordinates), own.reach)[:, codes]
    means, variances = field.predict(points)
    np.testing.assert_allclose(means, across @ np.linalg.solve(covariance, rest), atol=1e-6)
    left = own.variance - (across * np.linalg.solve(covariance, across.T).T).sum(axis=1)
    np.testing.assert_allclose(variances, left, atol=1e-6)


def test_maximum_is_that_of_a_plain_search() -> None:
    from scipy.optimize import minimize

    moments, _, _ = _data("all", slopes=False)
    found = maximise_with_field(moments, np.array([1.0, 1.0, 1.0, 0.0]), (-3.0, 4.0))
    assert found.converged
    searched = minimize(
        lambda theta: solve_with_field(moments, theta).deviance, found.theta + 0.2, method="L-BFGS-B",
        bounds=[(1e-5, None)] * 3 + [(-3.0, 4.0)], options={"ftol": 1e-13, "gtol": 1e-6},
    )  # fmt: skip
    assert found.solution.deviance == pytest.approx(searched.fun, abs=1e-5)


def test_smooth_fields_are_carried_by_few_places() -> None:
    places = np.random.default_rng(2).uniform(-10, 10, (1_200, 2))
    smooth, rough = kernel_carrier(places, "rbf", 20.0), kernel_carrier(places, "exponential", 0.3)
    assert len(smooth.inducing) == 150
    assert len(rough.inducing) == 1_200
    loadings = smooth.at(math.log(20.0)).loadings
    expected = correlation("rbf", squared_distances(places[:50], places), 20.0)
    np.testing.assert_allclose(loadings[:50] @ loadings.T, expected, atol=1e-3)
