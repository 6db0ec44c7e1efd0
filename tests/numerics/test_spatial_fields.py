"""Random fields against dense normal densities, derivatives by differences, and conditioning written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from toolkit.errors import DataError, ToolkitWarning
from toolkit.numerics.spatial import estimation
from toolkit.numerics.spatial.estimation import fit_field
from toolkit.numerics.spatial.exact import evaluate_exactly
from toolkit.numerics.spatial.fields import Covariance, ExactField, NearbyField
from toolkit.numerics.spatial.fullscale import evaluate_full_scale
from toolkit.numerics.spatial.kernels import KERNELS, correlation, correlation_slope, squared_distances
from toolkit.numerics.spatial.layout import earlier_neighbours, lay_out
from toolkit.numerics.spatial.locations import PlaceSums, check_coordinates, place_sums, unique_places
from toolkit.numerics.spatial.names import KernelName

EACH_KERNEL = pytest.mark.parametrize("kernel", KERNELS)


def _simulated(
    places: int,
    *,
    kernel: KernelName = "rbf",
    variance: float = 1.0,
    reach: float = 1.0,
    side: float = 5.0,
    seed: int = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Places, codes, residuals and the field itself."""
    rng = np.random.default_rng(seed)
    where = rng.uniform(-side, side, (places, 2))
    covariance = variance * correlation(kernel, squared_distances(where, where), reach) + 1e-9 * np.eye(places)
    field = np.linalg.cholesky(covariance) @ rng.normal(size=places)
    codes = np.concatenate([np.arange(places), rng.integers(0, places, 4 * places)])
    return where, codes, field[codes] + rng.normal(size=len(codes)), field


@EACH_KERNEL
def test_kernels_are_the_textbook_formulas_and_their_slopes(kernel: KernelName) -> None:
    from sklearn.gaussian_process.kernels import RBF, Matern

    where = np.random.default_rng(0).normal(size=(12, 3))
    other = {"rbf": RBF(0.7**0.5), "matern32": Matern(0.7, nu=1.5), "matern52": Matern(0.7, nu=2.5)}
    textbook: Any = other.get(kernel, Matern(0.7, nu=0.5))
    squared = squared_distances(where, where)
    np.testing.assert_allclose(correlation(kernel, squared, 0.7), textbook(where), atol=1e-6)
    _, slope = correlation_slope(kernel, squared, 0.7)
    step = 1e-5
    numeric = correlation(kernel, squared, 0.7 * np.exp(step)) - correlation(kernel, squared, 0.7 * np.exp(-step))
    np.testing.assert_allclose(slope, numeric / (2 * step), atol=1e-8)


@EACH_KERNEL
def test_deviance_is_that_of_the_dense_normal(kernel: KernelName) -> None:
    where, codes, residual, _ = _simulated(40)
    sums = place_sums(residual, codes, 40)
    theta = np.log([1.7, 0.6])
    found = evaluate_exactly(sums, squared_distances(where, where), kernel, theta)
    spread = 1.7 * correlation(kernel, squared_distances(where, where), 0.6)[np.ix_(codes, codes)]
    covariance = found.sigma2 * (spread + np.eye(len(codes)))
    oracle = -2.0 * multivariate_normal(np.zeros(len(codes)), covariance).logpdf(residual)
    assert found.deviance == pytest.approx(oracle, rel=1e-10)


@EACH_KERNEL
@pytest.mark.parametrize("inducing", [0, 25, None])
def test_gradients_are_those_of_differences(kernel: KernelName, inducing: int | None) -> None:
    where, codes, residual, _ = _simulated(120)
    sums = place_sums(residual, codes, 120)
    if inducing is None:
        squared = squared_distances(where, where)

        def evaluate(theta: np.ndarray) -> Any:
            return evaluate_exactly(sums, squared, kernel, theta)
    else:
        layout = lay_out(where, inducing=inducing, neighbours=6, rng=np.random.default_rng(0))
        ordered = sums.taken(layout.order)

        def evaluate(theta: np.ndarray) -> Any:
            return evaluate_full_scale(layout, ordered, kernel, theta)

    theta, step = np.log([1.4, 0.8]), 1e-5
    numeric = [
        (evaluate(theta + unit).deviance - evaluate(theta - unit).deviance) / (2 * step) for unit in step * np.eye(2)
    ]
    np.testing.assert_allclose(evaluate(theta).gradient, numeric, rtol=1e-5, atol=1e-4)


