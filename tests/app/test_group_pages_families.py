"""Baseline, Transitions, Group test, Robustness, Compare on runs of every family: a figure, or a sentence why not."""

from __future__ import annotations

import pytest
from page_checks import opened, words

DRAWN = {
    "baseline": {"nme-mlp", "specific-mlp", "lmm", "pen"},
    "transitions": {"nme-crf", "generic-crf", "real-nme-crf"},
}
PAGES = ("baseline", "transitions", "group_test", "robustness", "compare")


@pytest.mark.parametrize("page", PAGES)
def test_no_family_breaks_a_page(model_runs, monkeypatch, page) -> None:
    at = opened(model_runs, monkeypatch, page)
    for run in at.sidebar.selectbox(key="run").options:
        at.sidebar.selectbox(key="run").set_value(run).run()
        assert not at.exception, run
        assert not at.error, (run, [element.value for element in at.error])
        if run in DRAWN.get(page, ()):
            assert at.get("plotly_chart"), run
        assert at.get("plotly_chart") or at.info or at.button, run
        assert words(at)
