"""An interrupted fit of a network with random effects goes on and ends at the same weights, to the last bit."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from tests.models import test_lmmnn, test_lmmnn_binary
from toolkit import fit, load_run
from toolkit.models import Lmmnn
from toolkit.runs import checkpoint

RANDOM = "(1 + t | person) + (1 | family)"
CASES = {
    "one cycle, first half": (Lmmnn(random=RANDOM, hidden=(4,), epochs=10, batch=64), 3),
    "one cycle, second half": (Lmmnn(random=RANDOM, hidden=(4,), epochs=10, batch=64, dropout=0.1), 8),
    "plateau": (Lmmnn(hidden=(4,), epochs=6, batch=64, schedule="plateau", patience=6), 9),
    "whole persons": (Lmmnn(hidden=(4,), epochs=6, batch=64, batch_by="persons", likelihood="batch"), 4),
    "classes, first half": (Lmmnn(task="binary", hidden=(4,), epochs=6, batch=128), 2),
    "classes, second half": (Lmmnn(task="binary", hidden=(4,), epochs=6, batch=128, dropout=0.1), 4),
    "classes, plateau": (Lmmnn(task="binary", hidden=(4,), epochs=4, batch=128, schedule="plateau", patience=4), 6),
}


class Crash(Exception):
    pass


@pytest.mark.parametrize(
    "name", [case if case == "plateau" else pytest.param(case, marks=pytest.mark.slow) for case in CASES]
)
def test_an_interrupted_fit_ends_at_the_same_weights(name, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SHARE", float("inf"))
    monkeypatch.setattr(checkpoint, "EVERY", 1)
    config, stop = CASES[name]
    data = test_lmmnn_binary.study(400) if config.task == "binary" else test_lmmnn.study()

    def crash(epoch: int, *_: object) -> None:
        if epoch == stop:
            raise Crash

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    fit(config, data, seed=1, out=whole)
    with pytest.raises(Crash):
        fit(config, data, seed=1, out=broken, progress=crash)
    resumed = fit(config, data, seed=1, out=broken, resume=True)
    assert resumed.manifest["resume_count"] == 1
    for file in ("generic.safetensors", "persons.safetensors"):
        mine, theirs = load_file(whole / file), load_file(broken / file)
        assert mine.keys() == theirs.keys()
        for key, value in mine.items():
            assert torch.equal(value, theirs[key]), key
    pd.testing.assert_frame_equal(load_run(whole).trace(), load_run(broken).trace(), check_exact=True)
