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
def verified(command):
    """Exit code and error of ``nme verify``; Python's error has to be the same one."""

    def verify(path: Path, code: str) -> None:
        with pytest.raises(RunFolderError) as caught:
            load_run(path).verify()
        assert caught.value.code == code
        exit_code, out, error = command("verify", path, "--json")
        assert exit_code == 2
        assert code in error
        assert error.count("\n") == 1
        assert json.loads(out)["error"]["code"] == code

    return verify


def test_row_61_a_folder_that_cannot_be_written(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "touch", lambda *_: (_ for _ in ()).throw(PermissionError()))
    monkeypatch.setattr("toolkit.runs.fitting._train", lambda *_: pytest.fail("trained before looking"))
    with pytest.raises(RunFolderError, match="E305"):
        fit(CONFIG, rows, seed=1, out=tmp_path / "run")


@pytest.mark.parametrize("place", ["/proc/1/fdinfo/runs/run", "a file/run"])
def test_row_61_command_line(study_file, tmp_path, command, monkeypatch, place):
    """Places where even an administrator cannot write."""
    (tmp_path / "a file").write_text("in the way")
    monkeypatch.setattr("toolkit.runs.fitting._train", lambda *_: pytest.fail("trained before looking"))
    code, out, err = command("fit", study_file, "--out", tmp_path / place, "--json")
    assert code == 2
    assert err.count("\n") == 1
    assert json.loads(out)["error"]["code"] == "E305"


def test_row_61_a_disk_that_turns_read_only(rows, tmp_path, monkeypatch):
    def read_only(*_: object) -> bytes:
        raise OSError(errno.EROFS, "read-only file system")

    monkeypatch.setattr(writing, "_parquet", read_only)
    with pytest.raises(RunFolderError, match="E305"):
        fit(CONFIG, rows, seed=1, out=tmp_path / "run")
    assert {entry.name for entry in tmp_path.iterdir()} == {"run.key.csv"}


def test_row_62_a_finished_run_is_not_replaced(rows, run):
    with pytest.raises(RunFolderError, match="E306") as caught:
        fit(CONFIG, rows, seed=2, out=run)
    assert "--overwrite" in caught.value.remedy
    assert load_run(run).manifest["seed"] == 1


@pytest.mark.slow
def test_row_62_command_line(study_file, run, command):
    before = {path: path.read_bytes() for path in run.iterdir()}
    words = ("fit", study_file, "--epochs", 2, "--out", run)
    for more in ((), ("--resume",)):
        code, _, err = command(*words, *more)
        assert code == 2
        assert "E306" in err
        assert "--overwrite" in err
    assert {path: path.read_bytes() for path in run.iterdir()} == before
    assert command(*words, "--overwrite")[0] == 0
    assert load_run(run).manifest["config"]["epochs"] == 2


def test_row_63_two_runs_in_one_folder(rows, tmp_path):
    with claimed(tmp_path / "run"), pytest.raises(RunFolderError, match="E307"):
        fit(CONFIG, rows, seed=1, out=tmp_path / "run")
    fit(CONFIG, rows, seed=1, out=tmp_path / "run")
    assert not list(tmp_path.glob(".run*"))


@pytest.mark.slow
def test_row_63_command_line(study_file, tmp_path, command):
    words = ("fit", study_file, "--epochs", 2, "--out", tmp_path / "run")
    with claimed(tmp_path / "run"):
        code, out, err = command(*words, "--json")
    assert code == 2
    assert err.count("\n") == 1
    assert json.loads(out)["error"]["code"] == "E307"
    assert command(*words)[0] == 0


def test_row_63_the_lock_of_a_dead_run_is_taken_over(rows, tmp_path):
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    (tmp_path / ".run.lock").write_text(str(child))
    fit(CONFIG, rows, seed=1, out=tmp_path / "run")
    assert load_run(tmp_path / "run").verify()


def test_row_60_a_full_disk_leaves_the_earlier_run(rows, run, monkeypatch):
    def full(*_: object) -> bytes:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(writing, "_parquet", full)
    with pytest.raises(RunFolderError, match="E304"):
        fit(CONFIG, rows, seed=2, out=run, overwrite=True)
    assert load_run(run).manifest["seed"] == 1
    assert load_run(run).verify()
    assert not list(run.parent.glob(".run*"))


def test_row_64_a_manifest_cut_short_or_of_something_else(run, verified):
    (run / "manifest.json").write_bytes((run / "manifest.json").read_bytes()[:100])
    verified(run, "E401")
    (run / "manifest.json").write_text("<html>not found</html>")
    verified(run, "E401")


