"""Bad tables through the public entries: a code, a sentence and exit status 2, never a value."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from toolkit import SequenceBatch, fit
from toolkit.cli.answers import plain_errors
from toolkit.cli.main import app
from toolkit.errors import DataError
from toolkit.models import NmeCrf

PLANTED = "Zoltán-Secretname"
STUDY = """
title = "Small study"
[data]
file = "data.csv"
[roles]
person = "person"
time = "t"
targets = ["mood", "state"]
features = ["x"]
state = "state"
states = ["calm", "tense"]
"""


def small_frame(persons: int = 4, rows: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    count = persons * rows
    return pd.DataFrame(
        {
            "person": np.repeat([f"p{k}" for k in range(persons)], rows),
            "t": np.tile(np.arange(rows), persons),
            "x": rng.normal(size=count),
            "mood": rng.normal(size=count),
            "state": rng.choice(["calm", "tense"], size=count),
        }
    )


@pytest.fixture
def command(tmp_path, capsys):
    """Run ``nme WORD study.toml`` on a csv text; returns exit code and standard error."""
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")

    def run(csv: str, *words: str) -> tuple[int, str]:
        (tmp_path / "data.csv").write_text(csv, encoding="utf-8")
        arguments = [*(words or ("check",)), str(tmp_path / "study.toml")]
        code = plain_errors(lambda: app(arguments, standalone_mode=False))
        return code, capsys.readouterr().err

    return run


def broken(change) -> str:
    frame = small_frame().astype({"x": object, "mood": object, "person": object, "state": object})
    return change(frame).to_csv(index=False)


def planted(column: str, value: object):
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[2, column] = value
        return frame

    return change


CASES = {
    "1 empty file": ("", "E101"),
    "2 header only": ("person,t,x,mood,state\n", "E102"),
    "3 no person column": (broken(lambda f: f.drop(columns="person")), "E103"),
    "4 no target column": (broken(lambda f: f.drop(columns="mood")), "E103"),
    "15 text in a numeric column": (broken(planted("x", PLANTED)), "E109"),
    "15 text in the target": (broken(planted("mood", PLANTED)), "E109"),
    "16 infinite": (broken(planted("x", "inf")), "E110"),
    "17 NaN in a feature": (broken(planted("x", np.nan)), "E111"),
    "18 NaN in the target": (broken(planted("mood", np.nan)), "E111"),
    "19 missing person": (broken(planted("person", np.nan)), "E112"),
    "35 one person": (small_frame(persons=1).to_csv(index=False), "E116"),
    "46 one state": (small_frame().assign(state="calm").to_csv(index=False), "E121"),
}


@pytest.mark.parametrize("name", CASES)
def test_command_line_answers_in_a_sentence(command, name):
    csv, code = CASES[name]
    words = ("fit", "--model", "nme-crf") if name.startswith("46") else ("fit", "--model", "nme-mlp")
    exit_code, error = command(csv, *words)
    assert exit_code == 2
    assert code in error
    assert error.count("\n") == 1
    assert "Traceback" not in error
    assert PLANTED not in error


def test_rows_of_a_missing_target_are_the_spreadsheets(command):
    _, error = command(broken(planted("mood", np.nan)), "fit", "--model", "nme-mlp")
    assert "(row 4)" in error  # the third row under the header


def test_strings_that_look_missing_stay_persons(command):
    frame = small_frame()
    frame["person"] = frame["person"].replace({"p0": "NA", "p1": "null"})
    exit_code, error = command(frame.to_csv(index=False), "check")
    assert (exit_code, error) == (0, "")


def test_one_state_in_python():
    frame = small_frame().assign(state="calm")
    data = SequenceBatch.from_frame(frame, target="state", features=["x"], person="person", time="t")
    with pytest.raises(DataError, match="E121"):
        fit(NmeCrf(), data, seed=1)
