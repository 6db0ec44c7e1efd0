"""The about page: every word can be found, every work is named, and what the program is not for."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from analyses.report.glossary import GLOSSARY, matching
from app.launcher import MAIN


def about(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("NME_RUNS", str(folder))
    return AppTest.from_file(str(MAIN), default_timeout=30).run().switch_page("../pages/about.py").run()


def text(at: AppTest) -> str:
    kinds = (at.markdown, at.caption, at.info, at.error, at.warning, at.subheader)
    return "\n".join(str(element.value) for kind in kinds for element in kind).replace("\\", "")


def test_a_word_can_be_found(runs_folder, monkeypatch) -> None:
    at = about(runs_folder, monkeypatch)
    assert "not for diagnosis" in text(at)
    assert all(name in text(at) for name in GLOSSARY)
    at.text_input(key="search").set_value("family").run()
    assert "Resampling unit" in text(at)
    assert "Viterbi" not in text(at)
    at.text_input(key="search").set_value("zzz").run()
    assert "No entry" in text(at)


@pytest.mark.parametrize("view", ["Methods and references", "Limits", "This program"])
def test_every_part_works_with_and_without_a_run(tmp_path, runs_folder, monkeypatch, view) -> None:
    for folder in (runs_folder, tmp_path):
        at = about(folder, monkeypatch)
        at.segmented_control(key="about view").set_value(view).run()
        assert not at.exception
        assert not at.error
        assert len(text(at)) > 400


def test_searches_hold_every_word() -> None:
    assert matching("") == GLOSSARY
    assert "HSIC" in matching("Hilbert")
    assert matching("hilbert zebra") == {}
