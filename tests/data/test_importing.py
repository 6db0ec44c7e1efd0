"""A file becomes a study folder: no id and no free text in it, the key outside, a study.toml that is read back."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.test_roles import diary
from toolkit.data.import_source import ImportSource
from toolkit.data.importing import ImportChoices, ImportedStudy, import_study
from toolkit.data.pseudonyms import key_folder, read_key
from toolkit.data.readers import ReadOptions
from toolkit.data.roles import propose_roles
from toolkit.data.study import Study
from toolkit.errors import DataError, RunFolderError

WORD = "Xanthippe"


@pytest.fixture(autouse=True)
def _keys(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NME_KEYS", str(tmp_path_factory.mktemp("private") / "keys"))


def imported(path: Path, out: Path, *, seed: int = 1, **choices: object) -> ImportedStudy:
    source = ImportSource.open(path, ReadOptions())
    chosen = ImportChoices(**choices)  # pyright: ignore[reportArgumentType]
    return import_study(source, propose_roles(source.sample), out, choices=chosen, rng=np.random.default_rng(seed))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    frame = diary().assign(remarks=WORD)
    frame["participantID"] = frame["participantID"].replace({"p00": WORD, "p02": "007"})
    frame.loc[3, "participantID"] = f"{WORD} "
    path = tmp_path / f"{WORD}.csv"
    frame.to_csv(path, index=False)
    return path


def test_no_id_no_text_and_no_file_name_is_in_the_folder(file: Path, tmp_path: Path) -> None:
    made = imported(file, tmp_path / "study")
    for path in (tmp_path / "study").iterdir():
        assert WORD.encode() not in path.read_bytes()
        assert WORD not in path.name
    frame = pd.read_parquet(tmp_path / "study" / "data.parquet")
    assert set(frame["participantID"]) == {f"P{k:03d}" for k in range(1, 9)}
    assert set(frame["family_nr"]) == {f"C{k:02d}" for k in range(1, 5)}
    assert "remarks" in made.left_out
    assert "steps" in made.kept
    assert any("became one with another" in str(notice) for notice in made.notices)


def test_the_key_is_private_and_outside(file: Path, tmp_path: Path) -> None:
    made = imported(file, tmp_path / "study")
    assert made.key_path.parent == key_folder()
    assert stat.S_IMODE(made.key_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(key_folder().stat().st_mode) == 0o700
    assert set(read_key(made.key_path)["person"]) == {WORD, "p01", "007", *(f"p{k:02d}" for k in range(3, 8))}
    elsewhere = tmp_path / "mine.csv"
    assert imported(file, tmp_path / "other", key_path=elsewhere).key_path == elsewhere


def test_the_study_is_read_back_without_a_key(file: Path, tmp_path: Path) -> None:
    made = imported(file, tmp_path / "study", title="A diary", unit="prompt")
    made.key_path.unlink()
    study = Study.read(made.study_file)
    assert (study.title, study.unit, study.states) == ("A diary", "prompt", ("calm", "tense"))
    data = study.grouped("mood")
    assert (data.n_persons, data.n_rows) == (8, 120)
    assert data.pseudonymous
    assert study.sequences().n_sequences == 24
    assert not made.key_path.exists()


def test_every_role_has_its_meaning_and_reason_beside_it(file: Path, tmp_path: Path) -> None:
    text = imported(file, tmp_path / "study").study_file.read_text()
    assert "# person: whose row it is (chosen because of its name" in text
    assert "# steps" in text  # a number with empty cells
    assert tomllib.loads(text)["group_labels"] == {"no": "no", "yes": "yes"}


def test_persons_keep_their_pseudonyms_when_the_study_is_replaced(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "study"
    imported(file, out)
    first = pd.read_parquet(out / "data.parquet")
    with pytest.raises(RunFolderError, match="E306"):
        imported(file, out)
    more = pd.concat(
        [pd.read_csv(file, dtype={"participantID": str}), diary().assign(participantID="new", family_nr=9)]
    )
    more.to_csv(file, index=False)
    imported(file, out, seed=2, overwrite=True)
    second = pd.read_parquet(out / "data.parquet")
    pd.testing.assert_series_equal(first["participantID"], second["participantID"].iloc[: len(first)])
    assert second["participantID"].nunique() == 9


def test_rows_without_a_person_are_named(tmp_path: Path) -> None:
    diary().assign(participantID=lambda f: f["participantID"].where(f.index != 7, " ")).to_csv(
        tmp_path / "a.csv", index=False
    )
    source = ImportSource.open(tmp_path / "a.csv", ReadOptions())
    proposal = propose_roles(source.sample, said={"person": "participantID"})
    with pytest.raises(DataError) as caught:
        import_study(source, proposal, tmp_path / "study")
    assert (caught.value.code, caught.value.rows) == ("E112", (9,))


def test_large_files_are_gone_through_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.data.readers.delimited.PIECE", 2_000)
    frame = diary(persons=30)
    frame["constant"] = frame["constant"].astype(float)
    frame.loc[len(frame) - 1, "constant"] = 0.5  # whole numbers until the last row
    frame.to_csv(tmp_path / "a.csv", index=False)
    made = imported(tmp_path / "a.csv", tmp_path / "study")
    stored = pd.read_parquet(tmp_path / "study" / "data.parquet")
    assert made.rows == len(stored) == len(frame)
    np.testing.assert_allclose(stored["mood"], frame["mood"])
    assert stored["constant"].iloc[-1] == 0.5
    codes = pd.factorize(stored["participantID"])[0]
    np.testing.assert_array_equal(codes, pd.factorize(frame["participantID"])[0])


@pytest.mark.parametrize("name", ["../etc/x.csv", "CON.csv", "a b\u202e.csv", "x" * 250 + ".csv"])
def test_odd_file_names_go_nowhere(tmp_path: Path, name: str) -> None:
    path = tmp_path / "in" / name
    (tmp_path / "in").mkdir()
    (tmp_path / "etc").mkdir()
    diary().to_csv(path, index=False)
    imported(path, tmp_path / "study")
    assert sorted(p.name for p in (tmp_path / "study").iterdir()) == ["data.parquet", "study.toml"]


def test_a_failing_import_loses_nothing(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "study"
    imported(file, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def full(*_: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr("toolkit.data.import_data._pseudonymous_table", full)
    with pytest.raises(RunFolderError, match="E305"):
        imported(file, out, overwrite=True)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
