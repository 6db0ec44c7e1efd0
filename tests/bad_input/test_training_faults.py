"""Rows 55 to 60: what happens in the middle of a fit, and that a resumed fit ends where an undisturbed one does."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from tests.bad_input.conftest import study_frame
from toolkit import GroupedDataset, SequenceBatch, fit, load_run
from toolkit.errors import ConfigError, Interrupted, RunFolderError, ToolkitWarning
from toolkit.models import GenericCrf, GenericMlp, MlpLme, NmeCrf, NmeMlp
from toolkit.models import estimate as estimation
from toolkit.runs import checkpoint, writing
from toolkit.runs.checkpoint import CheckpointKeeper, checkpoint_folder, read_checkpoint

ROLES = {"features": ["x", "y"], "groups": ["who"], "time": "t"}
CONFIG = NmeMlp(hidden=(3,), effects="all", epochs=40, patience=40)
WORDS = ("--model", "nme-mlp", "--effects", "all", "--epochs", 40, "--set", "hidden=(3,)", "--set", "patience=40")
SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


@pytest.fixture(scope="module")
def rows():
    return GroupedDataset.from_frame(study_frame(), target="mood", **ROLES)


@pytest.fixture(scope="module")
def undisturbed(rows, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    fit(CONFIG, rows, seed=1, out=out)
    return out


@pytest.fixture(scope="module")
def undisturbed_command(study_file, tmp_path_factory):
    from toolkit.cli.answers import plain_errors
    from toolkit.cli.main import app

    out = tmp_path_factory.mktemp("undisturbed") / "run"
    words = [str(word) for word in ("fit", study_file, *WORDS, "--out", out)]
    assert plain_errors(lambda: app(words, standalone_mode=False)) == 0
    return out


@pytest.fixture(autouse=True)
def always_due(monkeypatch):
    """A checkpoint every ten epochs, however long it took to write the last one."""
    monkeypatch.setattr(checkpoint, "SHARE", float("inf"))


class Crash(Exception):
    pass


def crash_at(stop: int):
    def progress(epoch: int, *_: object) -> None:
        if epoch == stop:
            raise Crash

    return progress


def interrupted(rows, out: Path, stop: int = 25, config=CONFIG, **settings) -> Path:
    with pytest.raises(Crash):
        fit(config, rows, seed=1, out=out, progress=crash_at(stop), **settings)
    return out


def assert_same_weights(first: Path, second: Path) -> None:
    assert_same_tensors(first, second)
    pd.testing.assert_frame_equal(load_run(first).trace(), load_run(second).trace(), check_exact=True)


def assert_same_tensors(first: Path, second: Path) -> None:
    for name in ("generic.safetensors", "persons.safetensors"):
        mine, theirs = load_file(first / name), load_file(second / name)
        assert mine.keys() == theirs.keys()
        for key, value in mine.items():
            assert torch.equal(value, theirs[key]), key


def nothing_left(out: Path) -> None:
    assert [entry.name for entry in out.parent.iterdir() if entry.name.startswith(".")] == []


def lose_numbers(monkeypatch, epoch: int) -> None:
    """The objective is no number from this epoch on."""
    original, seen = estimation._terms, []

    def terms(*arguments):
        seen.append(1)
        found = original(*arguments)
        return found | {"objective": found["objective"] * float("nan")} if len(seen) >= epoch else found

    monkeypatch.setattr(estimation, "_terms", terms)


@pytest.mark.slow
def test_row_55_a_loss_that_is_no_number_is_rolled_back_an_epoch(rows, tmp_path, monkeypatch):
    fit(NmeMlp(**{**dict(CONFIG), "epochs": 5}), rows, seed=1, split=None, out=tmp_path / "five")
    lose_numbers(monkeypatch, 7)  # the seventh objective is that of the state after six epochs
    with pytest.warns(ToolkitWarning, match="E301: in epoch 6 .* rolled back to epoch 5.*learning rate.*scale"):
        fit(CONFIG, rows, seed=1, split=None, out=tmp_path / "run")
    assert_same_tensors(tmp_path / "run", tmp_path / "five")
    status = load_run(tmp_path / "run").manifest["status"]
    assert (status["code"], status["best_epoch"], status["converged"]) == ("NOT_FINITE", 5, False)
    assert load_run(tmp_path / "run").verify()
    nothing_left(tmp_path / "run")


@pytest.mark.slow
def test_row_55_with_validation_rows_the_best_state_is_kept(rows, monkeypatch):
    lose_numbers(monkeypatch, 7)
    with pytest.warns(ToolkitWarning, match="E301: in epoch 7"):
        run = fit(CONFIG, rows, seed=1)
    trace = run.trace()
    assert run.manifest["status"]["best_epoch"] == trace["epoch"][trace["validation"].idxmin()] <= 6
    assert np.isfinite(run.predictions()["prediction"]).all()


@pytest.mark.parametrize("model", ["nme-mlp", "nme-crf"])
def test_row_55_command_line(study_file, tmp_path, command, model):
    words = ("fit", study_file, "--model", model, "--epochs", 5, "--set", "lr=1e200", "--out", tmp_path / "run")
    code, out, err = command(*words, "--json")
    assert code == 2
    assert "nme: E301: in epoch" in err
    assert json.loads(out)["status"] == "NOT_FINITE"
    assert load_run(tmp_path / "run").status.startswith("E301")


@pytest.mark.parametrize(("setting", "said"), [("lr=0", "lr"), ("lr=-1", "lr"), ("lr=abc", "lr"), ("lrr=0.1", "'lr'")])
def test_row_56_settings(study_file, tmp_path, command, setting, said):
    name, _, value = setting.partition("=")
    with pytest.raises(ConfigError, match="E302") as caught:
        NmeMlp(**{name: value if value == "abc" else float(value)})
    assert said in caught.value.sentence
    code, out, err = command("fit", study_file, "--set", setting, "--out", tmp_path / "run", "--json")
    assert code == 2
    assert "E302" in err
    assert said in err
    assert err.count("\n") == 1
    assert json.loads(out)["error"]["code"] == "E302"
    assert list(tmp_path.iterdir()) == []


def test_row_56_unknown_option(study_file, command):
    code, _, err = command("fit", study_file, "--epoch", 3)
    assert code == 2
    assert "--epochs" in err


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_row_57_a_signal_leaves_a_checkpoint(rows, undisturbed, tmp_path, number, code):
    def progress(epoch: int, *_: object) -> None:
        if epoch == 13:
            os.kill(os.getpid(), number)

    out, before = tmp_path / "run", signal.getsignal(number)
    with pytest.raises(Interrupted, match=r"E308: .*interrupted.* resume with .*--resume") as caught:
        fit(CONFIG, rows, seed=1, out=out, progress=progress)
    assert caught.value.exit_code == code
    assert signal.getsignal(number) is before
    assert not out.exists()
    kept = read_checkpoint(checkpoint_folder(out))
    assert kept is not None
    assert len(kept.tensors["trace"]) == 13  # not the tenth: what was reached
    fit(CONFIG, rows, seed=1, out=out, resume=True)
    assert_same_weights(out, undisturbed)
    assert load_run(out).manifest["resume_count"] == 1
    nothing_left(out)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_row_57_command_line(study_file, undisturbed_command, tmp_path, command, monkeypatch, number, code):
    words = ("fit", study_file, *WORDS, "--out", tmp_path / "run")
    original = CheckpointKeeper.epoch_ended

    def signalled(keeper, descent):
        if descent.epoch == 13:
            os.kill(os.getpid(), number)
        original(keeper, descent)

    with monkeypatch.context() as patched:
        patched.setattr(CheckpointKeeper, "epoch_ended", signalled)
        got, out, err = command(*words, "--json")
    assert got == code
    assert "resume with the same command and --resume" in err
    assert json.loads(out)["error"]["code"] == "E308"
    assert command(*words)[0] == 2  # neither resumed nor overwritten: nothing is lost by a slip
    assert command(*words, "--resume")[0] == 0
    assert_same_weights(tmp_path / "run", undisturbed_command)


def test_row_57_the_demonstration(tmp_path, command, monkeypatch):
    def stopped(*_: object, **__: object) -> None:
        raise Interrupted("the fit was interrupted", signal_number=signal.SIGTERM)

    monkeypatch.setattr("toolkit.cli.demo.fit", stopped)
    code, out, err = command("demo", "--out", tmp_path / "demo", "--quick", "--no-app", "--json")
    assert code == 143
    assert "the same command starts it again" in err
    assert json.loads(out)["error"]["code"] == "E308"


@pytest.mark.slow
def test_row_57_in_the_last_stage_it_stops_at_once(rows, tmp_path, monkeypatch):
    monkeypatch.setattr("toolkit.runs.mixed_effects_family.tables", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted, match="E308"):
        fit(CONFIG, rows, seed=1, out=tmp_path / "run")
    assert read_checkpoint(checkpoint_folder(tmp_path / "run")) is not None


KILLED = """
import os, signal, sys
from toolkit.runs import checkpoint
from toolkit.cli.main import run

