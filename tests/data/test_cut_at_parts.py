"""Sequences end where the next row belongs to another part of the split."""

from __future__ import annotations

import numpy as np
import pandas as pd

from toolkit.data.sequences import SequenceBatch, cut_at_parts


def test_rows_on_both_sides_of_a_test_row_do_not_follow_one_another():
    frame = pd.DataFrame({"p": "a", "t": np.arange(6), "x": 0.0, "s": list("uvuvuv")})
    data = SequenceBatch.from_frame(frame, target="s", features=["x"], person="p", time="t").data
    labels = np.array(["train", "train", "test", "train", "train", "train"])
    cut = cut_at_parts(data, labels)
    training = SequenceBatch.from_grouped(cut.take(np.flatnonzero(labels == "train")))
    assert sorted(training.lengths.tolist()) == [2, 3]


def test_days_stay_cut():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"p": ["a"] * 6 + ["b"] * 4, "t": [*range(6), *range(4)], "d": [0, 0, 0, 1, 1, 1, 0, 0, 1, 1]})
    frame = frame.assign(x=0.0, s=rng.choice(["u", "v"], len(frame)), part=["train", "test"] * 5)
    expected = frame.assign(cell=frame["p"] + frame["d"].astype(str) + frame["part"] + frame["t"].astype(str))
    data = SequenceBatch.from_frame(frame, target="s", features=["x"], person="p", time="t", sequence="d").data
    batch = SequenceBatch.from_grouped(cut_at_parts(data, frame["part"].to_numpy()))
    assert batch.n_sequences == expected["cell"].nunique()  # parts alternate: every row stands alone
