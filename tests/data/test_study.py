"""Studies from their file: roles, pseudonyms and their key."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from toolkit.data.pseudonyms import extended, read_key
from toolkit.data.study import Study
from toolkit.errors import ConfigError, DataError

TOML = """
title = "A study"
unit = "day"
[data]
file = "rows.csv"
[roles]
person = "id"
cluster = "family"
group = "g"
time = "t"
targets = ["y", "s"]
features = ["x"]
state = "s"
states = ["low", "calm"]
[group_labels]
0 = "controls"
"""


def write_rows(folder: Path, ids: list[str]) -> None:
    rows = [
        f"{person},f{k % 2},0,{t},{t * 0.5},{k},{'calm' if t else 'low'}"
        for k, person in enumerate(ids)
        for t in (0, 1)
    ]
    (folder / "rows.csv").write_text("\n".join(["id,family,g,t,y,x,s", *rows]) + "\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "study.toml").write_text(TOML)
    write_rows(tmp_path, ["007", "7", "NA", "Ann"])
    return tmp_path


def test_roles_arrive(folder: Path) -> None:
    study = Study.read(folder / "study.toml")
    assert (study.name, study.title, study.unit) == ("study", "A study", "day")
    assert study.group_labels == {"0": "controls"}
    data = study.grouped()
    assert data.target_name == "y"
    assert data.classes is None
    assert data.n_persons == 4
    assert data.persons == ("P001", "P002", "P003", "P004")
    assert set(data.person_cluster) == {"C01", "C02"}
    assert data.person_group == ("0",) * 4
    assert data.pseudonymous
    assert study.grouped("s").classes == ("low", "calm")
    assert study.grouped(features=[]).n_features == 0
    assert study.sequences().states.tolist() == [[0, 1]] * 4


def test_no_id_is_left_in_the_frame(folder: Path) -> None:
    frame = Study.read(folder / "study.toml").frame()
    assert set(frame.id) == {"P001", "P002", "P003", "P004"}
    assert not frame.isin(["007", "7", "NA", "Ann", "f0", "f1"]).drop(columns="x").any(axis=None)


def test_persons_keep_their_pseudonym_and_new_ones_are_numbered_on(folder: Path) -> None:
    study = Study.read(folder / "study.toml")
    first = study.frame()
    key_file = folder / "study.key.csv"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    written = key_file.read_bytes()
    pd.testing.assert_frame_equal(study.frame(), first)
    assert key_file.read_bytes() == written
    write_rows(folder, ["new", "Ann", "007"])
    key = read_key(key_file)["person"]
    assert study.frame().id.drop_duplicates().tolist() == ["P005", key["Ann"], key["007"]]
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert sorted(path.name for path in folder.iterdir()) == ["rows.csv", "study.key.csv", "study.toml"]


def test_the_key_can_be_kept_elsewhere(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("private") / "names.csv"
    Study.read(folder / "study.toml", key_path=elsewhere).frame()
    assert elsewhere.exists()
    assert not (folder / "study.key.csv").exists()


def test_pseudonyms_do_not_follow_the_order_of_ids_and_differ_between_imports() -> None:
    labels = [f"id{number:03d}" for number in range(200)]
    one, two = (list(extended({}, labels, "person", rng=np.random.default_rng(seed)).values()) for seed in (1, 2))
    assert sorted(one) == sorted(two) == [f"P{number:03d}" for number in range(1, 201)]
    assert one != two
    ranks = np.argsort(np.argsort(one))
    assert abs(np.corrcoef(ranks, np.arange(200))[0, 1]) < 0.25


def test_the_default_order_cannot_be_repeated(folder: Path) -> None:
    write_rows(folder, [f"p{number}" for number in range(50)])
    orders = {tuple(Study.read(folder / "study.toml", key_path=folder / f"{k}.csv").frame().id) for k in range(2)}
    assert len(orders) == 2


def test_width_grows_with_the_number_of_persons() -> None:
    names = extended({}, map(str, range(1200)), "person", rng=np.random.default_rng(0)).values()
    assert {len(name) for name in names} == {5}
    assert len(set(names)) == 1200


@pytest.mark.parametrize(
    ("old", "new", "column", "hint"),
    [
        ("person =", "persn =", "persn", "'person'"),
        ("targets =", "target =", "target", "'targets'"),
        ("title", "titel", "titel", "'title'"),
        ('file = "rows.csv"', 'file = "rows.csv"\nderive = "emotions-absolut"', "derive", "'emotions-absolute'"),
        ('["x"]', '"x"', "features", "list"),
        ('file = "rows.csv"', "", "file", "[data]"),
        ('person = "id"', "", "person", "[roles]"),
        ('unit = "day"', "unit = 3", "unit", "text"),
    ],
)
def test_a_wrong_key_is_named_with_the_nearest_right_one(
    folder: Path, old: str, new: str, column: str, hint: str
) -> None:
    (folder / "study.toml").write_text(TOML.replace(old, new, 1))
    with pytest.raises(ConfigError, match="E302") as caught:
        Study.read(folder / "study.toml")
    assert caught.value.column == column
    assert hint in str(caught.value)


def test_broken_files(folder: Path) -> None:
    (folder / "study.key.csv").write_text("role,label,pseudonym\nperson,a,P001\nperson,b,P001\n")
    with pytest.raises(DataError, match="E100"):
        Study.read(folder / "study.toml").frame()
    (folder / "study.toml").write_text("title = \n")
    with pytest.raises(ConfigError, match="E302") as caught:
        Study.read(folder / "study.toml")
    assert caught.value.rows == (1,)
    with pytest.raises(DataError, match="E100"):
        Study.read(folder / "nowhere.toml")


def test_a_key_that_cannot_be_written_stops_the_import(folder: Path) -> None:
    with pytest.raises(DataError, match="E305"):
        Study.read(folder / "study.toml", key_path=folder / "no folder" / "key.csv").frame()


def test_a_study_without_target_or_time_says_so(folder: Path) -> None:
    (folder / "study.toml").write_text(TOML.replace('targets = ["y", "s"]\n', "").replace('time = "t"\n', ""))
    study = Study.read(folder / "study.toml")
    with pytest.raises(ConfigError, match="target"):
        study.grouped()
    with pytest.raises(ConfigError, match="time"):
        study.sequences()
