"""Splits that ask different questions: other rows, other persons, other families, later days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from toolkit.data.grouped import GroupedDataset
from toolkit.data.groupings import present_levels
from toolkit.data.splits import PARTS, Split, all_training, shares_of_parts, within_person_time
from toolkit.errors import ConfigError

UNITS = ("row", "person", "cluster")
# what a design asks: how well the model predicts ...
DESIGNS = {
    "within-person-time": "later rows of persons it knows",
    "random": "rows left out at random, of persons it knows",
    "persons": "persons it has never seen",
    "clusters": "persons of families or sites it has never seen",
    "future": "everybody's rows after a date",
    "none": "nothing: every row trains",
}
THIRDS = (0.6, 0.2, 0.2)


def make_split(
    design: str, data: GroupedDataset, *, rng: np.random.Generator, fractions: Sequence[float] = THIRDS
) -> Split:
    """A split by its name, see ``DESIGNS``.

    Raises:
        ConfigError: E302 for another name, or shares that do not add up to 1, or a design the data cannot give.
    """
    if design == "within-person-time":
        return within_person_time(data, fractions)
    if design == "random":
        return random_rows(data, fractions, rng=rng)
    if design == "persons":
        return leave_units_out(data, "person", fractions, rng=rng)
    if design == "clusters":
        return leave_units_out(data, "cluster", fractions, rng=rng)
    if design == "future":
        return future(data, fractions)
    if design == "none":
        return all_training(data)
    raise ConfigError(
        "this split is not known",
        code="E302",
        column="split",
        remedy=f"Known are {', '.join(DESIGNS)}, and a split file",
    )


def random_rows(data: GroupedDataset, fractions: Sequence[float] = THIRDS, *, rng: np.random.Generator) -> Split:
    """Rows are dealt out at random; a person's rows next to a test row train, so this flatters models of sequences."""
    labels = _dealt(np.arange(data.n_rows), fractions, rng)
    return Split(labels=labels, name="random")


def leave_units_out(
    data: GroupedDataset, unit: str, fractions: Sequence[float] = THIRDS, *, rng: np.random.Generator
) -> Split:
    """Whole persons, or whole clusters, are dealt out at random; none has rows in two parts.

    Args:
        data: the rows.
        unit: "person" or "cluster"; a person without a cluster is one of its own.
        fractions: shares of the units that train, validate and test.
        rng: who goes where.

    Raises:
        ConfigError: E302 without clusters, or with fewer units than parts.
    """
    return Split(labels=_dealt(unit_of_rows(data, unit), fractions, rng), name=f"{unit}s")


def future(data: GroupedDataset, fractions: Sequence[float] = THIRDS) -> Split:
    """The same dates for everybody: rows up to one train, up to a second validate, later ones test.

    The dates are the quantiles of all rows' times; rows of equal time are never in two parts.

    Raises:
        ConfigError: E302 without a time column.
    """
    if data.time is None:
        raise ConfigError("a split by date needs a time column", code="E302", column="time")
    shares = np.cumsum(shares_of_parts(fractions))[:2]
    ordered = np.sort(data.time)
    last = np.maximum(np.ceil(shares * data.n_rows - 1e-9).astype(np.int64) - 1, 0)
    part = (data.time[:, None] > ordered[last]).sum(axis=1)
    return Split(labels=np.array(PARTS)[part], name="future")


def latest_rows(
    data: GroupedDataset, share: float = 0.2, validation: float = 0.1, *, rng: np.random.Generator
) -> Split:
    """The latest rows of all test, whoever has them; of the earlier ones a random share validates.

    A fixed number of rows tests, as in the "Future" mode of Simchoni and Rosset (2023): of rows at the same time as the
    first of them, some test and some train. :func:`future` never parts rows of equal time, and validates on later rows
    than it trains on.

    Args:
        data: the rows.
        share: of all rows that tests.
        validation: share of the other rows that validates.
        rng: which rows validate, and which of equal time test.

    Raises:
        ConfigError: E302 without a time column.
    """
    if data.time is None:
        raise ConfigError("a split by date needs a time column", code="E302", column="time")
    order = np.lexsort((rng.random(data.n_rows), data.time))
    labels = np.full(data.n_rows, "validation")
    earlier = data.n_rows - round(share * data.n_rows)
    labels[order[earlier:]] = "test"
    labels[rng.permutation(order[:earlier])[round(validation * earlier) :]] = "train"
    return Split(labels=labels, name="latest rows")


