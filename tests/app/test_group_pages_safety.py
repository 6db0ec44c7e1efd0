"""Baseline, Transitions, Group test, Robustness, Compare: labels as written, damaged folders, no run at all."""

from __future__ import annotations

import json

import pytest
from example_run import write_example
from page_checks import opened, words
from streamlit.testing.v1 import AppTest

from app.launcher import MAIN

PAGES = ("baseline", "transitions", "group_test", "robustness", "compare")
EVIL = "<script>alert(1)</script> ![x](http://elsewhere.example/x.png)"


def rewritten(folder, change) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.slow
def test_without_a_run_every_page_says_where_to_open_one(tmp_path, monkeypatch) -> None:
    for page in PAGES:
        assert "Start page" in words(opened(tmp_path, monkeypatch, page))


def damages(folder) -> dict:
    return {
        "manifest": lambda: (folder / "manifest.json").write_text("{"),
        "newer": lambda: rewritten(folder, lambda manifest: manifest.update(schema_version=99)),
        "table": lambda: (folder / "transitions.parquet").write_bytes(b"PAR1 secret-name"),
        "missing": lambda: (folder / "predictions.parquet").unlink(),
    }


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param("manifest", marks=pytest.mark.slow),
        "newer",
        pytest.param("table", marks=pytest.mark.slow),
        pytest.param("missing", marks=pytest.mark.slow),
    ],
)
def test_a_damaged_run_gets_a_sentence_on_every_page(tmp_path, monkeypatch, damage) -> None:
    folder = write_example(tmp_path / "nme-crf", persons=24)
    write_example(tmp_path / "generic-crf", model="generic-crf", persons=24)
    damages(folder)[damage]()
    monkeypatch.setenv("NME_RUNS", str(tmp_path))
    at = AppTest.from_file(str(MAIN), default_timeout=30).run()
    at.sidebar.selectbox(key="run").set_value("nme-crf").run()
    for page in PAGES:
        at = at.switch_page(f"../pages/{page}.py").run()
        assert not at.exception, page
        said = words(at)
        assert "secret-name" not in said
        assert "Traceback" not in said
        assert len(said) > 60, page
        if damage in ("manifest", "newer"):
            assert at.error, page
        elif page == "transitions":
            assert "cannot be read" in said or "does not match" in said or at.error


@pytest.mark.slow
def test_labels_are_shown_as_written(tmp_path, monkeypatch) -> None:
    for name, model in (("nme-crf", "nme-crf"), ("generic-crf", "generic-crf"), ("nme-mlp", "nme-mlp")):
        folder = write_example(tmp_path / name, model=model, persons=30, groups=(EVIL, "b"), clusters=True)
        rewritten(folder, lambda manifest: manifest["study"].update(title=EVIL, group_name=EVIL, cluster_name=EVIL))
    for page in PAGES:
        at = opened(tmp_path, monkeypatch, page, "nme-mlp" if page == "baseline" else "nme-crf")
        for button in [button for button in at.button if button.label == "Run"]:
            if page == "group_test":
                at.main.selectbox(key="permutations").set_value(999)
                button.click().run()
        assert not at.exception, page
        assert not at.error, page
        kinds = (at.markdown, at.caption, at.subheader, at.info, at.warning)
        raw = "\n".join(str(element.value) for kind in kinds for element in kind)
        assert "![x](" not in raw, page
        assert "<script>" not in raw.replace(r"\<script\>", ""), page
        for chart in at.get("plotly_chart"):
            drawn = json.loads(chart.proto.spec)
            for trace in drawn["data"]:
                # what a click brings back is data, and is never drawn
                trace.pop("customdata", None)
            assert "<script>" not in json.dumps(drawn, ensure_ascii=False), page
