"""The sidebar: studies and their runs, and a set of colours that reaches every figure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from example_run import write_example
from streamlit.testing.v1 import AppTest

from analyses.figures.colour_sets import COLOUR_SETS, choose_set, chosen_name, using_set
from analyses.figures.palette import group_styles, state_styles
from app.launcher import MAIN
from toolkit.errors import ConfigError


def test_runs_are_listed_by_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, title in (("nme-mlp", "Mood"), ("nme-crf-first", "States"), ("generic-crf", "States")):
        folder = write_example(tmp_path / name, persons=20)
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["study"] |= {"name": title.lower(), "title": title}
        (folder / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.json").write_text("{")
    monkeypatch.setenv("NME_RUNS", str(tmp_path))
    at = AppTest.from_file(str(MAIN), default_timeout=30).run()
    assert at.sidebar.selectbox(key="study").options == ["Runs whose study is not known", "States", "Mood"]
    assert at.sidebar.selectbox(key="study").value == "States"
    assert at.sidebar.selectbox(key="run").options == ["generic-crf", "nme-crf-first"]
    at.sidebar.selectbox(key="study").set_value("Mood").run()
    assert at.sidebar.selectbox(key="run").value == "nme-mlp"
    at.sidebar.selectbox(key="study").set_value("Runs whose study is not known").run()
    assert "cannot be opened" in at.error[0].value


@pytest.mark.slow
def test_the_set_of_colours_reaches_the_figures(runs_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NME_RUNS", str(runs_folder))
    at = AppTest.from_file(str(MAIN), default_timeout=30).run().switch_page("../pages/persons.py").run()
    drawn = at.get("plotly_chart")[0].proto.spec
    at.sidebar.selectbox(key="palette").set_value("greys").run()
    assert not at.exception
    other = at.get("plotly_chart")[0].proto.spec
    blue = COLOUR_SETS["okabe-ito"].groups[0].fill
    grey = COLOUR_SETS["greys"].groups[0].fill
    assert blue in drawn
    assert blue not in other
    assert grey in other


def test_a_set_is_used_inside_its_block_only() -> None:
    before = state_styles(["positive"])["positive"].fill
    with using_set("tol"):
        assert state_styles(["positive"])["positive"].fill != before
        assert group_styles(["a"])["a"] == COLOUR_SETS["tol"].groups[0]
    assert state_styles(["positive"])["positive"].fill == before
    with pytest.raises(ConfigError, match="E302"):
        choose_set("rainbow")
    assert chosen_name() == "okabe-ito"