def k_fold(data: GroupedDataset, folds: int, unit: str = "person", *, rng: np.random.Generator) -> list[Split]:
    """Every unit tests once: fold ``i`` tests, fold ``i + 1`` validates, the others train.

    Args:
        data: the rows.
        folds: number of folds, at least 3.
        unit: "row", "person" or "cluster"; a unit's rows are all in one fold.
        rng: who goes where.

    Raises:
        ConfigError: E302 for fewer than 3 folds, or more folds than units.
    """
    codes = unit_of_rows(data, unit)
    count = int(codes.max(initial=-1)) + 1
    if not 3 <= folds <= count:
        raise ConfigError(
            f"{folds} folds cannot be made of {count} {unit}s", code="E302", column="folds", remedy="Use 3 or more"
        )
    fold = (rng.permutation(count) % folds)[codes]
    return [
        Split(
            labels=np.where(fold == test, "test", np.where(fold == (test + 1) % folds, "validation", "train")),
            name=f"{folds}-fold by {unit}, fold {test + 1}",
        )
        for test in range(folds)
    ]


def unit_of_rows(data: GroupedDataset, unit: str) -> Int[np.ndarray, " rows"]:
    """Code of the unit of each row, 0, 1, ... without gaps.

    Raises:
        ConfigError: E302 for another unit, or clusters where the study has none.
    """
    if unit not in UNITS:
        raise ConfigError(f"the unit must be one of {', '.join(UNITS)}", code="E302", column="unit")
    if unit == "row":
        return np.arange(data.n_rows)
    if unit == "person":
        return present_levels(data.person, data.n_persons)[1]
    if data.cluster_name is None:
        raise ConfigError(
            "the study has no clusters", code="E302", column="unit", remedy="Name the cluster column in [roles]"
        )
    alone = [
        f"person {code}" if label is None else f"cluster {label}" for code, label in enumerate(data.person_cluster)
    ]
    names, of_person = np.unique(alone, return_inverse=True)
    return present_levels(of_person[data.person], len(names))[1]


def _dealt(codes: Int[np.ndarray, " rows"], fractions: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Part of each row, whole units dealt out; every part with a share gets a unit."""
    shares = shares_of_parts(fractions)
    count = int(codes.max(initial=-1)) + 1
    if count < int((shares > 0).sum()):
        raise ConfigError(f"{count} unit(s) cannot be dealt out to {int((shares > 0).sum())} parts", code="E302")
    sizes = np.diff(np.floor(np.cumsum(shares) * count + 0.5 + 1e-9).astype(np.int64), prepend=0)
    while (short := np.flatnonzero((sizes == 0) & (shares > 0))).size:
        sizes[short[0]] += 1
        sizes[int(np.argmax(sizes))] -= 1
    part = np.empty(count, dtype=np.int64)
    part[rng.permutation(count)] = np.repeat(np.arange(3), sizes)
    return np.array(PARTS)[part[codes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leakage:
    """What the training rows know about the test rows. Some of it is what a design means to allow.

    Attributes:
        shared_persons: persons with training and test rows.
        shared_clusters: clusters with training and test rows.
        earlier_tests: test rows that are not later than every training row of their person.
        overlapping_times: test rows that are not later than every training row of anybody.
        repeated_rows: test rows whose features and target are those of a training row.
    """

    shared_persons: int
    shared_clusters: int
    earlier_tests: int
    overlapping_times: int
    repeated_rows: int

    def text(self) -> str:
        """One sentence per fact that is not zero."""
        facts = {
            "person(s) have training and test rows": self.shared_persons,
            "cluster(s) have training and test rows": self.shared_clusters,
            "test row(s) are not later than their person's training rows": self.earlier_tests,
            "test row(s) are not later than all training rows": self.overlapping_times,
            "test row(s) repeat a training row": self.repeated_rows,
        }
        return "\n".join(f"{count} {what}." for what, count in facts.items() if count) or "Nothing is shared."


def find_leakage(data: GroupedDataset, split: Split) -> Leakage:
    """Count what training and test rows share."""
    train, test = split.rows("train"), split.rows("test")
    clusters = unit_of_rows(data, "cluster" if data.cluster_name is not None else "person")
    time = np.arange(data.n_rows, dtype=np.float64) if data.time is None else data.time
    latest = np.full(data.n_persons, -np.inf)
    np.maximum.at(latest, data.person[train], time[train])
    rows = np.column_stack([data.features, data.target])
    seen = {row.tobytes() for row in rows[train]} if data.n_features else set()
    return Leakage(
        shared_persons=len(np.intersect1d(data.person[train], data.person[test])),
        shared_clusters=len(np.intersect1d(clusters[train], clusters[test])),
        earlier_tests=int((time[test] <= latest[data.person[test]]).sum()),
        overlapping_times=int((time[test] <= time[train].max(initial=-np.inf)).sum()),
        repeated_rows=sum(row.tobytes() in seen for row in rows[test]),
    )
