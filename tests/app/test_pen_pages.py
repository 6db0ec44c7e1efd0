"""Every page with runs of experts: it shows something, or says in a sentence why not."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.launcher import MAIN
from tests.models.experts_study import rows_of, study
from toolkit import fit
from toolkit.models import Pen, PenShared

QUICK = {"head_epochs": 4, "gate_epochs": 4, "epochs": 4, "lr": 0.02, "batch": 64}
PAGES = ("start", "persons", "one_person", "group_test")
RUNS = {
    "pen": (Pen(**QUICK), "valence"),
    "pen-prior": (Pen(prior="nme", **QUICK), "valence"),
    "pen-two": (Pen(prior="nme", **QUICK), ["valence", "arousal"]),
    "pen-few": (Pen(experts=3, **QUICK), "valence"),
    "pen-classes": (Pen(task="multiclass", **QUICK), "state"),
    "pen-shared": (PenShared(head_epochs=4), "valence"),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    home, frame = tmp_path_factory.mktemp("runs"), study(persons=12, rows=20)
    for name, (config, target) in RUNS.items():
        fit(config, rows_of(frame, target=target, cluster="family", group="arm"), seed=1, out=home / name)
    return home


def cases():
    for page in PAGES:
        for name in RUNS:
            quick = name == "pen"
            yield pytest.param(page, name, id=f"{page}-{name}", marks=() if quick else pytest.mark.slow)


@pytest.mark.parametrize(("page", "name"), list(cases()))
def test_no_page_breaks_off(runs, monkeypatch, page, name):
    monkeypatch.setenv("NME_RUNS", str(runs))
    at = AppTest.from_file(str(MAIN), default_timeout=30).run().switch_page(f"../pages/{page}.py").run()
    at.sidebar.selectbox(key="run").set_value(name).run()
    assert not at.exception
    assert not at.error
    assert at.markdown or at.info or at.caption
    assert "Anna" not in "".join(str(element.value) for element in (*at.markdown, *at.caption, *at.info))
