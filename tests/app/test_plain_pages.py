"""Every page with a run without random effects: it shows something, or says in a sentence why not."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.launcher import MAIN
from tests.models.experts_study import rows_of, study
from toolkit import fit
from toolkit.models import OneHotMlp


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("runs")
    data = rows_of(study(persons=12, rows=20), target="valence", cluster="family", group="arm")
    fit(OneHotMlp(hidden=(4,), epochs=4), data, seed=1, out=home / "one-hot")
    return home


@pytest.mark.slow
@pytest.mark.parametrize("page", ["start", "data", "model", "persons", "one_person", "group_test", "report"])
def test_no_page_breaks_off(runs, monkeypatch, page):
    monkeypatch.setenv("NME_RUNS", str(runs))
    at = AppTest.from_file(str(MAIN), default_timeout=30).run().switch_page(f"../pages/{page}.py").run()
    assert not at.exception
    assert not at.error, [element.value for element in at.error]
    assert at.markdown or at.info or at.caption
    assert "Anna" not in "".join(str(element.value) for element in (*at.markdown, *at.caption, *at.info))
