"""Rows of the table tested in Python elsewhere, through the command line: what ``nme`` says, and leaves behind."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.bad_input.studies import ROLES, good, write_study
from tests.small_study import small_study
from toolkit.data.readers import read_table
from toolkit.errors import DataError

NO_FAMILY = {"cluster": None}


def refused(answer: tuple[int, str, str], code: str) -> None:
    status, _, err = answer
    assert (status, code in err, err.count("\n")) == (2, True, 1), err


@pytest.mark.slow
def test_row_39_no_more_rows_than_effects(tmp_path: Path, command, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    frame = small_study(persons=4, rows=3)
    names = [f"x{k}" for k in range(3)]
    frame = frame.assign(**{name: np.random.default_rng(k).normal(size=len(frame)) for k, name in enumerate(names)})
    frame.to_csv(tmp_path / "a.csv", index=False)
    roles = {"person": "who", "time": "t", "targets": ["mood"], "features": names}
    study = write_study(tmp_path, {"file": "a.csv"}, roles)
    refused(command("fit", study, "--model", "nme-mlp", "--set", "hidden=()", "--epochs", 2), "E118")
    assert not list(tmp_path.glob("runs/*/manifest.json"))


@pytest.mark.slow
def test_row_40_persons_without_training_rows(tmp_path: Path, command) -> None:
    good().to_csv(tmp_path / "a.csv", index=False)
    study = write_study(tmp_path, {"file": "a.csv"}, {**ROLES, **NO_FAMILY})
    split = tmp_path / "split.parquet"
    assert command("split", study, "--design", "persons", "--out", split)[0] == 0
    words = ["--model", "generic-mlp", "--target", "mood", "--epochs", 2, "--split", split, "--out", tmp_path / "run"]
    code, _, err = command("fit", study, *words)
    assert code == 0
    assert "W209" in err
    assert (tmp_path / "run" / "manifest.json").exists()


@pytest.mark.parametrize("word", ["check", "import"])
@pytest.mark.parametrize("bomb", ["row 71", "row 73"])
def test_rows_71_and_73_unsafe_excel_files(bomb: str, word: str, tmp_path: Path, command, monkeypatch) -> None:
    monkeypatch.setenv("NME_KEYS", str(tmp_path / "keys"))
    entity = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;">]><x>&b;</x>'
    part, content = ("xl/worksheets/sheet1.xml", bytes(64 * 2**20)) if bomb == "row 71" else ("xl/workbook.xml", entity)
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(part, content)
    study = write_study(tmp_path, {"file": "a.xlsx"}, ROLES)
    if word == "import":
        refused(command("import", tmp_path / "a.xlsx", "--out", tmp_path / "new", "--yes"), "E501")
        assert not (tmp_path / "new").exists()
    else:
        code, out, err = command("check", study)
        assert (code, "E501" in out, err.count("\n")) == (2, True, 1)


@pytest.mark.parametrize("name", ["../etc/x.csv", "CON.csv", "x" * 250 + ".csv"])
def test_row_74_odd_file_names_go_nowhere(name: str, tmp_path: Path, command, monkeypatch) -> None:
    monkeypatch.setenv("NME_KEYS", str(tmp_path / "keys"))
    for folder in ("in", "etc"):
        (tmp_path / folder).mkdir()
    file = tmp_path / "in" / name
    good().to_csv(file, index=False)
    assert command("import", file, "--out", tmp_path / "new", "--yes")[0] == 0
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["data.parquet", "study.toml"]
    assert name not in (tmp_path / "new" / "study.toml").read_text()
    assert not list((tmp_path / "etc").iterdir()) or name.startswith("..")


def test_row_74_names_no_file_can_have(tmp_path: Path, command, monkeypatch) -> None:
    monkeypatch.setenv("NME_KEYS", str(tmp_path / "keys"))
    refused(command("import", tmp_path / ("x" * 300 + ".csv"), "--out", tmp_path / "new", "--yes"), "E100")
    code, _, err = command("import", tmp_path / "a\x00b.csv", "--yes")  # no shell can pass this one on
    assert (code, "Invalid value" in err) == (2, True)
    with pytest.raises(DataError, match="E100"):
        read_table(tmp_path / "a\x00b.csv")
