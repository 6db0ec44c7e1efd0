"""Runs that are damaged, newer, half-written, without persons, or small: every page says so in a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from example_run import write_example
from streamlit.testing.v1 import AppTest

from app.launcher import MAIN
from app.main import NAMES

PAGES = [name for name, _, _ in NAMES]
SECRET = "secret-name"


def pages(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Every page of one session, in the order of the menu."""
    monkeypatch.setenv("NME_RUNS", str(folder))
    at = AppTest.from_file(str(MAIN), default_timeout=30).run()
    yield "start", at
    for name in PAGES[1:]:
        at.switch_page(f"../pages/{name}.py").run()
        yield name, at


def said(at: AppTest) -> str:
    kinds = (at.markdown, at.caption, at.info, at.error, at.warning, at.success, at.code, at.subheader)
    return "\n".join(str(element.value) for kind in kinds for element in kind).replace("\\", "")


def damage(folder: Path, kind: str) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    if kind == "cut off":
        path.write_text(path.read_text()[: len(path.read_text()) // 2])
    elif kind == "newer":
        path.write_text(json.dumps(manifest | {"schema_version": 99}))
    elif kind == "table":
        (folder / "persons.parquet").write_bytes(b"PAR1 " + SECRET.encode())
    else:
        (folder / "persons.parquet").unlink()


SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("table", "cut off")]


@pytest.mark.parametrize("kind", [pytest.param("newer", marks=pytest.mark.slow), "missing", *SLOW])
def test_a_damaged_run_gets_a_sentence_on_every_page(tmp_path, monkeypatch, kind) -> None:
    folder = write_example(tmp_path / "nme-crf", persons=20)
    damage(folder, kind)
    for name, at in pages(tmp_path, monkeypatch):
        assert not at.exception, name
        assert "This run cannot be opened" in said(at), name
        assert "Traceback" not in said(at), name
        assert SECRET not in said(at), name


@pytest.mark.parametrize("name", ["random_effects", "transitions", "predictions", "metrics"])
@pytest.mark.slow
def test_one_damaged_table_spoils_only_the_pages_that_need_it(tmp_path, monkeypatch, name) -> None:
    folder = write_example(tmp_path / "nme-crf", persons=20)
    (folder / f"{name}.parquet").write_bytes(b"PAR1 " + SECRET.encode())
    refused = []
    for page, at in pages(tmp_path, monkeypatch):
        assert not at.exception, page
        assert SECRET not in said(at), page
        if f"{name}.parquet" in said(at):
            refused.append(page)
    assert refused
    assert "about" not in refused


def test_a_half_written_run_is_not_listed_and_named_when_typed(tmp_path, monkeypatch) -> None:
    write_example(tmp_path / "runs" / "nme-crf", persons=20)
    half = tmp_path / "half"
    write_example(half, persons=20)
    (half / "manifest.json").unlink()
    monkeypatch.setenv("NME_RUNS", f"{tmp_path / 'runs'}:{half}")
    at = AppTest.from_file(str(MAIN), default_timeout=30).run()
    assert at.sidebar.selectbox(key="run").options == ["nme-crf"]
    at.text_input(key="folder").set_value(str(half))
    next(button for button in at.button if button.label == "Open folder").click().run()
    assert "There is no run in this folder" in at.error[0].value


def test_a_copy_without_persons_says_so_on_every_page(tmp_path, monkeypatch) -> None:
    folder = write_example(tmp_path / "nme-crf", persons=40)
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    files = {name: digest for name, digest in manifest["files"].items() if name in ("metrics.parquet", "trace.parquet")}
    path.write_text(json.dumps(manifest | {"without_persons": True, "levels": [], "files": files}))
    for name, at in pages(tmp_path, monkeypatch):
        assert not at.exception, name
        assert "no data of persons" in said(at), name


@pytest.mark.slow
@pytest.mark.parametrize("model", ["nme-crf", "generic-crf", "nme-mlp"])
def test_one_group_and_a_person_with_three_rows_break_no_page(tmp_path, monkeypatch, model) -> None:
    write_example(tmp_path / model, model=model, persons=14, groups=("only", "only"))
    for name, at in pages(tmp_path, monkeypatch):
        assert not at.exception, name
        assert "This page cannot be shown" not in said(at), name
        if name == "group_test":
            assert "two groups" in said(at) or "no transitions" in said(at)


@pytest.mark.slow
def test_without_any_run_every_page_says_what_to_do(tmp_path, monkeypatch) -> None:
    for name, at in pages(tmp_path, monkeypatch):
        assert not at.exception, name
        assert not at.error, name
        assert at.info or name == "about", name
