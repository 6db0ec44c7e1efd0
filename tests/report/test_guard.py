"""What may leave the computer."""

from __future__ import annotations

import io

import pandas as pd
import pytest

from analyses.report.guard import COMPLEMENTARY, SUPPRESSED, csv_bytes, guarded_table, small_groups, suppressed_counts


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
