"""Frames become datasets: roles, labels, classes, and nothing of the caller's is touched."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from toolkit.data.grouped import GroupedDataset, Grouping
from toolkit.errors import DataError, ToolkitWarning


def small_frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "person": ["b", "a", "b", "a"],
            "t": [2, 1, 1, 2],
            "x": [1.0, 2.0, 3.0, 4.0],
            "flag": [True, False, True, True],
            "y": [5.0, 6.0, 7.0, 8.0],
            "word": ["yes", "no", "no", "yes"],
            "g": [1, 0, None, 0],
            "family": ["f1", "f2", "f1", "f2"],
        }
    )


def test_rows_keep_the_callers_order_and_every_role_arrives() -> None:
    data = GroupedDataset.from_frame(
        small_frame(),
        target="y",
        features=["x", "flag"],
        groups=["person", "family"],
        time="t",
        group="g",
        cluster="family",
    )
    assert data.features.tolist() == [[1, 1], [2, 0], [3, 1], [4, 1]]
    assert data.target.tolist() == [5, 6, 7, 8]
    assert data.classes is None
    assert not data.is_classification
    assert data.persons == ("a", "b")
    assert data.person.tolist() == [1, 0, 1, 0]
    assert data.groupings[1].levels == ("f1", "f2")
    assert data.person_group == ("0", "1")
    assert data.person_cluster == ("f2", "f1")
    assert data.row_numbers.tolist() == [0, 1, 2, 3]
    assert (data.n_rows, data.n_features, data.n_persons) == (4, 2, 2)


def test_the_callers_frame_is_not_changed() -> None:
    frame = small_frame()
    frame["person"] = [" b", "a", "b", "a"]
    before = frame.copy(deep=True)
    with pytest.warns(ToolkitWarning, match="W211"):
        data = GroupedDataset.from_frame(frame, target="word", features="x", groups="person", time="t", group="g")
    pd.testing.assert_frame_equal(frame, before)
    frame.loc[0, "x"] = 99.0
    assert data.features[0, 0] == 1.0


def test_arrays_cannot_be_written_to() -> None:
    data = GroupedDataset.from_frame(small_frame(), target="y", features=["x"], groups="person", time="t")
    for array in (data.features, data.target, data.person, data.time, data.row_numbers):
        assert array is not None
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize(
    "dtype", ["float32", "int16", "Int64", "Float64", "boolean", "bool", "object", "category", "str"]
)
def test_number_columns_of_every_kind(dtype: str) -> None:
    frame = pd.DataFrame({"p": [1, 2, 1], "x": pd.Series([1, 0, 1]).astype(dtype)})
    if dtype == "boolean":
        frame["x"] = pd.Series([True, False, True], dtype="boolean")
    data = GroupedDataset.from_frame(frame, features=["x"], groups="p")
    assert data.features.dtype == np.float64
    assert data.features[:, 0].tolist() == [1, 0, 1]


def test_no_features_and_no_target() -> None:
    data = GroupedDataset.from_frame(small_frame(), features=[], groups="person")
    assert data.features.shape == (4, 0)
    assert np.isnan(data.target).all()
    with pytest.raises(DataError, match="E103"):
        data.as_classes()


@pytest.mark.parametrize(
    ("ids", "labels"),
    [
        ([7, 10, 7], ("7", "10")),
        (pd.Series([7.0, 10.0, 7.0]), ("7", "10")),
        (["007", "7", "NA"], ("007", "7", "NA")),
        (["null", "p10", "p2"], ("null", "p2", "p10")),
        (pd.Series([12345678901234567, 12345678901234568, 1]), ("1", "12345678901234567", "12345678901234568")),
        (pd.Series([7, 8, 7], dtype="category"), ("7", "8")),
        (pd.Series([True, False, True]), ("False", "True")),
        ([7, "7", 7.0], ("7",)),
    ],
)
def test_person_labels_are_text(ids: object, labels: tuple[str, ...]) -> None:
    data = GroupedDataset.from_frame(pd.DataFrame({"p": ids}), features=[], groups="p")
    assert data.persons == labels


def test_labels_that_differ_in_blanks_or_accent_encoding_are_one_person_with_a_notice() -> None:
    frame = pd.DataFrame({"p": ["P1", "P1 ", "Zoe\u0308", "Zo\u00eb"]})
    with pytest.warns(ToolkitWarning) as caught:
        data = GroupedDataset.from_frame(frame, features=[], groups="p")
    assert data.persons == ("P1", "Zo\u00eb")
    assert data.person.tolist() == [0, 0, 1, 1]
    assert {warning.message.code for warning in caught} == {"W211", "W212"}
    assert len(data.notes) == 2
    assert not any("P1" in note or "Zo" in note for note in data.notes)


def test_labels_that_differ_in_case_stay_apart_with_a_notice() -> None:
    with pytest.warns(ToolkitWarning, match="W201"):
        data = GroupedDataset.from_frame(pd.DataFrame({"p": ["ann", "Ann"]}), features=[], groups="p")
    assert data.n_persons == 2


@pytest.mark.parametrize(
    ("target", "classes", "codes"),
    [
        (["b", "a", "b"], ("a", "b"), [1, 0, 1]),
        ([True, False, True], ("False", "True"), [1, 0, 1]),
        (pd.Categorical(["lo", "hi", "lo"], categories=["lo", "mid", "hi"]), ("lo", "hi"), [0, 1, 0]),
        (pd.Series([True, None, False], dtype="object"), ("False", "True"), [1, np.nan, 0]),
    ],
)
def test_words_truth_values_and_categories_become_classes(
    target: object, classes: tuple[str, ...], codes: list[float]
) -> None:
    frame = pd.DataFrame({"p": [1, 2, 3], "y": target})
    data = GroupedDataset.from_frame(frame, target="y", features=[], groups="p", allow_missing_target=True)
    assert data.classes == classes
    np.testing.assert_array_equal(data.target, codes)


def test_whole_numbers_become_classes_on_request_also_minus_100_and_minus_1() -> None:
    frame = pd.DataFrame({"p": [1, 1, 2, 2], "y": [0.0, -100.0, 2.0, -1.0]})
    data = GroupedDataset.from_frame(frame, target="y", features=[], groups="p")
    assert data.classes is None
    coded = data.as_classes()
    assert coded.classes == ("-100", "-1", "0", "2")
    assert coded.target.tolist() == [2, 0, 3, 1]
    recoded = data.as_classes(["2", "0", "-1", "-100", "5"])
    assert recoded.target.tolist() == [1, 3, 0, 2]
    assert coded.as_classes(recoded.classes).target.tolist() == [1, 3, 0, 2]


def test_given_classes_fix_the_codes() -> None:
    frame = pd.DataFrame({"p": [1, 2], "y": ["1", "2"]})
    for column in (frame.y, frame.y.astype(int), frame.y.astype(float)):
        data = GroupedDataset.from_frame(
            frame.assign(y=column), target="y", features=[], groups="p", classes=["3", "2", "1"]
        )
        assert data.target.tolist() == [2, 1]


def test_time_as_numbers_dates_durations_and_iso_text() -> None:
    dates = pd.to_datetime(["2026-01-01 00:00:00", "2026-01-01 00:01:30", "2026-01-02 00:00:00"])
    for time, expected in (
        (dates, [0, 90, 86400]),
        (dates.tz_localize("Europe/Berlin"), [0, 90, 86400]),
        (dates - dates[0], [0, 90, 86400]),
        (["2026-01-01", "2026-01-01T00:01:30", "2026-01-02"], [0, 90, 86400]),
        ([3, 4, 5], [0, 1, 2]),
        (["3", "4", "5"], [0, 1, 2]),
    ):
        data = GroupedDataset.from_frame(pd.DataFrame({"p": [1, 1, 1], "t": time}), features=[], groups="p", time="t")
        assert data.time is not None
        np.testing.assert_allclose(data.time - data.time[0], expected)


def test_take_keeps_levels_and_origin() -> None:
    data = GroupedDataset.from_frame(small_frame(), target="word", features=["x"], groups="person", time="t", group="g")
    part = data.take([2, 0])
    assert part.persons == data.persons
    assert part.person.tolist() == [1, 1]
    assert part.row_numbers.tolist() == [2, 0]
    assert part.person_group == data.person_group
    assert data.take(data.person == 0).row_numbers.tolist() == [1, 3]


def test_an_error_after_take_names_the_callers_row() -> None:
    data = GroupedDataset.from_frame(small_frame(), target="word", features=[], groups="person")
    with pytest.raises(DataError, match="E120") as caught:
        data.take([3, 2]).as_classes(["no"])
    assert caught.value.rows == (5,)


def test_the_hash_sees_every_value_label_and_name_and_nothing_else() -> None:
    def digest(frame: pd.DataFrame, **changed: object) -> str:
        roles: dict = {"target": "y", "features": ["x"], "groups": "person", "time": "t", "group": "g"} | changed
        return GroupedDataset.from_frame(frame, **roles).content_hash()

    frame = small_frame()
    base = digest(frame)
    assert digest(small_frame().assign(unused=1)) == base
    changed = {
        "x": [1.0, 2.0, 3.0, 4.5],
        "y": [5.0, 6.0, 7.0, 8.5],
        "t": [2, 1, 1, 3],
        "person": ["b", "c", "b", "c"],
        "g": [1, 2, None, 2],
    }
    hashes = {digest(frame.assign(**{column: values})) for column, values in changed.items()}
    hashes |= {digest(frame, features=["flag"]), digest(frame, target="word"), digest(frame, time=None)}
    assert base not in hashes
    assert len(hashes) == len(changed) + 3


def test_rows_are_copied_once_and_never_shared_with_who_made_the_record():
    data = GroupedDataset(
        features=(own := np.arange(6.0).reshape(3, 2)),
        feature_names=("a", "b"),
        target=np.zeros(3),
        target_name="y",
        groupings=(Grouping(name="person", codes=np.arange(3), levels=("p", "q", "r")),),
        row_numbers=np.arange(3),
    )
    own[0, 0] = 99.0
    assert data.features[0, 0] == 0.0
    taken = data.take([2, 0])
    assert taken.of_present_persons().features is taken.features  # the same rows under other codes
    assert not taken.features.flags.writeable
    assert not np.shares_memory(taken.features, data.features)
