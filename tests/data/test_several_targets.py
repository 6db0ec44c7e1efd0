"""Several targets of numbers in one data set, and data sets without the persons who have no rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.models.experts_study import rows_of, study
from toolkit import GroupedDataset, fit
from toolkit.errors import ConfigError, DataError
from toolkit.models import GenericMlp, NmeMlp

BOTH = ["valence", "arousal"]


@pytest.fixture(scope="module")
def frame():
    return study(rows=8)


def test_the_first_target_comes_first_and_all_are_there(frame):
    data = rows_of(frame, target=["arousal", "valence"])
    assert (data.target_name, data.further_target_names, data.target_names) == (
        "arousal", ("valence",), ("arousal", "valence"),
    )  # fmt: skip
    np.testing.assert_array_equal(data.target, frame["arousal"])
    np.testing.assert_array_equal(data.targets, frame[["arousal", "valence"]])
    assert not data.is_classification
    with pytest.raises(ValueError, match="read-only"):
        data.further_targets[0, 0] = 1.0


def test_one_target_is_as_before(frame):
    for target in ("valence", ["valence"]):
        data = rows_of(frame, target=target)
        assert data.further_targets is None
        assert data.target_names == ("valence",)
        assert data.targets.shape == (len(frame), 1)
    assert rows_of(frame, target="valence").content_hash() == rows_of(frame, target=["valence"]).content_hash()


def test_no_target_has_no_names(frame):
    for target in (None, []):
        data = rows_of(frame, target=target)
        assert data.target_names == ()
        assert np.isnan(data.target).all()


def test_rows_taken_keep_all_their_targets(frame):
    data, chosen = rows_of(frame, target=BOTH), [5, 3, 30]
    np.testing.assert_array_equal(data.take(chosen).targets, frame[BOTH].iloc[chosen])


def test_the_hash_knows_every_target_and_their_order(frame):
    whole = rows_of(frame, target=BOTH).content_hash()
    others = [
        rows_of(frame, target=BOTH[::-1]),
        rows_of(frame, target="valence"),
        rows_of(frame.assign(arousal=frame["arousal"] + (frame.index == 7) * 1e-9), target=BOTH),
        rows_of(frame.rename(columns={"arousal": "energy"}), target=["valence", "energy"]),
    ]
    assert len({whole, *(data.content_hash() for data in others)}) == 5
    assert whole == rows_of(frame, target=BOTH).content_hash()


def test_an_empty_cell_of_any_target_is_found(frame):
    for name in BOTH:
        holed = frame.copy()
        holed.loc[[4, 9], name] = np.nan
        with pytest.raises(DataError, match="E111") as caught:
            rows_of(holed, target=BOTH)
        assert (caught.value.column, caught.value.rows) == (name, (6, 11))
        data = rows_of(holed, target=BOTH, allow_missing_target=True)
        assert np.isnan(data.targets).sum() == 2


@pytest.mark.parametrize("targets", [["state", "valence"], ["valence", "state"], ["valence", "arousal", "high"]])
def test_classes_are_refused_wherever_they_stand(frame, targets):
    with pytest.raises(DataError, match="E302: several targets have to be numbers") as caught:
        rows_of(frame, target=targets)
    assert caught.value.column in ("state", "high")
    assert "one model for each target" in str(caught.value)


def test_classes_of_several_targets_cannot_be_asked_for(frame):
    with pytest.raises(DataError, match="E302: several targets"):
        rows_of(frame, target=BOTH).as_classes()
    whole = frame.assign(valence=1, arousal=2)
    with pytest.raises(DataError, match="E302: several targets"):
        rows_of(whole, target=BOTH, classes=["1", "2"])


def test_a_target_named_twice_is_refused(frame):
    with pytest.raises(DataError, match="E302: a target is named twice"):
        rows_of(frame, target=["valence", "valence"])


@pytest.mark.parametrize("targets", [["valence", "x"], ["x", "valence"]])
def test_a_target_among_the_features_is_refused(frame, targets):
    with pytest.raises(DataError, match="E302") as caught:
        rows_of(frame, target=targets)
    assert caught.value.column == "x"


def test_a_missing_target_is_named(frame):
    with pytest.raises(DataError, match="E103") as caught:
        rows_of(frame, target=["valence", "wellbeing"])
    assert caught.value.column == "wellbeing"


@pytest.mark.parametrize(("value", "code"), [("n/a?", "E109"), (np.inf, "E110")])
def test_what_is_no_number_in_a_further_target(frame, value, code):
    spoilt = frame.astype({"arousal": object})
    spoilt.loc[3, "arousal"] = value
    with pytest.raises(DataError, match=code) as caught:
        rows_of(spoilt, target=BOTH)
    assert caught.value.column == "arousal"
    assert caught.value.rows == (5,)


@pytest.mark.parametrize("config", [NmeMlp(epochs=2, loss="huber"), GenericMlp(epochs=2, task="count")])
def test_models_of_one_target_say_so(frame, config):
    with pytest.raises(ConfigError, match=r"E302: \w+ '\w+' takes one target.*name one"):
        fit(config, rows_of(frame, target=BOTH), seed=1)


def test_of_present_persons_codes_and_labels_go_together(frame):
    data = rows_of(frame, target=BOTH, cluster="family", group="arm")
    chosen = np.isin(np.asarray(data.person), [1, 3])
    cut = data.take(chosen)
    assert cut.n_persons == 5
    found = cut.of_present_persons()
    assert found.persons == ("Anna-1", "Anna-3")
    assert found.person_cluster == ("Anna-family-0", "Anna-family-1")
    assert found.person_group == ("a", "b")
    before = np.array(cut.persons, dtype=object)[np.asarray(cut.person)]
    after = np.array(found.persons, dtype=object)[np.asarray(found.person)]
    np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(found.targets, cut.targets)
    np.testing.assert_array_equal(found.row_numbers, cut.row_numbers)


def test_of_present_persons_of_everybody_is_the_same(frame):
    data = rows_of(frame)
    assert data.of_present_persons().content_hash() == data.content_hash()


def test_other_factors_lose_their_empty_levels_too(frame):
    both = frame.assign(place=np.where(frame["who"] == "Anna-2", "home", "work"))
    data = GroupedDataset.from_frame(both, target="valence", features="x", groups=["who", "place"])
    found = data.take(np.asarray(data.person) == 2).of_present_persons()
    assert [factor.levels for factor in found.groupings] == [("Anna-2",), ("home",)]
    assert all((np.asarray(factor.codes) == 0).all() for factor in found.groupings)


def test_a_frame_is_not_changed(frame):
    before = frame.copy()
    rows_of(frame, target=BOTH).take([0]).of_present_persons()
    pd.testing.assert_frame_equal(frame, before)
