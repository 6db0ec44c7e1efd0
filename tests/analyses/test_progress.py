"""Progress: what a listener hears, that it can stop an analysis, and that nothing changes without one."""

from __future__ import annotations

import numpy as np
import pytest

from analyses import progress
from analyses.correlation_bootstrap import resampled_correlations
from analyses.hsic import hsic_test
from analyses.power import power_curve
from analyses.resampling import make_units
from analyses.transitions import compare_transitions


def sample(persons: int = 24) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.dirichlet(np.ones(3), (persons, 3)), np.arange(persons) % 2 == 0


def rising(heard: list[float]) -> bool:
    return heard == sorted(heard) and heard[-1] == pytest.approx(1.0) and len(heard) > 2


def test_the_permutations_of_the_group_test_are_heard() -> None:
    x, group = sample()
    heard: list[float] = []
    with progress.listening(heard.append):
        loud = hsic_test(x, group, permutations=30_000, rng=np.random.default_rng(1))
    assert rising(heard)
    silent = hsic_test(x, group, permutations=30_000, rng=np.random.default_rng(1))
    assert loud.pvalue == silent.pvalue


def test_resamples_of_both_groups_are_one_whole() -> None:
    x, group = sample(300)
    heard: list[float] = []
    with progress.listening(heard.append):
        compare_transitions(x, group, resamples=2_000, rng=np.random.default_rng(1))
    assert rising(heard)


@pytest.mark.slow
def test_resampled_correlations_are_heard() -> None:
    rng = np.random.default_rng(2)
    units = make_units(None, 40)
    heard: list[float] = []
    with progress.listening(heard.append):
        resampled_correlations(rng.normal(size=40), rng.normal(size=40), units, "spearman", resamples=200_000, rng=rng)
    assert rising(heard)


def test_the_designs_of_a_power_curve_are_one_whole() -> None:
    heard: list[float] = []
    with progress.listening(heard.append):
        power_curve(
            np.zeros((3, 3)), np.full((3, 3), 0.3), cell=(0, 1), difference=0.1, clusters=[10, 20], transitions=[30],
            simulations=99, permutations=99, rng=np.random.default_rng(1),
        )  # fmt: skip
    assert rising(heard)


def test_a_listener_can_stop_it() -> None:
    x, group = sample()

    def enough(done: float) -> None:
        if done > 0.3:
            raise progress.Cancelled

    with pytest.raises(progress.Cancelled), progress.listening(enough):
        hsic_test(x, group, permutations=50_000, rng=np.random.default_rng(1))
    progress.report(1, 2)  # nobody listens any more


def test_parts_of_parts() -> None:
    heard: list[float] = []
    with progress.listening(heard.append), progress.part(1, 2), progress.part(0, 2):
        progress.report(1, 2)
        progress.report(0, 0)
    assert heard == [0.625, 0.75, 0.75, 1.0]
