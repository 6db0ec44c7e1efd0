"""The second half of a training goes back to mini-batches where the likelihood of all rows falls."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest

from tests.models import test_lmmnn, test_lmmnn_binary
from toolkit import fit
from toolkit.errors import ToolkitWarning
from toolkit.models import Lmmnn
from toolkit.models.lmmnn_binary_whole import AddedToRows
from toolkit.models.lmmnn_whole import EffectsOfAllRows
from toolkit.models.whole_guard import given_up, new_watch, watch_deviance


@pytest.mark.parametrize(
    ("deviances", "expected"),
    [
        ((5.0, 6.0, 7.0, 8.0), True),
        ((5.0, 6.0, 4.0, 6.0, 7.0), False),  # in a row
        ((5.0, 6.0, 4.0, 6.0, 7.0, 5.6), True),
        ((0.0, 0.0, 0.0, 0.0, 0.0), False),  # not known
        ((5.0, 5.4, 5.4, 5.4, 5.4), False),  # as good as the same
        ((-5.0, -6.0, -5.5, -5.5), False),
    ],
)
def test_three_worse_epochs_in_a_row_are_enough(deviances, expected):
    watch = new_watch()
    for deviance in deviances:
        watch_deviance(watch, deviance, 100)
    assert given_up(watch) is expected


def rising(monkeypatch, calls: list[int]) -> None:
    """Every likelihood of all rows is smaller than the one before."""
    own, binary = EffectsOfAllRows.__call__, AddedToRows.__call__

    def numbers(self, left, theta):
        calls.append(len(calls))
        return dataclasses.replace(own(self, left, theta), deviance=1e4 * len(calls))

    def classes(self, logits, theta):
        calls.append(len(calls))
        return binary(self, logits, theta)[0], 1e4 * len(calls)

    monkeypatch.setattr(EffectsOfAllRows, "__call__", numbers)
    monkeypatch.setattr(AddedToRows, "__call__", classes)


@pytest.mark.parametrize("task", ["regression", "binary"])
def test_mini_batches_go_on_and_the_user_is_told(task, monkeypatch):
    calls: list[int] = []
    rising(monkeypatch, calls)
    data = test_lmmnn.study() if task == "regression" else test_lmmnn_binary.study(400)
    with pytest.warns(ToolkitWarning, match="fell while the network was trained by it") as seen:
        fit(Lmmnn(task=task, hidden=(4,), epochs=16, batch=128), data, seed=1, progress=None)
    assert "W243" in {getattr(warning.message, "code", None) for warning in seen}
    assert len(calls) == 4  # what the mini-batches left, and three epochs


def test_a_guard_that_is_not_needed_changes_nothing(monkeypatch):
    config = Lmmnn(hidden=(4,), epochs=10, batch=128)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one = fit(config, test_lmmnn.study(), seed=1, progress=None)
    monkeypatch.setattr("toolkit.models.whole_guard.WORSE", 1e9)
    other = fit(config, test_lmmnn.study(), seed=1, progress=None)
    assert np.array_equal(one.predict(test_lmmnn.study()), other.predict(test_lmmnn.study()))
