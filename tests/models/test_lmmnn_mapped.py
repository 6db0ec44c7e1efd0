"""Levels whose effects are a learned map of fewer: the likelihood against dense algebra, limits, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.models.test_lmmnn import study
from toolkit import GroupedDataset, fit, load_run
from toolkit.data import simulate
from toolkit.errors import ConfigError
from toolkit.models import GenericMlp, Lmmnn
from toolkit.models.lmmnn_mapped import TrainedMapped


@pytest.fixture(scope="module")
def data() -> GroupedDataset:
    return study(rows=400).of_persons()


@pytest.mark.parametrize("level_map", ["linear", (12,), (10, 6)])
def test_likelihood_and_effects_are_those_of_the_whole_covariance(data, level_map):
    run = fit(Lmmnn(level_map=level_map, mapped=5, hidden=(4,), epochs=6, batch=64), data, seed=1, split=None)
    trained = run.trained
    assert isinstance(trained, TrainedMapped)
    residual = float(run.variance_components()["variance"].iloc[-1])
    person = np.asarray(data.person)
    own = trained.mapped_variance * trained.loadings @ trained.loadings.T  # of the levels
    covariance = own[np.ix_(person, person)] + residual * np.eye(data.n_rows)
    left = np.asarray(data.target) - run.predict(data, "population")
    sign, logdet = np.linalg.slogdet(covariance)
    solved = np.linalg.solve(covariance, left)
    dense = -0.5 * (data.n_rows * np.log(2 * np.pi) + logdet + left @ solved)
    assert sign == 1
    assert run.log_likelihood() == pytest.approx(dense, abs=1e-4)
    effects = run.random_effects()
    np.testing.assert_allclose(effects["estimate"], own[:, person] @ solved, atol=1e-5)
    spread = own - own[:, person] @ np.linalg.solve(covariance, own[person])
    np.testing.assert_allclose(effects["sd"], np.sqrt(np.diagonal(spread)), atol=1e-5)
    added = run.predict(data) - run.predict(data, "population")
    np.testing.assert_allclose(added, effects["estimate"].to_numpy()[person])


def test_a_run_folder_predicts_the_same(data, tmp_path):
    run = fit(Lmmnn(level_map="linear", hidden=(4,), epochs=2, batch=64), data, seed=1, out=tmp_path / "run")
    saved = load_run(tmp_path / "run")
    np.testing.assert_array_equal(saved.predict(data), run.predict(data))
    assert saved.manifest["config"]["level_map"] == "linear"


@pytest.mark.slow
def test_mapped_levels_of_a_simulation_are_predicted_better_than_without():
    truth = simulate.lmmnn("single", rows=4_000, levels=50, linear_map=True, rng=np.random.default_rng(3))
    mapped = fit(Lmmnn(level_map="linear", hidden=(20, 10), epochs=15, batch=128), truth.data, seed=1, split="random")
    plain = fit(GenericMlp(hidden=(20, 10), epochs=15, batch=128), truth.data, seed=1, split="random")
    test, target = mapped.split == "test", np.asarray(truth.data.target)
    errors = [float(np.mean((run.predict(truth.data) - target)[test] ** 2)) for run in (mapped, plain)]
    assert errors[0] < 0.85 * errors[1]


def test_without_polish_the_ratio_is_the_batches(data):
    run = fit(Lmmnn(level_map="linear", hidden=(4,), epochs=2, batch=64, polish=False), data, seed=1, split=None)
    assert run.manifest["status"]["method"] == "mini-batches"


def test_what_does_not_go_together_is_refused(data):
    wrongs: tuple[dict[str, Any], ...] = (
        {"mapped": 3}, {"level_map": ()}, {"level_map": "linear", "task": "binary"}
    )  # fmt: skip
    for wrong in wrongs:
        with pytest.raises(ConfigError):
            Lmmnn(**wrong)
    for random in ("(1 + t | person)", "(1 | family)"):
        with pytest.raises(ConfigError):
            fit(Lmmnn(level_map="linear", random=random), study(rows=200), seed=1)