checkpoint.SHARE = float("inf")
original = checkpoint.CheckpointKeeper.epoch_ended

def ended(keeper, descent):
    original(keeper, descent)
    if descent.epoch == {epoch}:
        {fault}

checkpoint.CheckpointKeeper.epoch_ended = ended
run()
"""


def disturbed(fault: str, *words: object, epoch: int = 25) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, with something happening in an epoch."""
    code = KILLED.format(fault=fault, epoch=epoch)
    arguments = [sys.executable, "-c", code, *(str(word) for word in words)]
    return subprocess.run(arguments, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_row_58_a_killed_fit_is_resumed_to_the_same_weights(study_file, undisturbed_command, tmp_path, command):
    out = tmp_path / "run"
    words = ("fit", study_file, *WORDS, "--out", out)
    ended = disturbed("os.kill(os.getpid(), signal.SIGKILL)", *words)
    assert ended.returncode == -signal.SIGKILL
    assert not out.exists()
    assert (tmp_path / ".run.lock").exists()  # nobody was left to remove it
    kept = read_checkpoint(checkpoint_folder(out))
    assert kept is not None
    assert len(kept.tensors["trace"]) == 20
    assert command(*words, "--resume")[0] == 0
    assert_same_weights(out, undisturbed_command)
    nothing_left(out)


@pytest.mark.slow
def test_row_58_a_killed_fit_in_mini_batches_is_resumed_to_the_same_weights(study_file, tmp_path, command):
    words = ("fit", study_file, *WORDS, "--set", "batch=16", "--set", "batch_by='rows'", "--out")
    assert command(*words, tmp_path / "whole")[0] == 0
    ended = disturbed("os.kill(os.getpid(), signal.SIGKILL)", *words, tmp_path / "run")
    assert ended.returncode == -signal.SIGKILL
    assert command(*words, tmp_path / "run", "--resume")[0] == 0
    assert_same_weights(tmp_path / "run", tmp_path / "whole")


QUICK = ("as published, with weight decay",)
CASES = {
    "linear, with its fixed point": (NmeMlp(hidden=(), epochs=30), "within-person-time"),
    "every row trains": (NmeMlp(hidden=(2,), epochs=120, patience=20), None),
    "as published, with weight decay": (
        NmeMlp(hidden=(3,), epochs=40, variance_update="paper", weight_decay=0.01),
        "within-person-time",
    ),
    "early stopping": (NmeMlp(hidden=(3,), effects="all", epochs=300, patience=26, lr=0.05), "within-person-time"),
    "single precision": (GenericMlp(hidden=(4,), epochs=40, precision="float32"), "within-person-time"),
    "chain": (NmeCrf(hidden=(3,), epochs=40, variance_update="paper"), "within-person-time"),
    "in mini-batches": (
        NmeMlp(hidden=(3,), effects="first", epochs=40, batch=20, clip=1.0, schedule="cosine", monitor="ccc"),
        "within-person-time",
    ),
    "EM with retraining": (MlpLme(hidden=(2,), epochs=15, rounds=1, patience=30), "within-person-time"),
    "generic chain": (GenericCrf(hidden=(3,), epochs=40), "within-person-time"),
}


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
)
def test_row_58_every_kind_of_fit_resumes_to_the_same_weights(name, tmp_path):
    config, split = CASES[name]
    target = "state" if "chain" in name else "mood"
    kind = SequenceBatch if "chain" in name else GroupedDataset
    data = kind.from_frame(study_frame(), target=target, **ROLES)
    fit(config, data, seed=1, split=split, out=tmp_path / "whole")
    interrupted(data, tmp_path / "run", 13, config, split=split)
    interrupted(data, tmp_path / "run", 24, config, split=split, resume=True)
    fit(config, data, seed=1, split=split, out=tmp_path / "run", resume=True)
    assert_same_weights(tmp_path / "run", tmp_path / "whole")
    assert load_run(tmp_path / "run").manifest["resume_count"] == 2


