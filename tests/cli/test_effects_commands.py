"""Commands about grouping factors: variances with intervals, effects on classes, one prediction taken apart."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analyses.report.catalogue import FigureOptions, figure
from analyses.report.snippets import snippet
from tests.analysed_runs import nme
from tests.family_study import family_frame, write_family_study
from toolkit.runs.folder import load_run
from toolkit.runs.kept import kept_analyses

SPLIT = ["--set", "hidden=()", "--epochs", "2"]
LAST = "effects={'who': 'layers.0.bias', 'family': 'layers.0.bias', 'item': 'layers.0.bias'}"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with a run of a number and one of three classes."""
    small = family_frame(families=8, persons=2, rows=12)
    file = write_family_study(tmp_path_factory.mktemp("families"), frame=small)
    runs = file.parent / "runs"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lmm = ["--set", "random=(1 | who) + (1 | family) + (1 | item)"]
        assert nme("fit", file, "--model", "lmm", *lmm, "--out", runs / "lmm") == 0
        classes = ["--target", "state", "--set", "task=multiclass", "--set", LAST]
        assert nme("fit", file, *classes, *SPLIT, "--out", runs / "classes") == 0
    return file


def said(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    capsys.readouterr()
    code = nme(*words)
    caught = capsys.readouterr()
    return code, caught.out + caught.err


def test_variances_of_every_factor_are_kept_with_their_intervals(study, capsys):
    run = study.parent / "runs" / "lmm"
    code, text = said(capsys, "analyze", "effects", run)
    assert code == 0
    assert "families (8)" in text
    table = pd.read_parquet(run / "analyses" / "effects" / "table.parquet")
    assert list(table["term"]) == ["who", "family", "item"]
    assert (table["low"] < table["variance"]).all()
    assert (table["variance"] < table["high"]).all()
    variances = load_run(run).variance_components().set_index("term")["variance"]
    np.testing.assert_allclose(table["variance"], variances[table["term"]])
    assert nme("analyze", "effects", run, "--level", "1.5") == 2


def test_one_prediction_is_taken_apart_and_adds_up(study, capsys):
    run = study.parent / "runs" / "lmm"
    code, text = said(capsys, "analyze", "contributions", run, study, "--row", "11", "--json")
    assert code == 0
    found, rows = json.loads(text), load_run(run).predictions().set_index("row")
    assert found["with_effects"]["mood"] == pytest.approx(rows.loc[11, "prediction"], abs=1e-8)
    assert found["without_effects"]["mood"] == pytest.approx(rows.loc[11, "prediction_population"], abs=1e-8)
    whole = found["without_effects"]["mood"] + sum(part["value"]["mood"] for part in found["parts"])
    assert whole == pytest.approx(found["with_effects"]["mood"], abs=1e-8)
    for name in ("contributions", "marked-distributions", "factor-distributions"):
        assert len(figure(name, load_run(run), FigureOptions()).frame)
    code, text = said(capsys, "figure", "contributions", run, "--out", study.parent / "figures")
    assert code == 2
    assert "--identifiable" in text
    code, text = said(capsys, "analyze", "contributions", run, study, "--row", "100000")
    assert code == 2
    assert "no row has this number" in text


def test_new_rows_are_explained_but_not_kept(study, capsys):
    new = study.parent / "new.csv"
    frame = pd.read_csv(study.parent / "data.csv").head(3).assign(item="Question nobody asked")
    frame.to_csv(new, index=False)
    run = study.parent / "runs" / "classes"
    code, text = said(capsys, "analyze", "contributions", run, study, "--row", "1", "--data", new)
    assert code == 0
    assert "this item was not there in training and adds nothing" in text
    assert "differences from their mean over the classes" in text
    assert not (run / "analyses" / "contributions").exists()


def test_effects_on_classes_are_centred(study, capsys):
    run = study.parent / "runs" / "classes"
    code, text = said(capsys, "analyze", "class-effects", run, "--term", "item")
    assert code == 0
    assert "add up to zero" in text
    table = pd.read_parquet(run / "analyses" / "class-effects-item" / "table.parquet")
    np.testing.assert_allclose(table.groupby("level")["estimate"].sum(), 0.0, atol=1e-10)
    effects = load_run(run).random_effects("item")
    wide = effects.pivot(index="level", columns="parameter", values="estimate")
    centred = wide.sub(wide.mean(axis=1), axis=0)["layers.0.bias[calm]"]
    own = table[table["outcome"] == "calm"].set_index("level")["estimate"]
    np.testing.assert_allclose(own[centred.index], centred, atol=1e-10)
    code, text = said(capsys, "analyze", "class-effects", study.parent / "runs" / "lmm")
    assert code == 2
    assert "three classes or more" in text


@pytest.mark.parametrize(("run", "name", "words"), [
    ("lmm", "effects", []), ("classes", "class-effects", []), ("lmm", "contributions", ["--row", "5"]),
])  # fmt: skip
def test_the_code_beside_a_result_gives_it_again(study, capsys, run, name, words):
    folder = study.parent / "runs" / run
    more = [study, *words] if name == "contributions" else words
    assert nme("analyze", name, folder, *more) == 0
    kept = next(one for one in kept_analyses(load_run(folder)) if one.name == name)
    assert kept.recipe is not None
    capsys.readouterr()
    exec(compile(snippet(kept.recipe, folder, study=study), "snippet", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out == (folder / "analyses" / name / "text.md").read_text()


def test_no_label_of_the_study_is_kept(study):
    assert nme("analyze", "contributions", study.parent / "runs" / "lmm", study, "--row", "3") == 0
    for path in (study.parent / "runs" / "lmm" / "analyses").rglob("*"):
        if path.is_file():
            assert not any(label.encode() in path.read_bytes() for label in ("Smith", "Anna", "Question")), path.name


@pytest.mark.slow
def test_a_report_for_others_leaves_the_single_prediction_out(study, capsys):
    run = study.parent / "runs" / "lmm"
    assert nme("analyze", "contributions", run, study, "--row", "3") == 0
    assert nme("analyze", "effects", run) == 0
    for audience, there in (("paper", False), ("internal", True)):
        out = study.parent / audience
        code, text = said(capsys, "report", run, "--audience", audience, "--format", "html", "--out", out)
        assert code == 0, text
        page = next(out.parent.glob(f"{audience}*/*.html"), None) or out
        words = page.read_text()
        assert ("One prediction taken apart" in words) is there
        assert "How the effects of each grouping factor are spread" in words
