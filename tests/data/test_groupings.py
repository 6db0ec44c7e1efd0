"""How grouping factors lie in each other, and which of their levels have rows: as sorting the rows would find it."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.data.checks import require_own_levels
from toolkit.data.groupings import Grouping, lies_within, nested_in, present_levels
from toolkit.errors import DataError


def factor(name: str, codes: list[int], levels: int) -> Grouping:
    return Grouping(name=name, codes=np.array(codes), levels=tuple(f"{name}{code}" for code in range(levels)))


@pytest.mark.parametrize("seed", range(20))
def test_a_factor_lies_within_another_where_it_has_as_many_levels_as_both_together(seed):
    rng = np.random.default_rng(seed)
    codes = rng.integers(6, size=30)
    for others in (rng.integers(3, size=6)[codes], rng.permutation(9)[codes], rng.integers(2, size=30), codes // 3 - 1):
        pairs = len(np.unique(np.column_stack([codes, others]), axis=0))
        assert lies_within(codes, others) == (pairs == len(np.unique(codes)))
        assert lies_within(others, codes) == (pairs == len(np.unique(others)))


def test_rows_without_a_level_are_a_level_of_their_own():
    known = np.array([0, 0, 1, 1, 2])
    assert lies_within(np.array([0, 0, 1, 1, -1]), known)
    assert not lies_within(np.array([0, 0, 1, -1, -1]), known)
    assert lies_within(known, np.array([-1, -1, 0, 0, 0]))


def test_present_levels_are_those_of_sorted_rows():
    codes = np.random.default_rng(1).choice([1, 2, 5, 8], size=50)
    present, own = present_levels(codes, 10)
    wanted, places = np.unique(codes, return_inverse=True)
    np.testing.assert_array_equal(present, wanted)
    np.testing.assert_array_equal(own, places)


def test_only_factors_that_divide_the_rows_alike_are_refused():
    persons = factor("who", [0, 0, 1, 1, 2, 2], 3)
    families = factor("family", [1, 1, 0, 0, 0, 0], 2)
    assert nested_in(persons, [persons, families]) == ["family"]
    assert nested_in(families, [persons, families]) == []
    require_own_levels(families, [persons])
    with pytest.raises(DataError, match="same rows"):
        require_own_levels(factor("seat", [3, 3, 0, 0, 1, 1], 4), [families, persons])
    with pytest.raises(DataError, match="single level"):
        require_own_levels(factor("site", [4] * 6, 5), [persons])