@pytest.mark.slow
def test_row_58_killed_before_the_first_checkpoint(rows, undisturbed, tmp_path):
    interrupted(rows, tmp_path / "run", 5)
    with pytest.warns(ToolkitWarning, match="W224: .*starts at the first epoch"):
        fit(CONFIG, rows, seed=1, out=tmp_path / "run", resume=True)
    assert_same_weights(tmp_path / "run", undisturbed)


@pytest.mark.slow
def test_row_58_without_being_told_to_nothing_is_resumed_or_lost(rows, tmp_path):
    interrupted(rows, tmp_path / "run")
    with pytest.raises(RunFolderError, match=r"E306: an interrupted fit is kept.*--resume.*--overwrite"):
        fit(CONFIG, rows, seed=1, out=tmp_path / "run")
    assert read_checkpoint(checkpoint_folder(tmp_path / "run")) is not None
    fit(CONFIG, rows, seed=2, out=tmp_path / "run", overwrite=True)
    assert load_run(tmp_path / "run").manifest["resume_count"] == 0
    nothing_left(tmp_path / "run")


def test_row_58_resuming_needs_a_folder(rows):
    with pytest.raises(ConfigError, match="E302"):
        fit(CONFIG, rows, seed=1, resume=True)


@pytest.mark.slow
def test_row_59_other_data_settings_seed_or_split(rows, tmp_path):
    out = interrupted(rows, tmp_path / "run")
    other = study_frame().assign(mood=lambda f: f["mood"] + (f["t"] == 3))
    others = GroupedDataset.from_frame(other, target="mood", **ROLES)
    with pytest.raises(RunFolderError, match="E303") as caught:
        fit(CONFIG, others, seed=1, out=out, resume=True)
    assert caught.value.column == "data"
    hashes = [rows.content_hash()[:12], others.content_hash()[:12]]
    assert re.findall(r"\b[0-9a-f]{12}\b", str(caught.value)) == hashes
    changes = {
        "settings": {"config": NmeMlp(**{**dict(CONFIG), "lr": 0.02})},
        "model": {"config": GenericMlp(hidden=(3,), epochs=40, patience=40)},
        "seed": {"seed": 2},
        "split": {"split": "random"},
    }
    for name, change in changes.items():
        with pytest.raises(RunFolderError, match=f"E303.* {name} .* then, .* now"):
            fit(**{"config": CONFIG, "data": rows, "seed": 1, "out": out, "resume": True, **change})
    assert read_checkpoint(checkpoint_folder(out)) is not None


