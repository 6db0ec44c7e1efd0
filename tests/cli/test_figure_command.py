"""nme figure: files at their size, data and description beside them, single persons only on request, plain errors."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pandas as pd
import pytest
from PIL import Image

from tests.app.example_run import write_example
from toolkit.cli.answers import plain_errors
from toolkit.cli.main import app
from toolkit.runs.folder import load_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_example(tmp_path_factory.mktemp("runs") / "nme-crf", persons=40, groups=("=cmd", "well"))


def command(capsys, *words: object) -> tuple[int, str, str]:
    code = plain_errors(lambda: app([str(word) for word in words], standalone_mode=False))
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.slow
def test_files_of_every_format_with_data_and_description(run, tmp_path, capsys) -> None:
    formats = "svg,pdf,eps,tif,png"
    code, out, err = command(
        capsys,
        "figure",
        "caterpillar",
        run,
        "--preset",
        "89mm",
        "--format",
        formats,
        "--dpi",
        300,
        "--out",
        tmp_path / "f",
    )
    assert (code, err) == (0, "")
    names = {path.name for path in (tmp_path / "f").iterdir()}
    assert names == {f"caterpillar-nme-crf.{kind}" for kind in ("svg", "pdf", "eps", "tiff", "png", "csv", "txt")}
    with Image.open(tmp_path / "f" / "caterpillar-nme-crf.png") as image:
        assert image.width == pytest.approx(89 / 25.4 * 300, abs=1.5)
    text = (tmp_path / "f" / "caterpillar-nme-crf.txt").read_text(encoding="utf-8")
    assert text.startswith("Person effects with their intervals, sorted\n\nEffects of 40 persons")
    assert "Run: nme-crf." in text
    assert "89 × " in out


@pytest.mark.slow
def test_the_table_is_safe_and_without_pseudonyms(run, tmp_path, capsys) -> None:
    person = str(load_run(run).persons()["person"].iloc[0])
    assert command(capsys, "figure", "caterpillar", run, "--format", "svg", "--out", tmp_path)[0] == 0
    raw = (tmp_path / "caterpillar-nme-crf.csv").read_bytes()
    assert person.encode() not in raw
    assert b"'=cmd" in raw
    assert b",=cmd" not in raw
    table = pd.read_csv(tmp_path / "caterpillar-nme-crf.csv")
    assert len(table) == 40
    assert table["estimate"].dtype == float
    assert command(capsys, "figure", "caterpillar", run, "--format", "svg", "--out", tmp_path, "--identifiable")[0] == 0
    assert person.encode() in (tmp_path / "caterpillar-nme-crf.csv").read_bytes()


@pytest.mark.slow
def test_one_person_is_drawn_only_when_that_is_said(run, tmp_path, capsys) -> None:
    person = str(load_run(run).persons()["person"].iloc[0])
    words = ["figure", "person-matrix", run, "--person", person, "--format", "pdf", "--out", tmp_path / "p"]
    code, _, err = command(capsys, *words)
    assert code == 2
    assert "--identifiable" in err
    assert person not in err
    assert not (tmp_path / "p").exists()
    code, out, _ = command(capsys, *words, "--identifiable")
    assert code == 0
    assert "about one person" in out
    files = {path.name for path in (tmp_path / "p").iterdir()}
    assert all(name.startswith("identifiable-") for name in files)
    assert person not in " ".join(files)


def test_json_holds_what_was_written(run, tmp_path, capsys) -> None:
    code, out, _ = command(
        capsys, "figure", "forest", run, "--resamples", 99, "--set", "order=size", "--preset", "slide", "--format",
        "svg", "--out", tmp_path, "--json",
    )  # fmt: skip
    answer = json.loads(out)
    assert code == 0
    assert answer["size_mm"] == [338.7, 190.5]
    assert [path.rsplit(".", 1)[1] for path in answer["files"]] == ["svg", "csv", "txt"]
    assert answer["alt"].startswith("Differences of 16")
    assert not answer["identifiable"]


def test_the_list_names_every_figure(capsys) -> None:
    code, out, _ = command(capsys, "figure", "--list", "--json")
    listed = json.loads(out)["figures"]
    assert code == 0
    assert {"caterpillar", "forest", "network", "calibration"} <= {row["name"] for row in listed}
    assert all({"title", "needs", "options", "identifiable"} <= row.keys() for row in listed)
    assert "caterpillar" in command(capsys, "figure", "--list")[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nonsense"], "there is no figure of this name"),
        (["caterpillar", "--preset", "A4"], "89mm"),
        (["caterpillar", "--format", "gif"], "svg, png, pdf, eps, tiff"),
        (["caterpillar", "--format", ""], "svg, png, pdf, eps, tiff"),
        (["caterpillar", "--dpi", "72"], "300 to 1000"),
        (["caterpillar", "--dpi", "2000"], "300 to 1000"),
        (["training", "--seed", "1"], "no use for 'seed'"),
        (["training", "--resamples", "10000"], "no use for 'resamples'"),
        (["caterpillar", "--set", "order"], "NAME=VALUE"),
        (["caterpillar", "--set", "order=size"], "no use for 'order'"),
        (["caterpillar", "--min-group", "2"], "5 to 21"),
        (["caterpillar", "--parameter", "nothing"], "no such person effect"),
        (["baseline"], "no baseline level"),
    ],
)
def test_wrong_wishes_are_refused_and_nothing_is_written(run, tmp_path, capsys, words: list[str], said: str) -> None:
    code, _, err = command(capsys, "figure", words[0], run, *words[1:], "--out", tmp_path / "none")
    assert code == 2
    assert said in err
    assert re.match(r"nme: E\d{3}: ", err)
    assert not (tmp_path / "none").exists()


def test_without_a_run_the_list_is_pointed_at(capsys) -> None:
    code, _, err = command(capsys, "figure", "caterpillar")
    assert code == 2
    assert "--list" in err


def test_a_folder_that_cannot_be_written_is_e305(run, tmp_path, capsys) -> None:
    (tmp_path / "file").write_text("in the way")
    for place in (tmp_path / "file", tmp_path / "file" / "inside"):
        code, _, err = command(capsys, "figure", "training", run, "--format", "svg", "--out", place)
        assert code == 2
        assert "E305" in err
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    if os.access(closed, os.W_OK):
        pytest.skip("this user may write everywhere")
    assert "E305" in command(capsys, "figure", "training", run, "--format", "svg", "--out", closed)[2]


def test_a_missing_font_is_said_and_the_figure_is_there(run, tmp_path, capsys) -> None:
    code, _, err = command(
        capsys, "figure", "training", run, "--font", "No Such Sans", "--format", "pdf", "--out", tmp_path
    )
    assert code == 0
    assert "W226" in err
    assert (tmp_path / "training-nme-crf.pdf").read_bytes().startswith(b"%PDF")


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from toolkit.cli.main import app;"
        "assert CliRunner().invoke(app, ['figure', '--help']).exit_code == 0;"
        "heavy = {'numpy', 'pandas', 'matplotlib', 'plotly', 'torch', 'PIL'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
