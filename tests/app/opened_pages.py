"""Opening a page of the dashboard in a test, and reading what stands on it."""

from __future__ import annotations

import json

from streamlit.testing.v1 import AppTest

from app.launcher import MAIN


def opened_at(page, runs, monkeypatch, run=None) -> AppTest:
    """The page with a run of the folder open."""
    monkeypatch.setenv("NME_RUNS", str(runs))
    at = AppTest.from_file(str(MAIN), default_timeout=30).run().switch_page(f"../pages/{page}.py").run()
    if run is not None and run not in at.sidebar.selectbox(key="run").options:  # it is of another study
        others = at.sidebar.selectbox(key="study").options
        for study in others:
            at.sidebar.selectbox(key="study").set_value(study).run()
            if run in at.sidebar.selectbox(key="run").options:
                break
    if run is not None and at.sidebar.selectbox(key="run").value != run:
        at.sidebar.selectbox(key="run").set_value(run).run()
    assert not at.exception
    assert not at.error, [element.value for element in at.error]
    return at


def choose(at: AppTest, name: str) -> AppTest:
    """Press a button of the row of views."""
    at.get("button_group")[0].set_value(name).run()
    assert not at.exception
    assert not at.error, [element.value for element in at.error]
    return at


def views_of(at: AppTest) -> list[str]:
    """Names in the row of views."""
    return [option.content for option in at.get("button_group")[0].proto.options]


def figure(at: AppTest, place: int = 0) -> dict:
    """A chart's figure."""
    return json.loads(at.get("plotly_chart")[place].proto.spec)


def sentences_of(at: AppTest) -> str:
    """Every text on the page, without the signs that keep labels from being markup."""
    kinds = (at.markdown, at.caption, at.info, at.warning, at.error, at.success, at.subheader)
    return "\n".join(str(element.value) for kind in kinds for element in kind).replace("\\", "")
