"""The split within persons by time, against a plain loop."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.data.grouped import GroupedDataset
from toolkit.data.splits import all_training, explicit, within_person_time
from toolkit.errors import DataError


def dataset(persons: list[str], time: list[int] | None) -> GroupedDataset:
    frame = pd.DataFrame({"p": persons} | ({} if time is None else {"t": time}))
    return GroupedDataset.from_frame(frame, features=[], groups="p", time=None if time is None else "t")


def by_loop(persons: list[str], time: list[int]) -> list[str]:
    labels = [""] * len(persons)
    for person in set(persons):
        rows = sorted((row for row in range(len(persons)) if persons[row] == person), key=lambda row: time[row])
        n = len(rows)
        n_train = max(1, math.floor((6 * n + 5) / 10))  # whole numbers: no rounding of 0.6
        n_seen = max(1, math.floor((8 * n + 5) / 10))
        for rank, row in enumerate(rows):
            labels[row] = "train" if rank < n_train else "validation" if rank < n_seen else "test"
    return labels


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), min_size=1, max_size=60))
@settings(max_examples=80, deadline=None)
def test_split_is_that_of_the_loop(rows: list[tuple[str, int]]) -> None:
    persons, time = [person for person, _ in rows], [moment for _, moment in rows]
    split = within_person_time(dataset(persons, time))
    assert split.labels.tolist() == by_loop(persons, time)
    assert sum(split.counts.values()) == len(rows)
    for person in set(persons):
        own = np.array(persons) == person
        for earlier, later in (("train", "validation"), ("train", "test"), ("validation", "test")):
            before, after = (
                np.array(time)[own & (split.labels == earlier)],
                np.array(time)[own & (split.labels == later)],
            )
            assert not len(before) or not len(after) or before.max() <= after.min()


@pytest.mark.parametrize(
    ("n", "counts"), [(10, (6, 2, 2)), (1, (1, 0, 0)), (2, (1, 1, 0)), (5, (3, 1, 1)), (98, (59, 19, 20))]
)
def test_counts(n: int, counts: tuple[int, int, int]) -> None:
    split = within_person_time(dataset(["a"] * n, None))
    assert tuple(split.counts.values()) == counts
    assert split.name == "within-person-time"


def test_other_fractions_round_halves_up_and_must_add_up() -> None:
    data = dataset(["a"] * 15, None)
    assert within_person_time(data, (0.7, 0.1, 0.2)).counts == {"train": 11, "validation": 1, "test": 3}
    # 0.57 * 50 is a hair below 28.5 in binary
    assert within_person_time(dataset(["a"] * 50, None), (0.57, 0.23, 0.2)).counts["train"] == 29
    assert within_person_time(dataset(["a", "b"], None), (0.2, 0.2, 0.6)).counts["train"] == 2
    for wrong in ((0.6, 0.2), (0.6, 0.2, 0.3), (1.2, -0.2, 0.0)):
        with pytest.raises(DataError, match="E302"):
            within_person_time(data, wrong)


def test_explicit_labels_and_training_on_everything() -> None:
    data = dataset(["a", "b", "a"], [1, 2, 3])
    split = explicit(data, ["train", "test", "validation"])
    assert split.rows("test").tolist() == [1]
    assert all_training(data).counts == {"train": 3, "validation": 0, "test": 0}
    with pytest.raises(DataError, match="E302"):
        explicit(data, ["train", "test"])
    with pytest.raises(DataError, match="E302") as caught:
        explicit(data, ["train", "later", "test"])
    assert caught.value.rows == (3,)
