"""Model card and TRIPOD+AI checklist: filled where software knows, visibly empty where it cannot know."""

from __future__ import annotations

import numpy as np
import pingouin
import pytest

from analyses.report.card import model_card
from analyses.report.card_metrics import mean_interval
from analyses.report.card_text import EMPTY
from analyses.report.document import render
from analyses.report.report_markdown import markdown
from analyses.report.tripod import ITEMS, tripod_checklist
from tests.analysed_runs import fit_runs, write_study
from toolkit.errors import ConfigError
from toolkit.runs.folder import load_run

OPEN = EMPTY.split("{", maxsplit=1)[0]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    study = write_study(tmp_path_factory.mktemp("card"), patients=4)
    return load_run(fit_runs(study, "nme-mlp") / "nme-mlp")


def test_the_card_knows_the_run_and_leaves_the_rest_to_the_authors(run):
    text = markdown(model_card(run)).replace("\\", "")
    assert "450 prompts of 30 persons" in text
    assert run.status in text
    assert "hidden = [3]" in text
    assert run.manifest["data"]["hash"] in text
    assert "Nobody et al. (2020)" in text
    assert text.count(OPEN) >= 10
    assert OPEN in render(model_card(run))


def test_the_card_hides_small_groups(run):
    text = markdown(model_card(run)).replace("\\", "")
    assert "Patients: <11" in text
    assert "Patients: 4" not in text
    with pytest.raises(ConfigError, match="E302"):
        model_card(run, smallest=2)


def test_the_checklist_has_the_27_items_in_order(run):
    assert [number for number, *_ in ITEMS] == list(range(1, 28))
    table = tripod_checklist(run).blocks[0].table
    assert table is not None
    answers = table.frame.set_index("item")["answer"]
    assert OPEN in answers["17"]
    assert "30 persons" in answers["10"]
    assert "train: 270" in answers["21"]
    assert sum(OPEN not in answer for answer in answers) >= 6
    assert all(answers)


def test_the_interval_of_a_mean_is_students():
    values = np.random.default_rng(2).normal(1.0, 2.0, size=25)
    mean, low, high = mean_interval(np.append(values, np.nan))
    oracle = pingouin.ttest(values, 0.0)
    assert (round(low, 2), round(high, 2)) == pytest.approx(tuple(oracle.iloc[0][oracle.columns[4]]), abs=0.006)
    assert mean == pytest.approx(values.mean())
    assert np.isnan(mean_interval(np.array([1.0]))[1])
