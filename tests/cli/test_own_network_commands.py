"""Runs of a network of one's own, from commands and pages: whatever needs the network says so, the rest works."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest
from torch import nn

from app.launcher import MAIN
from tests.analysed_runs import nme
from tests.family_study import family_frame, write_family_study
from toolkit import fit
from toolkit.data.study import Study
from toolkit.models import GenericMlp, Module, NmeCrf, NmeMlp

NEEDS_IT = "network of your own"


def network(outputs: int) -> Module:
    torch.manual_seed(1)
    return Module(module=nn.Sequential(nn.Linear(1, 3), nn.Tanh(), nn.Linear(3, outputs)))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = write_family_study(tmp_path_factory.mktemp("own"), frame=family_frame(families=8, rows=15))
    read, runs = Study.read(file), file.parent / "runs"
    rows = read.grouped(groupings=())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit(NmeMlp(module=network(1), epochs=8), rows, seed=1, study=read, out=runs / "nme-mlp")
        fit(NmeMlp(module=network(1), epochs=8), rows, seed=1, split="persons", study=read, out=runs / "kept-back")
        fit(GenericMlp(module=network(1), epochs=4), rows, seed=1, study=read, out=runs / "generic-mlp")
        chain = read.sequences(groupings=["family"])
        fit(
            NmeCrf(module=network(3), epochs=4, variance_update="paper"),
            chain,
            seed=1,
            study=read,
            out=runs / "nme-crf",
        )
    return file


def answer(study: Path, capsys: pytest.CaptureFixture[str], words: str) -> tuple[int, str]:
    capsys.readouterr()
    filled = words.format(runs=study.parent / "runs", study=study, out=study.parent / "out")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = nme(*filled.split())
    caught = capsys.readouterr()
    return code, caught.out + caught.err


@pytest.mark.parametrize(
    "words",
    [
        "predict {runs}/nme-mlp {study} --out {out}.csv",
        "adapt {runs}/kept-back {study} --out {out}-adapted",
        "analyze adaptation {runs}/kept-back --study {study} --resamples 99",
        "analyze less-data {runs}/nme-mlp {runs}/generic-mlp --study {study} --resamples 99",
        "reproduce {runs}/nme-mlp --study {study}",
    ],
)
def test_what_needs_the_network_says_so(study, capsys, words):
    code, text = answer(study, capsys, words)
    assert code == 2
    assert NEEDS_IT in text
    assert "in Python" in text


@pytest.mark.parametrize(
    "words",
    [
        "analyze variance {runs}/nme-mlp",
        "analyze baseline {runs}/nme-mlp --resamples 99 --permutations 99",
        "compare {runs}/nme-mlp {runs}/generic-mlp --resamples 99",
        "analyze hsic {runs}/nme-crf --permutations 99",
        "analyze differences {runs}/nme-crf --resamples 99",
        "table variance {runs}/nme-crf --format csv --out {out}",
        "methods {runs}/nme-mlp --out {out}",
        "verify {runs}/nme-crf",
        "export {runs}/nme-mlp --without-persons --out {out}-copy",
    ],
)
def test_what_reads_tables_works(study, capsys, words):
    code, text = answer(study, capsys, words)
    assert code == 0, text


@pytest.mark.slow
def test_reports_show_the_code_with_a_place_for_the_network(study, capsys):
    code, _ = answer(study, capsys, "report {runs}/nme-mlp --audience internal --format html --out {out}-report")
    assert code == 0
    text = (study.parent / "out-report" / "report.html").read_text()
    assert "The network is one of your own (Sequential" in text
    assert "Module(module=...)" in text


@pytest.mark.parametrize(("run", "page"), [("nme-mlp", "persons"), ("nme-crf", "one_person")])
def test_pages_show_such_a_run(study, monkeypatch, run, page):
    monkeypatch.setenv("NME_RUNS", str(study.parent / "runs"))
    at = AppTest.from_file(str(MAIN), default_timeout=30).run()
    at.sidebar.selectbox(key="run").set_value(run).run()
    at = at.switch_page(f"../pages/{page}.py").run()
    assert not at.exception
    assert not at.error
    drawn = json.loads(at.get("plotly_chart")[0].proto.spec)
    assert drawn["data"]
