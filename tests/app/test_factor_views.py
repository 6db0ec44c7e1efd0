"""Grouping factors in the dashboard: how their effects are spread, and one prediction taken apart."""

from __future__ import annotations

import shutil
import warnings

import pytest
from opened_pages import choose, figure, opened_at, sentences_of, views_of

from tests.analysed_runs import nme
from tests.family_study import family_frame, write_family_study
from toolkit.runs.folder import load_run

pytestmark = pytest.mark.slow
LAST = "effects={'who': 'layers.0.bias', 'family': 'layers.0.bias', 'item': 'layers.0.bias'}"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of a number and one of three classes beside their study."""
    file = write_family_study(tmp_path_factory.mktemp("study"), frame=family_frame(families=8, persons=2, rows=12))
    home = file.parent / "runs"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lmm = ["--set", "random=(1 | who) + (1 | family) + (1 | item)"]
        assert nme("fit", file, "--model", "lmm", *lmm, "--out", home / "lmm") == 0
        classes = ["--target", "state", "--set", "task=multiclass", "--set", LAST, "--set", "hidden=()"]
        assert nme("fit", file, *classes, "--epochs", "2", "--out", home / "classes") == 0
    return home


@pytest.mark.parametrize("name", ["lmm", "classes"])
def test_the_model_page_shows_how_effects_are_spread(runs, monkeypatch, name):
    at = choose(opened_at("model", runs, monkeypatch, name), "Spread of effects")
    said = sentences_of(at)
    assert "Standard deviations of the effects over levels" in said
    assert ("add up to zero" in said) is (name == "classes")
    labels = figure(at)["layout"]["yaxis"]["ticktext"]
    assert len(labels) == (3 if name == "lmm" else 9)
    assert at.dataframe
    code = next(block.value for block in at.code if "distributions_of_run(" in block.value)
    space: dict = {}
    exec(compile(code, "snippet", "exec"), space)
    assert space["result"].apa() in [block.value for block in at.code]


@pytest.mark.parametrize("name", ["lmm", "classes"])
def test_a_prediction_is_taken_apart_row_by_row(runs, monkeypatch, name):
    at = choose(opened_at("one_person", runs, monkeypatch, name), "One prediction")
    before = sentences_of(at)
    assert "with all of them" in before
    panels = [trace for trace in figure(at)["data"] if trace["type"] == "bar"]
    assert len(panels) == (1 if name == "lmm" else 3)
    at.slider[0].set_value(1).run()
    assert not at.error
    assert sentences_of(at) != before
    assert not at.get("download_button")  # nothing about one person without a tick


def test_pseudonyms_of_levels_are_shown_in_the_identifiable_view_alone(runs, monkeypatch):
    at = choose(opened_at("one_person", runs, monkeypatch, "lmm"), "One prediction")
    families = set(load_run(runs / "lmm").random_effects("family")["level"])
    labels = figure(at)["layout"]["yaxis"]["ticktext"]
    assert not any(family in label for family in families for label in labels)
    at.sidebar.toggle(key="identifiable").set_value(True).run()
    at = choose(at, "One prediction")
    labels = figure(at)["layout"]["yaxis"]["ticktext"]
    assert any(family in label for family in families for label in labels)


def test_without_the_study_the_page_says_what_is_needed(runs, monkeypatch, tmp_path):
    shutil.copytree(runs / "lmm", tmp_path / "alone" / "runs" / "lmm")
    at = opened_at("one_person", tmp_path / "alone" / "runs", monkeypatch, "lmm")
    assert "One prediction" in views_of(at)
    at = choose(at, "One prediction")
    assert "Open the study on the Start page" in sentences_of(at)
