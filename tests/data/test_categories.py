"""Columns of words as predictors: refused until their levels are named, then 0/1 columns that new rows share."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.bad_input.studies import PLANTED, good
from toolkit.cli.answers import plain_errors
from toolkit.cli.main import app
from toolkit.data.constructing import with_constructions
from toolkit.data.constructions import Constructions
from toolkit.data.study import Study
from toolkit.errors import ConfigError, DataError

LEVELS = '[categories]\nplace = ["home", "work", "elsewhere"]\n'


def places(frame: pd.DataFrame) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    return frame.assign(place=rng.choice(["home", " work", "elsewhere"], size=len(frame)))


def write(folder: Path, tables: str = LEVELS, features: str = '["x", "place"]', target: str = "mood") -> Path:
    if not (folder / "a.csv").exists():
        places(good()).to_csv(folder / "a.csv", index=False)
    (folder / "study.toml").write_text(
        f'[data]\nfile = "a.csv"\n[roles]\nperson = "person"\ntime = "t"\ntargets = ["{target}"]\n'
        f"features = {features}\n{tables}"
    )
    return folder / "study.toml"


def command(*words: object) -> int:
    return plain_errors(lambda: app([str(word) for word in words], standalone_mode=False))


def test_words_become_columns_of_0_and_1(tmp_path: Path) -> None:
    study = Study.read(write(tmp_path))
    data = study.grouped()
    assert study.features == data.feature_names == ("x", "place_work", "place_elsewhere")
    cells = places(good())["place"].str.strip()
    np.testing.assert_array_equal(data.features[:, 1], cells == "work")
    np.testing.assert_array_equal(data.features[:, 2], cells == "elsewhere")
    assert study.definitions() == ["place is coded 0/1 for work and elsewhere; the reference is home."]
    assert study.grouped(features=["place"]).feature_names == ("place_work", "place_elsewhere")
    chain = study.sequences("state", features=["place_work"]).data
    np.testing.assert_array_equal(chain.features[:, 0], cells == "work")


def test_levels_can_be_numbers_and_made_by_cut_offs(tmp_path: Path) -> None:
    cuts = '[cut_offs.height]\nitem = "z"\ncuts = [0]\nnames = ["low", "high"]\n'
    times = json.dumps([str(k) for k in range(12)])
    tables = f'{cuts}[categories]\nheight = ["high", "low"]\nt = {times}\n'
    study = Study.read(write(tmp_path, tables, '["height"]'))
    np.testing.assert_array_equal(study.grouped().features[:, 0], good()["z"] < 0)
    np.testing.assert_array_equal(study.frame()["t_3"], good()["t"] == 3)


def test_empty_cells_stay_empty(tmp_path: Path) -> None:
    frame = places(good())
    frame.loc[4, "place"] = None
    frame.to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(DataError, match="E111") as caught:
        Study.read(write(tmp_path)).grouped()
    assert caught.value.rows == (6,)


def test_words_without_levels_are_refused_with_the_way_out(tmp_path: Path, capsys) -> None:
    path = write(tmp_path, "")
    with pytest.raises(DataError, match="E109") as caught:
        Study.read(path).grouped()
    assert "[categories]" in caught.value.remedy
    assert command("check", path, "--json") == 2
    found = json.loads(capsys.readouterr().out)["findings"]
    assert [(one["code"], one["column"]) for one in found] == [("E109", "place")]
    assert "[categories]" in found[0]["remedy"]


@pytest.mark.slow
def test_an_unlisted_level_is_refused_also_when_predicting(tmp_path: Path, capsys) -> None:
    path = write(tmp_path)
    words = ["--model", "nme-mlp", "--set", "hidden=()", "--epochs", 2, "--out", tmp_path / "run"]
    assert command("fit", path, *words) == 0
    new = places(good())
    new.to_csv(tmp_path / "new.csv", index=False)
    given = ["--data", tmp_path / "new.csv", "--out", tmp_path / "p.csv"]
    assert command("predict", tmp_path / "run", path, *given) == 0
    new.loc[[2, 7], "place"] = PLANTED
    new.to_csv(tmp_path / "new.csv", index=False)
    capsys.readouterr()
    assert command("predict", tmp_path / "run", path, *given, "--overwrite") == 2
    err = capsys.readouterr().err
    assert "E120" in err
    assert "(rows 4, 9)" in err
    assert PLANTED not in err
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["study"]["definitions"] == ["place is coded 0/1 for work and elsewhere; the reference is home."]


def test_a_category_that_makes_the_target_is_refused(tmp_path: Path) -> None:
    cuts = '[cut_offs.height]\nitem = "mood"\ncuts = [0]\nnames = ["low", "high"]\n'
    with pytest.raises(ConfigError, match="E132") as caught:
        Study.read(write(tmp_path, cuts + '[categories]\nheight = ["high", "low"]\n', '["height"]'))
    assert caught.value.column == "height_low"


@pytest.mark.parametrize("levels", ['["home"]', '["home", "home "]', '["home", ""]', '"home"', "[1, 2]"])
def test_levels_that_make_no_sense(levels: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="E302"):
        Study.read(write(tmp_path, f"[categories]\nplace = {levels}\n"))


def test_without_categories_nothing_changes() -> None:
    assert Constructions().expanded(["x", "y"]) == ("x", "y")


def test_a_missing_column_is_named() -> None:
    frame, made = pd.DataFrame({"p": ["a"], "x": [1.0]}), Constructions(categories={"y": ("a", "b")})
    with pytest.raises(DataError, match=r"E103.*'y'"):
        with_constructions(frame, made, person="p", time=None, sequence=None)
