"""lme4's notation of random effects."""

from __future__ import annotations

import pytest

from toolkit.effects.formula import RandomTerm, parse_random, power_of
from toolkit.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("(1 | person)", [RandomTerm(grouping="person")]),
        ("(1+t|person)", [RandomTerm(grouping="person", slopes=("t",))]),
        ("(t | person)", [RandomTerm(grouping="person", slopes=("t",))]),
        ("(0 + t | person)", [RandomTerm(grouping="person", slopes=("t",), intercept=False)]),
        ("(1 + t || person)", [RandomTerm(grouping="person", slopes=("t",), correlated=False)]),
        (
            "(1 + `hours slept` | person) + (1 | `the item`)",
            [RandomTerm(grouping="person", slopes=("hours slept",)), RandomTerm(grouping="the item")],
        ),
        ("(1 + a + b.c_2 | p)", [RandomTerm(grouping="p", slopes=("a", "b.c_2"))]),
    ],
)
def test_reading_and_writing(text, terms):
    assert list(parse_random(text)) == terms
    assert list(parse_random(" + ".join(str(term) for term in terms))) == terms


def test_objects_pass():
    term = RandomTerm(grouping="person", slopes=("t",), correlated=False)
    assert parse_random(term) == (term,)
    assert parse_random([term, RandomTerm(grouping="item")]) == (term, RandomTerm(grouping="item"))
    assert term.blocks == (1, 1)
    assert RandomTerm(grouping="person", slopes=("t",)).blocks == (2,)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "ends too early"),
        ("1 | person", r"'1' stands where '\(' is expected"),
        ("(1 | person", "ends too early"),
        ("(1 | person) (1 | item)", r"'\(' stands where '\+' is expected"),
        ("(1 person)", r"'person' stands where '\+' or '\|'"),
        ("(| person)", r"'\|' stands where a name is expected"),
        ("(1 | a/b)", "interactions of grouping factors"),
        ("(1 | a:b)", "interactions of grouping factors"),
        ("(1 + log(t) | person)", "functions such as 'log"),
        ("(1 + I(t^x) | person)", "no power from 2 to 9"),
        ("(0 | person)", "nothing varies by 'person'"),
        ("(t + t | person)", "named twice"),
        ("(1 | `person)", "backtick"),
    ],
)
def test_what_is_wrong_is_said(text, said):
    with pytest.raises(ConfigError, match=said) as caught:
        parse_random(text)
    assert caught.value.code == "E302"


def test_no_terms_are_refused():
    with pytest.raises(ConfigError, match="no term"):
        parse_random([])


def test_powers_of_features_are_read_and_written():
    (term,) = parse_random("(1 + t + I(t^2) + I(`long name`^3) | person)")
    assert term.slopes == ("t", "I(t^2)", "I(long name^3)")
    assert [power_of(slope) for slope in term.slopes] == [("t", 1), ("t", 2), ("long name", 3)]
    assert parse_random(str(term)) == (term,)
