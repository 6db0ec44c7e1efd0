"""Reports of finished runs: three audiences, small groups, missing analyses, files."""

from __future__ import annotations

import re
import shutil

import pytest
from page_reading import LOADING, parsed

from analyses.report.document import render
from analyses.report.report_facts import ReportOptions
from analyses.report.report_markdown import markdown
from analyses.report.report_paper import run_report
from analyses.report.report_plain import chance, in_hundred
from tests.analysed_runs import analyse_runs, fit_runs, write_study
from toolkit.errors import ConfigError, DataError, RunFolderError
from toolkit.runs.folder import load_run

LIMIT = 5 * 1024 * 1024
JARGON = re.compile(r"HSIC|bootstrap|\bCI\b|\bp [=<]|[αχ²]|permutation|resampl|Krippendorff|posterior|\bSD\b")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = fit_runs(write_study(tmp_path_factory.mktemp("report")), "nme-crf", "nme-mlp", "generic-mlp")
    analyse_runs(folder)
    return folder


@pytest.fixture(scope="module")
def reports(runs):
    found = [load_run(runs / name) for name in ("nme-crf", "nme-mlp", "generic-mlp")]
    places = [f"runs/{run.name}" for run in found]
    return {
        name: run_report(found, ReportOptions(audience=name, places=places))
        for name in ("paper", "clinician", "internal")
    }


def words_of(report) -> str:
    return markdown(report).replace("\\", "")


def test_pages_stand_alone_and_stay_small(reports):
    for report in reports.values():
        page = render(report)
        balance = parsed(page)
        assert (balance.scripts, balance.handlers) == (0, [])
        assert not LOADING.search(page)
        assert len(page.encode()) < LIMIT


def test_the_paper_has_apa_sentences_methods_tables_references_and_code(reports, runs):
    text = words_of(reports["paper"])
    kept = (runs / "nme-crf" / "analyses" / "hsic-score" / "text.md").read_text()
    apa = kept.strip().rpartition("\n\n")[2]
    assert " ".join(apa.split()) in text
    assert all(
        f"## {title}" in text
        for title in ("What was asked", "Sample", "Method", "Results", "Limits", "References", "Appendix")
    )
    assert "from analyses import hsic_test" in text
    assert "fit(" in text
    assert "@inproceedings{wortwein2023nme" in text
    assert text.count("Prediction on the Rows Set Aside") == 1
    numbered = [block for block in reports["paper"].blocks if block.figure is not None]
    assert len(numbered) >= 5
    assert all(figure.figure.alt for figure in numbered)


def test_the_clinician_meets_no_jargon_and_learns_what_it_does_not_mean(reports):
    report = reports["clinician"]
    for block in report.blocks:
        for text in (block.title, *block.text, block.how_to_read, block.note):
            assert not JARGON.search(text), text
        assert not block.apa
        assert not block.code
    said = " ".join(text for block in report.blocks for text in block.text)
    assert "parts are lasting differences between persons" in said
    assert "possible steps from one state to the next" in said
    titles = [block.title for block in report.blocks]
    assert "What this does not mean" in titles
    assert any(block.how_to_read for block in report.blocks)
    assert "not for diagnosis" in report.footer


def test_single_persons_stand_in_the_internal_report_only(reports, runs):
    persons = set(load_run(runs / "nme-crf").persons()["person"])
    for name, report in reports.items():
        found = set(re.findall(r"\bP\d{3}\b", render(report))) & persons
        assert (found == persons) if name == "internal" else not found
    assert "Diagnostics: nme-crf" in words_of(reports["internal"])
    assert "Not to be passed on" in reports["internal"].footer


def test_missing_analyses_are_listed_with_their_command(reports):
    text = words_of(reports["paper"])
    assert "nme analyze baseline runs/nme-crf" in text
    assert "nme compare runs/nme-mlp runs/generic-mlp" in text
    assert "nme analyze hsic runs/nme-crf --value observed" not in text


@pytest.mark.slow
def test_a_group_too_small_to_show_is_left_out_and_said(tmp_path, runs):
    folder = fit_runs(write_study(tmp_path, patients=4), "nme-crf")
    analyse_small = load_run(folder / "nme-crf")
    shutil.copytree(runs / "nme-crf" / "analyses", folder / "nme-crf" / "analyses")
    for audience in ("paper", "clinician"):
        text = words_of(run_report([analyse_small], ReportOptions(audience=audience)))
        assert "Patients: 4" not in text
        assert "(n = 4)" not in text
        assert "too small to show" in text
        assert "Share of Prompts in Each State" not in text
        assert "hsic_test" not in text
    assert "Patients: 4" in words_of(run_report([analyse_small], ReportOptions(audience="internal")))
    assert "Patients: <5" in words_of(run_report([analyse_small], ReportOptions(audience="paper", smallest=5)))


@pytest.mark.slow
def test_a_study_of_few_persons_is_for_internal_use(tmp_path):
    folder = fit_runs(write_study(tmp_path, persons=8, patients=4), "nme-mlp")
    run = load_run(folder / "nme-mlp")
    with pytest.raises(DataError, match="E124"):
        run_report([run], ReportOptions(audience="paper"))
    assert run_report([run], ReportOptions(audience="internal")).blocks


def test_runs_without_groups_or_analyses_have_a_report(tmp_path):
    study = write_study(tmp_path)
    study.write_text(study.read_text().replace('group = "arm"\n', ""))
    folder = fit_runs(study, "generic-crf")
    for audience in ("paper", "clinician", "internal"):
        text = words_of(run_report([load_run(folder / "generic-crf")], ReportOptions(audience=audience)))
        assert "30 persons" in text
    assert "Patients" not in text


def test_what_is_asked_wrongly_or_damaged_is_said(runs, tmp_path):
    run = load_run(runs / "nme-mlp")
    with pytest.raises(ConfigError, match=r"E302.*clinician"):
        run_report([run], ReportOptions(audience="everybody"))
    with pytest.raises(ConfigError, match=r"E302.*5 to 21"):
        run_report([run], ReportOptions(smallest=3))
    with pytest.raises(ConfigError, match="E302"):
        run_report([], ReportOptions())
    damaged = tmp_path / "damaged"
    shutil.copytree(runs / "nme-mlp", damaged)
    (damaged / "metrics.parquet").write_bytes(b"PAR1 something PAR1")
    with pytest.raises(RunFolderError, match="E402"):
        run_report([load_run(damaged)], ReportOptions())
    shutil.copytree(runs / "nme-mlp", tmp_path / "other")
    (tmp_path / "other" / "analyses" / "variance" / "text.md").unlink()
    with pytest.raises(RunFolderError, match=r"E401.*variance"):
        run_report([load_run(tmp_path / "other")], ReportOptions())


def test_chances_in_words():
    assert in_hundred(0.004) == "fewer than 1 of 100"
    assert in_hundred(0.42) == "about 42 of 100"
    assert "no more than chance" in chance(0.42)
    assert "hardly explains" in chance(0.004)
