"""EM with retraining (MLP-LME): the mixed model where the network is linear, and a run of it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.models.simulated import fitted, numbers, rows_of
from tests.models.test_lme4 import INTERCEPT, LME4, SLOPE, sds, sleepstudy
from tests.models.test_lme4_cases import CASES, check_against, check_effects
from tests.models.test_lme4_cases import LME4 as CASES_OF_LME4
from toolkit import fit, load_run
from toolkit.models import MlpLme


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "effects", "covariance"),
    [pytest.param("sleep_corr", "last", "full", marks=pytest.mark.slow), ("sleep_int", "bias", "full")],
)
def test_a_linear_network_is_the_mixed_model(case, effects, covariance):
    config = MlpLme(hidden=(), effects=effects, covariance=covariance, rounds=2, epochs=60)
    found, golden = sds(fitted(config, sleepstudy())), LME4[f"{case}_ML"]
    assert found[INTERCEPT] == pytest.approx(golden["sdcor[Subject:(Intercept)]"], rel=5e-3)
    assert found["residual"] == pytest.approx(golden["sigma"], rel=5e-3)
    if effects == "last":
        assert found[SLOPE] == pytest.approx(golden["sdcor[Subject:Days]"], rel=5e-3)


@pytest.mark.parametrize(
    ("case", "settings"),
    [
        ("sleep_unbal_int", {"effects": "bias"}),
        pytest.param("sleep_diag", {"effects": "last", "covariance": "diagonal"}, marks=pytest.mark.slow),
        pytest.param("sleep_unbal_corr", {"effects": "last"}, marks=pytest.mark.slow),
        pytest.param("orthodont_corr", {"effects": "last"}, marks=pytest.mark.slow),
    ],
)
def test_estimates_effects_and_their_sds_are_lme4s(case, settings):
    """Fixed effects, SDs, correlation, effects (r above .999) and their conditional SDs, to 1e-4."""
    trained = fitted(MlpLme(hidden=(), rounds=2, epochs=60, **settings), CASES[case][0]())
    check_against(CASES_OF_LME4[case], trained, rel=1e-4)
    check_effects(case, trained, rel=1e-4)


@pytest.mark.slow
def test_a_run_folder_predicts_again(tmp_path):
    data = rows_of(numbers(persons=4, rows=15))
    run = fit(MlpLme(hidden=(2,), rounds=2, epochs=10), data, seed=1, out=tmp_path / "run", progress=None)
    assert run.trained.estimate.posterior is not None
    assert set(run.trace()["epoch"].to_numpy()[:30]) >= set(range(1, 31))  # three trainings of ten epochs
    saved = load_run(tmp_path / "run")
    assert saved.model == "mlp-lme"
    np.testing.assert_array_equal(saved.predict(data), run.predict(data))
