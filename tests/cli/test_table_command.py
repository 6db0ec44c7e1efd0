"""``nme table`` and ``nme methods``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from docx import Document

from toolkit.cli.answers import plain_errors
from toolkit.cli.main import app

sys.path[:0] = [str(Path(__file__).parents[1] / "app")]
from example_run import write_example  # noqa: E402 - the small run of the dashboard's tests


@pytest.fixture
def nme(capsys):
    def run(*words: object) -> tuple[int, str, str]:
        code = plain_errors(lambda: app([str(word) for word in words], standalone_mode=False))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    labels = {"depressed": "CES-D 16 or more", "not depressed": "CES-D below 16"}
    return write_example(tmp_path_factory.mktemp("runs") / "nme-crf", persons=60, group_labels=labels)


def test_tables_are_listed_without_a_run(nme):
    code, out, _ = nme("table", "--list")
    assert code == 0
    assert "differences-matrix" in out
    code, out, _ = nme("table", "--list", "--json")
    assert {"sample", "models", "metrics", "variance", "differences", "hsic", "base-rates"} <= {
        row["name"] for row in json.loads(out)["tables"]
    }


def test_a_table_in_every_format(nme, run, tmp_path):
    words = [
        "table",
        "sample",
        run,
        "--format",
        "docx,tex,html,csv,xlsx",
        "--out",
        tmp_path,
        "--number",
        "A1",
        "--json",
    ]
    code, out, _ = nme(*words)
    assert code == 0
    found = json.loads(out)
    assert sorted(Path(name).suffix for name in found["files"]) == [".csv", ".docx", ".html", ".tex", ".xlsx"]
    document = Document(tmp_path / "sample-nme-crf.docx")
    assert document.paragraphs[0].text == "Table A1"
    table = pd.read_csv(tmp_path / "sample-nme-crf.csv")
    assert set(table["group"]) == {"CES-D 16 or more", "CES-D below 16", "All persons"}
    assert pd.api.types.is_float_dtype(table["mean"])
    sheet = openpyxl.load_workbook(tmp_path / "sample-nme-crf.xlsx")["Table A1"]
    assert isinstance(sheet["B5"].value, float)
    assert r"\toprule" in (tmp_path / "sample-nme-crf.tex").read_text(encoding="utf-8")
    assert "Table A1" in (tmp_path / "sample-nme-crf.html").read_text(encoding="utf-8")


def test_an_analysis_is_run_then_tabulated(nme, run, tmp_path):
    code, _, err = nme("table", "differences", run, "--out", tmp_path)
    assert code == 2
    assert "nme analyze differences RUN" in err
    assert nme("analyze", "differences", run, "--resamples", "99")[0] == 0
    code, out, _ = nme("table", "differences-matrix", run, "--out", tmp_path, "--interval", "simultaneous")
    assert code == 0
    assert "Into" in out
    assert (tmp_path / "differences-matrix-nme-crf.docx").is_file()


def test_small_groups_are_hidden_and_the_limit_can_be_set(nme, run, tmp_path):
    # 18 of 60 persons are depressed
    _, shown, _ = nme("table", "sample", run, "--out", tmp_path, "--format", "csv", "--min-group", "11")
    _, hidden, _ = nme("table", "sample", run, "--out", tmp_path, "--format", "csv", "--min-group", "19")
    assert "suppressed" not in shown
    assert "suppressed" in hidden
    assert "1 to 18 persons" in hidden
    for wrong in ("4", "22", "0", "-3"):
        code, _, err = nme("table", "sample", run, "--out", tmp_path, "--min-group", wrong)
        assert code == 2
        assert "E302" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["table"], "name a table and a run folder"),
        (["table", "sample", "RUN", "--format", "doc"], "use docx, tex, html, csv, xlsx"),
        (["table", "sample", "RUN", "--format", ","], "use docx, tex, html, csv, xlsx"),
        (["table", "sampel", "RUN"], "did you mean sample?"),
        (["table", "sample", "RUN", "--number", "x" * 40], "a short word"),
        (["table", "differences-matrix", "RUN", "--interval", "both"], "use raw or simultaneous"),
        (["table", "metrics", "RUN", "--split", "future"], "E124"),
        (["table", "models", "RUN"], "nme compare RUN OTHER"),
        (["table", "sample", "no-such-run"], "E401"),
        (["methods", "no-such-run"], "E401"),
    ],
)
def test_what_cannot_be_done_is_said(nme, run, tmp_path, words, said):
    if "differences-matrix" in words:
        assert nme("analyze", "differences", run, "--resamples", "99")[0] == 0
    folder = ["--out", str(tmp_path / "tables")] if words[0] == "table" else []
    code, _, err = nme(*[run if word == "RUN" else word for word in words], *folder)
    assert code == 2
    assert said in err
    assert not (tmp_path / "tables").exists()


def test_a_folder_that_may_not_be_written(nme, run, tmp_path):
    (tmp_path / "file").write_text("in the way")
    for words in (["table", "sample", run], ["methods", run]):
        code, _, err = nme(*words, "--out", tmp_path / "file" / "deep")
        assert code == 2
        assert "E305" in err


def test_methods_to_the_terminal_and_to_files(nme, run, tmp_path):
    code, out, _ = nme("methods", run)
    assert code == 0
    assert out.startswith("The analysis used")
    assert "To cite:" in out
    code, out, _ = nme("methods", run, "--out", tmp_path, "--json")
    found = json.loads(out)
    assert found["results"][0]["analysis"] == "prediction"
    assert "## Method" in (tmp_path / "methods.md").read_text(encoding="utf-8")
    entries = (tmp_path / "references.bib").read_text(encoding="utf-8")
    assert all(f"{{{key}," in entries for key in found["references"])


def test_methods_leave_out_small_groups_and_single_persons(nme, run):
    # 18 of 60 persons are depressed
    assert nme("analyze", "hsic", run, "--permutations", "99")[0] == 0
    assert nme("analyze", "drivers", run, "--cell", "positive,other")[0] == 0
    _, out, _ = nme("methods", run, "--json")
    found = json.loads(out)
    assert "hsic-score" in {row["analysis"] for row in found["results"]}
    assert not {row["analysis"] for row in found["results"] if row["analysis"].startswith("drivers")}
    assert any("single persons" in sentence for sentence in found["left_out"])
    _, out, _ = nme("methods", run, "--min-group", "19", "--json")
    found = json.loads(out)
    assert not {row["analysis"] for row in found["results"]} & {"hsic-score"}
    assert "Not told: hsic-score, because a group has fewer than 19 persons." in found["left_out"]
    assert "pfister2018kernel" not in found["references"]
    code, _, err = nme("methods", run, "--min-group", "3")
    assert (code, "E302" in err) == (2, True)
