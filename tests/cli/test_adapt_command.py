"""``nme adapt`` with a network of experts: its options reach the adaptation."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from tests.analysed_runs import nme
from tests.family_study import family_frame, write_family_study
from toolkit.data.study import Study
from toolkit.models.pen_adaptation import adapt_experts
from toolkit.runs import experts_family
from toolkit.runs.adapting import AdaptSettings
from toolkit.runs.folder import load_run


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose run of experts has seen some of the persons."""
    file = write_family_study(tmp_path_factory.mktemp("experts"), frame=family_frame(families=5, rows=15))
    words = ["--model", "pen", "--set", "epochs=25", "--split", "persons", "--out", file.parent / "runs" / "pen"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert nme("fit", file, *words) == 0
    return file


def adapted(study: Path, name: str, *words: str) -> np.ndarray:
    """Predictions of the run after it has met the other persons."""
    runs = study.parent / "runs"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert nme("adapt", runs / "pen", study, "--out", runs / name, *words) == 0
        return load_run(runs / name).predict(Study.read(study).grouped(groupings=()))


@pytest.mark.slow
def test_pace_and_gate_are_the_callers(study, monkeypatch):
    given: list[dict[str, object]] = []

    def noted(*args, **settings):
        given.append({name: settings.get(name) for name in ("lr", "epochs", "soften", "fresh")})
        return adapt_experts(*args, **settings)

    monkeypatch.setattr(experts_family, "adapt_experts", noted)
    slow = adapted(study, "slow", "--lr", "1e-9", "--epochs", "1", "--soften", "0")
    adapted(study, "undecided", "--epochs", "1", "--soften", "1")
    fresh = adapted(study, "fresh", "--fresh")
    assert [(settings["lr"], settings["epochs"]) for settings in given[:2]] == [(1e-9, 1), (None, 1)]
    assert [settings["soften"] for settings in given] == [0.0, 1.0, AdaptSettings().soften]
    assert [settings["fresh"] for settings in given] == [False, False, True]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = load_run(study.parent / "runs" / "pen").predict(Study.read(study).grouped(groupings=()))
    assert slow == pytest.approx(before, rel=1e-4)
    assert np.abs(fresh - before).max() > 1e-3
    assert len(load_run(study.parent / "runs" / "slow").trace()) == 1


def test_a_share_of_entropy_that_is_none_is_refused(study, capsys):
    out = study.parent / "runs" / "wrong"
    assert nme("adapt", study.parent / "runs" / "pen", study, "--out", out, "--soften", "2") == 2
    assert "a number from 0 to 1" in capsys.readouterr().err
    assert not out.exists()
