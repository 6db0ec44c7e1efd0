"""Every model the command line knows by name: fitted, described, compared."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from analyses.report.methods_text import methods_paragraphs
from analyses.report.sentences import MODEL_NAMES as WORDS
from analyses.report.sentences import MODEL_SENTENCES
from analyses.report.snippet_fit import CLASSES, fit_code
from tests.analysed_runs import nme
from tests.family_study import family_frame, write_family_study
from toolkit.cli.studies import UNREGULARISED
from toolkit.runs.folder import load_run
from toolkit.runs.manifest import MODEL_NAMES

FEW = {"pen": ["--set", "epochs=2"], "pen-shared": ["--set", "epochs=2"], "mlp-lme": ["--set", "rounds=1"], "lmm": []}
ROWS = ["generic-mlp", "nme-mlp", "specific-mlp", "mlp-lme", "lmm", "unme-mlp"]
CHAINS = ["generic-crf", "nme-crf", "specific-crf", "unme-crf"]
NAMES = [*MODEL_NAMES.values(), *UNREGULARISED]


def slow(given: object) -> object:
    """A case for the slow lane."""
    return pytest.param(given, marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The family study; each test fits what it needs."""
    return write_family_study(tmp_path_factory.mktemp("models"), frame=family_frame(families=6, rows=15))


def fitted(study: Path, model: str) -> Path:
    """A run of a model, fitted for a few epochs at its first use."""
    out = study.parent / "runs" / model
    if not out.exists():
        few = FEW.get(model, ["--epochs", "5"])
        small = [] if model.startswith("pen") else ["--groupings", "none"]
        small += [] if model.startswith(("pen", "lmm")) else ["--set", "hidden=(2,)"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert nme("fit", study, "--model", model, "--out", out, *small, *few) == 0
    return out


@pytest.mark.parametrize("model", [name if name in ROWS else slow(name) for name in NAMES])
def test_every_model_is_fitted_and_described(study, model):
    run = load_run(fitted(study, model))
    assert run.model == UNREGULARISED.get(model, model)
    assert len(run.metrics())
    assert run.model in WORDS
    assert run.model in MODEL_SENTENCES
    code = fit_code(run.manifest)
    assert CLASSES[run.model] in code
    compile(code, "snippet", "exec")
    text = " ".join(methods_paragraphs(run.manifest))
    assert WORDS[run.model] in text or "mixture of personalised experts" in text or "shared network" in text
    if model in UNREGULARISED:
        assert run.manifest["config"]["variance_update"] == "unregularised"
        assert "had no prior" in text


@pytest.mark.parametrize("models", [ROWS, slow(CHAINS)])
def test_models_of_one_study_are_compared(study, capsys, models):
    runs = [fitted(study, model) for model in models]
    capsys.readouterr()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert nme("compare", *runs, "--baseline", models[0], "--resamples", "99") == 0
    text = capsys.readouterr().out
    assert all(model in text for model in models)
    assert "significantly better" in text
    assert nme("table", "models", runs[0], "--format", "csv", "--out", study.parent / "tables") == 0


def test_an_unknown_model_offers_the_nearest(study, capsys):
    assert nme("fit", study, "--model", "nme_mlp") == 2
    assert "did you mean 'nme-mlp'" in capsys.readouterr().err


def test_parameters_that_match_nothing_offer_the_nearest(study, capsys):
    assert nme("fit", study, "--effects", "layer.2.bias", "--groupings", "none", "--out", study.parent / "none") == 2
    said = capsys.readouterr().err
    assert "matches no parameter" in said
    assert "layers.2.bias" in said
