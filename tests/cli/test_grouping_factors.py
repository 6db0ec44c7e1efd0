"""Families and items with effects of their own, from study.toml to reports: commands, run folder, dashboard."""

from __future__ import annotations

import json
import re
import shutil
import warnings
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from analyses.grouping_factors import factor_shares, noun_of
from analyses.report.dictionary_words import MANIFEST_ENTRIES
from app.launcher import MAIN
from tests.analysed_runs import nme
from tests.family_study import STUDY, family_frame, write_family_study
from toolkit.data.study import Study
from toolkit.runs.folder import load_run

LABELS = ("Smith", "Anna", "Question")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with a linear run and a chain, one with items and the other with families only."""
    file = write_family_study(tmp_path_factory.mktemp("families"))
    runs = file.parent / "runs"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert nme("fit", file, "--set", "hidden=()", "--out", runs / "nme-mlp", "--epochs", "60") == 0
        chain = ["--model", "nme-crf", "--groupings", "family", "--set", "hidden=()", "--epochs", "15"]
        chain += ["--set", "variance_update=paper"]
        assert nme("fit", file, *chain, "--out", runs / "nme-crf") == 0
    return file


def said(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    capsys.readouterr()
    code = nme(*words)
    caught = capsys.readouterr()
    return code, caught.out + caught.err


def no_label(folder: Path) -> None:
    """No file holds a label of a person, family or item."""
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(label.encode() in content for label in LABELS), path.name


def test_fit_writes_every_factor_under_pseudonyms(study):
    run = load_run(study.parent / "runs" / "nme-mlp")
    assert run.groupings == ("family", "item")
    assert list(run.variance_components()["term"]) == ["who", "who", "family", "item", "residual"]
    assert set(run.random_effects("item")["level"]) == {"G01", "G02", "G03", "G04", "G05"}
    assert set(run.random_effects("family")["level"]) == set(run.persons()["cluster"])
    assert run.manifest["config"]["effects"] == {"who": "last", "family": "*.bias", "item": "layers.0.bias"}
    named = {one["name"]: one["within"] for one in run.manifest["data"]["groupings"]}
    assert named == {"who": ["family"], "family": [], "item": []}
    assert set(run.manifest) <= set(MANIFEST_ENTRIES)
    no_label(run.path)
    assert not (run.path.parent / "nme-mlp.key.csv").exists()
    chain = load_run(study.parent / "runs" / "nme-crf")
    assert chain.groupings == ("family",)
    assert set(chain.random_effects("family")["parameter"]) == {f"layers.0.bias[{s}]" for s in ("calm", "tense", "sad")}


def test_groupings_that_do_not_fit_are_refused(study, capsys):
    code, text = said(capsys, "fit", study, "--groupings", "sight", "--out", study.parent / "x")
    assert code == 2
    assert "[groupings.sight]" in text
    code, text = said(capsys, "fit", study, "--model", "specific-mlp", "--groupings", "item")
    assert code == 2
    assert "effects of persons only" in text
    words = ["fit", study, "--set", "effects={'who': 'last', 'family': 'last'}", "--out", study.parent / "x"]
    code, text = said(capsys, *words)
    assert code == 2
    assert "none for 'item'" in text
    code, text = said(capsys, "fit", study, "--model", "nme-crf", "--out", study.parent / "x")
    assert code == 2
    assert "E137" in text


@pytest.mark.slow
def test_predict_knows_every_level(study, capsys, tmp_path):
    run = study.parent / "runs" / "nme-mlp"
    out = tmp_path / "p.csv"
    code, text = said(capsys, "predict", run, study, "--level", "family", "--out", out)
    assert code == 0
    assert "those of family and item alone" in text
    table = pd.read_csv(out, encoding="utf-8-sig")
    expected = load_run(run).predict(Study.read(study).grouped(), "family")
    assert table["prediction"].to_numpy() == pytest.approx(expected)
    new = family_frame().head(20).assign(who="Anna-new", item=lambda f: f["item"].where(f.index > 4, "Question new"))
    new.to_csv(tmp_path / "new.csv", index=False)
    code, text = said(
        capsys, "predict", run, study, "--data", tmp_path / "new.csv", "--out", tmp_path / "n.csv", "--json"
    )
    assert code == 0
    table = pd.read_csv(tmp_path / "n.csv", encoding="utf-8-sig")
    assert not table["person_known"].any()
    assert table["family_known"].all()
    assert (~table["item_known"]).sum() == 5
    assert not any(label in (tmp_path / "n.csv").read_text() for label in LABELS)
    code, text = said(capsys, "predict", run, study, "--level", "sight", "--out", tmp_path / "m.csv")
    assert code == 2
    assert "family, item" in text
    assert said(capsys, "predict", run, study, "--level", "item", "--population", "--out", tmp_path / "m.csv")[0] == 2


@pytest.mark.slow
def test_models_with_and_without_further_factors_are_compared(study, capsys):
    runs = study.parent / "runs"
    few = ["--set", "hidden=()", "--epochs", "10", "--overwrite"]
    code, text = said(capsys, "fit", study, "--model", "generic-mlp", "--out", runs / "generic-mlp", *few)
    assert code == 0
    assert "no effects of family, item" in text
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code, text = said(capsys, "compare", runs / "generic-mlp", runs / "nme-mlp", "--resamples", "99")
    assert code == 0
    assert "NME-MLP" in text or "nme-mlp" in text


def test_variance_states_every_share_and_correlation(study, capsys, tmp_path):
    run = study.parent / "runs" / "nme-mlp"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code, text = said(capsys, "analyze", "variance", run)
    assert code == 0
    shares = factor_shares(load_run(run).variance_components(), load_run(run).manifest["data"]["groupings"])
    by_term = {one.factor.term: one for one in shares}
    assert sum(one.share for one in shares) + shares[0].rest == pytest.approx(1, abs=1e-9)
    assert by_term["who"].icc == pytest.approx(by_term["who"].share + by_term["family"].share)
    assert by_term["item"].icc == by_term["item"].share
    for words in ("between persons of one family", "between families", "between items", "their family included"):
        assert words in text
    kept = pd.read_parquet(run / "analyses" / "variance" / "table.parquet")
    assert set(kept.loc[kept["kind"] == "factor icc", "name"]) == {"who", "family", "item"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert nme("analyze", "variance", study.parent / "runs" / "nme-crf") == 0
    assert "the effects of persons and families" in capsys.readouterr().out


@pytest.mark.slow
def test_tables_figures_and_methods_name_every_factor(study, capsys, tmp_path):
    run = study.parent / "runs" / "nme-mlp"
    assert nme("table", "variance", run, "--format", "csv", "--out", tmp_path) == 0
    text = next(tmp_path.glob("variance*.csv")).read_text()
    assert all(term in text for term in ("who", "family", "item"))
    words = ["--term", "family", "--format", "png", "--dpi", "300", "--preset", "89mm", "--out", tmp_path]
    assert nme("figure", "caterpillar", run, *words) == 0
    alt = (tmp_path / "caterpillar-family-nme-mlp.txt").read_text()
    assert "Effects of 12 families" in alt
    assert "the average family" in alt
    assert nme("figure", "ridges", run, *words) == 0
    assert nme("figure", "shrinkage", run, *words) == 2
    capsys.readouterr()
    assert nme("methods", run, "--out", tmp_path) == 0
    text = capsys.readouterr().out
    assert "Every person, family and item had normally distributed deviations" in text
    assert "persons in the last layer" in text


@pytest.mark.slow
def test_reports_have_a_chapter_for_every_factor(study, tmp_path):
    run = study.parent / "runs" / "nme-mlp"
    for audience in ("paper", "internal", "clinician"):
        out = tmp_path / audience
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert nme("report", run, "--audience", audience, "--format", "html", "--out", out) == 0
        text = re.sub(r"\s+", " ", (out / "report.html").read_text())
        assert not any(label in text for label in LABELS)
        if audience == "clinician":
            assert "have in common that come from one family" in text
            continue
        assert all(f"How far {nouns} differ" in text for nouns in ("persons", "families", "items"))
        assert "their family included" in text
        assert "With person effects: with those of families and items as well" in text


@pytest.mark.slow
def test_a_run_is_reproduced_with_its_factors(study, capsys):
    code, text = said(capsys, "reproduce", study.parent / "runs" / "nme-mlp", "--study", study, "--no-analyses")
    assert code == 0
    assert "every number is equal to the last bit" in text


@pytest.mark.slow
def test_a_copy_without_persons_has_no_families(study, tmp_path):
    assert nme("export", study.parent / "runs" / "nme-mlp", "--without-persons", "--out", tmp_path / "copy") == 0
    manifest = json.loads((tmp_path / "copy" / "manifest.json").read_text())
    assert manifest["further_levels"] == {}
    assert "C01" not in json.dumps(manifest)
    data = Study.read(study).grouped()
    run = load_run(study.parent / "runs" / "nme-mlp")
    copy = load_run(tmp_path / "copy").predict(data, "population")
    assert copy == pytest.approx(run.predict(data, "population"))


@pytest.mark.slow
def test_new_persons_of_known_families_are_adapted(study, capsys, tmp_path):
    file = write_family_study(tmp_path)
    shutil.copy(study.parent / "study.key.csv", tmp_path / "study.key.csv")
    runs = tmp_path / "runs"
    few = ["--set", "hidden=()", "--epochs", "20", "--split", "persons"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert nme("fit", file, *few, "--out", runs / "nme-mlp") == 0
        code, _ = said(capsys, "adapt", runs / "nme-mlp", file, "--out", runs / "adapted")
        assert code == 0
        assert nme("analyze", "adaptation", runs / "nme-mlp", "--study", file, "--resamples", "99") == 0
    adapted = load_run(runs / "adapted")
    effects = adapted.random_effects("family")
    assert effects["sd"].isna().any()  # families of the training keep their effects
    no_label(runs)
    curve = pd.read_parquet(runs / "nme-mlp" / "analyses" / "adaptation" / "table.parquet")
    assert len(curve)


def test_nouns_of_columns():
    assert [noun_of(name) for name in ("family", "family_id", "film-title", "site nr", "id")] == [
        "family", "family", "film title", "site", "id",
    ]  # fmt: skip


def opened(study: Path, monkeypatch: pytest.MonkeyPatch, page: str, run: str = "nme-mlp") -> AppTest:
    monkeypatch.setenv("NME_RUNS", str(study.parent / "runs"))
    monkeypatch.setattr("app.jobs.PATIENCE", 30.0)
    at = AppTest.from_file(str(MAIN), default_timeout=30).run()
    at.sidebar.selectbox(key="run").set_value(run).run()
    at = at.switch_page(f"../pages/{page}.py").run() if page else at
    assert not at.exception
    assert not at.error
    return at


def words(at: AppTest) -> str:
    kinds = (at.markdown, at.caption, at.subheader, at.info)
    return "\n".join(str(element.value) for kind in kinds for element in kind).replace("\\", "")


@pytest.mark.slow
def test_the_persons_page_shows_the_effects_of_each_factor(study, monkeypatch):
    at = opened(study, monkeypatch, "persons")
    choice = at.get("button_group")[0]
    assert [option.content for option in choice.proto.options] == ["Persons", "Families", "Items"]
    assert "what a person shares with the family stands there" in words(at)
    place = {"Families": 1, "Items": 2}
    for nouns, count in (("Families", 12), ("Items", 5)):
        at.session_state[f"factor {study.parent / 'runs' / 'nme-mlp'}"] = place[nouns]
        at.run()
        assert not at.exception
        assert not at.error
        spec = json.loads(at.get("plotly_chart")[0].proto.spec)
        assert f"{nouns}, sorted" in json.dumps(spec["layout"])
        text = words(at)
        assert f"{nouns} differ in" in text
        assert f"of {count} {nouns.lower()}" in text or f"none of the {count} {nouns.lower()}" in text
        assert f"Every {noun_of(nouns[:-3] + 'y' if nouns == 'Families' else nouns[:-1]).lower()}" in text
    assert "With 5 items, how far they differ in general is itself uncertain" in words(at)
    assert "intraclass correlation" in words(at)
    everything = str([table.value.to_csv() for table in at.dataframe])
    assert not any(label in everything for label in LABELS)


@pytest.mark.slow
def test_other_pages_say_that_families_have_effects(study, monkeypatch):
    assert "Families and items have effects of their own as well" in words(opened(study, monkeypatch, "start"))
    at = opened(study, monkeypatch, "one_person")
    at.get("button_group")[0].set_value("All effects").run()
    assert "This model also has effects of families and items" in words(at)
    assert any("this person’s family" in heading.value for heading in at.subheader)
    at = opened(study, monkeypatch, "group_test", run="nme-crf")
    at.main.button[0].click().run()
    assert not at.exception
    assert "hold the effects of families as well" in words(at)


@pytest.mark.slow
def test_a_study_without_groupings_shows_no_choice(tmp_path, monkeypatch):
    head, _, tail = STUDY.partition("[groupings.family]")
    file = write_family_study(tmp_path, head + tail[tail.index("[group_labels]") :])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert nme("fit", file, "--set", "hidden=()", "--epochs", "5", "--out", tmp_path / "runs" / "nme-mlp") == 0
    at = opened(file, monkeypatch, "persons")
    assert not any("Whose effects?" in group.proto.label for group in at.get("button_group"))
