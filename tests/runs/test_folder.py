"""The run folder: complete, whole or absent, checked on reading, persons by pseudonym."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from tests.small_study import small_study
from toolkit import GroupedDataset, SequenceBatch, fit, load_run
from toolkit.errors import RunFolderError
from toolkit.models import GenericMlp, NmeCrf, NmeMlp
from toolkit.runs import writing
from toolkit.runs.folder import find_runs

FILES = {
    "generic.safetensors",
    "persons.safetensors",
    "persons.parquet",
    "random_effects.parquet",
    "variance_components.parquet",
    "predictions.parquet",
    "metrics.parquet",
    "trace.parquet",
}


ROLES = {"features": ["x"], "groups": ["who"], "time": "t", "group": "arm", "cluster": "family"}


@pytest.fixture(scope="module")
def rows():
    return GroupedDataset.from_frame(small_study(), target="mood", **ROLES)


@pytest.fixture(scope="module")
def chain_run(tmp_path_factory):
    data = SequenceBatch.from_frame(small_study(), target="state", **ROLES)
    out = tmp_path_factory.mktemp("runs") / "chain"
    run = fit(NmeCrf(hidden=(), epochs=20, variance_update="paper"), data, seed=2, out=out)
    return run, load_run(out), data


@pytest.fixture(scope="module")
def mood_run(rows, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "mood"
    return fit(NmeMlp(hidden=(3,), epochs=20), rows, seed=2, out=out), load_run(out)


def test_folder_holds_every_file_and_each_is_in_the_manifest(chain_run, mood_run):
    for saved, extra in ((chain_run[1], {"transitions.parquet"}), (mood_run[1], set())):
        present = {path.name for path in saved.path.iterdir()}
        assert present == FILES | extra | {"manifest.json"}
        assert set(saved.manifest["files"]) == FILES | extra
        assert saved.verify() == len(FILES | extra)


def test_tables_are_those_of_the_run_with_pseudonyms(chain_run):
    run, saved, _ = chain_run
    key = pd.read_csv(saved.path.with_name("chain.key.csv"))
    names = dict(zip(key["label"], key["pseudonym"], strict=True))
    mine, theirs = run.random_effects(), saved.random_effects()
    assert list(mine["level"].map(names)) == list(theirs["level"])
    np.testing.assert_array_equal(mine["estimate"], theirs["estimate"])
    pd.testing.assert_frame_equal(run.variance_components(), saved.variance_components())


def test_no_label_of_a_person_or_family_is_in_the_folder(chain_run, mood_run):
    for _, saved, *_ in (chain_run, mood_run):
        for path in saved.path.iterdir():
            content = path.read_bytes()
            assert b"Anna" not in content
            assert b"Family-" not in content


def test_the_key_is_private_and_outside(mood_run):
    path = mood_run[1].path.with_name("mood.key.csv")
    assert path.stat().st_mode & 0o777 == 0o600


def test_saved_run_predicts_like_the_one_in_memory(chain_run, mood_run, rows):
    run, saved, data = chain_run
    np.testing.assert_array_equal(saved.predict(data.data), run.predict(data))
    np.testing.assert_array_equal(mood_run[1].predict(rows), mood_run[0].predict(rows))
    np.testing.assert_array_equal(mood_run[1].predict(rows, "population"), mood_run[0].predict(rows, "population"))
    assert mood_run[1].predict_frame(rows)["person_known"].all()


def test_a_flipped_bit_is_found(rows, tmp_path):
    saved = load_run(fit(GenericMlp(hidden=(), epochs=5), rows, seed=1, out=tmp_path / "r") and tmp_path / "r")
    path = saved.path / "metrics.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(RunFolderError, match="E402"):
        saved.metrics()
    assert len(saved.persons()) == rows.n_persons  # the others can still be read


def test_manifest_of_a_newer_version_and_of_nothing(rows, tmp_path):
    fit(GenericMlp(hidden=(), epochs=5), rows, seed=1, out=tmp_path / "r")
    manifest = json.loads((tmp_path / "r" / "manifest.json").read_text())
    (tmp_path / "r" / "manifest.json").write_text(json.dumps({**manifest, "schema_version": 99}))
    with pytest.raises(RunFolderError, match="E404"):
        load_run(tmp_path / "r")
    with pytest.raises(RunFolderError, match="E401"):
        load_run(tmp_path)


def test_manifest_says_what_was_done(mood_run, rows):
    manifest = mood_run[1].manifest
    assert manifest["model"] == "nme-mlp"
    assert manifest["config"]["hidden"] == [3]
    assert manifest["seed"] == 2
    assert manifest["data"]["hash"] == rows.content_hash()
    assert sum(manifest["split"]["rows"].values()) == rows.n_rows
    assert manifest["status"]["sentence"]
    assert manifest["study"]["group_name"] == "arm"


@pytest.mark.slow
def test_an_existing_run_is_not_replaced_unless_asked(rows, tmp_path):
    config = GenericMlp(hidden=(), epochs=5)
    fit(config, rows, seed=1, out=tmp_path / "r")
    first = load_run(tmp_path / "r").manifest["files"]
    with pytest.raises(RunFolderError, match="E306"):
        fit(config, rows, seed=2, out=tmp_path / "r")
    assert load_run(tmp_path / "r").manifest["files"] == first
    fit(config, rows, seed=2, out=tmp_path / "r", overwrite=True)
    assert load_run(tmp_path / "r").manifest["seed"] == 2


def test_a_folder_with_other_things_is_never_replaced(rows, tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "thesis.docx").write_text("mine")
    with pytest.raises(RunFolderError, match="E306"):
        fit(GenericMlp(hidden=(), epochs=5), rows, seed=1, out=tmp_path / "r", overwrite=True)
    assert (tmp_path / "r" / "thesis.docx").exists()


def test_a_failure_while_writing_leaves_nothing(rows, tmp_path, monkeypatch):
    def fail(*_: object) -> bytes:
        raise OSError("disk full")

    monkeypatch.setattr(writing, "_parquet", fail)
    with pytest.raises(OSError, match="disk full"):
        fit(GenericMlp(hidden=(), epochs=5), rows, seed=1, out=tmp_path / "r")
    assert {path.name for path in tmp_path.iterdir()} == {"r.key.csv"}


def test_pseudonyms_stay_when_a_run_is_repeated(rows, tmp_path):
    config = GenericMlp(hidden=(), epochs=5)
    fit(config, rows, seed=1, out=tmp_path / "r")
    first = load_run(tmp_path / "r").persons()["person"].tolist()
    fit(config, rows, seed=1, out=tmp_path / "r", overwrite=True)
    assert load_run(tmp_path / "r").persons()["person"].tolist() == first


def test_find_runs(mood_run):
    path = mood_run[1].path
    assert find_runs(path) == (path,)
    assert find_runs(path.parent) == (path,)
    assert find_runs(path / "nowhere") == ()


def test_a_study_folder_leads_to_its_runs(mood_run, tmp_path):
    shutil.copytree(mood_run[1].path, tmp_path / "study" / "runs" / "mood")
    assert find_runs(tmp_path / "study") == (tmp_path / "study" / "runs" / "mood",)


def test_generic_model_has_no_person_effects(rows):
    run = fit(GenericMlp(hidden=(), epochs=5), rows, seed=1)
    assert run.random_effects().empty
    assert run.variance_components()["term"].tolist() == ["residual"]
    np.testing.assert_array_equal(run.predict(rows), run.predict(rows, "population"))


def test_reading_tables_needs_no_torch(mood_run):
    code = (
        "import sys; from toolkit import load_run; "
        f"run = load_run({str(mood_run[1].path)!r}); run.metrics(); run.random_effects(); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
