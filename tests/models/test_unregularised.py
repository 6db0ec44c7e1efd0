"""Person effects without a prior (uNME): every person by their own rows, and what that costs with few of them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.models.simulated import chains, fitted, numbers, rows_of, thirds
from toolkit.models import NmeCrf, NmeMlp
from toolkit.models.effect_tables import effects_table, variance_table


def test_intercepts_without_a_prior_are_every_persons_own_least_squares():
    frame = numbers(persons=6, rows=8)
    trained = fitted(
        NmeMlp(hidden=(), effects="layers.0.bias", variance_update="unregularised", lr=0.1, epochs=400),
        rows_of(frame),
    )
    table = effects_table(trained)
    found = table.set_index("level")["estimate"]
    design = np.column_stack([frame[["a", "b"]], *(frame["person"] == name for name in found.index)]).astype(float)
    own = np.linalg.lstsq(design, frame["y"].to_numpy(), rcond=None)[0][2:]
    np.testing.assert_allclose(found, own - own.mean(), atol=0.02)
    components = variance_table(trained).set_index("parameter")["variance"]
    assert components["layers.0.bias"] == pytest.approx(np.var(own, ddof=1), rel=0.02)
    assert table["reliability"].between(0, 1).all()


@pytest.mark.slow
def test_with_few_rows_the_prior_predicts_better_and_no_prior_spreads_persons_further():
    gain, spread = [], []
    for seed in range(2):
        frame = numbers(persons=12, rows=6, seed=seed)
        frame["y"] += 6 * np.random.default_rng(seed).standard_normal(len(frame))
        data = rows_of(frame)
        labels = np.where(thirds(data) == "test", "test", "train")
        errors, estimates = [], []
        for update in ("em", "unregularised"):
            config = NmeMlp(hidden=(), effects="all", variance_update=update, lr=0.1, epochs=200)
            trained = fitted(config, data, labels)
            held = labels == "test"
            errors.append(np.mean((trained.network.predict(data)[held] - frame["y"].to_numpy()[held]) ** 2))
            estimates.append(effects_table(trained)["estimate"].std())
        gain.append(errors[1] - errors[0])
        spread.append(estimates[1] / estimates[0])
    assert np.mean(gain) > 0
    assert min(spread) > 1


@pytest.mark.slow
def test_a_chain_without_a_prior_fits_its_training_rows_at_least_as_well():
    data = rows_of(chains(persons=5, days=3, steps=8)[0], sequence="day")
    losses = [
        fitted(NmeCrf(hidden=(), effects="T", variance_update=update, lr=0.1, epochs=60), data).estimate.outcome.trace[
            -1
        ]["loss"]
        for update in ("em", "unregularised")
    ]
    assert losses[1] < losses[0]
