"""What NME-CRF finds again in simulated conversations of families (`benchmarks.simulations.dyads_recovery`)."""

from __future__ import annotations

import pytest

pytest.importorskip("benchmarks.simulations.dyads_recovery", reason="benchmarks are not on the path")

from benchmarks.simulations.dyads_recovery import recover


@pytest.mark.slow
def test_a_third_of_the_dyads_is_recovered():
    found = recover(persons=60, families=30, segments=4_680, epochs=80)
    assert set(found) == {"persons alone", "persons in families"}
    for row in found.values():
        assert row["emission_weights_r"] > 0.98
        assert row["emission_weights_slope"] == pytest.approx(1.0, abs=0.15)
        assert row["personal_probabilities_r"] > 0.5
        assert row["personal_probabilities_rmse"] < row["rmse_of_the_group_means"]
        assert row["group_effect_r"] > 0.6
        assert row["group_effect_intervals_held"] >= 9 / 12
        for name in ("dysphoric_to_positive", "positive_to_dysphoric"):
            true = row[f"group_effect_{name}_true"]
            assert row[f"group_effect_{name}"] == pytest.approx(true, abs=4 * row["group_effect_mean_se"])
    assert 0.0 < found["persons in families"]["family_correlation"] < 1.0
