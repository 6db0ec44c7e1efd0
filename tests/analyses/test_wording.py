from __future__ import annotations

import numpy as np
import pytest

from analyses import wording


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.006, "p = .006"),
        (0.0009999, "p < .001"),
        (0.001, "p = .001"),
        (0.05, "p = .050"),
        (0.5, "p = .500"),
        (0.9996, "p > .999"),
        (1.0, "p > .999"),
        (np.nan, "p not defined"),
    ],
)
def test_p_is_exact_to_three_decimals_and_never_zero_or_one(p, text):
    assert wording.p_text(p) == text


def test_numbers_use_the_true_minus_and_no_negative_zero():
    assert wording.number(-1.236) == "−1.24"
    assert wording.number(-0.001) == "0.00"
    assert wording.number(float("nan")) == "not defined"
    assert wording.signed(0.25) == "+0.25"
    assert wording.signed(-0.25) == "−0.25"
    assert wording.signed(0.001) == "0.00"


def test_bounded_quantities_lose_their_leading_zero():
    assert wording.bounded(0.914) == ".91"
    assert wording.bounded(-0.3) == "−.30"
    assert wording.bounded(1.0) == "1.00"
    assert wording.bounded(0.0) == ".00"


def test_intervals_name_their_level():
    assert wording.ci_text(".83", ".95") == "95% CI [.83, .95]"
    assert wording.ci_text("0.1", "5.5", 0.995) == "99.5% CI [0.1, 5.5]"
    assert wording.monte_carlo_text(0.004, 0.008) == "Monte Carlo 95% CI [.004, .008]"
    assert wording.monte_carlo_text(0.0, 0.0004) == "Monte Carlo 95% CI below .001"


def test_probabilities_become_percentage_points():
    assert wording.points(0.028) == "2.8"
    assert wording.points(-0.006) == "−0.6"
    assert wording.thousands(9999) == "9,999"
