"""Averages of groups against numpy, with rows that persons do not have."""

from __future__ import annotations

import numpy as np
import pytest

from analyses.group_means import group_means
from toolkit.errors import DataError


def matrices(rng: np.random.Generator, persons: int = 12) -> np.ndarray:
    raw = rng.gamma(1.0, size=(persons, 3, 3))
    return raw / raw.sum(axis=2, keepdims=True)


def test_means_by_group_leave_out_persons_without_a_group() -> None:
    t = matrices(np.random.default_rng(1))
    group = ["b", "a", None] * 4
    found = group_means(t, group)
    assert list(found) == ["a", "b"]
    np.testing.assert_allclose(found["a"].mean, t[1::3].mean(axis=0))
    assert found["b"].persons == 4
    np.testing.assert_allclose(group_means(t)[""].mean, t.mean(axis=0))


def test_a_row_that_nobody_has_is_undefined_and_others_count_who_has_it() -> None:
    t = matrices(np.random.default_rng(2), 4)
    t[0, 1] = np.nan
    t[:, 2] = np.nan
    t[3, 2] = [0.2, 0.3, 0.5]
    found = group_means(t, ["a", "a", "a", "b"])
    np.testing.assert_allclose(found["a"].mean[1], t[1:3, 1].mean(axis=0))
    assert found["a"].persons_in_row.tolist() == [3, 2, 0]
    assert np.isnan(found["a"].mean[2]).all()


def test_nobody_with_a_group_is_an_error() -> None:
    with pytest.raises(DataError, match="no person has a group"):
        group_means(matrices(np.random.default_rng(3), 2), [None, np.nan])
