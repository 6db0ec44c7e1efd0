"""What the tests of training, run folders, predictions and exports share: a small study, and the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.small_study import small_study
from toolkit.cli.answers import plain_errors
from toolkit.cli.main import app

STUDY = """
title = "Small study"
[data]
file = "data.csv"
[roles]
person = "who"
group = "arm"
cluster = "family"
time = "t"
targets = ["mood", "state"]
features = ["x", "y"]
state = "state"
states = ["calm", "tense", "sad"]
"""
Command = Callable[..., tuple[int, str, str]]


def study_frame() -> pd.DataFrame:
    frame = small_study()
    return frame.assign(y=(frame["x"] * 7).round(0) % 5)


@pytest.fixture(scope="module")
def study_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    study_frame().to_csv(folder / "data.csv", index=False)
    return folder / "study.toml"


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """``nme WORDS``: exit code, standard output, standard error; never a traceback, never the name of a person."""

    def run(*words: object) -> tuple[int, str, str]:
        code = plain_errors(lambda: app([str(word) for word in words], standalone_mode=False))
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        assert "Anna" not in captured.out + captured.err
        return code, captured.out, captured.err

    return run
