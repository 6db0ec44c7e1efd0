"""A copy without persons holds nothing about anybody, opens, and predicts for the average person."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from analyses.report.group_tables import EVERYBODY, group_tables, metrics_of_everybody
from analyses.report.report_facts import ReportOptions
from analyses.report.report_paper import run_report
from tests.analysed_runs import analyse_runs, fit_runs, nme, write_study
from toolkit.data.study import Study
from toolkit.errors import ConfigError, DataError, RunFolderError
from toolkit.runs.folder import load_run

PERSONAL = (
    "persons.safetensors",
    "persons.parquet",
    "random_effects.parquet",
    "predictions.parquet",
    "transitions.parquet",
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = fit_runs(write_study(tmp_path_factory.mktemp("export")), "nme-crf", "nme-mlp")
    analyse_runs(folder)
    return folder


@pytest.fixture(scope="module")
def copy(runs):
    assert nme("export", runs / "nme-crf", "--without-persons", "--out", runs / "copy") == 0
    return load_run(runs / "copy")


def test_no_file_holds_a_pseudonym_or_a_row_of_a_person(runs, copy):
    persons = list(load_run(runs / "nme-crf").persons()["person"])
    assert not [name for name in PERSONAL if (copy.path / name).exists()]
    assert not (copy.path / "analyses").exists()
    for path in copy.path.iterdir():
        content = path.read_bytes()
        assert not [person for person in persons if person.encode() in content], path.name
        if path.suffix == ".parquet":
            assert "person" not in pd.read_parquet(path).columns
    assert "eta" not in load_file(copy.path / "generic.safetensors")
    assert (copy.without_persons, copy.manifest["levels"]) == (True, [])
    assert copy.verify() == len(copy.manifest["files"])


def test_the_average_person_is_predicted_as_before(runs, copy):
    data = Study.read(runs.parent / "study.toml").sequences().data
    before = load_run(runs / "nme-crf").predict(data, level="population")
    np.testing.assert_array_equal(copy.predict(data, level="population"), before)
    for ask in (copy.predict, copy.predict_frame):
        with pytest.raises(RunFolderError, match=r"E409.*population"):
            ask(data)
    assert not copy.predict_frame(data, level="population")["person_known"].any()


@pytest.mark.parametrize("words", [["hsic"], ["differences"], ["baseline"], ["variance"], ["base-rates"]])
def test_analyses_that_need_persons_say_so(copy, capsys, words):
    assert nme("analyze", words[0], copy.path, *words[1:]) == 2
    assert "E409" in capsys.readouterr().err


def test_reports_and_cards_say_it_too(copy, capsys):
    with pytest.raises(RunFolderError, match="E409"):
        run_report([copy], ReportOptions())
    assert nme("card", copy.path, "--out", copy.path.parent / "card") == 2
    assert "E409" in capsys.readouterr().err


def test_groups_are_averages_of_the_persons(runs, copy):
    run = load_run(runs / "nme-crf")
    people = run.persons().set_index("person")
    table = copy.group_table("transitions").set_index(["group", "from_state", "to_state"])
    mine = run.transitions()
    of_group = mine[mine["person"].map(people["group"]) == "1"]
    cell = of_group[(of_group["from_state"] == "calm") & (of_group["to_state"] == "sad")]
    assert table.loc[("1", "calm", "sad"), "probability"] == pytest.approx(cell["probability"].mean())
    persons = copy.group_table("persons").set_index("group")
    assert persons.loc[EVERYBODY, "persons"] == 30
    assert persons["rows"].to_dict() == {EVERYBODY: 450, "0": 225, "1": 225}
    assert set(copy.group_table("effects")["group"]) == {EVERYBODY, "0", "1"}


@pytest.mark.slow
def test_small_groups_and_steps_of_few_persons_are_left_out(tmp_path):
    run = load_run(fit_runs(write_study(tmp_path, patients=4), "nme-crf") / "nme-crf")
    tables = group_tables(run)
    assert all(set(table["group"]) == {EVERYBODY} for table in tables.values())
    table = run.transitions()
    rare = (table["from_state"] == "calm") & (table["to_state"] == "sad")
    somebody = table.loc[rare & (table["observed"] > 0), "person"].iloc[0]
    few = table.assign(observed=np.where(rare & (table["person"] != somebody), 0, table["observed"]))
    changed = type("Few", (), {"__getattr__": lambda _, name: getattr(run, name), "transitions": lambda _: few})()
    found = group_tables(changed)["group_transitions"].set_index(["from_state", "to_state"])["observed"]
    assert pd.isna(found[("calm", "sad")])
    with pytest.raises(DataError, match="E124"):
        group_tables(load_run(fit_runs(write_study(tmp_path / "few", persons=6, patients=2), "nme-mlp") / "nme-mlp"))
    with pytest.raises(ConfigError, match="E302"):
        group_tables(run, smallest=1)


def test_metrics_of_few_persons_are_left_empty():
    line = {
        "scope": "mean",
        "person": pd.NA,
        "split": "test",
        "level": "person",
        "metric": "rmse",
        "value": 1.0,
        "rows": 9,
    }
    lines = [
        line | {"persons": 96, "excluded": 4},
        line | {"persons": 5, "excluded": 0},
        line | {"scope": "person", "persons": 1, "excluded": 0},
    ]
    found = metrics_of_everybody(pd.DataFrame(lines))
    assert len(found) == 2
    assert pd.isna(found.loc[0, "persons"])
    assert pd.isna(found.loc[0, "excluded"])
    assert found["value"].isna().tolist() == [False, True]


def test_what_cannot_be_written_is_said(runs, copy, tmp_path, capsys):
    words = ["export", runs / "nme-mlp", "--without-persons", "--out"]
    assert nme(*words, runs / "nme-crf", "--overwrite") == 2
    assert "E306" in capsys.readouterr().err
    assert nme(*words, copy.path) == 2
    assert "--overwrite" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert nme(*words, tmp_path / "file") == 2
    assert "E306" in capsys.readouterr().err
    assert nme(*words, tmp_path / "file" / "out") == 2
    assert "E305" in capsys.readouterr().err
    assert nme("export", copy.path, "--without-persons", "--out", tmp_path / "again") == 2
    assert "E409" in capsys.readouterr().err
    assert nme("export", runs / "nme-mlp", "--out", tmp_path / "out") == 2
    assert "E302" in capsys.readouterr().err
    assert not [path for path in runs.iterdir() if path.name.startswith(".")]


def test_a_copy_is_replaced_when_asked(runs, tmp_path, capsys):
    words = ["export", runs / "nme-mlp", "--without-persons", "--out", tmp_path / "copy", "--json"]
    assert nme(*words) == 0
    capsys.readouterr()
    assert nme(*words, "--overwrite", "--dictionary") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["files"] == 6
    assert (tmp_path / "copy-dictionary" / "dictionary.csv").exists()
