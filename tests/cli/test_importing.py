"""nme import and nme init: shown, confirmed, written; JSON; exit codes."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pandas as pd
import pytest

from tests.data.test_roles import diary
from toolkit.cli.answers import plain_errors
from toolkit.cli.main import app


@pytest.fixture
def nme(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("NME_KEYS", str(tmp_path / "keys"))

    def run(*words: object, answers: str | None = None) -> tuple[int, str, str]:
        if answers is not None:
            monkeypatch.setattr("sys.stdin", io.StringIO(f"{answers}\n"))
        code = plain_errors(lambda: app([str(word) for word in words], standalone_mode=False))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def file(tmp_path) -> Path:
    diary().to_csv(tmp_path / "a.csv", index=False)
    return tmp_path / "a.csv"


def test_import_check_and_json(nme, file, tmp_path):
    code, out, _ = nme("import", file, "--out", tmp_path / "s", "--yes", "--json")
    assert code == 0
    answer = json.loads(out)
    assert (answer["rows"], answer["persons"], answer["clusters"]) == (120, 8, 4)
    assert answer["roles"]["group"] == "treatment"
    assert answer["left_out"] == ["remarks"]
    code, out, _ = nme("check", tmp_path / "s" / "study.toml")
    assert code == 0
    assert "8 persons, 120 rows" in out


def test_the_plan_is_written_down(nme, file, tmp_path):
    plan = ["--planned-per-day", "10", "--planned-days", "3"]
    assert nme("import", file, "--out", tmp_path / "s", "--yes", *plan)[0] == 0
    code, out, _ = nme("describe", tmp_path / "s" / "study.toml")
    assert code == 0
    assert "the 30 planned for a person (10 a day, 3 days)" in out
    code, _, err = nme("import", file, "--out", tmp_path / "t", "--yes", "--planned-days", "0")
    assert code == 2
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_predictor_of_words_is_written_down_with_its_levels(nme, tmp_path):
    frame = diary().assign(place=["work", "home", "else", "home"] * 30)
    frame.to_csv(tmp_path / "b.csv", index=False)
    study = tmp_path / "s" / "study.toml"
    assert nme("import", tmp_path / "b.csv", "--out", study.parent, "--yes", "--feature", "place")[0] == 0
    assert '"place" = ["else", "home", "work"]' in study.read_text()
    code, out, err = nme("describe", study)
    assert (code, err) == (0, "")
    assert "place is coded 0/1 for home and work; the reference is else." in out
    many = ["import", tmp_path / "b.csv", "--out", tmp_path / "t", "--yes", "--feature", "remarks"]
    assert nme(*many)[0] == 0
    assert "[categories]" not in (tmp_path / "t" / "study.toml").read_text()
    assert nme("check", tmp_path / "t" / "study.toml")[0] == 2


def test_what_was_found_out_needs_a_yes(nme, file, tmp_path):
    code, _, err = nme("import", file, "--out", tmp_path / "s")
    assert (code, "E131" in err, "--yes" in err) == (2, True, True)
    assert not (tmp_path / "s").exists()
    words = ["--person", "participantID", "--cluster", "-", "--group", "-", "--time", "beep", "--sequence", "-"]
    code, out, _ = nme("import", file, "--out", tmp_path / "s", *words, "--state", "-", "--target", "mood")
    assert code == 0
    assert "8 persons" in out


def test_a_semicolon_file_needs_a_yes_or_its_marks(nme, tmp_path):
    path = tmp_path / "a.csv"
    diary().to_csv(path, index=False, sep=";", decimal=",")
    _, _, err = nme("import", path, "--out", tmp_path / "s")
    assert "semicolon between cells, decimal comma" in err
    words = ["--separator", "semicolon", "--decimal", "comma", "--yes"]
    assert nme("import", path, "--out", tmp_path / "s", *words)[0] == 0
    assert pd.read_parquet(tmp_path / "s" / "data.parquet")["mood"].notna().all()


def test_init_asks_for_each_role(nme, file, tmp_path):
    answers = "nobody\nparticipantID\n-\ntreatment\nbeep\n-\n-\nmood\nsleep, day"
    code, out, _ = nme("init", file, "--out", tmp_path / "s", answers=answers)
    assert code == 0
    assert "120 rows, 11 columns" in out
    assert "column(s) not in the table: 'nobody'" in out
    text = (tmp_path / "s" / "study.toml").read_text()
    assert 'features = ["sleep", "day"]' in text
    assert "# cluster =" in text


def test_dates_that_can_be_read_in_two_ways(nme, tmp_path):
    path = tmp_path / "a.csv"
    frame = diary(days=1)
    frame["beep"] = [f"{k % 5 + 1:02d}/02/2026" for k in range(len(frame))]
    frame.to_csv(path, index=False)
    words = ["import", path, "--out", tmp_path / "s", "--time", "beep", "--yes"]
    code, _, err = nme(*words)
    assert (code, "E114" in err, "--day-first" in err) == (2, True, True)
    assert nme(*words, "--day-first")[0] == 0
    assert nme("check", tmp_path / "s" / "study.toml")[0] == 0


def test_wide_join_and_partner(nme, tmp_path):
    wide = pd.DataFrame({"id": ["a", "b", "c", "d"], "couple": ["1", "1", "2", "2"]})
    for k in range(1, 9):
        wide[f"m{k}"] = [(k + p) % 3 for p in range(4)]
    wide.to_csv(tmp_path / "wide.csv", index=False)
    pd.DataFrame({"id": ["a", "b", "c", "d"], "age": [20, 30, 40, 50]}).to_csv(tmp_path / "persons.csv", index=False)
    words = ["--wide", "mood=m1:m8", "--join", tmp_path / "persons.csv", "--partner", "mood"]
    roles = ["--person", "id", "--cluster", "couple", "--time", "occasion", "--target", "mood", "--feature", "age"]
    code, _, err = nme("import", tmp_path / "wide.csv", "--out", tmp_path / "s", *words, *roles, "--yes")
    assert (code, err) == (0, "")
    frame = pd.read_parquet(tmp_path / "s" / "data.parquet")
    assert len(frame) == 32
    assert frame["age"].value_counts().eq(8).all()
    assert frame["mood_partner"].notna().all()
    for wrong in ("m1:m8", "mood=m1", "mood=m8:m1", "mood=m1:nowhere"):
        assert nme("import", tmp_path / "wide.csv", "--out", tmp_path / "x", "--wide", wrong, "--yes")[0] == 2
    two = ["--wide", "first=m1:m4", "--wide", "second=m5:m8", "--person", "id", "--target", "first", "--yes"]
    assert nme("import", tmp_path / "wide.csv", "--out", tmp_path / "t", *two)[0] == 0
    assert len(pd.read_parquet(tmp_path / "t" / "data.parquet")) == 16


def test_a_split_is_made_and_used(nme, file, tmp_path):
    study, out = tmp_path / "s" / "study.toml", tmp_path / "split.parquet"
    nme("import", file, "--out", tmp_path / "s", "--yes")
    code, text, _ = nme("split", study, "--design", "clusters", "--target", "mood", "--out", out)
    assert code == 0
    assert "families or sites it has never seen" in text
    words = ["fit", study, "--model", "generic-mlp", "--target", "mood", "--epochs", "3", "--split", out]
    assert nme(*words, "--out", tmp_path / "run")[0] == 0
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["split"]["name"] == "clusters"
    code, text, _ = nme("split", study, "--folds", "4", "--target", "mood", "--out", out, "--json")
    assert json.loads(text)["names"][3] == "4-fold by person, fold 4"
    words[-1] = f"{out}:2"
    assert nme(*words, "--out", tmp_path / "fold")[0] == 0
    manifest = json.loads((tmp_path / "fold" / "manifest.json").read_text())
    assert manifest["split"]["name"] == "4-fold by person, fold 2"
    assert nme("split", study, "--design", "sideways")[0] == 2


def test_states_of_an_spss_file_get_their_names(nme, tmp_path):
    import pyreadstat

    frame = diary().assign(
        state=lambda f: (f["state"] == "calm") * 1.0, treatment=lambda f: (f["treatment"] == "yes") * 1.0
    )
    labels = {"state": {0.0: "tense", 1.0: "calm"}, "treatment": {0.0: "waiting list", 1.0: "treated"}}
    pyreadstat.write_sav(frame, tmp_path / "a.sav", variable_value_labels=labels)
    assert nme("import", tmp_path / "a.sav", "--out", tmp_path / "s", "--yes")[0] == 0
    text = (tmp_path / "s" / "study.toml").read_text()
    assert 'states = ["calm", "tense"]' in text
    assert '"1" = "treated"' in text
    code, out, _ = nme("check", tmp_path / "s" / "study.toml")
    assert (code, "treated 4" in out) == (0, True)


def test_a_table_is_no_study(nme, file):
    code, _, err = nme("check", file)
    assert (code, "nme import" in err) == (2, True)


PLANTED = "Zoltán-Secretname"


@pytest.mark.slow
def test_no_planted_word_is_left_anywhere(nme, tmp_path):
    source, work = tmp_path / "in" / f"{PLANTED}.csv", tmp_path / "work"
    source.parent.mkdir()
    frame = diary().assign(remarks=PLANTED)
    frame["participantID"] = frame["participantID"].replace("p01", PLANTED)
    frame["family_nr"] = [f"{PLANTED}-{nr}" for nr in frame["family_nr"]]
    frame.to_csv(source, index=False)
    study = work / "s" / "study.toml"
    shown = [nme("import", source, "--out", work / "s", "--yes", "--feature", "sleep")]
    shown += [nme("check", study), nme("check", study, "--json")]
    shown += [nme("describe", study, "--html", work / "page.html", "--json")]
    shown += [nme("split", study, "--target", "mood", "--out", work / "split.parquet")]
    words = ["--model", "generic-mlp", "--target", "mood", "--epochs", "3", "--split", work / "split.parquet"]
    shown += [nme("fit", study, *words, "--out", work / "run")]
    shown += [nme("fit", study, *words, "--out", work / "run")]  # refused: the run is there
    assert [code for code, *_ in shown] == [0, 0, 0, 0, 0, 0, 2]
    assert not [out for _, out, err in shown if PLANTED in out + err]
    for path in work.rglob("*"):
        assert PLANTED not in path.name
        assert not path.is_file() or PLANTED.encode() not in path.read_bytes()
