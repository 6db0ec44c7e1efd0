"""Words for the parts of a model in which persons differ."""

from __future__ import annotations

from analyses.variance_shares import place_in_words


def test_what_is_added_to_a_networks_output_is_the_level():
    assert place_in_words("output", "bias") == "the level"
    assert place_in_words("layers.1", "bias") == "the biases of layer 2"
    assert place_in_words("", "slopes") == "the slopes"
