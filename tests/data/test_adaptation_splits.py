"""Rows of new persons: which adapt, which are held out, and that the held-out half is the same at every share."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.data.adaptation_splits import ADAPTATIONS, adaptation_split
from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ConfigError, DataError

SIZES = st.lists(st.integers(2, 23), min_size=2, max_size=6)
SHARES = st.lists(st.floats(0, 0.5), min_size=2, max_size=4, unique=True)


def rows_of(sizes, seed: int = 0, *, timed: bool = True) -> GroupedDataset:
    """Rows of persons in a random order, so that time and place disagree."""
    rng = np.random.default_rng(seed)
    who = np.repeat([f"p{k}" for k in range(len(sizes))], sizes)
    time = np.concatenate([np.arange(size) for size in sizes])
    frame = pd.DataFrame({"who": who, "t": time, "x": rng.normal(size=len(who)), "y": rng.normal(size=len(who))})
    frame = frame.sample(frac=1, random_state=seed)
    return GroupedDataset.from_frame(frame, target="y", features="x", groups="who", time="t" if timed else None)


def split(data, share, design="time", seed=0) -> np.ndarray:
    return adaptation_split(data, share, design=design, rng=np.random.default_rng(seed)).labels


def of_person(data, labels, code: int) -> np.ndarray:
    """A person's labels in time order."""
    mine = np.flatnonzero(np.asarray(data.person) == code)
    return labels[mine[np.argsort(np.asarray(data.time)[mine])]]


@pytest.mark.parametrize("design", ADAPTATIONS)
@settings(max_examples=40, deadline=None)
@given(sizes=SIZES, shares=SHARES, seed=st.integers(0, 50))
def test_the_held_out_rows_are_the_same_at_every_share_and_the_rest_only_grows(design, sizes, shares, seed):
    data = rows_of(sizes, seed)
    found = {share: split(data, share, design, seed) for share in sorted(shares)}
    first = next(iter(found.values()))
    before = np.zeros(data.n_rows, dtype=bool)
    for labels in found.values():
        assert set(labels) <= {"train", "test", "unused"}
        np.testing.assert_array_equal(labels == "test", first == "test")
        assert not (before & (labels != "train")).any()  # who adapted at a smaller share adapts at a larger one
        before = labels == "train"


@pytest.mark.parametrize("design", ["time", "random"])
@settings(max_examples=40, deadline=None)
@given(sizes=SIZES, share=st.floats(0, 0.5), seed=st.integers(0, 50))
def test_half_is_held_out_and_the_share_adapts(design, sizes, share, seed):
    data = rows_of(sizes, seed)
    labels = split(data, share, design, seed)
    for code, size in enumerate(np.bincount(np.asarray(data.person))):
        own = labels[np.asarray(data.person) == code]
        assert (own == "test").sum() == size // 2
        adapting = (own == "train").sum()
        assert adapting == min(math.ceil(share * size - 1e-9), size - size // 2)
        assert adapting >= share * size - 1e-6


@settings(max_examples=30, deadline=None)
@given(sizes=SIZES, share=st.floats(0, 0.5), seed=st.integers(0, 50))
def test_by_time_the_first_rows_adapt_and_the_last_are_held_out(sizes, share, seed):
    data = rows_of(sizes, seed)
    labels = split(data, share)
    for code in range(len(sizes)):
        own = of_person(data, labels, code)
        order = [{"train": 0, "unused": 1, "test": 2}[name] for name in own]
        assert order == sorted(order)


@settings(max_examples=30, deadline=None)
@given(sizes=SIZES, share=st.floats(0.01, 0.5), seed=st.integers(0, 50))
def test_by_person_nobody_adapts_and_is_predicted(sizes, share, seed):
    data = rows_of(sizes, seed)
    labels = split(data, share, "persons", seed)
    adapting = set(np.asarray(data.person)[labels == "train"].tolist())
    held = set(np.asarray(data.person)[labels == "test"].tolist())
    assert not adapting & held
    assert adapting | held == set(range(len(sizes)))
    assert len(adapting) == (len(sizes) + 1) // 2
    for code in range(len(sizes)):
        own = of_person(data, labels, code)
        here = np.flatnonzero(own != "unused")
        if code in held:
            assert here.tolist() == list(range(len(own) - len(own) // 2, len(own)))
        else:
            assert here.tolist() == list(range(len(here)))


def test_draws_go_by_the_generator():
    data = rows_of([20, 15, 12, 9])
    for design in ("random", "persons"):
        np.testing.assert_array_equal(split(data, 0.3, design, 4), split(data, 0.3, design, 4))
        assert any((split(data, 0.3, design, 4) != split(data, 0.3, design, seed)).any() for seed in range(5))
    np.testing.assert_array_equal(split(data, 0.3, "time", 4), split(data, 0.3, "time", 5))


def test_random_rows_lie_between_each_other_and_rows_by_time_do_not():
    data = rows_of([40, 40])
    own = of_person(data, split(data, 0.5, "random"), 0)
    assert (own[1:] != own[:-1]).sum() > 8
    own = of_person(data, split(data, 0.5, "time"), 0)
    assert (own[1:] != own[:-1]).sum() == 1


def test_without_a_time_rows_count_in_their_order():
    data = rows_of([6, 7], timed=False)
    labels = split(data, 0.5)
    for code in (0, 1):
        own = labels[np.asarray(data.person) == code]
        assert own.tolist() == ["train"] * (len(own) - len(own) // 2) + ["test"] * (len(own) // 2)


def test_shares_of_the_paper_are_not_rounded_up_by_the_last_digit():
    data = rows_of([20, 40])
    for share, counts in ((0.05, (1, 2)), (0.1, (2, 4)), (0.2, (4, 8)), (0.3, (6, 12)), (0.5, (10, 20)), (0.0, (0, 0))):
        labels = split(data, share)
        for code, count in enumerate(counts):
            assert (labels[np.asarray(data.person) == code] == "train").sum() == count


def test_persons_without_rows_do_not_count():
    data = rows_of([5, 6, 7])
    taken = data.take(np.asarray(data.person) != 1)
    assert set(split(taken, 0.5)) == {"train", "test"}
    labels = split(taken, 0.5, "persons")
    assert {"train", "test"} <= set(labels)


def test_a_name_says_the_design():
    assert adaptation_split(rows_of([4, 4]), 0.1, design="random", rng=np.random.default_rng(0)).name == (
        "adaptation-random"
    )


def test_persons_with_one_row_are_counted():
    data = rows_of([1, 5, 1])
    for design in ADAPTATIONS:
        with pytest.raises(DataError, match=r"E134: 2 of 3 persons have fewer than 2 rows.*leave these persons out"):
            split(data, 0.1, design)


def test_one_person_cannot_be_divided_by_person():
    data = rows_of([8, 8]).take(np.asarray(rows_of([8, 8]).person) == 0)
    with pytest.raises(DataError, match=r'E134: one new person .*design="time"'):
        split(data, 0.1, "persons")
    assert set(split(data, 0.5)) == {"train", "test"}


@pytest.mark.parametrize("share", [-0.01, 0.51, 1.0, float("nan")])
def test_shares_out_of_range(share):
    with pytest.raises(ConfigError, match=r"E302: the share .* between 0 and 0.5"):
        split(rows_of([4, 4]), share)


def test_designs_that_are_not_known():
    with pytest.raises(ConfigError, match=r"E302: this design of adaptation is not known.*time, persons, random"):
        split(rows_of([4, 4]), 0.1, "person")
