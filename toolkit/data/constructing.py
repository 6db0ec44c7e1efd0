"""Making the columns a study file defines: composites, cut-offs, states, centred and lagged columns."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from toolkit.data.columns import numeric, require_columns, require_unique_names, time_seconds
from toolkit.data.constructions import Constructions, CutOff, StateRule
from toolkit.data.labels import label_codes, recode
from toolkit.errors import DataError


def with_constructions(
    frame: pd.DataFrame, made: Constructions, *, person: str, time: str | None, sequence: str | None
) -> pd.DataFrame:
    """A copy of the table with the columns a study makes. Rows keep their order.

    Composites come first, then cut-offs and states, then 0/1 columns of categories, then centred, then lagged columns;
    each can use those before it.

    Raises:
        DataError: E103 an item is missing, E104 a new name is taken, E109 an item that is no number,
            E120 a category that is not among the levels named.
    """
    if made.is_empty:
        return frame
    new: dict[str, pd.Series] = {}
    for name, items in made.composites.items():
        new[name] = pd.Series(_items(frame, new, items).mean(axis=1), index=frame.index)
    for name, cut in made.cut_offs.items():
        new[name] = _labels(cut_states(_items(frame, new, (cut.item,))[:, 0], cut), cut.names, frame.index)
    require_columns(frame, {"person": person, "time": time, "sequence": sequence})
    codes = label_codes(frame[person], kind="person")[0]
    if made.state_rule is not None:
        rule = made.state_rule
        states = rule_states(_items(frame, new, rule.items), rule, codes)
        new[rule.column] = _labels(states, (rule.otherwise, *rule.scores), frame.index)
    for name in made.categories:
        new |= _indicators(frame, new, made, name)
    order = _order(frame, codes, time)
    for name in made.centred:
        values = _items(frame, new, (name,))[:, 0]
        new[f"{name}_within"] = pd.Series(centred(values, codes, order, made.centre), index=frame.index)
    new |= _lagged(frame, new, made, codes, order, time, sequence)
    require_unique_names([*frame.columns, *new])
    return pd.concat([frame, pd.DataFrame(new, index=frame.index)], axis=1)


def cut_states(values: Float[np.ndarray, " rows"], cut: CutOff) -> Int[np.ndarray, " rows"]:
    """Position among the names of each value: the number of cuts it reaches; -1 where it is empty."""
    return np.where(np.isnan(values), -1, np.searchsorted(np.array(cut.cuts), values, side="right"))


def rule_states(
    items: Float[np.ndarray, "rows items"], rule: StateRule, person: Int[np.ndarray, " rows"]
) -> Int[np.ndarray, " rows"]:
    """State of each row: 0 for ``otherwise``, else 1 + the position of the largest score; -1 where an item is empty.

    ``score = mean of the state's items``, each ``(x - mean) / sd`` with sd of n - 1 (0 where the sd is 0), over all
    complete rows or those of the person.

    Args:
        items: raw, in the order of ``rule.items``.
        rule: the scores and the threshold.
        person: code of each row.
    """
    complete = ~np.isnan(items).any(axis=1)
    states = np.full(len(items), -1)
    used = items[complete]
    if rule.standardise != "none" and len(used):
        within = person[complete] if rule.standardise == "person" else np.zeros(len(used), dtype=np.int64)
        used = z_scores(used, within)
    place = {item: position for position, item in enumerate(rule.items)}
    scores = np.column_stack([used[:, [place[item] for item in of]].mean(axis=1) for of in rule.scores.values()])
    states[complete] = np.where(scores.max(axis=1) > rule.threshold, scores.argmax(axis=1) + 1, 0)
    return states


def z_scores(values: Float[np.ndarray, "rows k"], within: Int[np.ndarray, " rows"]) -> Float[np.ndarray, "rows k"]:
    """``(x - mean) / sd`` of each column within each code; sd with n - 1; 0 where the sd is 0 or there is one row."""
    grouped = pd.DataFrame(values).groupby(within)
    mean, sd = grouped.transform("mean").to_numpy(), grouped.transform("std").to_numpy()
    varies = sd > 0
    return np.where(varies, (values - mean) / np.where(varies, sd, 1.0), 0.0)


def centred(
    values: Float[np.ndarray, " rows"], person: Int[np.ndarray, " rows"], order: Int[np.ndarray, " rows"], mean: str
) -> Float[np.ndarray, " rows"]:
    """Deviation from the person's mean: of the rows before ("before"; 0 for the first), or of all rows ("all")."""
    series = pd.Series(values[order])
    grouped = series.groupby(person[order])
    if mean == "all":
        centre = grouped.transform("mean")
    else:
        known = series.notna().astype(np.int64)
        total = series.fillna(0.0).groupby(person[order]).cumsum() - series.fillna(0.0)
        count = known.groupby(person[order]).cumsum() - known
        centre = (total / count.where(count > 0)).fillna(series)
    deviation = np.empty(len(values))
    deviation[order] = (series - centre).to_numpy()
    return deviation


