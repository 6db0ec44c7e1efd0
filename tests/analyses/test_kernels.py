"""Kernels and bandwidths against their definitions, factors against what they factor."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from analyses.kernels import centred, kernel_matrix, low_rank_factor, median_bandwidth, pivoted_factor


def by_definition(data, kernel, width):
    shifted = data - data.mean(axis=0)
    formulas = {
        "gaussian": lambda a, b: np.exp(-np.sum((a - b) ** 2) / (2 * width**2)),
        "laplace": lambda a, b: np.exp(-np.sqrt(np.sum((a - b) ** 2)) / width),
        "discrete": lambda a, b: float(np.all(a == b)),
        "linear": lambda a, b: float(a @ b),
    }
    rows = shifted if kernel == "linear" else data
    return np.array([[formulas[kernel](a, b) for b in rows] for a in rows])


@pytest.mark.parametrize("kernel", ["gaussian", "laplace", "discrete", "linear"])
def test_kernels_are_their_formulas(kernel):
    data = np.random.default_rng(0).integers(0, 3, (12, 2)).astype(float)
    np.testing.assert_allclose(kernel_matrix(data, kernel, 0.7), by_definition(data, kernel, 0.7), atol=1e-12)


@pytest.mark.parametrize(("kernel", "rule"), [("gaussian", lambda d: np.sqrt(d**2 / 2)), ("laplace", lambda d: d)])
def test_median_bandwidth_takes_the_upper_median_of_all_pairs(kernel, rule):
    data = np.random.default_rng(1).standard_normal((8, 3))
    distances = sorted(np.linalg.norm(a - b) for a, b in itertools.combinations(data, 2))
    assert median_bandwidth(data, kernel) == pytest.approx(rule(distances[14]), rel=1e-12)


def test_median_bandwidth_is_exact_above_a_thousand_rows():
    data = np.random.default_rng(2).standard_normal((1500, 1))
    distances = np.sort(np.abs(data - data.T)[np.triu_indices(1500, 1)])
    assert median_bandwidth(data) == pytest.approx(np.sqrt(distances[distances.size // 2] ** 2 / 2), rel=1e-12)


def test_a_median_of_zero_gives_the_bandwidth_of_dhsic():
    assert median_bandwidth(np.zeros((5, 2))) == median_bandwidth(np.zeros((5, 2)), "laplace") == 0.001


def test_centring_takes_row_and_column_means_out():
    gram = kernel_matrix(np.random.default_rng(3).standard_normal((9, 2)), "gaussian", 1.0)
    h = np.eye(9) - 1 / 9
    np.testing.assert_allclose(centred(gram.copy()), h @ gram @ h, atol=1e-14)


def test_factors_give_the_kernel_back():
    data = np.random.default_rng(4).standard_normal((80, 1))
    smooth = kernel_matrix(data, "gaussian", 0.7)
    factor = pivoted_factor(smooth, 64)
    assert factor.shape[1] < 40
    np.testing.assert_allclose(factor @ factor.T, smooth, atol=1e-10)
    h = np.eye(80) - 1 / 80
    centred_factor = low_rank_factor(smooth)
    np.testing.assert_allclose(centred_factor @ centred_factor.T, h @ smooth @ h, atol=1e-10)
    assert low_rank_factor(np.eye(2)).shape == (2, 1)


def test_a_kernel_without_structure_has_no_short_factor():
    assert pivoted_factor(np.eye(80), 64) is None
    assert pivoted_factor(np.eye(80), 80).shape == (80, 80)
