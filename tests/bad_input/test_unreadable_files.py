"""Row 80: a file that may not be read, vanishes, changes or is lost with its drive in the middle of reading.

The rights of files say nothing to an administrator, so opening is made to fail instead.
"""

from __future__ import annotations

import errno
import io
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyreadstat
import pytest

from tests.bad_input.studies import PLANTED, ROLES, good, write_study
from toolkit.data.import_source import ImportSource
from toolkit.data.readers import ReadOptions, read_table
from toolkit.data.study import Study
from toolkit.errors import DataError

KINDS = ("csv", "parquet", "xlsx", "sav")
MOST_OPENINGS = 6
opening = Path.open


def write_file(folder: Path, kind: str) -> Path:
    frame, path = good(), folder / f"{PLANTED}.{kind}"
    if kind == "csv":
        frame.to_csv(path, index=False)
    elif kind == "parquet":
        frame.to_parquet(path)
    elif kind == "xlsx":
        frame.to_excel(path, index=False)
    else:
        pyreadstat.write_sav(frame, str(path))  # pyright: ignore[reportArgumentType]
    return path


@pytest.fixture(params=KINDS)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_file(tmp_path, request.param)


def refused(call: Callable[[], object], words: str = "") -> None:
    """A plain sentence, E100, without the name of the file."""
    with pytest.raises(DataError) as caught:
        call()
    assert caught.value.code == "E100"
    assert words in str(caught.value)
    assert caught.value.remedy
    assert PLANTED not in str(caught.value) + repr(vars(caught.value))


