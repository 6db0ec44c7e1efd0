"""Elimination of sparse matrices against dense algebra."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from toolkit.numerics.mixed import plan as planning
from toolkit.numerics.mixed.elimination import eliminate
from toolkit.numerics.mixed.plan import plan_of


def positive(seed: int, size: int, filled: float) -> np.ndarray:
    """A symmetric positive definite matrix with some entries."""
    rng = np.random.default_rng(seed)
    lower = np.tril(rng.normal(size=(size, size)) * (rng.random((size, size)) < filled), -1)
    matrix = lower + lower.T
    return matrix + np.diag(np.abs(matrix).sum(axis=1) + rng.uniform(0.1, 1.0, size=size))


@pytest.fixture(autouse=True)
def everything_is_eliminated(monkeypatch):
    monkeypatch.setattr(planning, "SMALL", 3)
    monkeypatch.setattr(planning, "SHARE", 1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.floats(0.0, 0.3))
def test_factors_are_those_of_dense_algebra(seed, size, filled):
    matrix = positive(seed, size, filled)
    found = eliminate(plan := plan_of(sparse.csr_array(matrix)), plan.values(sparse.csr_array(matrix)))
    assert found.logdet == pytest.approx(np.linalg.slogdet(matrix)[1], rel=1e-10, abs=1e-10)
    columns = np.random.default_rng(seed).normal(size=(size, 2))
    assert found.solve(columns) == pytest.approx(np.linalg.solve(matrix, columns), rel=1e-9, abs=1e-11)
    selected, inverse = found.selected_inverse().toarray(), np.linalg.inv(matrix)
    wanted = (matrix != 0) | np.eye(size, dtype=bool)
    assert selected[wanted] == pytest.approx(inverse[wanted], rel=1e-9, abs=1e-11)
    assert not selected[~wanted].any()


def test_a_plan_serves_matrices_with_fewer_entries():
    whole = positive(1, 30, 0.2)
    fewer = np.where(np.random.default_rng(2).random(whole.shape) < 0.5, 0.0, whole)
    fewer = np.triu(fewer, 1) + np.triu(fewer, 1).T + np.diag(np.diagonal(whole))
    plan = plan_of(sparse.csr_array(whole))
    found = eliminate(plan, plan.values(sparse.csr_array(fewer)))
    assert found.logdet == pytest.approx(np.linalg.slogdet(fewer)[1], rel=1e-10)
    wanted = whole != 0
    assert found.selected_inverse().toarray()[wanted] == pytest.approx(np.linalg.inv(fewer)[wanted], abs=1e-11)


def test_few_products_leave_the_rest_dense(monkeypatch):
    monkeypatch.setattr(planning, "PRODUCTS", 10)
    matrix = positive(3, 40, 0.1)
    plan = plan_of(sparse.csr_array(matrix))
    assert plan.dense > 20
    found = eliminate(plan, plan.values(sparse.csr_array(matrix)))
    assert found.logdet == pytest.approx(np.linalg.slogdet(matrix)[1], rel=1e-10)


@pytest.mark.parametrize("place", [0, 39])
def test_what_is_not_positive_definite_is_refused(place):
    matrix = positive(4, 40, 0.1)
    matrix[place, place] = -1.0
    plan = plan_of(sparse.csr_array(matrix))
    with pytest.raises(np.linalg.LinAlgError):
        eliminate(plan, plan.values(sparse.csr_array(matrix)))
