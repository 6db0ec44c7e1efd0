"""The group test over persons and over families: each is `hsic_test` itself, and families give the larger p."""

from __future__ import annotations

import numpy as np
import pytest

from analyses import hsic_test
from analyses.naive_block import naive_against_block
from toolkit.errors import DataError


def study() -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Families whose members are nearly alike, and a group that is chance."""
    rng = np.random.default_rng(4)
    family = np.repeat(np.arange(24), 3)
    scores = np.repeat(rng.normal(size=(24, 2, 2)), 3, axis=0) + 0.1 * rng.normal(size=(72, 2, 2))
    exp = np.exp(scores)
    return {"probability": exp / exp.sum(axis=2, keepdims=True), "score": scores}, family % 2 == 0, family


def test_both_are_the_test_itself_with_its_own_stream() -> None:
    matrices, group, family = study()
    labels = np.where(group, "a", "b")
    found = naive_against_block(
        matrices, labels, family, unit_name="families", permutations=199, rng=np.random.default_rng(7)
    )
    streams = np.random.default_rng(7).spawn(4)
    naive = hsic_test(matrices["score"], labels, permutations=199, rng=streams[2])
    block = hsic_test(matrices["score"], labels, unit=family, permutations=199, rng=streams[3])
    assert found.naive[1].pvalue == naive.pvalue
    assert found.block[1].pvalue == block.pvalue
    assert found.block[0].statistic == pytest.approx(found.naive[0].statistic)
    assert found.block[0].pvalue > found.naive[0].pvalue
    frame = found.to_frame()
    assert frame["unit"].tolist() == ["persons", "families"] * 2
    assert "families" in found.text()
    assert found.summary()["verdicts_changed"] == sum(
        (a.pvalue < 0.05) != (b.pvalue < 0.05) for a, b in zip(found.naive, found.block, strict=True)
    )
    assert "for comparison only" in found.apa()


def test_nothing_to_test_is_an_error() -> None:
    with pytest.raises(DataError, match="nothing to test"):
        naive_against_block({}, ["a"], ["b"], rng=np.random.default_rng(1))