def test_neighbours_are_the_nearest_earlier_ones() -> None:
    where = np.random.default_rng(3).normal(size=(500, 2))
    found = earlier_neighbours(where, 5)
    squared = squared_distances(where, where)
    for place in (1, 4, 7, 120, 333, 499):
        nearest = np.argsort(squared[place, :place])[:5]
        assert found[place][found[place] >= 0].tolist() == nearest.tolist()


def test_all_earlier_places_as_neighbours_make_the_approximation_exact() -> None:
    where, codes, residual, _ = _simulated(60)
    sums = place_sums(residual, codes, 60)
    theta = np.log([1.4, 0.8])
    exact = evaluate_exactly(sums, squared_distances(where, where), "matern52", theta)
    for inducing in (0, 10):
        layout = lay_out(where, inducing=inducing, neighbours=59, rng=np.random.default_rng(0))
        near = evaluate_full_scale(layout, sums.taken(layout.order), "matern52", theta)
        assert near.deviance == pytest.approx(exact.deviance, abs=1e-5)
        np.testing.assert_allclose(near.gradient, exact.gradient, atol=1e-4)
        covariance = Covariance(kernel="matern52", variance=1.4, reach=0.8, sigma2=1.0)
        new = np.random.default_rng(5).uniform(-5, 5, (30, 2))
        means, spreads = ExactField(where, sums, covariance).predict(new)
        near_means, near_spreads = NearbyField(layout, sums.taken(layout.order), covariance).predict(new)
        np.testing.assert_allclose(near_means, means, atol=0.02)
        np.testing.assert_allclose(near_spreads, spreads, atol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["rbf", "matern32", "exponential"])
@pytest.mark.parametrize("reach", [0.3, 1.0, 3.2])
def test_approximation_is_close_for_short_ranges_as_for_long_ones(kernel: KernelName, reach: float) -> None:
    where, codes, residual, _ = _simulated(1_500, kernel=kernel, reach=reach, side=10.0)
    sums = place_sums(residual, codes, 1_500)
    theta = np.log([1.0, reach])
    layout = lay_out(where, inducing=400, neighbours=30, rng=np.random.default_rng(0))
    near = evaluate_full_scale(layout, sums.taken(layout.order), kernel, theta)
    exact = evaluate_exactly(sums, squared_distances(where, where), kernel, theta)
    assert near.deviance == pytest.approx(exact.deviance, abs=3.0)


def test_field_is_conditioned_as_normals_are() -> None:
    where, codes, residual, _ = _simulated(30)
    covariance = Covariance(kernel="matern32", variance=1.3, reach=0.9, sigma2=0.7)
    field = ExactField(where, place_sums(residual, codes, 30), covariance)
    points = np.concatenate([where[:3], [[0.1, 0.2], [90.0, 90.0]]])
    means, variances = field.predict(points)
    everything = np.concatenate([where[codes], points])
    joint = 1.3 * correlation("matern32", squared_distances(everything, everything), 0.9)
    rows = len(codes)
    data = joint[:rows, :rows] + 0.7 * np.eye(rows)
    np.testing.assert_allclose(means, joint[rows:, :rows] @ np.linalg.solve(data, residual), atol=1e-8)
    left = joint[rows:, rows:] - joint[rows:, :rows] @ np.linalg.solve(data, joint[:rows, rows:])
    np.testing.assert_allclose(variances, np.diagonal(left), atol=1e-8)
    assert means[-1] == pytest.approx(0.0, abs=1e-12)
    assert variances[-1] == pytest.approx(1.3)


@EACH_KERNEL
def test_estimates_are_those_of_a_plain_search(kernel: KernelName) -> None:
    from scipy.optimize import minimize

    where, codes, residual, _ = _simulated(150, kernel=kernel)
    sums = place_sums(residual, codes, 150)
    fit = fit_field(where, sums, kernel, rng=np.random.default_rng(0))
    squared = squared_distances(where, where)
    begin = np.log([fit.covariance.variance / fit.covariance.sigma2, fit.covariance.reach]) + 0.3
    searched = minimize(
        lambda theta: evaluate_exactly(sums, squared, kernel, theta).deviance, begin, method="Nelder-Mead",
        options={"xatol": 1e-6, "fatol": 1e-9},
    )  # fmt: skip
    assert fit.converged
    assert not fit.at_boundary
    assert fit.deviance == pytest.approx(searched.fun, abs=1e-5)