@pytest.mark.parametrize("name", ["generic.safetensors", "persons.safetensors", "predictions.parquet"])
@pytest.mark.parametrize("damage", ["cut short", "empty", "html", "wrong magic"])
def test_row_64_a_model_file_that_is_none(run, verified, name, damage):
    content = (run / name).read_bytes()
    damaged = {
        "cut short": content[: len(content) // 2],
        "empty": b"",
        "html": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "wrong magic": b"\x89HDF\r\n\x1a\n" + content[8:-4],
    }
    (run / name).write_bytes(damaged[damage])
    verified(run, "E401")


@pytest.mark.parametrize(
    "manifest", ["[]", "{}", '"run"', '{"schema_version": "1"}', '{"schema_version": 1, "files": {}, "study": {}}', ""]
)
def test_row_64_a_manifest_of_something_else(run, verified, manifest):
    (run / "manifest.json").write_text(manifest)
    verified(run, "E401")


def test_row_64_a_manifest_that_names_files_elsewhere(run, verified):
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["files"]["../../etc/passwd"] = "0" * 64
    (run / "manifest.json").write_text(json.dumps(manifest))
    verified(run, "E401")


def test_row_64_a_missing_file_and_a_missing_folder(run, verified):
    (run / "metrics.parquet").unlink()
    verified(run, "E401")
    verified(run / "nowhere", "E401")


def test_row_64_predictions_need_the_weights_whole(run, rows):
    (run / "persons.safetensors").write_bytes(b"not the weights")
    with pytest.raises(RunFolderError, match="E401"):
        load_run(run).predict(rows)
    assert len(load_run(run).persons()) == rows.n_persons


def test_row_65_one_bit_flipped(run, verified):
    content = bytearray((run / "generic.safetensors").read_bytes())
    content[-1] ^= 1
    (run / "generic.safetensors").write_bytes(bytes(content))
    verified(run, "E402")


class _Bomb:
    def __reduce__(self):
        return os.mkdir, ("opened",)


@pytest.mark.parametrize("name", ["model.pt", "model.pkl", "run"])
def test_row_66_a_pickle_is_never_opened(tmp_path, verified, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(pickle.dumps(_Bomb()))
    verified(tmp_path / name, "E403")
    assert not (tmp_path / "opened").exists()


@pytest.mark.parametrize("name", ["generic.safetensors", "persons.parquet"])
def test_row_66_a_pickle_in_place_of_a_file_of_the_run(run, verified, name, monkeypatch):
    monkeypatch.chdir(run.parent)
    (run / name).write_bytes(pickle.dumps(_Bomb()))
    verified(run, "E403")
    assert not (run.parent / "opened").exists()


def test_row_66_a_zip_of_torch_in_place_of_a_run(tmp_path, verified):
    import torch

    torch.save({"weights": torch.zeros(2)}, tmp_path / "model.pt")
    verified(tmp_path / "model.pt", "E403")


def test_row_67_a_newer_version(run, verified):
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps({**manifest, "schema_version": 99}))
    verified(run, "E404")


def test_row_80_a_file_that_may_not_be_read(run, rows, command, monkeypatch):
    def forbidden(path: Path, *_: object, **__: object) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", forbidden)
        with pytest.raises(RunFolderError, match=r"E401: metrics.parquet .* may not be read"):
            load_run(run).metrics()
        code, _, err = command("compare", run, run)
    assert code == 2
    assert err.count("\n") == 1
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_text", forbidden)
        with pytest.raises(RunFolderError, match=r"E401: the run folder may not be read"):
            load_run(run)
        assert command("verify", run)[0] == 2


def test_row_80_a_folder_that_vanishes_while_it_is_open(run, rows):
    saved = load_run(run)
    shutil.rmtree(run)
    for read in (saved.metrics, saved.verify, lambda: saved.predict(rows)):
        with pytest.raises(RunFolderError, match="E401"):
            read()


@pytest.mark.slow
def test_row_80_command_line_an_analysis_that_cannot_be_kept(run, study_file, command, tmp_path):
    assert command("fit", study_file, "--epochs", 2, "--out", tmp_path / "own")[0] == 0
    (tmp_path / "own" / "analyses").write_text("in the way")
    code, _, err = command("analyze", "variance", tmp_path / "own", "--resamples", 200)
    assert code == 2
    assert "E305" in err
    assert err.count("\n") == 1
