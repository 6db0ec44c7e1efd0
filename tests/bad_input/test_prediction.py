"""Rows 41 to 43 and 68 to 70: what a finished run meets when it predicts, through Python and ``nme predict``."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest

from tests.bad_input.conftest import study_frame
from toolkit import GroupedDataset, SequenceBatch, fit
from toolkit.cli.answers import plain_errors
from toolkit.cli.main import app
from toolkit.errors import DataError, ToolkitWarning
from toolkit.models import NmeCrf, NmeMlp

ROLES = {"target": "mood", "groups": ["who"], "time": "t"}
CONFIG = NmeMlp(hidden=(3,), effects="all", epochs=20)
STRANGER = "Anna-the-stranger"


def rows(frame: pd.DataFrame, *features: str) -> GroupedDataset:
    return GroupedDataset.from_frame(frame, features=list(features or ("x", "y")), **ROLES)


def with_stranger() -> pd.DataFrame:
    frame = study_frame()
    return frame.assign(who=frame["who"].replace({"Anna-0": STRANGER}))


@pytest.fixture(scope="module")
def run():
    return fit(CONFIG, rows(study_frame()), seed=1)


@pytest.fixture(scope="module")
def saved(study_file):
    """The runs of the command line, by model."""
    folders = {}
    for model, settings in (("nme-mlp", ["effects=all"]), ("nme-crf", ["variance_update=paper"])):
        folders[model] = study_file.parent / "runs" / model
        words = ["fit", str(study_file), "--model", model, "--epochs", "10", "--out", str(folders[model])]
        words += [word for setting in settings for word in ("--set", setting)]
        assert plain_errors(lambda words=words: app(words, standalone_mode=False)) == 0
    return folders


@pytest.fixture
def predict(study_file, saved, tmp_path, command):
    """``nme predict`` on changed rows: exit code, output, error, and the table that was written (None if none)."""

    def run(change, *words: object, model: str = "nme-mlp"):
        new, out = tmp_path / "new.csv", tmp_path / "predicted.csv"
        change(study_frame()).to_csv(new, index=False)
        code, said, err = command("predict", saved[model], study_file, "--data", new, "--out", out, *words)
        return code, said, err, pd.read_csv(out) if out.exists() else None

    return run


def unchanged(frame: pd.DataFrame) -> pd.DataFrame:
    return frame


def test_row_41_an_unknown_person_gets_the_population_prediction(run):
    table = run.predict_frame(rows(with_stranger()))
    stranger = table["person"] == STRANGER
    assert (~table.loc[stranger, "person_known"]).all()
    assert table.loc[~stranger, "person_known"].all()
    population = run.predict(rows(study_frame()), level="population")
    np.testing.assert_allclose(table.loc[stranger, "prediction"], population[stranger.to_numpy()])


def test_row_41_command_line(predict, run):
    code, said, err, table = predict(lambda _: with_stranger(), "--json")
    assert (code, err) == (0, "")
    assert json.loads(said)["persons_unknown"] == 1
    stranger = (with_stranger()["who"] == STRANGER).to_numpy()
    np.testing.assert_array_equal(table["person_known"], ~stranger)
    assert table["person"].str.fullmatch(r"P\d{3}").all()
    _, _, _, population = predict(unchanged, "--population", "--overwrite")
    np.testing.assert_allclose(table["prediction"][stranger], population["prediction"][stranger])
    assert not population["person_known"].eq(False).any()


def test_row_41_command_line_chain(predict):
    code, said, _, table = predict(lambda _: with_stranger(), model="nme-crf")
    assert code == 0
    assert "1 person was not in training" in said
    np.testing.assert_allclose(table.filter(like="probability_").sum(axis=1), 1.0)


def test_row_42_an_unknown_person_is_refused_if_asked(run):
    frame = with_stranger()
    with pytest.raises(DataError, match="E119: 1 person was not in training") as caught:
        run.predict(rows(frame), strict=True)
    assert "level=" in caught.value.remedy
    assert caught.value.column == "who"
    assert caught.value.rows == tuple(np.flatnonzero(frame["who"] == STRANGER) + 2)
    assert STRANGER not in str(caught.value)
    assert run.predict(rows(frame), "population", strict=True).shape == (len(frame),)


def test_row_42_command_line(predict):
    code, said, err, table = predict(lambda _: with_stranger(), "--strict", "--json")
    assert code == 2
    assert err.count("\n") == 1
    error = json.loads(said)["error"]
    assert (error["code"], error["rows"][0]) == ("E119", 2)
    assert table is None
    assert predict(unchanged, "--strict")[0] == 0


def test_row_43_an_unseen_class(run):
    data = SequenceBatch.from_frame(
        study_frame(), target="state", features=["x"], groups=["who"], time="t", classes=("calm", "sad", "tense")
    )
    chain = fit(NmeCrf(hidden=(), epochs=3, variance_update="paper"), data, seed=1)
    other = study_frame().assign(state=lambda f: f["state"].where(f["t"] != 4, "Anna's secret"))
    unseen = SequenceBatch.from_frame(other, target="state", features=["x"], groups=["who"], time="t")
    with pytest.raises(DataError, match="E120") as caught:
        chain.predict(unseen)
    assert caught.value.rows == tuple(np.flatnonzero(other["t"] == 4) + 2)
    assert "secret" not in str(caught.value)


def test_row_43_command_line(predict):
    code, said, err, table = predict(
        lambda f: f.assign(state=f["state"].where(f["t"] != 4, "Anna's secret")), "--json", model="nme-crf"
    )
    assert code == 2
    assert err.count("\n") == 1
    assert json.loads(said)["error"]["code"] == "E120"
    assert table is None


def test_row_68_features_are_matched_by_name(run):
    frame = study_frame()
    np.testing.assert_array_equal(run.predict(rows(frame, "y", "x")), run.predict(rows(frame, "x", "y")))


def test_row_68_command_line(predict):
    expected = predict(unchanged)[3]
    code, _, err, table = predict(lambda f: f[f.columns[::-1]], "--overwrite")
    assert (code, err) == (0, "")
    pd.testing.assert_frame_equal(table, expected)


def test_row_69_features_missing_or_too_many(run):
    frame = study_frame()
    with pytest.raises(DataError, match="E405: features missing: y") as caught:
        run.predict(rows(frame, "x"))
    assert caught.value.column == "y"
    with pytest.warns(ToolkitWarning, match="W218: .*ignored: extra"):
        predicted = run.predict(rows(frame.assign(extra=frame["x"]), "x", "extra", "y"))
    np.testing.assert_array_equal(predicted, run.predict(rows(frame, "x", "y")))


def test_row_69_command_line(predict):
    code, said, err, table = predict(lambda f: f.drop(columns="y"), "--json")
    assert code == 2
    assert err.count("\n") == 1
    error = json.loads(said)["error"]
    assert (error["code"], error["column"]) == ("E405", "y")
    assert table is None
    expected = predict(unchanged)[3]
    code, _, err, table = predict(lambda f: f.assign(extra=f["x"]), "--overwrite")
    assert code == 0
    assert "W218" in err
    assert "columns the study does not have were ignored: extra" in " ".join(err.split())
    pd.testing.assert_frame_equal(table, expected)


def test_row_70_features_far_outside_the_training_range(run):
    frame = study_frame()
    other = frame.assign(y=np.where(frame["t"] == 3, 3000 + frame["y"] * 1000, frame["y"]))
    with pytest.warns(ToolkitWarning, match=rf"W210: .*y \({(frame['t'] == 3).sum()}\)"):
        run.predict(rows(other))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run.predict(rows(frame))


def test_row_70_a_feature_that_is_text(run):
    frame = study_frame().astype({"y": object})
    frame.loc[5, "y"] = "Anna's secret"
    with pytest.raises(DataError, match="E109") as caught:
        run.predict(rows(frame))
    assert caught.value.rows == (7,)
    assert "secret" not in str(caught.value)


def test_row_70_command_line(predict):
    code, _, err, table = predict(lambda f: f.assign(y=f["y"] * 1000 + 1000))
    assert code == 0
    assert f"W210: values more than 100 standard deviations from the training mean: y ({len(table)})" in err
    assert table["prediction"].notna().all()

    def text(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.astype({"y": object})
        frame.loc[5, "y"] = "Anna's secret"
        return frame

    code, said, err, _ = predict(text, "--json", "--overwrite")
    assert code == 2
    assert json.loads(said)["error"]["code"] == "E109"
    assert "secret" not in said + err


def test_the_study_of_another_run_is_refused(study_file, saved, tmp_path, command):
    """Pseudonyms of another study name other persons."""
    (tmp_path / "study.toml").write_text(study_file.read_text())
    study_frame().assign(mood=lambda f: f["mood"] * 2).to_csv(tmp_path / "data.csv", index=False)
    code, _, err = command("predict", saved["nme-mlp"], tmp_path / "study.toml", "--out", tmp_path / "p.csv")
    assert code == 2
    assert "E407" in err
    assert not (tmp_path / "p.csv").exists()


def test_a_table_in_the_way_or_nowhere_to_put_it(predict, study_file, saved, tmp_path, command, monkeypatch):
    assert predict(unchanged)[0] == 0
    code, _, err, _ = predict(unchanged)
    assert code == 2
    assert "E306" in err
    code, _, err = command("predict", saved["nme-mlp"], study_file, "--out", tmp_path / "nowhere" / "p.csv")
    assert code == 2
    assert "E305" in err

    def full(*_: object) -> int:
        raise OSError(28, "no space")

    before = (tmp_path / "predicted.csv").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr("toolkit.runs.atomic.os.fsync", full)
        code, _, err, _ = predict(unchanged, "--overwrite")
    assert code == 2
    assert "E304" in err
    assert (tmp_path / "predicted.csv").read_bytes() == before
