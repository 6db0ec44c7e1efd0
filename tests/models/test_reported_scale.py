"""Effects on the reported scale: a linear network says what the linear mixed model says, whatever zero means."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from toolkit import GroupedDataset, ToolkitWarning, fit, load_run
from toolkit.errors import ConfigError
from toolkit.models import NmeMlp

GOLDEN = Path(__file__).parents[1] / "golden"
# lme4, maximum likelihood (lmm_goldens.csv): SDs of intercept and slope, correlation, residual SD
CORRELATED = {"layers.0.bias": 23.7805708823, "layers.0.weight[Days]": 5.71683371386, "residual": 25.5918156386}
INDEPENDENT = {"layers.0.bias": 24.1712654452, "layers.0.weight[Days]": 5.79940853456, "residual": 25.5561346779}


def sleepstudy(shift: float = 0.0) -> GroupedDataset:
    frame = pd.read_csv(GOLDEN / "sleepstudy.csv", dtype={"Subject": str})
    frame["Days"] = frame["Days"] + shift
    return GroupedDataset.from_frame(frame, target="Reaction", features=["Days"], groups=["Subject"])


def deviations(run) -> dict[str, float]:
    return run.variance_components().set_index("parameter")["sd"].to_dict()


@pytest.mark.parametrize(
    ("covariance", "expected"), [pytest.param("full", CORRELATED, marks=pytest.mark.slow), ("diagonal", INDEPENDENT)]
)
def test_public_fit_agrees_with_lme4(covariance, expected):
    run = fit(NmeMlp(hidden=(), covariance=covariance), sleepstudy(), seed=1, split=None)
    found = deviations(run)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-3)
    if covariance == "full":
        assert run.correlations().iloc[0, 1] == pytest.approx(0.0813200370826, abs=2e-3)


@pytest.mark.slow
def test_all_correlations_do_not_care_where_zero_is():
    near, far = (
        fit(NmeMlp(hidden=(), covariance="full"), sleepstudy(shift), seed=1, split=None) for shift in (0.0, 2000.0)
    )
    slope, residual = "layers.0.weight[Days]", "residual"
    for name in (slope, residual):
        assert deviations(far)[name] == pytest.approx(deviations(near)[name], rel=1e-6)
    # Var(intercept at zero) = Var(b0) - 2 * 2000 Cov(b0, b1) + 2000^2 Var(b1)
    sd = deviations(near)
    correlation = near.correlations().iloc[0, 1]
    covariance = correlation * sd["layers.0.bias"] * sd[slope]
    implied = sd["layers.0.bias"] ** 2 - 4000 * covariance + 2000**2 * sd[slope] ** 2
    assert deviations(far)["layers.0.bias"] == pytest.approx(np.sqrt(implied), rel=1e-6)
    np.testing.assert_allclose(far.predict(sleepstudy(2000.0)), near.predict(sleepstudy()), rtol=1e-6)


@pytest.mark.slow
def test_independent_intercepts_far_from_the_data_are_warned_about():
    with pytest.warns(ToolkitWarning, match="W213"):
        fit(NmeMlp(hidden=(), epochs=20), sleepstudy(2000.0), seed=1, split=None)


@pytest.mark.slow
def test_effects_add_up_to_the_prediction():
    data = sleepstudy()
    run = fit(NmeMlp(hidden=()), data, seed=1, split=None)
    effects = run.random_effects().pivot_table(index="level", columns="parameter", values="estimate")
    person = np.array(data.persons)[data.person]
    own = effects["layers.0.bias"][person].to_numpy() + effects["layers.0.weight[Days]"][person] * data.features[:, 0]
    np.testing.assert_allclose(run.predict(data) - run.predict(data, "population"), own, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_saved_linear_network_predicts_the_same(tmp_path):
    data = sleepstudy()
    run = fit(NmeMlp(hidden=()), data, seed=1, out=tmp_path / "r", split=None)
    np.testing.assert_array_equal(load_run(tmp_path / "r").predict(data), run.predict(data))


def test_slopes_without_intercepts_are_refused():
    with pytest.raises(ConfigError, match="E302"):
        fit(NmeMlp(hidden=(), effects="*.weight"), sleepstudy(), seed=1, split=None)


@pytest.mark.slow
def test_shares_of_a_random_intercept_are_the_intraclass_correlation():
    run = fit(NmeMlp(hidden=(), effects="*.bias"), sleepstudy(), seed=1, split=None)
    components = run.variance_components().set_index("term")
    between, within = components.loc["Subject", "variance"], components.loc["residual", "variance"]
    assert components.loc["Subject", "share"] == pytest.approx(between / (between + within))


@pytest.mark.slow
def test_effects_in_hidden_layers_are_said_to_be_approximate():
    run = fit(NmeMlp(hidden=(3,), effects="all", epochs=20), sleepstudy(), seed=1)
    assert run.manifest["status"]["posterior"].startswith("Laplace")
    assert run.random_effects()["sd"].gt(0).all()


def test_task_has_to_fit_the_target():
    frame = pd.DataFrame({"p": ["a", "a", "b", "b"] * 5, "x": np.arange(20.0), "y": ["u", "v"] * 10})
    data = GroupedDataset.from_frame(frame, target="y", features=["x"], groups=["p"])
    with pytest.raises(ConfigError, match="multiclass"):
        fit(NmeMlp(), data, seed=1)
