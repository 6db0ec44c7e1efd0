"""Every model the command line knows by name: fitted, described, compared."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from analyses.report.methods_text import methods_paragraphs
from analyses.report.sentences import MODEL_NAMES as WORDS
from analyses.report.sentences import MODEL_SENTENCES
from analyses.report.snippet_fit import CLASSES, fit_code
from tests.analysed_runs import nme
from tests.family_study import STUDY, family_frame, write_family_study
from toolkit.cli.studies import UNREGULARISED
from toolkit.runs.folder import load_run
from toolkit.runs.manifest import MODEL_NAMES

FEW = {"pen": ["--set", "epochs=2"], "pen-shared": ["--set", "epochs=2"], "mlp-lme": ["--set", "rounds=1"], "lmm": []}
FEW["glmm"] = []
FEW["lmmnn"] = ["--set", "epochs=2", "--set", "batch=64"]
FEW["mc-gmenn"] = [*FEW["lmmnn"], "--set", "draws=20"]
MAPS = ["--epochs", "2", "--set", "coordinates=('east', 'north')"]
FEW["deep-glmm"] = ["--epochs", "3", "--set", "samples=2"]
FEW |= {"map-cnn": MAPS, "svdkl": [*MAPS, "--set", "inducing=8"]}
ROWS = ["generic-mlp", "nme-mlp", "specific-mlp", "mlp-lme", "lmm", "lmmnn", "mc-gmenn", "unme-mlp", "one-hot-mlp"]
QUICK = ["generic-mlp", "nme-mlp", "specific-mlp", "lmm", "glmm", "lmmnn", "mc-gmenn", "unme-mlp", "one-hot-mlp"]
ALONE = ["glmm"]  # of another outcome than those it could be compared with
CHAINS = ["generic-crf", "nme-crf", "specific-crf", "unme-crf"]
NAMES = [*MODEL_NAMES.values(), *UNREGULARISED]


def slow(given: object) -> object:
    """A case for the slow lane."""
    return pytest.param(given, marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The family study; each test fits what it needs."""
    frame, rng = family_frame(families=6, rows=15), np.random.default_rng(1)
    frame = frame.assign(east=rng.uniform(size=len(frame)), north=rng.uniform(size=len(frame)))
    words = STUDY.replace('features = ["x"]', 'features = ["x", "east", "north"]')
    return write_family_study(tmp_path_factory.mktemp("models"), words, frame)


def two_states(study: Path) -> Path:
    """The same study with two states, for models of two classes."""
    folder = study.parent / "two"
    if not folder.exists():
        folder.mkdir()
        frame = family_frame(families=6, rows=15)
        frame["state"] = frame["state"].where(frame["state"] != "sad", "tense")
        write_family_study(folder, study=STUDY.replace(', "sad"]', "]"), frame=frame)
    return folder / study.name


def fitted(study: Path, model: str) -> Path:
    """A run of a model, fitted for a few epochs at its first use."""
    out = study.parent / "runs" / model
    if model == "glmm" and not out.exists():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert nme("fit", two_states(study), "--model", model, "--target", "state", "--out", out) == 0
    if not out.exists():
        few = FEW.get(model, ["--epochs", "5"])
        small = [] if model.startswith("pen") else ["--groupings", "none"]
        small += [] if model == "lmm" or model.startswith("pen") else ["--set", "hidden=(2,)"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert nme("fit", study, "--model", model, "--out", out, *small, *few) == 0
    return out


@pytest.mark.parametrize("model", [name if name in QUICK else slow(name) for name in NAMES])
def test_every_model_is_fitted_and_described(study, model):
    if model == "svdkl":
        pytest.importorskip("gpytorch", exc_type=ImportError)
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


def test_a_network_for_two_classes_is_described(study):
    out = study.parent / "runs" / "two-classes"
    chosen = ["--set", "task=binary", "--set", "epochs=2", "--set", "batch=64", "--set", "hidden=(2,)"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        words = ["--model", "lmmnn", "--target", "state", "--groupings", "none", "--out", out]
        assert nme("fit", two_states(study), *words, *chosen) == 0
    text = " ".join(methods_paragraphs(load_run(out).manifest))
    assert "added to its log-odds" in text
    assert "maximum likelihood of all training rows (adaptive quadrature with 15 nodes), the network held" in text


@pytest.mark.slow
def test_a_spatial_effect_is_fitted_and_described(study):
    out = study.parent / "runs" / "places"
    chosen = ["--set", "spatial=('east', 'north')", "--set", "epochs=2", "--set", "batch=64", "--set", "hidden=(2,)"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert nme("fit", study, "--model", "lmmnn", "--groupings", "none", "--out", out, *chosen) == 0
        assert nme("report", out, "--out", study.parent / "report", "--format", "html") == 0
    run = load_run(out)
    assert run.variance_components()["term"].tolist() == ["location", "residual"]
    assert (
        "effects of places, a Gaussian random field with squared exponential correlation of east and north"
        in " ".join(methods_paragraphs(run.manifest))
    )


@pytest.mark.parametrize("models", [["nme-mlp", "lmm"], slow(ROWS), slow(CHAINS)])
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
