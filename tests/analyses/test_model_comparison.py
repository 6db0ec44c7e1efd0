"""Several models on the same persons: pairs, marks, Holm, limits, bad input."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from analyses.comparison import paired_bootstrap
from analyses.comparison_parts import of_metric
from analyses.learning_curve import learning_curve
from analyses.model_comparison import compare_models
from analyses.run_comparison import check_same_rows
from toolkit.errors import ConfigError, DataError


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def scores():
    base = np.random.default_rng(1).normal(0.4, 0.1, size=(50, 1))
    noise = np.random.default_rng(2).normal(0, 0.05, size=(50, 3))
    return {"ccc": base + noise + [0.0, 0.02, 0.2], "rmse": 1 - base + noise - [0.0, 0.0, 0.3]}


def test_every_pair_is_a_paired_bootstrap(scores, rng):
    found = compare_models(scores, ["g", "s", "n"], resamples=999, rng=rng)
    assert found.pairs == ((0, 0, 1), (0, 0, 2), (0, 1, 2), (1, 0, 1), (1, 0, 2), (1, 1, 2))
    seed = np.random.default_rng(0).integers(2**63)
    alone = paired_bootstrap(scores["ccc"][:, 1], scores["ccc"][:, 2], resamples=999, rng=np.random.default_rng(seed))
    assert (found.results[2].low, found.results[2].pvalue) == (alone.low, alone.pvalue)
    assert found.means[0] == pytest.approx(scores["ccc"].mean(axis=0))


def test_marks_stand_at_the_worse_model(scores, rng):
    found = compare_models(scores, ["g", "s", "n"], resamples=999, rng=rng)
    assert "c" in found.marks[0][0]
    assert "c" in found.marks[0][1]
    assert found.marks[0][2] == ""
    assert "c" in found.marks[1][0]  # rmse: lower is better
    assert found.marks[1][2] == ""
    assert found.table()["ccc"].str.contains(r"\^").sum() == 2
    assert "n (" in found.text()
    assert len(found.to_frame()) == 6


@pytest.mark.slow
def test_holm_is_that_of_statsmodels(scores, rng):
    found = compare_models({"ccc": scores["ccc"]}, ["g", "s", "n"], correction="holm", resamples=999, rng=rng)
    expected = multipletests([r.pvalue for r in found.results], method="holm")[1]
    assert found.pvalue_holm == pytest.approx(expected, rel=1e-12)
    assert "Holm" in found.apa()


def test_against_a_baseline_only(scores, rng):
    found = compare_models({"ccc": scores["ccc"]}, ["g", "s", "n"], baseline="n", resamples=99, rng=rng)
    assert found.pairs == ((0, 0, 2), (0, 1, 2))
    assert all(result.difference < 0 for result in found.results)


def test_identical_models_are_never_marked(scores, rng):
    same = np.repeat(scores["ccc"][:, :1], 2, axis=1)
    found = compare_models({"ccc": same}, ["a1", "a2"], resamples=99, rng=rng)
    assert found.marks == (("", ""),)
    assert np.isnan(found.pvalue_holm).all()
    assert "agree in every person" in found.text()


def test_warnings_come_once(scores, rng):
    few = {name: values[:12] for name, values in scores.items()}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        compare_models(few, ["g", "s", "n"], resamples=99, rng=rng)
    assert len({str(w.message) for w in caught}) == len(caught)


def test_warnings_name_what_is_resampled(scores, rng):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        compare_models(scores, ["g", "s", "n"], unit=np.arange(50) // 4, unit_name="families", resamples=99, rng=rng)
    said = [str(entry.message) for entry in caught if "W301" in str(entry.message)]
    assert said
    assert all("13 families" in sentence and "units" not in sentence for sentence in said)


def test_undefined_persons_are_counted(scores, rng):
    values = scores["ccc"].copy()
    values[:4, 0] = np.nan
    found = compare_models({"ccc": values}, ["g", "s", "n"], resamples=99, rng=rng)
    assert found.n_defined.tolist() == [[46, 50, 50]]
    assert "Up to 4 persons" in found.text()


def test_bad_input_is_named(scores, rng):
    with pytest.raises(DataError, match="E124"):
        compare_models({"ccc": scores["ccc"][:, :1]}, ["g"], rng=rng)
    with pytest.raises(DataError, match="E127"):
        compare_models(scores, ["g", "s"], rng=rng)
    for wrong in ({"baseline": "x"}, {"correction": "x"}):
        with pytest.raises(ConfigError, match="E302"):
            compare_models(scores, ["g", "s", "n"], rng=rng, **wrong)
    with pytest.raises(ConfigError, match="E302"):
        compare_models(scores, ["g", "g", "n"], rng=rng)
    with pytest.raises(ConfigError, match="E125"):
        compare_models(scores, ["g", "s", "n"], resamples=9, rng=rng)
    with pytest.raises(DataError, match="E124"):
        check_same_rows([None])


def test_learning_curve_compares_at_every_share(scores, rng):
    parts = [
        pd.DataFrame(
            {"model": model, "share": share, "person": range(50), "metric": "ccc", "value": scores["ccc"][:, k]}
        )
        for share in (0.5, 1.0)
        for k, model in ((0, "generic"), (2, "personal"))
    ]
    table = pd.concat(parts, ignore_index=True)
    found = learning_curve(table, "ccc", resamples=99, rng=rng)
    assert found.shares == (1.0, 0.5)
    assert found.to_frame()["mean"].tolist() == pytest.approx([*scores["ccc"].mean(axis=0)[[0, 2]]] * 2)
    assert "50%: generic" in found.text()
    assert "With 100% of the training rows" in found.apa()
    with pytest.raises(DataError, match="E127"):
        learning_curve(table.iloc[:-50], "ccc", rng=rng)
    with pytest.raises(DataError, match="E124"):
        learning_curve(table, "rmse", rng=rng)
    with pytest.raises(DataError, match="E103"):
        learning_curve(table.drop(columns="person"), "ccc", rng=rng)


def test_the_part_of_one_metric_is_the_comparison_of_that_metric():
    rng = np.random.default_rng(8)
    scores = {name: rng.normal(size=(20, 3)) for name in ("accuracy", "rmse")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        both = compare_models(scores, ("one", "two", "three"), resamples=199, rng=np.random.default_rng(9))
        alone = compare_models(
            {"rmse": scores["rmse"]}, ("one", "two", "three"), resamples=199, rng=np.random.default_rng(9)
        )
    part = of_metric(both, "rmse")
    assert part.pairs == alone.pairs
    assert part.marks == alone.marks
    np.testing.assert_array_equal(part.low, alone.low)
    assert part.to_frame().equals(alone.to_frame())
