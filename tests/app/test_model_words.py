"""Parameters that vary between persons, in words."""

from __future__ import annotations

import pytest

from app.model_variances import _linear


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        ("layers.0.bias", "an intercept"),
        ("output.bias", "an intercept"),
        ("output.bias[calm]", "a level for calm"),
        ("slopes[day]", "a slope of day"),
        ("slopes[day,calm]", "a slope of day for calm"),
        ("layers.0.weight[day]", "a slope of day"),
    ],
)
def test_what_varies_in_words(parameter, words):
    assert _linear(parameter) == words
