"""Other shapes of a table: one row per person to one row per occasion, partners' columns, tables about persons."""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from toolkit.data.columns import named, require_columns, require_unique_names
from toolkit.data.labels import cell_as_text, row_numbers
from toolkit.errors import ConfigError, DataError, ToolkitWarning


def columns_between(frame: pd.DataFrame, first: str, last: str) -> list[str]:
    """The columns from one to another, in the table's order.

    Raises:
        DataError: E103 if one is not in the table.
        ConfigError: E302 if the last stands before the first.
    """
    require_columns(frame, {"wide": [first, last]})
    names = [str(name) for name in frame.columns]
    start, end = names.index(first), names.index(last)
    if end < start:
        raise ConfigError("the last of the wide columns stands before the first", code="E302", column="wide")
    return names[start : end + 1]


def numbered_columns(frame: pd.DataFrame) -> dict[str, list[str]]:
    """Families of numbered columns: ``mood_1, mood_2, ...`` as ``{"mood": [...]}``, in the order of the numbers."""
    families: dict[str, list[tuple[int, str]]] = {}
    for name in map(str, frame.columns):
        match = re.fullmatch(r"(.+?)[._ -]?(\d+)", name)
        if match:
            families.setdefault(match[1], []).append((int(match[2]), name))
    return {stem: [name for _, name in sorted(members)] for stem, members in families.items() if len(members) > 1}


def wide_to_long(frame: pd.DataFrame, measures: Mapping[str, Sequence[str]], *, time: str = "occasion") -> pd.DataFrame:
    """One row per person and occasion from one row per person.

    Args:
        frame: one row per person.
        measures: name of the new column -> its columns in the order of the occasions; all of one length.
        time: name of the new column that counts the occasions from 1.

    Returns:
        The other columns, repeated; the occasion; the measures. Rows of a person stand together, in the order of time.

    Raises:
        DataError: E103 a column is missing, E104 a new name is taken.
        ConfigError: E302 if the measures have different numbers of occasions.
    """
    require_columns(frame, dict(measures.items()))
    lengths = {len(columns) for columns in measures.values()}
    if len(lengths) != 1:
        raise ConfigError("the measures have different numbers of occasions", code="E302", column="wide")
    used = {name for columns in measures.values() for name in columns}
    others = [name for name in frame.columns if name not in used]
    require_unique_names([*others, time, *measures])
    count = lengths.pop()
    long = frame.loc[frame.index.repeat(count), others].reset_index(drop=True)
    long[time] = np.tile(np.arange(1, count + 1), len(frame))
    for name, columns in measures.items():
        cells = frame[list(columns)]
        same = len(set(map(str, cells.dtypes))) == 1
        values = cells.to_numpy() if same else cells.astype(object).to_numpy()
        long[name] = pd.Series(values.reshape(-1), index=long.index).infer_objects()
    return long


def with_partner_columns(
    frame: pd.DataFrame, columns: Sequence[str], *, dyad: str, person: str, occasion: Sequence[str]
) -> pd.DataFrame:
    """The table with the partner's values of the same occasion, as ``<column>_partner``.

    Args:
        frame: a row per person and occasion; the two persons of a dyad share its label.
        columns: what to take from the partner.
        dyad: column of the dyad (couple, parent and child).
        person: column of the person.
        occasion: columns that say which rows belong to the same occasion.

    Returns:
        A copy in the same order; empty where the partner has no row at that occasion.

    Raises:
        DataError: E103, E104; E113 if a person has two rows at one occasion; E129 if an occasion has more than two
            persons.
    """
    keys = [dyad, *occasion]
    require_columns(frame, {"dyad": dyad, "person": person, "occasion": list(occasion), "partner": list(columns)})
    require_unique_names([*frame.columns, *(f"{name}_partner" for name in columns)])
    twice = frame.duplicated([*keys, person], keep=False).to_numpy()
    if twice.any():
        raise DataError(
            "a person has several rows at one occasion",
            code="E113",
            column=person,
            rows=row_numbers(twice),
            remedy="Name the columns that tell the occasions apart, or drop the rows that are too many",
        )
    crowded = (frame.groupby(keys, dropna=False, sort=False)[person].transform("size") > 2).to_numpy()
    if crowded.any():
        raise DataError(
            "more than two persons at one occasion of a dyad",
            code="E129",
            column=dyad,
            rows=row_numbers(crowded),
            remedy="A dyad has two persons: check the column of the dyad",
        )
    position = np.arange(len(frame))
    occasions = frame.groupby(keys, dropna=False, sort=False).ngroup().to_numpy()
    order = np.argsort(occasions, kind="stable")
    partner = np.full(len(frame), -1)
    pair = np.flatnonzero(np.diff(occasions[order]) == 0)
    partner[order[pair]], partner[order[pair + 1]] = position[order[pair + 1]], position[order[pair]]
    taken = frame[list(columns)].reset_index(drop=True).reindex(partner).set_axis(frame.index)
    return pd.concat([frame, taken.add_suffix("_partner")], axis=1)


def with_person_table(frame: pd.DataFrame, persons: pd.DataFrame, *, on: str) -> pd.DataFrame:
    """The table with what another one says about each person; ids are compared as text, trimmed and composed.

    Args:
        frame: rows of occasions.
        persons: one row per person.
        on: the id column, of the same name in both.

    Returns:
        A copy in the same order, with the columns of ``persons``.

    Raises:
        DataError: E103 no such column in one of them, E104 a column both have, E123 a person twice in ``persons``.
    """
    require_columns(frame, {"person": on})
    require_columns(persons, {"person": on})
    shared = [name for name in persons.columns if name in frame.columns and name != on]
    if shared:
        raise DataError(
            f"both tables have column(s) {named(shared)}",
            code="E104",
            column=str(shared[0]),
            remedy="Rename or drop them in the table of persons",
        )
    ids = _ids(persons[on])
    twice = ids.duplicated(keep=False).to_numpy() & ids.notna().to_numpy()
    if twice.any():
        raise DataError(
            "a person stands in several rows of the table of persons",
            code="E123",
            column=on,
            rows=row_numbers(twice),
            remedy="Leave one row per person",
        )
    wanted = _ids(frame[on])
    unknown = wanted[~wanted.isin(ids)].nunique()
    if unknown:
        warnings.warn(
            ToolkitWarning(f"{unknown} person(s) are not in the table of persons; its columns are empty", code="W222"),
            stacklevel=2,
        )
    place = pd.Series(np.arange(len(ids)), index=ids)
    rows = wanted.map(place[place.index.notna()]).fillna(-1).to_numpy(dtype=np.int64)
    added = persons.drop(columns=on).reset_index(drop=True).reindex(rows).set_axis(frame.index)
    return pd.concat([frame, added], axis=1)


def _ids(series: pd.Series) -> pd.Series:
    """Ids as trimmed, composed text; empty ones are missing."""
    texts = [None if pd.isna(cell) else unicodedata.normalize("NFC", cell_as_text(cell).strip()) for cell in series]
    return pd.Series([text or None for text in texts], index=series.index, dtype=object)
