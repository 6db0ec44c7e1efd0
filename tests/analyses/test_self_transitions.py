"""Steps that stay in their state, against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest

from analyses.self_transitions import self_transitions
from toolkit.errors import DataError


def test_steps_are_counted_within_persons_and_sequences():
    state = ["a", "a", "b", None, "b", "b", "a", "a"]
    found = self_transitions(state, list("ppppqqqq"), [1, 1, 1, 1, 1, 2, 2, 2], states=("a", "b", "c"))
    assert found.left.tolist() == [3, 1, 0]
    assert found.stayed.tolist() == [2, 0, 0]
    assert np.isnan(found.to_frame()["share"].iloc[2])
    assert found.text().startswith("Of 4 steps from one state to the next, 2 (50 %)")


def test_states_coded_by_onset_are_told():
    found = self_transitions(["a", "b"] * 20, ["p"] * 40, [0] * 40, states=("a", "b"))
    assert found.onset_coded
    assert "coded by their onset" in found.text()
    assert not self_transitions(["a", "b"], ["p"] * 2, [0] * 2, states=("a", "b")).onset_coded


def test_sentences_for_a_paper():
    assert self_transitions([], [], [], states=("a", "b")).apa() == "There were no transitions between states."
    few = self_transitions(["a", "a", "b"], [1, 1, 1], [1, 1, 1], states=("a", "b"))
    assert few.apa() == "Of 2 transitions, 1 (50.0%) were to the same state."


def test_lengths_must_agree():
    with pytest.raises(DataError, match="E127"):
        self_transitions(["a"], ["p", "q"], [0], states=("a",))
