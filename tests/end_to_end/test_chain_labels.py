"""Whole fits of chains with labels that are missing, sequences of length one, and labels that are no state."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.models.simulated import chains, rows_of
from toolkit import fit, load_run
from toolkit.data.sequences import SequenceBatch
from toolkit.errors import DataError
from toolkit.models import NmeCrf

STATES = ("calm", "glad", "tense")
CONFIG = NmeCrf(hidden=(), epochs=8, lr=0.05)


@pytest.fixture(autouse=True, scope="module")
def few_rounds():
    """What is tested here does not need settled variances."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("toolkit.models.rounds.POLISH_STEPS", 2)
        yield


def holed() -> pd.DataFrame:
    """Four persons; labels are missing inside days, one day has none at all, and each person has a day of one row."""
    frame = chains(persons=4, days=4, steps=6)[0]
    frame = frame[(frame["day"] != 3) | (frame["t"] % 6 == 0)].reset_index(drop=True)
    frame.loc[(frame["t"] % 6).isin([2, 3]) & (frame["day"] == 0), "y"] = None
    frame.loc[(frame["person"] == "p01") & (frame["day"] == 1), "y"] = None
    return frame


@pytest.mark.slow
def test_missing_labels_single_rows_and_days_without_labels(tmp_path):
    frame = holed()
    data = rows_of(frame, sequence="day", classes=STATES, allow_missing_target=True)
    lengths = np.asarray(SequenceBatch.from_grouped(data).mask).sum(axis=1)
    assert (lengths == 1).sum() == 4
    run = fit(CONFIG, data, seed=1, split=None, out=tmp_path / "run", progress=None)
    probabilities = run.predict(data)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-12)
    assert len(run.decode(data)) == len(frame)
    table = run.predictions()
    gone = frame["y"].isna().to_numpy()
    assert table.set_index("row").loc[np.flatnonzero(gone), "truth"].isna().all()
    counted = run.transitions().groupby("person")["observed"].sum()
    pairs = frame["y"].notna() & frame.groupby(["person", "day"])["y"].shift().notna()
    assert counted.to_dict() == pairs.groupby(frame["person"]).sum().to_dict()  # over no gap
    metrics = run.metrics()
    assert metrics.loc[metrics["scope"] == "pooled", "rows"].max() == int((~gone).sum())
    np.testing.assert_array_equal(load_run(tmp_path / "run").predict(data), probabilities)


@pytest.mark.slow
def test_a_day_without_labels_changes_nothing_of_the_fit():
    frame = chains(persons=3, days=3, steps=5)[0]
    last = (frame["person"] == "p02") & (frame["day"] == 2)
    # the same features in both, so that they are standardised alike
    emptied = frame.assign(y=frame["y"].where(~last))
    roles = {"sequence": "day", "classes": STATES, "allow_missing_target": True}
    whole = rows_of(emptied, **roles)
    labels = np.where(last, "test", "train")
    with_it, without = (
        fit(CONFIG, whole, seed=1, split=None, progress=None),
        fit(CONFIG, rows_of(emptied[labels == "train"], **roles), seed=1, split=None, progress=None),
    )
    ours, theirs = with_it.trained.network, without.trained.network
    # a sequence without labels has a likelihood of one; only the standardisation sees its features
    assert np.abs(np.asarray(ours.scaler.mean) - np.asarray(theirs.scaler.mean)).max() > 0
    np.testing.assert_allclose(ours.shared["transitions"], theirs.shared["transitions"], atol=0.05)
    loss = [run.trace()["loss"].iloc[0] * run.trained.training_rows for run in (with_it, without)]
    assert loss[0] == pytest.approx(loss[1], rel=0.05)


@pytest.mark.slow
def test_nothing_but_sequences_of_one_row():
    frame = chains(persons=4, days=12, steps=1)[0]
    run = fit(CONFIG, rows_of(frame, sequence="t", classes=STATES), seed=1, split=None, progress=None)
    table = run.transitions()
    assert (table["observed"] == 0).all()
    assert table["expected"].isna().all()  # no move is ever expected
    np.testing.assert_allclose(table["score"], 0.0, atol=1e-6)  # nothing moved them
    assert np.isfinite(run.predict(rows_of(frame, sequence="t", classes=STATES))).all()


def test_labels_that_are_no_state_are_refused():
    frame = chains(persons=3, days=2, steps=5)[0]
    with pytest.raises(DataError, match="E120"):
        rows_of(frame, sequence="day", classes=STATES[:2])
    run = fit(CONFIG, rows_of(frame, sequence="day", classes=STATES), seed=1, split=None, progress=None)
    strange = frame.assign(y=frame["y"].replace("tense", "angry"))
    with pytest.raises(DataError, match="E120"):
        run.predict(rows_of(strange, sequence="day"), prediction="forecast")


def test_nothing_but_missing_labels_is_refused():
    frame = chains(persons=3, days=2, steps=5)[0].assign(y=None)
    data = rows_of(frame, sequence="day", classes=STATES, allow_missing_target=True)
    with pytest.raises(DataError, match="E121"):
        fit(CONFIG, data, seed=1, split=None, progress=None)
