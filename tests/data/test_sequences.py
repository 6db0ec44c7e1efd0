"""Padding, masks and order of sequences against a plain loop."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.data.grouped import GroupedDataset
from toolkit.data.sequences import SequenceBatch
from toolkit.errors import ConfigError, DataError, ToolkitWarning


def by_loop(frame: pd.DataFrame) -> list[tuple[str, list[int]]]:
    """Person and row positions of each sequence, by walking through the rows in order of person and time."""
    sequences: list[tuple[str, list[int]]] = []
    for person in sorted(set(frame.p)):
        rows = sorted((row for row in range(len(frame)) if frame.p[row] == person), key=lambda row: frame.t[row])
        day = None
        for row in rows:
            if frame.day[row] != day:
                sequences.append((person, []))
            sequences[-1][1].append(row)
            day = frame.day[row]
    return sequences


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    n = draw(st.integers(1, 25))
    persons = draw(st.lists(st.sampled_from("abc"), min_size=n, max_size=n))
    days = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    states = draw(st.lists(st.sampled_from(["calm", "low", None]), min_size=n, max_size=n))
    time = draw(st.permutations(range(n)))
    return pd.DataFrame(
        {"p": persons, "t": time, "day": days, "x": np.arange(n) - 1.0, "s": pd.Series(states, dtype="str")}
    )


@pytest.mark.slow
@given(frames())
@settings(max_examples=60, deadline=None)
def test_cells_are_those_of_the_loop(frame: pd.DataFrame) -> None:
    data = GroupedDataset.from_frame(
        frame, target="s", features=["x"], groups="p", time="t", sequence="day", allow_missing_target=True
    )
    batch = SequenceBatch.from_grouped(data)
    expected = by_loop(frame)
    assert batch.mask.shape == (len(expected), max(len(rows) for _, rows in expected))
    assert batch.lengths.tolist() == [len(rows) for _, rows in expected]
    for position, (person, rows) in enumerate(expected):
        length = len(rows)
        assert data.persons[batch.person[position]] == person
        assert batch.rows[position, :length].tolist() == rows
        assert batch.mask[position].tolist() == [True] * length + [False] * (batch.mask.shape[1] - length)
        assert batch.features[position, :length, 0].tolist() == frame.x[rows].tolist()
        named = [batch.state_names[code] if code >= 0 else None for code in batch.states[position, :length]]
        assert named == [None if pd.isna(state) else state for state in frame.s[rows]]
        assert (batch.rows[position, length:] == -1).all()
        assert (batch.states[position, length:] == -1).all()
        assert (batch.features[position, length:] == 0).all()


def test_from_frame_sorts_by_time_with_a_notice() -> None:
    frame = pd.DataFrame({"p": ["a", "b", "a"], "t": [2, 1, 1], "x": [1.0, 2.0, 3.0], "s": [1, 0, -1]})
    with pytest.warns(ToolkitWarning, match="W203"):
        batch = SequenceBatch.from_frame(frame, target="s", features=["x"], person="p", time="t")
    assert batch.rows.tolist() == [[2, 0], [1, -1]]
    assert batch.state_names == ("-1", "0", "1")
    assert batch.states.tolist() == [[0, 2], [1, -1]]
    assert any(note.startswith("W203") for note in batch.data.notes)


def test_sorted_rows_give_no_notice_and_groups_may_name_the_person() -> None:
    frame = pd.DataFrame({"p": ["b", "a", "b"], "t": [1, 1, 2], "x": [1.0, 2.0, 3.0]})
    batch = SequenceBatch.from_frame(frame, target=None, features=["x"], groups=["p"], time="t")
    assert batch.data.notes == ()
    assert batch.state_names == ()
    assert (batch.states == -1).all()
    assert batch.mask.tolist() == [[True, False], [True, True]]


def test_a_part_of_the_rows_counts_in_the_whole_data() -> None:
    frame = pd.DataFrame({"p": list("aabb"), "t": [1, 2, 1, 2], "x": 0.0, "s": list("uvuv")})
    data = GroupedDataset.from_frame(frame, target="s", features=["x"], groups="p", time="t")
    batch = SequenceBatch.from_grouped(data, rows=[3, 1, 2])
    assert batch.rows.tolist() == [[1, -1], [2, 3]]
    assert batch.states.tolist() == [[1, -1], [0, 1]]
    with pytest.raises(DataError, match="E102"):
        SequenceBatch.from_grouped(data, rows=[])


def test_the_person_is_named_once() -> None:
    frame = pd.DataFrame({"p": list("ab"), "t": [1, 2], "s": list("uv")})
    for names in ({}, {"person": "p", "groups": "p"}):
        with pytest.raises(ConfigError, match="E302"):
            SequenceBatch.from_frame(frame, target="s", features=[], time="t", **names)
