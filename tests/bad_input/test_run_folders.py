"""Run folders that are in the way, damaged, of another version, or no run folders at all."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
from pathlib import Path

import pytest

from tests.small_study import small_study
from toolkit import GroupedDataset, fit, load_run
from toolkit.cli.answers import plain_errors
from toolkit.cli.main import app
from toolkit.errors import RunFolderError
from toolkit.models import GenericMlp
from toolkit.runs import writing
from toolkit.runs.lock import claimed

CONFIG = GenericMlp(hidden=(), epochs=3)


@pytest.fixture(scope="module")
def rows():
    return GroupedDataset.from_frame(small_study(), target="mood", features=["x"], groups=["who"], time="t")


@pytest.fixture(scope="module")
def original(rows, tmp_path_factory):
    out = tmp_path_factory.mktemp("original") / "run"
    fit(CONFIG, rows, seed=1, out=out)
    return out


@pytest.fixture
def run(original, tmp_path):
    return Path(shutil.copytree(original, tmp_path / "run"))


@pytest.fixture
def verified(capsys):
    """Exit code and error of ``nme verify``; Python's error has to be the same one."""

    def verify(path: Path, code: str) -> None:
        with pytest.raises(RunFolderError) as caught:
            load_run(path).verify()
        assert caught.value.code == code
        assert plain_errors(lambda: app(["verify", str(path)], standalone_mode=False)) == 2
        error = capsys.readouterr().err
        assert code in error
        assert error.count("\n") == 1

    return verify


def test_a_folder_that_cannot_be_written(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "touch", lambda *_: (_ for _ in ()).throw(PermissionError()))
    monkeypatch.setattr("toolkit.runs.fitting._train", lambda *_: pytest.fail("trained before looking"))
    with pytest.raises(RunFolderError, match="E305"):
        fit(CONFIG, rows, seed=1, out=tmp_path / "run")


def test_a_finished_run_is_not_replaced(rows, run):
    with pytest.raises(RunFolderError, match="E306") as caught:
        fit(CONFIG, rows, seed=2, out=run)
    assert "--overwrite" in caught.value.remedy
    assert load_run(run).manifest["seed"] == 1


def test_two_runs_in_one_folder(rows, tmp_path):
    with claimed(tmp_path / "run"), pytest.raises(RunFolderError, match="E307"):
        fit(CONFIG, rows, seed=1, out=tmp_path / "run")
    fit(CONFIG, rows, seed=1, out=tmp_path / "run")
    assert not list(tmp_path.glob(".run*"))


def test_the_lock_of_a_dead_run_is_taken_over(rows, tmp_path):
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    (tmp_path / ".run.lock").write_text(str(child))
    fit(CONFIG, rows, seed=1, out=tmp_path / "run")
    assert load_run(tmp_path / "run").verify()


def test_a_full_disk_leaves_the_earlier_run(rows, run, monkeypatch):
    def full(*_: object) -> bytes:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(writing, "_parquet", full)
    with pytest.raises(RunFolderError, match="E304"):
        fit(CONFIG, rows, seed=2, out=run, overwrite=True)
    assert load_run(run).manifest["seed"] == 1
    assert load_run(run).verify()
    assert not list(run.parent.glob(".run*"))


def test_a_file_cut_short(run, verified):
    (run / "manifest.json").write_bytes((run / "manifest.json").read_bytes()[:100])
    verified(run, "E401")
    (run / "manifest.json").write_text("<html>not found</html>")
    verified(run, "E401")


def test_one_bit_flipped(run, verified):
    content = bytearray((run / "generic.safetensors").read_bytes())
    content[-1] ^= 1
    (run / "generic.safetensors").write_bytes(bytes(content))
    verified(run, "E402")


class _Bomb:
    def __reduce__(self):
        return os.mkdir, ("opened",)


@pytest.mark.parametrize("name", ["model.pt", "model.pkl", "run"])
def test_a_pickle_is_never_opened(tmp_path, verified, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(pickle.dumps(_Bomb()))
    verified(tmp_path / name, "E403")
    assert not (tmp_path / "opened").exists()


def test_a_newer_version(run, verified):
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps({**manifest, "schema_version": 99}))
    verified(run, "E404")
