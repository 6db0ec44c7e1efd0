"""The report page: what was pinned, in the user's order and words, as Word, web page and zip."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from docx import Document
from example_run import write_example
from streamlit.testing.v1 import AppTest

from analyses.figures import caterpillar
from analyses.report.pinned_report import Chosen, pinned_report
from app import report_making
from app.basket import Item, Pinned
from app.launcher import MAIN
from app.report_making import Asked
from toolkit.errors import DataError
from toolkit.runs.folder import load_run
from toolkit.runs.kept import Recipe

OPTIONS = {"value": "observed", "unit": "person", "permutations": 999, "seed": 1}


def basket_script() -> None:
    import pandas as pd
    import streamlit as st

    from app import basket, views
    from app.basket import Pinned

    for name in ("first", "second"):
        views.pin(None, Pinned(name=name, title=f"The {name}", text=[f"{name} text"], saved=pd.DataFrame({"a": [1]})))
    st.markdown("|".join(item.pinned.title for item in basket.items()))


def pinned(run: Path, **more) -> Pinned:
    frames = load_run(run)
    effects = frames.random_effects()
    parameter = effects["parameter"].iloc[0]
    frame = caterpillar.tidy(effects[effects["parameter"] == parameter], frames.persons(), parameter)
    values = {
        "name": "spread", "title": "How far persons differ", "text": ["Persons differ a little."],
        "apa": ["Persons differed, SD = 0.5."], "figure": (caterpillar, frame), "reading": ["caterpillar"],
        "saved": pd.DataFrame({"group": ["a", "b"], "persons": [20, 20]}),
        "headings": {"group": "Group", "persons": "Persons"},
        "recipe": Recipe(command="hsic", options=OPTIONS),
    }  # fmt: skip
    return Pinned(**(values | more))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_example(tmp_path / "runs" / "nme-crf", persons=40, groups=("a", "b"))


def test_pinning_and_taking_out() -> None:
    at = AppTest.from_function(basket_script, default_timeout=10).run()
    at.button(key="pin first").click().run()
    at.button(key="pin second").click().run()
    assert at.markdown[0].value == "The first|The second"
    at.button(key="unpin first").click().run()
    assert at.markdown[0].value == "The second"


def page(run: Path, items: list[Item], monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("NME_RUNS", str(run.parent))
    at = AppTest.from_file(str(MAIN), default_timeout=30)
    at.session_state["basket of this session"] = items
    return at.run().switch_page("../pages/report.py").run()


def test_the_empty_page_says_where_results_are(run, monkeypatch) -> None:
    at = page(run, [], monkeypatch)
    assert "Nothing is pinned yet" in at.info[0].value


@pytest.mark.slow
def test_order_notes_and_files(run, monkeypatch) -> None:
    items = [
        Item(key="k1", pinned=pinned(run), run=run),
        Item(key="k2", pinned=Pinned(name="x", title="Rows"), run=None),
    ]
    at = page(run, items, monkeypatch)
    assert not at.exception
    at.button(key="down k1").click().run()
    assert [item.key for item in at.session_state["basket of this session"]] == ["k2", "k1"]
    at.text_area(key="note k1").set_value("As expected.").run()
    at.text_input(key="report title").set_value("Winter").run()
    at.radio(key="audience").set_value("internal").run()
    at.button(key="make report").click().run()
    assert not at.error
    assert not at.exception
    assert [button.proto.label for button in at.get("download_button")][-3:] == [
        "Save as Word", "Save as web page", "Save everything (zip)",
    ]  # fmt: skip
    at.button(key="out k2").click().run()
    assert [item.key for item in at.session_state["basket of this session"]] == ["k1"]
    assert len(at.get("download_button")) == 0


@pytest.mark.slow
def test_the_three_files_hold_the_same(run) -> None:
    items = [Item(key="k", pinned=pinned(run), run=run, note="As expected <b>.")]
    asked = Asked(audience="internal", title="Winter", identifiable=False, palette="tol")
    files = report_making.made_files(items, asked)
    html = files.html.decode()
    words = "\n".join(paragraph.text for paragraph in Document(io.BytesIO(files.docx)).paragraphs)
    for text in (html, words):
        assert "How far persons differ" in text
        assert "Persons differ a little." in text
    assert "As expected &lt;b&gt;." in html
    assert "http://" not in html.replace("http://www.w3.org", "")
    with zipfile.ZipFile(io.BytesIO(files.packed)) as archive:
        names = set(archive.namelist())
        assert {"report.html", "report.docx", "tables/01.csv", "figures/01.svg", "code/01.py"} <= names
        manifest = json.loads(archive.read("manifests/nme-crf.json"))
        assert "levels" not in manifest
        assert str(run.parent) not in archive.read("code/01.py").decode()
    clinician = report_making.made_files(
        items, Asked(audience="clinician", title="W", identifiable=False, palette="tol")
    )
    assert "SD = 0.5" not in clinician.html.decode()


def test_single_persons_need_a_tick(run, monkeypatch) -> None:
    items = [Item(key="k", pinned=pinned(run, identifiable=True), run=run)]
    at = page(run, items, monkeypatch)
    assert "make report" not in [button.key for button in at.button]
    at.checkbox(key="report identifiable").check().run()
    at.button(key="make report").click().run()
    assert not at.error
    with pytest.raises(DataError, match="E410"):
        pinned_report([Chosen(title="x", identifiable=True)], [], audience="paper", title="t")
    with pytest.raises(DataError, match="E410"):
        pinned_report([], [], audience="paper", title="t")
