from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from example_run import write_example

from app import jobs


@pytest.fixture(scope="session")
def runs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four small runs: personal and shared states, mood, and a study with families."""
    home = tmp_path_factory.mktemp("runs")
    labels = {"0": "below the cut-off", "1": "above the cut-off"}
    for name in ("nme-crf-absolute", "generic-crf-absolute", "nme-mlp"):
        write_example(home / name, model=name.removesuffix("-absolute"), group_labels=labels, groups=("1", "0"))
    write_example(home / "families", clusters=True)
    return home


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages wait for their analyses, so that a test sees the result; a real page draws a bar instead."""
    monkeypatch.setattr(jobs, "PATIENCE", 30.0)


@pytest.fixture(scope="session")
def model_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of every family of models."""
    from model_runs import write_model_runs

    return write_model_runs(tmp_path_factory.mktemp("models"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need a real fit of every family are slow ones."""
    for item in items:
        if "model_runs" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
