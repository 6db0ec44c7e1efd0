"""nme report, card and tripod: files, formats, what is refused."""

from __future__ import annotations

import json

import docx
import pytest

from tests.analysed_runs import analyse_runs, fit_runs, nme, write_study


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = fit_runs(write_study(tmp_path_factory.mktemp("commands")), "nme-crf", "nme-mlp")
    analyse_runs(folder)
    return folder


def test_html_and_docx_are_written_and_not_replaced_unasked(runs, tmp_path, capsys):
    words = ["report", runs / "nme-crf", "--out", tmp_path / "out", "--study", runs.parent / "study.toml"]
    assert nme(*words, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert [path.rsplit("/", 1)[1] for path in answer["report"]] == ["report.docx", "report.html"]
    document = docx.Document(str(tmp_path / "out" / "report.docx"))
    headings = [paragraph.text for paragraph in document.paragraphs if paragraph.style.name.startswith("Heading")]
    assert {"What was asked", "Results", "Appendix"} <= set(headings)
    assert len(document.tables) >= 3
    assert len(document.inline_shapes) >= 4
    assert nme(*words) == 2
    assert "E306" in capsys.readouterr().err
    assert nme(*words, "--overwrite", "--format", "html", "--audience", "clinician") == 0
    assert "in plain words" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.slow
def test_missing_analyses_are_made_on_request(tmp_path, capsys):
    folder = fit_runs(write_study(tmp_path / "a study"), "generic-crf")
    capsys.readouterr()
    words = ["report", folder / "generic-crf", "--format", "html", "--out", tmp_path / "out", "--json"]
    assert nme(*words) == 0
    assert any("base-rates '" in command for command in json.loads(capsys.readouterr().out)["missing"])
    assert nme(*words, "--run-missing", "--overwrite") == 0
    answer = json.loads(capsys.readouterr().out)
    assert (len(answer["made"]), answer["missing"]) == (2, [])
    assert "χ²" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--audience", "everybody"], "E302"),
        (["--format", "pdf"], "E302"),
        (["--min-group", "2"], "E302"),
        (["--min-group", "40"], "E302"),
        (["--study", "nowhere.toml"], "E100"),
    ],
)
def test_what_is_asked_wrongly_is_said(runs, tmp_path, capsys, words, code):
    assert nme("report", runs / "nme-mlp", "--out", tmp_path / "out", *words) == 2
    assert code in capsys.readouterr().err
    assert not (tmp_path / "out" / "report.html").exists()


@pytest.mark.slow
def test_a_folder_that_cannot_be_written(runs, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for command in ("report", "card", "tripod"):
        assert nme(command, runs / "nme-mlp", "--out", tmp_path / "file" / "out", "--format", "html") == 2
        assert "E305" in capsys.readouterr().err


def test_card_and_checklist_in_every_format(runs, tmp_path, capsys):
    for command, name in (("card", "model-card"), ("tripod", "tripod-ai")):
        assert nme(command, runs / "nme-mlp", "--format", "md,html,docx", "--out", tmp_path, "--json") == 0
        assert len(json.loads(capsys.readouterr().out)[command]) == 3
        assert all((tmp_path / f"{name}.{kind}").stat().st_size > 1000 for kind in ("md", "html", "docx"))


def test_a_run_of_a_newer_version(runs, tmp_path, capsys):
    folder = tmp_path / "newer"
    folder.mkdir()
    manifest = json.loads((runs / "nme-mlp" / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"schema_version": 99}))
    assert nme("report", folder, "--out", tmp_path / "out") == 2
    assert "E404" in capsys.readouterr().err
