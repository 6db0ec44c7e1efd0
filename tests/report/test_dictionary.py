"""Every column of every table that the models write is described."""

from __future__ import annotations

import pandas as pd
import pytest

from analyses.report.dictionary import UNKNOWN, dictionary, dictionary_report, meaning_of
from analyses.report.dictionary_words import FILES, MANIFEST_ENTRIES
from analyses.report.document import render
from tests.analysed_runs import fit_runs, nme, write_study
from toolkit.runs.folder import load_run

MODELS = ("nme-crf", "generic-crf", "nme-mlp", "generic-mlp", "pen", "pen-shared")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    study = write_study(tmp_path_factory.mktemp("dictionary"))
    folder = fit_runs(study, "nme-crf", "generic-crf", "nme-mlp", "generic-mlp")
    for model in ("pen", "pen-shared"):
        assert nme("fit", study, "--model", model, "--out", folder / model, "--set", "epochs=4") == 0
    assert nme("export", folder / "nme-crf", "--without-persons", "--out", folder / "copy") == 0
    return folder


@pytest.mark.parametrize("model", [*MODELS, "copy"])
def test_nothing_is_left_undescribed(runs, model):
    run = load_run(runs / model)
    frame = dictionary(run)
    assert frame[frame["meaning"] == UNKNOWN][["file", "column"]].to_numpy().tolist() == []
    assert set(run.manifest) <= set(MANIFEST_ENTRIES)
    assert set(run.manifest["files"]) <= set(FILES)
    for name in run.manifest["files"]:
        if name.endswith(".parquet"):
            assert frame.loc[frame["file"] == name, "column"].tolist() == list(pd.read_parquet(run.path / name).columns)
    assert "{row}" not in frame.to_string()


def test_types_and_units(runs):
    frame = dictionary(load_run(runs / "nme-crf")).set_index(["file", "column"])
    assert frame.loc[("persons.parquet", "rows"), ["type", "unit"]].tolist() == ["whole number", "prompts"]
    assert frame.loc[("persons.parquet", "in_metrics"), "type"] == "yes or no"
    assert frame.loc[("predictions.parquet", "probability_calm"), "unit"] == "0 to 1"
    assert meaning_of("metrics", "level").text != meaning_of("random_effects", "level").text
    assert meaning_of("persons", "unheard_of").text == UNKNOWN


@pytest.mark.slow
def test_the_dictionary_as_files(runs, tmp_path, capsys):
    run = load_run(runs / "nme-mlp")
    assert "Columns of persons.parquet" in render(dictionary_report(run))
    words = ["dictionary", run.path, "--format", "md,csv,html,docx", "--out", tmp_path]
    assert nme(*words) == 0
    table = pd.read_csv(tmp_path / "dictionary.csv", encoding="utf-8-sig")
    assert list(table.columns) == ["file", "column", "type", "unit", "meaning"]
    assert nme(*words) == 2
    assert "E306" in capsys.readouterr().err
