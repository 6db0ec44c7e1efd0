"""The methods paragraph, exclusions and references of a run."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
import pytest

from analyses.report.methods_text import analysis_sentence, cited_works, kind_of, methods_paragraphs
from analyses.report.methods_words import exclusion_text, model_sentences, software_sentence, split_sentence
from analyses.report.metric_sentences import metric_sentences
from analyses.report.references import WORKS, bibtex, references, study_reference
from toolkit.runs.kept import KeptAnalysis


def manifest(**changed: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "model": "nme-crf",
        "task": "sequence",
        "target": "state",
        "config": {
            "hidden": [10], "lr": 0.01, "epochs": 2000, "patience": 50, "prediction": "forecast", "effects": "last+T",
            "variance_update": "em", "covariance": "diagonal",
        },
        "study": {
            "title": "Emotions in daily life", "unit": "prompt", "states": ["calm", "sad"], "definitions": [],
            "citation": "Doe et al. (2019); set 12", "licence": "CC BY 4.0",
        },
        "data": {"rows": 8702, "persons": 100, "features": ["a", "b", "c"]},
        "exclusions": [],
        "split": {"name": "within-person-time", "rows": {"train": 5222, "validation": 1745, "test": 1735}},
        "seed": 1,
        "versions": {"toolkit": "0.1.0", "python": "3.11.7", "torch": "2.13.0+cpu", "numpy": "2.4.6"},
        "device": "cpu",
        "status": {"sentence": "The validation loss stopped improving; the best state was restored."},
    }  # fmt: skip
    return found | changed


def test_the_whole_paragraph() -> None:
    assert methods_paragraphs(manifest()) == [
        "The analysis used 8,702 prompts of 100 persons of the study “Emotions in daily life”. No person was left out.",
        "Sequences of the states calm and sad were modelled by a conditional random field (Lafferty et al., 2001; "
        "NME-CRF) whose state scores came from a neural network with one hidden layer of 10 units on 3 predictors. "
        "Each state was predicted from the predictors up to its own row and the states observed before it. Every "
        "person had normally distributed deviations of their own from the shared parameters in the last layer and the "
        "transition matrix (Wörtwein et al., 2023); the variances of the person effects were updated by "
        "expectation–maximisation from the effects and their posterior covariances (Laird & Ware, 1982). Parameters "
        "were fitted by Adam (Kingma & Ba, 2015; learning rate 0.01, at most 2,000 epochs, stopped after 50 epochs "
        "without a better validation loss). The validation loss stopped improving; the best state was restored. Each "
        "person’s prompts were split by time into training (5,222), validation (1,745) and test (1,735) prompts.",
        "Analyses were run with nme-toolkit 0.1.0 in Python 3.11.7 with PyTorch 2.13.0 and NumPy 2.4.6; the random "
        "seed was 1.",
    ]


FEW = "fewer than 10 rows: in the training, not in the metrics"


@pytest.mark.parametrize(
    ("exclusions", "sentence"),
    [
        ([], "No person was left out."),
        ([{"reason": FEW, "persons": 0, "rows": 0}], "No person was left out."),
        ([{"reason": FEW, "persons": 1, "rows": 8}], f"Left out was one person with 8 prompts ({FEW})."),
        ([{"reason": FEW, "persons": 12, "rows": 1}], f"Left out were 12 persons with one prompt ({FEW})."),
        ([{"reason": "empty cells", "persons": 0, "rows": 1}], "Left out was one prompt (empty cells)."),
        (
            [{"reason": "empty cells", "persons": 0, "rows": 1200}, {"reason": FEW, "persons": 2, "rows": 9}],
            f"Left out were 1,200 prompts (empty cells). Left out were 2 persons with 9 prompts ({FEW}).",
        ),
    ],
)
def test_exclusions(exclusions: list[dict[str, Any]], sentence: str) -> None:
    assert exclusion_text(manifest(exclusions=exclusions)) == sentence


def test_a_model_without_person_effects_claims_none() -> None:
    config = {"hidden": [], "lr": 0.01, "epochs": 1}
    told = " ".join(model_sentences(manifest(model="generic-mlp", task="regression", target="mood", config=config)))
    assert told.startswith("Generic-MLP predicted “mood” with a linear function on 3 predictors.")
    assert "Every person" not in told


def test_a_mixture_of_experts_is_told_in_words() -> None:
    config = {
        "hidden": [], "extractor": None, "experts": "person", "experts_per_person": 1, "identities": True,
        "prior": "nme", "optimiser": "adadelta", "lr": 1.0, "shared_epochs": 10, "head_epochs": 30, "gate_epochs": 30,
        "epochs": 30, "patience": 5,
    }  # fmt: skip
    found = manifest(model="pen", task="regression", target="valence", config=config)
    assert " ".join(model_sentences(found)) == (
        "“valence” was predicted by a mixture of personalised experts (PEN; Feffer et al., 2018): a linear function on "
        "3 predictors, an expert for every person, and a gate that learns to recognise the persons; the experts are "
        "drawn together like person effects of a neural mixed effects model (Wörtwein et al., 2023). Parameters were "
        "fitted by Adadelta (learning rate 1, in stages of at most 10, 30, 30 and 30 epochs, stopped after 5 epochs "
        "without a better validation loss). The validation loss stopped improving; the best state was restored."
    )
    keys = {work.key for work in cited_works(found, [], set())}
    assert {"feffer2018experts", "wortwein2023nme"} <= keys
    assert "kingma2015adam" not in keys


def test_nothing_set_aside_is_said() -> None:
    split = {"name": "none", "rows": {"train": 10, "validation": 0, "test": 0}}
    assert split_sentence(manifest(split=split)) == "The model was fitted to all prompts; none were set aside."


def test_a_graphics_processor_is_named() -> None:
    assert "on a graphics processor;" in software_sentence(manifest(device="cuda:0"))


def kept(name: str, **summary: Any) -> KeptAnalysis:
    return KeptAnalysis(name=name, summary=summary, frame=pd.DataFrame(), text="", apa="", recipe=None)


DIFFERENCES = {"level": 0.95, "method": "bca", "resamples": 10_000, "unit_name": "families"}


def test_only_what_was_used_is_cited() -> None:
    plain = {work.key for work in cited_works(manifest(), [], {"krippendorff_alpha", "accuracy"})}
    assert plain == {
        "lafferty2001crf", "wortwein2023nme", "laird1982random", "kingma2015adam", "paszke2019pytorch",
        "harris2020numpy", "hayes2007krippendorff", "doe2019data",
    }  # fmt: skip
    more = {work.key for work in cited_works(manifest(), [kept("differences-probability", **DIFFERENCES)], set())}
    assert {"davison1997bootstrap", "efron1987better", "field2007clustered", "benjamini1995fdr"} <= more
    assert not {"gretton2007kernel", "rao1981analysis", "hayes2007krippendorff"} & more
    config = {"hidden": [5]}
    generic = {work.key for work in cited_works(manifest(model="generic-mlp", config=config), [], set())}
    assert not {"wortwein2023nme", "laird1982random", "lafferty2001crf"} & generic


def test_a_sentence_for_each_kind_of_analysis() -> None:
    assert kind_of("differences-probability-adjusted") == "differences"
    assert kind_of("hsic-observed") == "hsic"
    assert analysis_sentence("differences", DIFFERENCES) == (
        "Differences of single transitions have 95% intervals from a BCa bootstrap (10,000 resamples of families), "
        "alone and simultaneous (studentised max-T), and p-values with the false discovery rate controlled (Benjamini "
        "& Hochberg, 1995)."
    )
    assert analysis_sentence("something-new", {}) == ""


def test_every_work_is_a_complete_entry() -> None:
    for work in WORKS.values():
        assert {"author", "year", "title"} <= set(work.fields), work.key
        assert work.fields.keys() & {"journal", "booktitle", "publisher"}, work.key
        doi = work.fields.get("doi")
        assert doi is None or re.fullmatch(r"10\.\d{4,9}/\S+", doi), work.key
        assert str(work.fields["year"]) in work.key, work.key
        entry = work.bibtex()
        assert entry.count("{") == entry.count("}"), work.key


def test_bibtex() -> None:
    assert bibtex(references(["holm1979simple", "holm1979simple"])) == (
        "@article{holm1979simple,\n"
        "  author    = {Holm, Sture},\n"
        "  year      = {1979},\n"
        "  title     = {A simple sequentially rejective multiple test procedure},\n"
        "  journal   = {Scandinavian Journal of Statistics},\n"
        "  volume    = {6},\n"
        "  number    = {2},\n"
        "  pages     = {65--70}\n"
        "}\n"
    )


def test_a_study_is_cited_as_it_asks_for() -> None:
    assert study_reference("", "A", "") is None
    found = study_reference("Doe & Roe (2020); set 12", "Moods_2", "CC BY 4.0")
    assert found is not None
    assert found.key == "doe2020data"
    assert found.short() == "Doe & Roe (2020)"
    assert "title     = {Moods\\_2 [Data set]}" in found.bibtex()
    assert "note      = {set 12. Licence: CC BY 4.0}" in found.bibtex()
    free = study_reference("our own data", "Moods", "")
    assert free is not None
    assert free.fields == {"title": "Moods [Data set]", "note": "our own data"}


def metrics(values: list[float], pooled: float) -> pd.DataFrame:
    rows = [("person", value) for value in values] + [("pooled", pooled)]
    frame = pd.DataFrame(rows, columns=["scope", "value"])
    return frame.assign(split="test", level="person", metric="pearson")


def test_prediction_sentences() -> None:
    nan = float("nan")
    assert metric_sentences(metrics([0.1, 0.3, nan], 0.5)) == (
        "On the test rows, Pearson’s r is .50 with all rows together and .20 on average over 2 persons; 1 person, for "
        "whom it is not defined, is left out.",
        "On the test rows, Pearson’s r was .50 pooled; over persons, M = .20, SD = .14, n = 2; undefined for 1 person.",
    )
    assert metric_sentences(metrics([nan], nan)) == (
        "On the test rows, Pearson’s r is not defined for any person.",
        "On the test rows, Pearson’s r was not defined for any person.",
    )
    assert metric_sentences(metrics([0.1], 0.5), split="train") is None
