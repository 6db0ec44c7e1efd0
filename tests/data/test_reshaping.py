"""Wide tables, partners' columns, tables of persons; each against a plain loop."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from toolkit.data.reshaping import (
    columns_between,
    numbered_columns,
    wide_to_long,
    with_partner_columns,
    with_person_table,
)
from toolkit.errors import ConfigError, DataError, ToolkitWarning

WIDE = pd.DataFrame(
    {"id": ["a", "b"], "m1": ["x", "y"], "m2": ["y", None], "m3": ["y", "x"], "n1": [1, 2], "n2": [3, 4]}
)


def test_wide_to_long_is_the_loop() -> None:
    long = wide_to_long(WIDE[["id", "m1", "m2", "m3"]], {"state": ["m1", "m2", "m3"]})
    expected = [(p, k + 1, WIDE[f"m{k + 1}"][row]) for row, p in enumerate(["a", "b"]) for k in range(3)]
    for found, wanted in zip(long.itertuples(index=False), expected, strict=True):
        assert tuple(found)[:2] == wanted[:2]
        assert tuple(found)[2] == wanted[2] or pd.isna(wanted[2])


def test_several_measures_and_their_mistakes() -> None:
    families = numbered_columns(WIDE)
    assert families == {"m": ["m1", "m2", "m3"], "n": ["n1", "n2"]}
    long = wide_to_long(WIDE, {"m": families["m"][:2], "n": families["n"]}, time="t")
    assert long["n"].tolist() == [1, 3, 2, 4]
    assert list(long.columns) == ["id", "m3", "t", "m", "n"]
    with pytest.raises(ConfigError, match="E302"):
        wide_to_long(WIDE, families)
    with pytest.raises(DataError, match="E104"):
        wide_to_long(WIDE, {"id": families["m"]})
    assert columns_between(WIDE, "m1", "m3") == ["m1", "m2", "m3"]
    with pytest.raises(ConfigError, match="E302"):
        columns_between(WIDE, "m3", "m1")


def couples() -> pd.DataFrame:
    rows = [("d1", "a", 1, 0.1), ("d1", "b", 1, 0.2), ("d1", "a", 2, 0.3), ("d2", "c", 1, 0.4), ("d2", "d", 1, 0.5)]
    return pd.DataFrame(rows, columns=["dyad", "who", "t", "x"]).sample(frac=1, random_state=1)


def test_partner_columns_are_the_loop() -> None:
    frame = couples()
    found = with_partner_columns(frame, ["x"], dyad="dyad", person="who", occasion=["t"])
    assert found.index.tolist() == frame.index.tolist()
    for row in found.itertuples():
        other = frame[(frame.dyad == row.dyad) & (frame.t == row.t) & (frame.who != row.who)]
        assert np.isnan(row.x_partner) if other.empty else row.x_partner == other.x.iloc[0]


def test_crowded_or_repeated_occasions_are_refused() -> None:
    frame = couples()
    with pytest.raises(DataError, match="E113"):
        with_partner_columns(pd.concat([frame, frame]), ["x"], dyad="dyad", person="who", occasion=["t"])
    with pytest.raises(DataError, match="E129"):
        with_partner_columns(frame.assign(dyad="one"), ["x"], dyad="dyad", person="who", occasion=["t"])


def test_a_table_of_persons_is_joined_by_trimmed_text_ids() -> None:
    frame = pd.DataFrame({"id": ["7", "8 ", "7", "Zoe\u0308", "9"], "x": range(5)})
    persons = pd.DataFrame({"id": [8, 7, "Zo\u00eb"], "age": [30, 40, 50]})
    with pytest.warns(ToolkitWarning, match="W222: 1 person"):
        joined = with_person_table(frame, persons, on="id")
    assert joined["age"].tolist()[:4] == [40, 30, 40, 50]
    assert np.isnan(joined["age"].iloc[4])


def test_a_table_of_persons_must_have_one_row_each_and_other_columns() -> None:
    frame = pd.DataFrame({"id": ["a"], "x": [1]})
    with pytest.raises(DataError, match="E123") as caught:
        with_person_table(frame, pd.DataFrame({"id": ["a", "b", "a "], "age": [1, 2, 3]}), on="id")
    assert caught.value.rows == (2, 4)
    with pytest.raises(DataError, match="E104"):
        with_person_table(frame, pd.DataFrame({"id": ["a"], "x": [1]}), on="id")