def forbid(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    """Opening this file is not allowed."""

    def denied(path: Path, *words: object, **options: object) -> object:
        if path == file:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opening(path, *words, **options)  # pyright: ignore[reportCallIssue, reportArgumentType]

    monkeypatch.setattr(Path, "open", denied)


def vanish(monkeypatch: pytest.MonkeyPatch, file: Path, after: int) -> list[int]:
    """The file is gone when it has been opened so many times; returns a list that grows with every opening."""
    seen: list[int] = []

    def gone(path: Path, *words: object, **options: object) -> object:
        if path == file:
            seen.append(len(seen))
            if len(seen) > after:
                path.unlink(missing_ok=True)
        return opening(path, *words, **options)  # pyright: ignore[reportCallIssue, reportArgumentType]

    monkeypatch.setattr(Path, "open", gone)
    return seen


class Lost(io.FileIO):
    """A file on a drive that is lost after some bytes."""

    left = 0

    def readinto(self, buffer: object, /) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        if self.left <= 0:
            raise OSError(errno.EIO, "Input/output error", PLANTED)
        count = super().readinto(memoryview(buffer)[: self.left])  # pyright: ignore[reportArgumentType]
        self.left -= count or 0
        return count or 0


def lose(monkeypatch: pytest.MonkeyPatch, file: Path, after: int) -> None:
    def lost(path: Path, *words: object, **options: object) -> object:
        if path != file:
            return opening(path, *words, **options)  # pyright: ignore[reportCallIssue, reportArgumentType]
        raw = Lost(str(path), "rb")
        raw.left = after
        return io.BufferedReader(raw, buffer_size=512)

    monkeypatch.setattr(Path, "open", lost)


def test_no_permission(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid(monkeypatch, file)
    refused(lambda: read_table(file), "may not be read")
    refused(lambda: ImportSource.open(file, ReadOptions()), "may not be read")


@pytest.mark.parametrize("after", range(MOST_OPENINGS))
def test_vanished_between_two_openings(file: Path, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = vanish(monkeypatch, file, MOST_OPENINGS)
    read_table(file)
    needed = len(counted)
    seen = vanish(monkeypatch, file, after)
    if after < needed:
        refused(lambda: read_table(file), "was not found")
    else:
        assert len(read_table(file)) == 144
        assert len(seen) == needed


@pytest.mark.parametrize("after", [0, 700, 1500])
def test_the_drive_is_lost_while_it_is_read(file: Path, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lose(monkeypatch, file, after)
    refused(lambda: read_table(file), "cannot be read")


@pytest.mark.parametrize(
    "change",
    [lambda text: text[: len(text) // 2].rsplit("\n", 1)[0] + "\n", lambda text: text.replace(",0,", ",zero,")],
    ids=["cut short", "words among the numbers"],
)
def test_a_csv_file_that_changes_between_two_looks(change: Callable[[str], str], tmp_path: Path) -> None:
    file = write_file(tmp_path, "csv")
    source = ImportSource.open(file, ReadOptions())
    file.write_text(change(file.read_text()))
    refused(source.whole, "changed while it was read")


@pytest.fixture
def study(file: Path) -> Path:
    return write_study(file.parent, {"file": file.name}, ROLES)


def answered(command, *words: object) -> dict[str, object]:
    """The error of a command, which is one sentence and one JSON object."""
    code, _, err = command(*words)
    assert code == 2
    assert err.count("\n") == 1
    code, out, err = command(*words, "--json")
    assert code == 2
    assert PLANTED not in out + err
    return json.loads(out)


@pytest.mark.parametrize("word", ["describe", "split", "fit"])
def test_command_line_no_permission(file: Path, study: Path, command, word: str, monkeypatch, tmp_path) -> None:
    forbid(monkeypatch, file)
    monkeypatch.chdir(tmp_path)
    error = answered(command, word, study)["error"]
    assert isinstance(error, dict)
    assert (error["code"], error["message"]) == ("E100", "the file may not be read")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("after", [0, 1, 2])
def test_command_line_vanished(file: Path, study: Path, command, after: int, monkeypatch) -> None:
    seen = vanish(monkeypatch, file, after)
    code, out, err = command("check", study)
    assert PLANTED not in out + err
    if len(seen) <= after:  # the file was needed no more
        assert code == 0
    else:
        assert (code, "E100" in out, err.count("\n")) == (2, True, 1)


def test_command_line_import(file: Path, command, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("NME_KEYS", str(tmp_path / "keys"))
    forbid(monkeypatch, file)
    error = answered(command, "import", file, "--out", tmp_path / "new", "--yes")["error"]
    assert isinstance(error, dict)
    assert error["code"] == "E100"
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("after", range(2, 8))
def test_command_line_import_of_a_file_that_vanishes_leaves_no_study(command, after, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("NME_KEYS", str(tmp_path / "keys"))
    file = write_file(tmp_path, "csv")
    seen = vanish(monkeypatch, file, after)
    code, out, err = command("import", file, "--out", tmp_path / "new", "--yes")
    assert PLANTED not in out + err
    whole = len(seen) <= after
    assert code == (0 if whole else 2)
    assert "E100" in err or whole
    assert (tmp_path / "new" / "study.toml").exists() is whole
    assert (tmp_path / "new" / "data.parquet").exists() is whole
    assert not list(tmp_path.glob("new/.*"))


def test_a_study_file_that_may_not_be_read(tmp_path: Path, command, monkeypatch) -> None:
    file = write_file(tmp_path, "csv")
    study = write_study(tmp_path, {"file": file.name}, ROLES)
    forbid(monkeypatch, study)
    refused(lambda: Study.read(study), "the study file cannot be read")
    code, _, err = command("check", study)
    assert (code, "E100" in err, err.count("\n")) == (2, True, 1)


def test_a_key_that_may_not_be_read_or_looked_for(tmp_path: Path, command, monkeypatch) -> None:
    file = write_file(tmp_path, "csv")
    study = write_study(tmp_path, {"file": file.name}, ROLES)
    Study.read(study).frame()
    key = tmp_path / "study.key.csv"
    before = key.read_bytes()
    forbid(monkeypatch, key)
    refused(lambda: Study.read(study).frame(), "key file")
    code, _, err = command("describe", study)
    assert (code, "E100" in err, err.count("\n")) == (2, True, 1)
    monkeypatch.undo()
    assert key.read_bytes() == before  # a key that cannot be read is never replaced by a new one


def test_a_folder_in_place_of_the_file(tmp_path: Path) -> None:
    for kind in KINDS:
        (tmp_path / f"folder.{kind}").mkdir()
        refused(lambda kind=kind: read_table(tmp_path / f"folder.{kind}"))


def test_a_study_folder_that_cannot_be_written(tmp_path: Path, command, monkeypatch) -> None:
    monkeypatch.setenv("NME_KEYS", str(tmp_path / "keys"))
    file = write_file(tmp_path, "csv")

    def full(*_: object, **__: object) -> object:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("toolkit.data.import_data.tempfile.mkstemp", full)
    code, _, err = command("import", file, "--out", tmp_path / "new", "--yes")
    assert (code, "E305" in err, err.count("\n")) == (2, True, 1)
    assert isinstance(pd.read_csv(file), pd.DataFrame)