def previous_answered(
    answered: np.ndarray, session: Int[np.ndarray, " rows"], order: Int[np.ndarray, " rows"]
) -> Int[np.ndarray, " rows"]:
    """Row of the last earlier answered row of the same session, -1 where there is none.

    Args:
        answered: whether a row holds an answer, shape (rows,).
        session: code of person and sequence, shape (rows,).
        order: rows by session and time.
    """
    rows = np.where(answered[order], order, -1).astype(np.float64)
    last = pd.Series(np.where(rows < 0, np.nan, rows)).groupby(session[order]).ffill()
    before = last.groupby(session[order]).shift(1).fillna(-1).to_numpy(dtype=np.int64)
    previous = np.empty(len(order), dtype=np.int64)
    previous[order] = before
    return previous


def _lagged(
    frame: pd.DataFrame,
    new: Mapping[str, pd.Series],
    made: Constructions,
    person: Int[np.ndarray, " rows"],
    order: Int[np.ndarray, " rows"],
    time: str | None,
    sequence: str | None,
) -> dict[str, pd.Series]:
    """``<column>_before``, for states 0/1 per state; ``gap`` in units of time and ``first_of_sequence``.

    Where there is no earlier answer in the session, everything is 0 and ``first_of_sequence`` is 1.
    """
    if not made.lagged:
        return {}
    columns = {name: new[name] if name in new else frame[name] for name in _present(frame, new, made.lagged)}
    answered = np.all([~series.isna().to_numpy() for series in columns.values()], axis=0)
    session = person
    if sequence is not None:
        parts = label_codes(frame[sequence], kind="sequence")[0]
        session = np.unique(np.column_stack([person, parts]), axis=0, return_inverse=True)[1].ravel()
        order = order[np.argsort(session[order], kind="stable")]
    before = previous_answered(answered, session, order)
    known = before >= 0
    made_columns: dict[str, pd.Series] = {}
    for name, series in columns.items():
        for column, values in _numbers(name, series).items():
            made_columns[column] = pd.Series(np.where(known, values[before], 0.0), index=frame.index)
    if time is not None:
        clock = time_seconds(frame[time])
        made_columns["gap"] = pd.Series(np.where(known, clock - clock[before], 0.0), index=frame.index)
    made_columns["first_of_sequence"] = pd.Series((~known) * 1.0, index=frame.index)
    return made_columns


def _numbers(name: str, series: pd.Series) -> dict[str, Float[np.ndarray, " rows"]]:
    """A column of numbers as it is, one of words as 0/1 for each word."""
    if pd.api.types.is_numeric_dtype(series.dtype):
        return {f"{name}_before": numeric(series)}
    codes, labels, _ = label_codes(series, kind="state")
    return {f"{name}_{label}_before": (codes == code) * 1.0 for code, label in enumerate(labels)}


def _indicators(
    frame: pd.DataFrame, new: Mapping[str, pd.Series], made: Constructions, name: str
) -> dict[str, pd.Series]:
    """One column of 0 and 1 for every level but the reference; empty where the cell is.

    Raises:
        DataError: E120, with the rows, for a level the study does not name: it would else be taken for the reference.
    """
    levels = made.categories[name]
    _present(frame, new, (name,))
    found, labels, _ = label_codes(new[name] if name in new else frame[name], kind="category")
    codes = np.where(found < 0, np.nan, found.astype(np.float64))
    try:
        codes = recode(codes, labels, levels, column=name, origin=np.arange(len(frame)))
    except DataError as error:
        raise DataError(
            f"column '{name}' holds categories other than the {len(levels)} that [categories] names",
            code=error.code,
            column=name,
            rows=error.rows,
            remedy="Correct these cells, or name the category in study.toml; a run fitted before does not know it",
        ) from None
    return {
        column: pd.Series(np.where(np.isnan(codes), np.nan, codes == levels.index(level)), index=frame.index)
        for column, level in made.indicators(name).items()
    }


def _items(
    frame: pd.DataFrame, new: Mapping[str, pd.Series], items: tuple[str, ...]
) -> Float[np.ndarray, "rows items"]:
    """Items as numbers, NaN where empty."""
    names = _present(frame, new, items)
    return np.column_stack([numeric((new[name] if name in new else frame[name]).rename(name)) for name in names])


def _present(frame: pd.DataFrame, new: Mapping[str, pd.Series], names: tuple[str, ...]) -> tuple[str, ...]:
    require_columns(frame, {"item": [name for name in names if name not in new]})
    return names


def _labels(codes: Int[np.ndarray, " rows"], names: tuple[str, ...], index: pd.Index) -> pd.Series:
    labels = np.array([*names, None], dtype=object)
    return pd.Series(labels[codes], index=index, dtype="str")


def _order(frame: pd.DataFrame, person: Int[np.ndarray, " rows"], time: str | None) -> Int[np.ndarray, " rows"]:
    """Rows by person and time."""
    rows = np.arange(len(frame))
    return np.lexsort((rows, rows if time is None else time_seconds(frame[time]), person))
