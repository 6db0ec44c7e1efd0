"""Which parameters the words of ``effects`` mean."""

from __future__ import annotations

import pytest

from toolkit.effects.terms import resolve_terms
from toolkit.errors import ConfigError

LAYERS = tuple(f"layers.{layer}.{part}" for layer in range(11) for part in ("weight", "bias"))
MLP = ("layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias", "layers.2.weight", "layers.2.bias")
CRF = (*MLP, "transitions", "start", "end")


@pytest.mark.parametrize(
    ("effects", "names", "expected"),
    [
        ("last", MLP, MLP[4:]),
        ("first", MLP, MLP[:2]),
        ("all", MLP, MLP),
        ("last", CRF, MLP[4:]),
        ("T", CRF, ("transitions",)),
        ("last+T", CRF, (*MLP[4:], "transitions")),
        ("T+last", CRF, (*MLP[4:], "transitions")),
        ("first + T", CRF, (*MLP[:2], "transitions")),
        ("all", CRF, (*MLP, "transitions")),
        ("layers.0.bias", MLP, ("layers.0.bias",)),
        ("*.bias", MLP, MLP[1::2]),
        (("layers.1.bias", "first"), MLP, (*MLP[:2], "layers.1.bias")),
        (["last", "last", "layers.2.bias"], MLP, MLP[4:]),
        ("transitions", CRF, ("transitions",)),
        ("*", CRF, (*MLP, "transitions")),
        ("last", LAYERS, LAYERS[-2:]),  # layer 10 comes after layer 9, not after layer 1
        ("first", LAYERS, LAYERS[:2]),
        ("layers.1.*", LAYERS, LAYERS[2:4]),
    ],
)
def test_words_names_and_wildcards(effects, names, expected):
    assert resolve_terms(effects, names) == expected


@pytest.mark.parametrize(
    ("effects", "names", "near"),
    [("lst", MLP, "last"), ("layers.0.bais", MLP, "layers.0.bias"), ("last+transition", CRF, "transitions")],
)
def test_an_unknown_name_offers_the_nearest(effects, names, near):
    with pytest.raises(ConfigError) as caught:
        resolve_terms(effects, names)
    assert caught.value.code == "E302"
    assert near in caught.value.remedy.split(";")[0]


@pytest.mark.parametrize("effects", ["start", "end", ("last", "start")])
def test_start_and_end_scores_stay_shared(effects):
    with pytest.raises(ConfigError, match="E302"):
        resolve_terms(effects, CRF)


@pytest.mark.parametrize("effects", ["T", "last+T", "", "Last", "start"])
def test_what_the_network_does_not_have_is_an_error(effects):
    with pytest.raises(ConfigError, match="E302"):
        resolve_terms(effects, MLP)