@pytest.mark.parametrize("many", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_level_is_estimated_with_the_field(many: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    where, codes, residual, _ = _simulated(120)
    sums = place_sums(residual + 3.0, codes, 120)
    if many:
        monkeypatch.setattr(estimation, "EXACT", 50)
        monkeypatch.setattr(estimation, "NEIGHBOURS", 119)
    fit = fit_field(where, sums, "matern32", rng=np.random.default_rng(0), level=True)
    own = fit.covariance
    spread = own.variance * correlation("matern32", squared_distances(where, where), own.reach)
    precision = np.linalg.inv(spread + own.sigma2 * np.diag(1.0 / sums.counts))
    level = float((precision @ sums.means).sum() / precision.sum())
    assert fit.level == pytest.approx(level, abs=1e-4)
    apart = fit_field(where, sums.less(level), "matern32", rng=np.random.default_rng(0))
    assert fit.deviance == pytest.approx(apart.deviance, abs=1e-3)
    expected = spread @ precision @ (sums.means - level)
    np.testing.assert_allclose(fit.field.predict(where)[0], expected, atol=1e-3)


def test_a_field_that_is_not_there_is_said_to_be_zero() -> None:
    rng = np.random.default_rng(4)
    places = rng.uniform(-5, 5, (80, 2))
    codes = np.repeat(np.arange(80), 6)
    residual = rng.normal(size=480)
    # no differences between places beyond noise
    residual -= 0.9 * np.bincount(codes, weights=residual)[codes] / 6
    fit = fit_field(places, place_sums(residual, codes, 80), "matern32", rng=rng)
    assert fit.at_boundary
    assert fit.covariance.variance == 0.0
    assert fit.deviance == pytest.approx(fit.without)
    means, variances = fit.field.predict(places)
    assert not means.any()
    assert not variances.any()


@pytest.mark.slow
def test_many_places_are_estimated_as_few_are(monkeypatch: pytest.MonkeyPatch) -> None:
    where, codes, residual, _ = _simulated(500, reach=0.5)
    sums = place_sums(residual, codes, 500)
    exact = fit_field(where, sums, "rbf", rng=np.random.default_rng(0))
    monkeypatch.setattr(estimation, "EXACT", 400)
    near = fit_field(where, sums, "rbf", rng=np.random.default_rng(0))
    assert near.layout is not None
    assert near.converged
    assert near.deviance == pytest.approx(exact.deviance, abs=0.5)
    assert near.covariance.reach == pytest.approx(exact.covariance.reach, rel=0.02)
    ours, theirs = near.field.predict(where + 0.05), exact.field.predict(where + 0.05)
    np.testing.assert_allclose(ours[0], theirs[0], atol=0.05)
    np.testing.assert_allclose(ours[1], theirs[1], atol=0.02)


def test_coordinates_are_checked() -> None:
    good = np.array([[0.0, 1.0], [2.0, 3.0]])
    check_coordinates(good, ["lat", "lon"])
    with pytest.raises(DataError, match=r"E111.*'lon'.*rows? 3"):
        check_coordinates(np.array([[0.0, 1.0], [2.0, np.nan]]), ["lat", "lon"])
    with pytest.raises(DataError, match=r"E150.*one place"):
        check_coordinates(np.ones((3, 2)), ["lat", "lon"])
    with pytest.warns(ToolkitWarning, match=r"W240.*'lon'.*same one"):
        check_coordinates(np.array([[0.0, 1.0], [2.0, 30_000.0]]), ["lat", "lon"])


def test_rows_share_a_place_where_all_coordinates_agree() -> None:
    found = unique_places(np.array([[1.0, 2.0], [0.0, 5.0], [1.0, 2.0], [1.0, 3.0]]))
    assert len(found.places) == 3
    assert found.codes.tolist() == [1, 0, 1, 2]
    sums = place_sums(np.array([1.0, 4.0, 3.0, 5.0]), found.codes, 3)
    assert isinstance(sums, PlaceSums)
    assert sums.means.tolist() == [4.0, 2.0, 5.0]
    assert sums.within == pytest.approx(2.0)
