"""Sentences that reports and pages share."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from example_run import CRF_PARAMETERS, example_frames, example_manifest

from analyses.figures import caterpillar
from analyses.report import sentences


@pytest.mark.parametrize(
    ("reliability", "words"),
    [
        (0.9, "mostly this person’s own data"),
        (0.6, "partly"),
        (0.2, "mostly the group’s average"),
        (np.nan, "no reliability"),
    ],
)
def test_reliability_in_words(reliability: float, words: str) -> None:
    assert words in sentences.reliability_words(reliability)


def test_a_person_with_three_rows_is_told_so() -> None:
    effects = pd.DataFrame({"reliability": [0.1, 0.2]})
    text = sentences.reliability_sentence(effects, 3)
    assert "3 rows" in text
    assert "mostly the group’s average" in text
    assert "great care" in text
    assert "1 row used" in sentences.reliability_sentence(effects, 1)
    assert "every person gets the average" in sentences.reliability_sentence(effects.iloc[:0], 3)


def test_spread_names_the_parameter_and_a_boundary_fit() -> None:
    frames = example_frames(persons=20)
    frame = caterpillar.tidy(frames.random_effects, frames.persons, CRF_PARAMETERS[1])
    text = sentences.spread_sentence(frame, frames.variance_components)
    sd = frames.variance_components["sd"].iloc[1]
    assert "aggressive → dysphoric" in text
    assert f"{sd:.2f}" in text
    away = int(((frame["low"] > 0) | (frame["high"] < 0)).sum())
    assert f"{away} of 20" in text
    flat = frames.variance_components.assign(at_boundary=True)
    assert "cannot tell it from zero" in sentences.spread_sentence(frame, flat)


def test_weak_estimates_are_counted() -> None:
    effects = pd.DataFrame({"reliability": [0.9, 0.4, 0.3]})
    assert "2 of 3 persons" in sentences.group_reliability_sentence(effects)
    assert "every person" in sentences.group_reliability_sentence(effects.iloc[1:])
    assert "own data" in sentences.group_reliability_sentence(effects.iloc[:1])
    assert "No reliability" in sentences.group_reliability_sentence(effects.assign(reliability=np.nan))


def test_groups_exclusions_and_status_of_a_run() -> None:
    frames = example_frames(persons=20, groups=("1", "0"))
    manifest = example_manifest(frames, model="nme-crf", group_labels={"1": "above", "0": "below"})
    assert sentences.group_counts(frames.persons, manifest) == {"below": 14, "above": 6}
    assert sentences.exclusion_sentences(manifest) == [
        "fewer than ten rows, kept out of the metrics: 1 person and 3 rows"
    ]
    assert "settled" in sentences.status_words(manifest)
    assert sentences.exclusion_sentences({}) == []
    assert "not known" in sentences.status_words({})


def test_metrics_pooled_and_averaged_side_by_side() -> None:
    frames = example_frames(persons=20)
    table = sentences.metric_table(frames.metrics)
    assert table["level"].tolist() == ["with person effects", "without person effects", "always the previous state"]
    assert table["pooled"].tolist() == pytest.approx([0.42, 0.35, 0.38])
    assert table["excluded"].tolist() == [1, 1, 1]
    assert sentences.metric_table(frames.metrics, split="absent").empty
