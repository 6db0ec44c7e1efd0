"""Likelihood-ratio tests of fitted mixed models, against what lme4's anova says of sleepstudy."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from analyses import compare_likelihoods
from tests.analysed_runs import nme
from toolkit import GroupedDataset, fit, load_run
from toolkit.errors import DataError
from toolkit.models import Lmm, Lmmnn
from toolkit.models.config import Configuration

GOLDEN = Path(__file__).parents[1] / "golden"
LEVEL, FREE, CORRELATED = "(1 | Subject)", "(1 + Days || Subject)", "(1 + Days | Subject)"


def sleep(*features: str, rows: int = 180) -> GroupedDataset:
    frame = pd.read_csv(GOLDEN / "sleepstudy.csv").head(rows)
    frame["coffee"] = np.random.default_rng(1).normal(size=len(frame))
    return GroupedDataset.from_frame(frame, target="Reaction", features=["Days", *features], groups="Subject")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Saves a fit of all rows of some data and gives its run folder."""
    home = tmp_path_factory.mktemp("runs")

    def make(config: Configuration, name: str, data: GroupedDataset | None = None):
        data = sleep() if data is None else data
        labels = np.full(data.n_rows, "train")
        if not (home / name).exists():
            fit(config, data, seed=1, split=labels, progress=None, out=home / name)
        return load_run(home / name)

    return make


def test_tests_are_those_of_lme4(saved):
    runs = [saved(Lmm(random=random), name) for name, random in (("c", CORRELATED), ("a", LEVEL), ("b", FREE))]
    found = compare_likelihoods(runs)
    table = found.to_frame()
    assert table["model"].tolist() == ["a", "b", "c"]
    # anova(a, b, c): AIC 1802.1, 1762.0, 1763.9; chi-squared 42.0754 and 0.0639, one degree of freedom each
    assert table["aic"].to_numpy() == pytest.approx([1802.079, 1762.003, 1763.939], abs=2e-3)
    assert table["chi2"].to_numpy()[1:] == pytest.approx([42.0754, 0.0639], abs=2e-4)
    assert table["df"].tolist() == [0, 1, 1]
    assert found.pvalue[1] == pytest.approx(0.5 * chi2.sf(found.chi2[1], 1))  # a variance more, at its edge
    assert found.pvalue[2] == pytest.approx(0.8004, abs=1e-3)  # a correlation more
    assert "b fits better than a" in found.text()
    assert "c does not fit clearly better than b" in found.text()
    assert "b has the smallest AIC" in found.text()
    assert "b against a: χ²(1) = 42.08, p < .001" in found.apa()


def test_a_variance_with_its_correlation_is_a_mixture(saved):
    found = compare_likelihoods([saved(Lmm(random=LEVEL), "a"), saved(Lmm(random=CORRELATED), "c")])
    assert found.chi2[1] == pytest.approx(42.139, abs=1e-3)
    assert found.df[1] == 2
    assert found.pvalue[1] == pytest.approx(0.5 * (chi2.sf(found.chi2[1], 1) + chi2.sf(found.chi2[1], 2)))


def test_fixed_effects_are_tested_as_they_are(saved):
    small, large = saved(Lmm(random=LEVEL), "a"), saved(Lmm(random=LEVEL), "coffee", sleep("coffee"))
    found = compare_likelihoods([large, small])
    assert [own.name for own in found.models] == ["a", "coffee"]
    assert found.pvalue[1] == pytest.approx(chi2.sf(found.chi2[1], 1))
    assert found.notes[1] == ""


def test_what_is_no_part_of_the_other_has_no_test(saved):
    found = compare_likelihoods([saved(Lmm(random=FREE), "b"), saved(Lmm(random=LEVEL), "coffee", sleep("coffee"))])
    assert math.isnan(found.pvalue[1])
    assert "compare AIC and BIC" in found.text()
    assert found.apa() == "No test applied."


def test_networks_have_no_test(saved):
    network = saved(Lmmnn(hidden=(2,), epochs=2), "network")
    found = compare_likelihoods([saved(Lmm(random=LEVEL), "a"), network])
    assert math.isnan(found.pvalue[1])
    assert "networks are not at the one maximum" in found.text()


def test_what_cannot_be_compared_is_refused(saved):
    level = saved(Lmm(random=LEVEL), "a")
    with pytest.raises(DataError, match="E124"):
        compare_likelihoods([level])
    with pytest.raises(DataError, match="same training rows"):
        compare_likelihoods([level, saved(Lmm(random=LEVEL), "fewer", sleep(rows=150))])
    restricted = saved(Lmm(random=LEVEL, reml=True), "reml")
    with pytest.raises(DataError, match="one that is not"):
        compare_likelihoods([level, restricted])
    with pytest.raises(DataError, match="different fixed effects"):
        compare_likelihoods([restricted, saved(Lmm(random=LEVEL, reml=True), "reml-coffee", sleep("coffee"))])


def test_the_command_prints_and_answers_as_json(saved, capsys):
    paths = [saved(Lmm(random=random), name).path for name, random in (("a", LEVEL), ("b", FREE))]
    assert nme("analyze", "likelihood-ratio", *paths) == 0
    assert "b fits better than a, p < .001" in capsys.readouterr().out
    assert nme("analyze", "likelihood-ratio", *paths, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["models"][1]["df"] == 1