@pytest.mark.slow
def test_row_59_another_machine_is_said(rows, tmp_path):
    out = interrupted(rows, tmp_path / "run")
    state = checkpoint_folder(out) / "state.json"
    about = json.loads(state.read_text())
    about["machine"]["threads"] = "64"
    state.write_text(json.dumps(about))
    with pytest.warns(ToolkitWarning, match=r"W225: .* threads \(64 then, \d+ now\).*last digits"):
        fit(CONFIG, rows, seed=1, out=out, resume=True)
    assert any(note.startswith("W225") for note in load_run(out).manifest["warnings"])


@pytest.mark.slow
def test_row_59_command_line(study_file, tmp_path, command, monkeypatch):
    words = ("fit", study_file, *WORDS, "--out", tmp_path / "run")
    with monkeypatch.context() as patched:
        patched.setattr("toolkit.runs.mixed_effects_family.tables", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        assert command(*words)[0] == 143
    code, out, err = command(*words, "--set", "lr=0.5", "--resume", "--json")
    assert code == 2
    assert err.count("\n") == 1
    error = json.loads(out)["error"]
    assert (error["code"], error["column"]) == ("E303", "settings")
    assert len(re.findall(r"\b[0-9a-f]{12}\b", error["message"])) == 2


@pytest.mark.slow
def test_row_60_a_full_disk_leaves_the_checkpoint_before(study_file, undisturbed_command, tmp_path, command):
    out = tmp_path / "run"
    words = ("fit", study_file, *WORDS, "--out", out)
    # a file may not grow beyond 2,000 bytes from epoch 15 on: the next checkpoint breaks off in the middle
    fault = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))"
    ended = disturbed(fault, *words, epoch=15)
    assert ended.returncode == 2
    assert "E304" in ended.stderr
    assert "Traceback" not in ended.stderr
    kept = read_checkpoint(checkpoint_folder(out))
    assert kept is not None
    assert len(kept.tensors["trace"]) == 10
    assert command(*words, "--resume")[0] == 0
    assert_same_weights(out, undisturbed_command)


