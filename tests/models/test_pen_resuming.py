"""An interrupted fit of experts goes on in its stage and ends at the same weights, to the last bit."""

from __future__ import annotations

import os
import signal

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from tests.models.experts_study import rows_of, study
from toolkit import fit, load_run
from toolkit.errors import Interrupted
from toolkit.models import Pen, PenShared
from toolkit.runs import checkpoint
from toolkit.runs.checkpoint import checkpoint_folder, read_checkpoint

EPOCHS = {"shared_epochs": 15, "head_epochs": 15, "gate_epochs": 15, "epochs": 15, "patience": 40, "batch": 32}
STAGE_OF = {12: "shared", 25: "head", 41: "gate", 53: "experts"}
CASES = {
    "experts": Pen(hidden=(3,), **EPOCHS),
    "prior": Pen(hidden=(3,), prior="nme", **EPOCHS),
    "fewer experts": Pen(hidden=(3,), experts=3, **EPOCHS),
    "single precision, adadelta": Pen(hidden=(3,), precision="float32", optimiser="adadelta", lr=1.0, **EPOCHS),
}


class Crash(Exception):
    pass


@pytest.fixture(autouse=True)
def always_due(monkeypatch):
    monkeypatch.setattr(checkpoint, "SHARE", float("inf"))


@pytest.fixture(scope="module")
def rows():
    return rows_of(study(rows=20))


def crash_at(stop: int):
    def progress(epoch: int, *_: object) -> None:
        if epoch == stop:
            raise Crash

    return progress


def assert_same_run(first, second) -> None:
    for name in ("generic.safetensors", "persons.safetensors"):
        mine, theirs = load_file(first / name), load_file(second / name)
        assert mine.keys() == theirs.keys()
        for key, value in mine.items():
            assert torch.equal(value, theirs[key]), key
    pd.testing.assert_frame_equal(load_run(first).trace(), load_run(second).trace(), check_exact=True)


@pytest.mark.parametrize("split", ["within-person-time", None], ids=["validated", "every row trains"])
@pytest.mark.parametrize(
    "name", [case if case == "prior" else pytest.param(case, marks=pytest.mark.slow) for case in CASES]
)
def test_interrupted_in_every_stage(rows, tmp_path, name, split):
    config = CASES[name]
    fit(config, rows, seed=1, split=split, out=tmp_path / "whole")
    trace = load_run(tmp_path / "whole").trace()
    assert [trace["phase"][epoch - 1] for epoch in STAGE_OF] == list(STAGE_OF.values())
    for number, epoch in enumerate(STAGE_OF):
        with pytest.raises(Crash):
            fit(config, rows, seed=1, split=split, out=tmp_path / "run", progress=crash_at(epoch), resume=number > 0)
    fit(config, rows, seed=1, split=split, out=tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", tmp_path / "whole")
    assert load_run(tmp_path / "run").manifest["resume_count"] == 4
    assert not checkpoint_folder(tmp_path / "run").exists()


@pytest.mark.slow
def test_interrupted_between_two_stages(rows, tmp_path):
    """The last epoch of a stage is in the checkpoint, and the next stage has not begun."""
    config = Pen(hidden=(3,), prior="nme", **{**EPOCHS, "gate_epochs": 20, "head_epochs": 15, "shared_epochs": 15})
    fit(config, rows, seed=1, out=tmp_path / "whole")
    with pytest.raises(Crash):
        fit(config, rows, seed=1, out=tmp_path / "run", progress=crash_at(51))
    kept = read_checkpoint(checkpoint_folder(tmp_path / "run"))
    assert kept is not None
    assert (len(kept.tensors["trace"]), kept.numbers["counters"]["stage"]) == (50, 2)
    fit(config, rows, seed=1, out=tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("epoch", [13, 37])
def test_a_signal_waits_for_the_end_of_the_epoch(rows, tmp_path, epoch):
    config = CASES["experts"]

    def progress(number: int, *_: object) -> None:
        if number == epoch:
            os.kill(os.getpid(), signal.SIGTERM)

    fit(config, rows, seed=1, out=tmp_path / "whole")
    with pytest.raises(Interrupted, match="E308"):
        fit(config, rows, seed=1, out=tmp_path / "run", progress=progress)
    kept = read_checkpoint(checkpoint_folder(tmp_path / "run"))
    assert kept is not None
    assert len(kept.tensors["trace"]) == epoch
    fit(config, rows, seed=1, out=tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", tmp_path / "whole")


@pytest.mark.slow
def test_a_shared_network_resumes_too(rows, tmp_path):
    config = PenShared(hidden=(3,), shared_epochs=15, head_epochs=15, patience=40, batch=32)
    fit(config, rows, seed=1, out=tmp_path / "whole")
    for number, epoch in enumerate((12, 25)):
        with pytest.raises(Crash):
            fit(config, rows, seed=1, out=tmp_path / "run", progress=crash_at(epoch), resume=number > 0)
    fit(config, rows, seed=1, out=tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_the_checkpoint_of_experts_names_nobody(rows, tmp_path):
    with pytest.raises(Crash):
        fit(CASES["experts"], rows, seed=1, out=tmp_path / "run", progress=crash_at(53))
    for entry in checkpoint_folder(tmp_path / "run").iterdir():
        assert entry.stat().st_mode & 0o777 == 0o600
        assert b"Anna" not in entry.read_bytes()
