"""Every public table beside the checkout is imported and checked; skipped where they are absent."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyreadstat
import pytest

from tests.shared_data import shared_file, shared_tables
from toolkit.cli.answers import plain_errors
from toolkit.cli.main import app
from toolkit.data.readers import read_table

# tables in which no column looks like a person's id: whose row it is has to be said
PERSON = {"ggplot2movies.parquet": "title", "insteval.parquet": "s", "pargent_okcupid.parquet": "status"}


@pytest.fixture
def nme(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("NME_KEYS", str(tmp_path / "keys"))

    def run(*words: object) -> tuple[int, str, str]:
        code = plain_errors(lambda: app([str(word) for word in words], standalone_mode=False))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.mark.slow
@pytest.mark.parametrize("name", shared_tables())
def test_it_is_imported_and_checked(name: str, tmp_path: Path, nme) -> None:
    path = shared_file(name)
    person = ["--person", PERSON[name]] if name in PERSON else []
    code, out, err = nme("import", path, "--out", tmp_path / "s", "--yes", "--json", *person)
    assert (code, err) == (0, "")
    rows = len(pd.read_csv(path, low_memory=False)) if path.suffix == ".csv" else len(pd.read_parquet(path))
    answer = json.loads(out)
    assert answer["rows"] == rows == len(pd.read_parquet(tmp_path / "s" / "data.parquet"))
    code, out, _ = nme("check", tmp_path / "s" / "study.toml", "--json")
    assert code in (0, 2)
    checked = json.loads(out)
    assert checked["rows"] == rows
    assert checked["persons"] == answer["persons"]


@pytest.mark.slow
def test_months_of_activity_become_sequences(tmp_path: Path, nme) -> None:
    path = shared_file("traminer_mvad.csv")
    words = ["--wide", "state=Jul.93:Jun.99", "--person", "id", "--time", "occasion", "--state", "state", "--yes"]
    assert nme("import", path, "--out", tmp_path / "s", *words, "--target", "state", "--group", "male")[0] == 0
    code, out, _ = nme("check", tmp_path / "s" / "study.toml")
    assert code == 0
    assert "712 persons, 51264 rows (72 to 72 a person)" in out


@pytest.mark.slow
def test_a_table_of_persons_is_joined(tmp_path: Path, nme) -> None:
    daily, static = shared_file("jang2024_panic_daily.csv"), shared_file("jang2024_panic_static.csv")
    words = ["--person", "id", "--join", static, "--target", "anxiety", "--yes"]
    assert nme("import", daily, "--out", tmp_path / "s", *words)[0] == 0
    frame = pd.read_parquet(tmp_path / "s" / "data.parquet")
    assert len(frame) == 3969
    assert frame.groupby("id")["marriage"].nunique().max() == 1


@pytest.mark.parametrize("ending", ["sav", "dta", "xlsx", "tsv"])
def test_the_same_table_in_other_formats(ending: str, tmp_path: Path) -> None:
    frame = pd.read_csv(shared_file("dyseq_couplescope.csv"), dtype={"id": str})
    path = tmp_path / f"a.{ending}"
    if ending == "tsv":
        frame.to_csv(path, sep="\t", index=False)
    elif ending == "xlsx":
        frame.to_excel(path, index=False)
    else:
        writer = pyreadstat.write_sav if ending == "sav" else pyreadstat.write_dta
        writer(frame, path)
    read = read_table(path, text_columns=["id"])
    pd.testing.assert_frame_equal(read, frame, check_dtype=False)
