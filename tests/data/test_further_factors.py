"""[groupings] of a study file: roles, pseudonyms, checks, import."""

from __future__ import annotations

import numpy as np
import pytest

from tests.analysed_runs import nme
from tests.family_study import STUDY, family_frame, write_family_study
from toolkit.data.pseudonyms import FACTOR, read_key
from toolkit.data.study import Study
from toolkit.data.study_checks import check_study
from toolkit.errors import ConfigError, DataError


def test_labels_of_every_factor_become_pseudonyms(tmp_path):
    study = Study.read(write_family_study(tmp_path))
    data = study.grouped()
    assert [factor.name for factor in data.groupings] == ["who", "family", "item"]
    assert data.groupings[1].levels[0] == "C01"
    assert data.groupings[2].levels == ("G01", "G02", "G03", "G04", "G05")
    assert set(data.person_cluster) == set(data.groupings[1].levels)
    key = read_key(study.key_path)
    assert set(key) == {"person", "cluster", f"{FACTOR}item"}
    frame, names = family_frame(), key[f"{FACTOR}item"]
    levels = np.array(data.groupings[2].levels)[np.asarray(data.groupings[2].codes)]
    assert [names[label] for label in frame["item"]] == levels.tolist()
    assert [factor.name for factor in study.grouped(groupings=()).groupings] == ["who"]
    assert study.grouped(groupings=()).content_hash() == data.of_persons().content_hash()
    assert [factor.name for factor in study.sequences(groupings=["family"]).data.groupings] == ["who", "family"]


def test_labels_may_be_shown_and_group_labels_stay(tmp_path):
    shown = STUDY.replace("[groupings.item]", "[groupings.item]\npseudonymous = true") + "\n[groupings.arm]\n"
    data = Study.read(write_family_study(tmp_path, shown)).grouped()
    assert data.groupings[2].levels[0] == "Question 0"
    assert data.groupings[3].levels == ("0", "1")


def test_effects_of_a_study_are_a_models_settings(tmp_path):
    study = Study.read(write_family_study(tmp_path))
    settings = study.effects("last")
    assert settings["effects"] == {"who": "last", "family": "*.bias", "item": "layers.0.bias"}
    assert settings["covariance"] == {"who": "diagonal", "family": "diagonal", "item": "diagonal"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[groupings.item]\neffect = "last"', "Did you mean 'effects'"),
        ("[groupings.item]\neffects = 3", "must be text in quotes, or a list of texts"),
        ('[groupings.item]\ncovariance = "none"', 'must be "diagonal" or "full"'),
        ("[groupings.who]", "is the person already"),
        ("[groupings.mood]", "among the targets"),
        ("[groupings.x]", "among the features"),
        ("[groupings.t]", "among the time"),
        ("[groupings]\nitem = true", "must be a table"),
    ],
)
def test_wrong_groupings_are_refused(tmp_path, text, words):
    head, _, tail = STUDY.partition("[groupings.family]")
    labels = tail[tail.index("[group_labels]") :]
    with pytest.raises(ConfigError, match="E302") as caught:
        Study.read(write_family_study(tmp_path, f"{head}{text}\n{labels}"))
    assert words in caught.value.sentence


def test_a_missing_column_and_empty_cells_are_named(tmp_path):
    with pytest.raises(DataError, match=r"E103.*'sight' .grouping."):
        Study.read(write_family_study(tmp_path, STUDY + "\n[groupings.sight]\n")).grouped()
    frame = family_frame().assign(item=lambda f: f["item"].where(f.index != 7))
    with pytest.raises(DataError, match=r"E112.*'item'.*row 9"):
        Study.read(write_family_study(tmp_path / "b", frame=frame)).grouped()


def test_check_finds_a_factor_that_can_have_no_effects(tmp_path):
    assert check_study(Study.read(write_family_study(tmp_path))).levels == {"family": 12, "item": 5}
    one = family_frame().assign(item="all", family=lambda f: f["who"] + "'s")
    found = check_study(Study.read(write_family_study(tmp_path / "b", frame=one))).findings.faults
    assert [(fault.code, fault.column) for fault in found] == [("E138", "family"), ("E138", "item")]


def test_import_gives_levels_pseudonyms_and_writes_the_tables(tmp_path, monkeypatch):
    monkeypatch.setenv("NME_KEYS", str(tmp_path / "keys"))
    write_family_study(tmp_path)
    words = ["--grouping", "family", "--grouping", "item", "--yes", "--out", tmp_path / "study", "--target", "mood"]
    assert nme("import", tmp_path / "data.csv", "--person", "who", "--cluster", "family", *words) == 0
    text = (tmp_path / "study" / "study.toml").read_text()
    assert '[groupings."item"]' in text
    assert "Question" not in text
    study = Study.read(tmp_path / "study" / "study.toml")
    levels = study.grouped().groupings[2].levels
    assert levels == ("G01", "G02", "G03", "G04", "G05")
    assert study.grouped().groupings[1].levels[0] == "C01"
    new = study.of_new_rows(tmp_path / "data.csv")
    assert [factor.pseudonymous for factor in new.groupings] == [False, False]
    assert new.grouped().groupings[2].levels == levels
    np.testing.assert_array_equal(new.grouped().groupings[2].codes, study.grouped().groupings[2].codes)


def test_a_factor_added_to_an_imported_study_gets_pseudonyms(tmp_path, monkeypatch):
    monkeypatch.setenv("NME_KEYS", str(tmp_path / "keys"))
    write_family_study(tmp_path)
    words = ["--yes", "--out", tmp_path / "study", "--keep", "item", "--target", "mood"]
    assert nme("import", tmp_path / "data.csv", "--person", "who", *words) == 0
    file = tmp_path / "study" / "study.toml"
    file.write_text(file.read_text() + "\n[groupings.item]\n")
    study = Study.read(file)
    assert study.grouped().groupings[1].levels[0] == "G01"
    assert f"{FACTOR}item" in read_key(study.key_path)
