"""``nme gallery``: makes what is missing, uses what is there, writes one page."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from toolkit.cli import gallery_runs
from toolkit.cli.answers import plain_errors
from toolkit.cli.gallery_runs import covariate_table, fits, fitted, new_persons, video
from toolkit.cli.main import app
from toolkit.data.demo import demo_study
from toolkit.errors import RunFolderError
from toolkit.runs.folder import find_runs, load_run


@pytest.fixture(autouse=True, scope="module")
def few_rounds():
    """Galleries are made of runs, and it does not matter here whether their variances have settled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("toolkit.models.rounds.POLISH_STEPS", 2)
        yield


@pytest.fixture
def nme(capsys):
    def run(*words: object) -> tuple[int, str, str]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code = plain_errors(lambda: app([str(word) for word in words], standalone_mode=False))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def families():
    return next(one for one in fits(quick=True) if one.name == "nme-crf-dyads")


@pytest.mark.slow
def test_a_finished_run_is_used_and_another_one_refused(tmp_path, families) -> None:
    first = fitted(families, tmp_path, seed=1)
    started = first.manifest["started"]
    assert fitted(families, tmp_path, seed=1).manifest["started"] == started
    (tmp_path / gallery_runs.MATERIAL / gallery_runs.MADE).write_text("")  # as if somebody else had made it
    with pytest.raises(RunFolderError, match="another run of the name nme-crf-dyads"):
        fitted(families, tmp_path, seed=2)
    assert load_run(tmp_path / families.name).manifest["started"] == started


@pytest.mark.slow
def test_an_outdated_run_of_its_own_is_fitted_anew(tmp_path, families) -> None:
    fitted(families, tmp_path, seed=1)
    assert fitted(families, tmp_path, seed=2).manifest["seed"] == 2


def test_truth_lies_beside_the_simulated_study_and_fits_its_persons(tmp_path, families) -> None:
    import pandas as pd

    data, _ = families.data(tmp_path)
    truth = pd.read_parquet(tmp_path / "dyads" / gallery_runs.TRUTH)
    assert set(truth["level"]) == set(data.data.persons)
    sums = truth.assign(start=truth["parameter"].str.extract(r"\[(.+),")[0]).groupby(["level", "start"])["true"].sum()
    assert sums.to_numpy() == pytest.approx(np.ones(len(sums)))


def test_every_second_person_is_new() -> None:
    data = video()
    labels = new_persons(data)
    persons = np.asarray(data.person)
    assert set(labels[persons % 2 == 1]) == {"test"}
    assert set(labels[persons % 2 == 0]) == {"train", "validation"}


def test_the_covariate_goes_by_pseudonyms(tmp_path) -> None:
    import pandas as pd

    table = pd.read_csv(covariate_table(tmp_path))
    assert set(table["person"]) <= set(demo_study().sequences().data.persons)
    assert table[gallery_runs.COVARIATE].between(0, 3).all()


@pytest.mark.slow
def test_the_gallery_is_made_and_made_again_from_what_is_there(tmp_path, nme) -> None:
    words = ("gallery", "--out", tmp_path / "g.html", "--runs", tmp_path / "runs", "--quick", "--json")
    code, out, _ = nme(*words)
    said = json.loads(out)
    assert code == 0
    assert said["megabytes"] < 5
    page = (tmp_path / "g.html").read_text(encoding="utf-8")
    assert page.count("<section>") == said["figures"]
    assert "Not drawn here" not in page
    times = [load_run(path).manifest["finished"] for path in find_runs(tmp_path / "runs")]
    assert nme(*words)[0] == 0
    assert [load_run(path).manifest["finished"] for path in find_runs(tmp_path / "runs")] == times


def test_help_says_what_it_does(nme) -> None:
    code, out, _ = nme("gallery", "--help")
    assert code == 0
    assert "offline" in out