@pytest.mark.slow
def test_row_60_full_when_the_run_is_written(rows, undisturbed, tmp_path, monkeypatch):
    def full(*_: object) -> bytes:
        raise OSError(28, "no space")

    out = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(writing, "_parquet", full)
        with pytest.raises(RunFolderError, match=r"E304.*--resume"):
            fit(CONFIG, rows, seed=1, out=out)
    fit(CONFIG, rows, seed=1, out=out, resume=True)
    assert_same_weights(out, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["state cut short", "tensors cut short", "one bit", "tensors gone", "newer"])
def test_a_damaged_checkpoint_is_not_gone_on_from(rows, tmp_path, fault):
    out = interrupted(rows, tmp_path / "run")
    folder = checkpoint_folder(out)
    state, tensors = folder / "state.json", next(folder.glob("*.safetensors"))
    content = tensors.read_bytes()
    if fault == "state cut short":
        state.write_text(state.read_text()[:40])
    elif fault == "tensors cut short":
        tensors.write_bytes(content[:1000])
    elif fault == "one bit":
        tensors.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif fault == "tensors gone":
        tensors.unlink()
    else:
        state.write_text(json.dumps({**json.loads(state.read_text()), "format": 99}))
    codes = {"state cut short": "E401", "tensors gone": "E401", "newer": "E404"}
    with pytest.raises(RunFolderError, match=codes.get(fault, "E402")):
        fit(CONFIG, rows, seed=1, out=out, resume=True)
    fit(CONFIG, rows, seed=1, out=out, overwrite=True)
    nothing_left(out)


@pytest.mark.slow
def test_a_checkpoint_is_private_and_names_nobody(rows, tmp_path):
    folder = checkpoint_folder(interrupted(rows, tmp_path / "run"))
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {entry.name for entry in folder.iterdir()} == {"state.json", "epoch-20.safetensors"}
    for entry in folder.iterdir():
        assert entry.stat().st_mode & 0o777 == 0o600
        assert b"Anna" not in entry.read_bytes()


@pytest.mark.slow
def test_writing_checkpoints_takes_a_small_share_of_the_time(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SHARE", 0.02)
    now = [0.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    written = []
    original = CheckpointKeeper.write

    def slow(keeper, descent):
        written.append(descent.epoch)
        original(keeper, descent)
        keeper._cost, keeper._written = 2.0, now[0]  # two seconds: the next one 100 seconds later

    def progress(*_: object) -> None:
        now[0] += 3.0

    monkeypatch.setattr(CheckpointKeeper, "write", slow)
    fit(NmeMlp(**{**dict(CONFIG), "epochs": 100, "patience": 100}), rows, seed=1, out=tmp_path / "r", progress=progress)
    assert written == [10, 50, 90]


def test_a_run_that_was_being_replaced_is_put_back(undisturbed, rows, tmp_path):
    """Killed between taking the old run away and putting the new one in its place."""
    import shutil

    shutil.copytree(undisturbed, tmp_path / ".run.4711.replaced")
    (tmp_path / ".run.4711.part").mkdir()
    shutil.copytree(undisturbed, tmp_path / ".run.other.4711.part")
    with pytest.raises(RunFolderError, match="E306"):
        fit(CONFIG, rows, seed=1, out=tmp_path / "run")
    assert load_run(tmp_path / "run").verify()
    assert {entry.name for entry in tmp_path.iterdir()} == {"run", ".run.other.4711.part"}
