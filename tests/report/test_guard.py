"""What may leave the computer."""

from __future__ import annotations

import io

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyses.report.guard import (
    COMPLEMENTARY,
    SUPPRESSED,
    checked_smallest,
    csv_bytes,
    guarded_table,
    inert,
    small_groups,
    suppressed_counts,
    total_gives_away,
)
from toolkit.errors import ConfigError


def test_a_small_group_takes_the_next_smallest_with_it() -> None:
    assert suppressed_counts({"a": 7, "b": 30, "c": 50}) == {"a": SUPPRESSED, "b": COMPLEMENTARY, "c": "50"}


def test_two_small_groups_hide_each_other() -> None:
    assert suppressed_counts({"a": 7, "b": 3, "c": 50}) == {"a": SUPPRESSED, "b": SUPPRESSED, "c": "50"}


@pytest.mark.parametrize(("count", "shown"), [(0, "0"), (1, SUPPRESSED), (10, SUPPRESSED), (11, "11")])
def test_limits(count: int, shown: str) -> None:
    assert suppressed_counts({"a": count, "b": 40, "c": 60})["a"] == shown


def test_a_single_small_group_has_nothing_to_hide_behind() -> None:
    assert suppressed_counts({"a": 4}) == {"a": SUPPRESSED}


def test_values_of_suppressed_groups_are_emptied_too() -> None:
    frame = pd.DataFrame({"group": ["a", "b", "c"], "persons": [7, 30, 50], "median": [0.1, 0.2, 0.3]})
    guarded = guarded_table(frame, count="persons", values=["median"])
    assert guarded["persons"].tolist() == [SUPPRESSED, COMPLEMENTARY, "50"]
    assert guarded["median"].tolist() == [COMPLEMENTARY, COMPLEMENTARY, 0.3]
    assert frame["persons"].tolist() == [7, 30, 50]


def test_large_groups_are_left_as_they_are() -> None:
    frame = pd.DataFrame({"group": ["a", "b"], "persons": [26, 74], "median": [0.1, 0.2]})
    guarded = guarded_table(frame, count="persons", values=["median"])
    assert guarded["persons"].tolist() == ["26", "74"]
    assert guarded["median"].tolist() == [0.1, 0.2]
    assert small_groups({"a": 26, "b": 74}) == []


def test_csv_cells_cannot_be_taken_for_formulas() -> None:
    frame = pd.DataFrame({"=cmd": ["=1+1", "@SUM(A1)", "\t=1", "-2", "safe"], "number": [-1.5, 2, 3, 4, 5]})
    text = csv_bytes(frame).decode("utf-8-sig")
    read = pd.read_csv(io.StringIO(text))
    assert list(read.columns) == ["'=cmd", "number"]
    assert read["'=cmd"].tolist() == ["'=1+1", "'@SUM(A1)", "'\t=1", "'-2", "safe"]
    assert read["number"].tolist() == [-1.5, 2, 3, 4, 5]


def test_two_groups_of_one_person_take_a_third_with_them() -> None:
    # 52 persons and a shown 50 would leave 2 for two groups that are not empty: one each
    assert suppressed_counts({"a": 1, "b": 1, "c": 50}) == {"a": SUPPRESSED, "b": SUPPRESSED, "c": COMPLEMENTARY}
    # 20 persons in two groups of at most 10: ten each
    assert suppressed_counts({"a": 10, "b": 10, "c": 50}) == {"a": SUPPRESSED, "b": SUPPRESSED, "c": COMPLEMENTARY}


def test_a_group_that_must_have_eleven_is_no_cover_for_one_person() -> None:
    # of 52 + 12, a hidden group of at least 11 leaves one person at most; the larger group has to go as well
    shown = suppressed_counts({"a": 1, "b": 11, "c": 52})
    assert shown["a"] == SUPPRESSED
    assert shown["c"] == COMPLEMENTARY


def test_it_is_said_when_hiding_groups_cannot_help() -> None:
    assert total_gives_away({"a": 4})
    assert total_gives_away({"a": 10, "b": 10})
    assert not total_gives_away({"a": 4, "b": 40})


@pytest.mark.parametrize("asked", [5, 11, 21])
def test_the_limit_can_be_set(asked: int) -> None:
    assert checked_smallest(asked) == asked
    counts = {"a": asked - 1, "b": 40, "c": 60}
    assert suppressed_counts(counts, smallest=asked)["a"] == f"<{asked}"
    assert suppressed_counts(counts | {"a": asked}, smallest=asked)["a"] == str(asked)


@pytest.mark.parametrize("asked", [-1, 0, 1, 4, 22, 1000])
def test_other_limits_are_refused(asked: int) -> None:
    with pytest.raises(ConfigError) as refused:
        checked_smallest(asked)
    assert refused.value.code == "E302"


@pytest.mark.parametrize(
    "start", ["=", "+", "-", "@", "\t", "\r", "\n", "\x00", "\x1b", "\x7f", "\x85", "＝", " =", "\ufeff="]
)
def test_texts_that_begin_like_a_command_are_made_harmless(start: str) -> None:
    assert inert(start + "1+1") == "'" + start + "1+1"


@pytest.mark.parametrize("text", ["", "calm", "−0.05", "a=b", "1", "[−1.2, 3.4]", "<11", "“quoted”"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert inert(text) == text


numbers = st.one_of(
    st.floats(allow_nan=True, allow_infinity=False),
    st.integers(-(2**53), 2**53),
    st.sampled_from([-0.05, -7, 0.0, -0.0]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(numbers, min_size=1, max_size=8))
def test_numbers_come_back_from_csv_as_they_were(values: list[float]) -> None:
    frame = pd.DataFrame({"-difference": values, "label": [f"={place}" for place in range(len(values))]})
    read = pd.read_csv(io.StringIO(csv_bytes(frame).decode("utf-8-sig")))
    assert list(read.columns) == ["'-difference", "label"]
    pd.testing.assert_series_equal(
        read["'-difference"].astype(float), frame["-difference"].astype(float), check_names=False, check_exact=True
    )
    assert all(text.startswith("'=") for text in read["label"])
