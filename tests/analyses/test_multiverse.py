"""Specification curve: its numbers by plain formulas, error rate under no effect, bad input."""

from __future__ import annotations

import numpy as np
import pytest

from analyses.hsic import hsic_test
from analyses.multiverse import specification_curve
from analyses.specifications import specification_kernel
from toolkit.errors import ConfigError, DataError


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def made(effect: float, seed: int = 1, persons: int = 40):
    rng = np.random.default_rng(seed)
    group = np.arange(persons) % 2
    scores = rng.normal(size=(persons, 3, 3))
    scores[:, 0, 1] += effect * group
    chances = np.exp(scores) / np.exp(scores).sum(axis=2, keepdims=True)
    return {("run", "score"): scores, ("run", "probability"): chances}, group


def test_a_clear_difference_is_found_by_all(rng):
    matrices, group = made(5.0)
    found = specification_curve(matrices, group, permutations=199, rng=rng)
    assert len(found.specifications) == 2 * 7 * 2
    assert found.share_significant == 1
    assert found.p_median == pytest.approx(1 / 200)
    assert found.p_share <= 0.02
    frame = found.to_frame()
    assert frame["effect"].is_monotonic_increasing
    assert frame["effect"].between(0, 1).all()
    assert "28 ways" in found.text()


def test_effect_is_the_normalised_hsic(rng):
    matrices, group = made(1.0)
    found = specification_curve(
        matrices, group, kernels=["gaussian"], multiples=[1], diagonals=[True], permutations=99, rng=rng
    )
    x = matrices["run", "score"]
    statistic = hsic_test(x, group, permutations=99, rng=rng).statistic
    n = len(group)
    gram = specification_kernel(x, "gaussian", 1.0, True)
    centre = np.eye(n) - 1 / n
    label = centre @ (group[:, None] == group[None]) @ centre
    assert np.sum(gram * label) / n == pytest.approx(statistic, rel=1e-9)
    expected = np.sum(gram * label) / np.sqrt(np.sum(gram**2) * np.sum(label**2))
    assert found.effect[0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.slow
def test_joint_test_holds_its_level():
    rng = np.random.default_rng(2)
    rejected = 0
    for seed in range(200):
        matrices, group = made(0.0, seed, persons=16)
        found = specification_curve(matrices, group, kernels=["gaussian"], permutations=99, rng=rng)
        rejected += found.p_median <= 0.05
    assert 0.01 <= rejected / 200 <= 0.1


def test_families_are_permuted_whole(rng):
    matrices, _ = made(0.0)
    family = np.arange(40) // 2
    found = specification_curve(matrices, family % 2, cluster=family, cluster_name="families", permutations=99, rng=rng)
    assert (found.n_units, found.unit_name) == (20, "families")
    assert set(found.to_frame()["unit"]) == {"persons", "families"}
    assert "trust those of whole families" in found.text()


def test_bad_input_is_named(rng):
    matrices, group = made(0.0)
    with pytest.raises(DataError, match="E124"):
        specification_curve(matrices, np.zeros(40), rng=rng)
    with pytest.raises(DataError, match="E126"):
        specification_curve(matrices, group, cluster=np.arange(40) // 2, rng=rng)
    with pytest.raises(DataError, match="E127"):
        specification_curve({("a", "b"): np.zeros((40, 3, 2))}, group, rng=rng)
    with pytest.raises(DataError, match="E111"):
        specification_curve({("a", "b"): np.full((40, 3, 3), np.nan)}, group, rng=rng)
    with pytest.raises(ConfigError, match="E302"):
        specification_curve(matrices, group, kernels=["x"], rng=rng)
    for few in ({"permutations": 50}, {"permutations": 99, "alpha": 0.001}):
        with pytest.raises(ConfigError, match="E125"):
            specification_curve(matrices, group, rng=rng, **few)
