"""Every page with a run of a network with random effects (LMMNN): it shows something, or says in a sentence why not."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.launcher import MAIN
from app.main import NAMES
from tests.models.experts_study import rows_of, study
from toolkit import fit
from toolkit.models import Lmmnn

pytestmark = pytest.mark.slow
DRAWN = {"persons", "model", "baseline", "data"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home, frame = tmp_path_factory.mktemp("runs"), study(persons=12, rows=20)
    rows = rows_of(frame, target="valence", cluster="family", group="arm")
    fit(Lmmnn(epochs=3, hidden=(4,), batch=64), rows, seed=1, out=home / "lmmnn", progress=None)
    return home


@pytest.mark.parametrize("page", [name for name, _, _ in NAMES])
def test_a_page_shows_a_network_with_random_effects(runs: Path, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    monkeypatch.setenv("NME_RUNS", str(runs))
    at = AppTest.from_file(str(MAIN), default_timeout=30).run()
    if page != "start":
        at.switch_page(f"../pages/{page}.py").run()
    assert not at.exception
    assert not at.error
    if page in DRAWN:
        assert at.get("plotly_chart")
    said = " ".join(str(element.value) for element in (*at.markdown, *at.caption, *at.info))
    assert said
    assert "Anna" not in said
