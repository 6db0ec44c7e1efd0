"""Who carries the difference of two groups in one cell: distribution, persons' shares, and leaving out each unit."""

# pyright: strict, reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from analyses import wording
from analyses.drivers_influence import LeftOut, leave_out_units
from analyses.matrices import boolean_group
from analyses.resampling import check_length, factorise, make_units
from toolkit.errors import ConfigError, DataError
from toolkit.results import read_only

if TYPE_CHECKING:
    import pandas as pd

FEW_UNITS = 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CellDrivers:
    """Outcome of `cell_drivers`; arrays over persons with a value in the cell, in the order given.

    Attributes:
        cell: names of the states (from, into). group_names: what True and False are called.
        difference: mean where the group is True minus mean where it is False. mean_true, mean_false: the means.
        low, high, pvalue: t interval and test over units, descriptive; `compare_transitions` is the test to report.
        persons: labels. value: the cell. group: True or False. unit: label of each person's unit.
        contribution: what each person adds to the difference; they sum to it. share: the same as a share of it, NaN
            when the difference is zero.
        units: labels of the units. without: difference, interval and p without each of them.
        n_left_out: persons without a value in the cell. notes: sentences for the reader.
    """

    cell: tuple[str, str]
    group_names: tuple[str, str]
    scale: str
    difference: float
    low: float
    high: float
    pvalue: float
    mean_true: float
    mean_false: float
    persons: tuple[Any, ...]
    value: np.ndarray
    group: np.ndarray
    unit: tuple[Any, ...]
    contribution: np.ndarray
    share: np.ndarray
    units: tuple[Any, ...]
    without: LeftOut
    unit_name: str
    level: float
    n_left_out: int
    notes: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row per person, largest contribution first: person, group, unit, value, contribution, share."""
        import pandas as pd

        frame = pd.DataFrame(
            {
                "person": list(self.persons),
                "group": np.where(self.group, *self.group_names),
                "unit": list(self.unit),
                "value": self.value,
                "contribution": self.contribution,
                "share": self.share,
            }
        )
        return frame.iloc[self._order()].reset_index(drop=True)

    def influence_frame(self) -> pd.DataFrame:
        """One row per unit, most influential first: difference, interval and p without it, and how far they moved."""
        import pandas as pd

        left = self.without
        frame = pd.DataFrame({"unit": list(self.units), "persons": left.persons, "difference": left.difference})
        frame = frame.assign(low=left.low, high=left.high, pvalue=left.pvalue, moved=left.difference - self.difference)
        order = np.argsort(-np.abs(frame["moved"].to_numpy()), kind="stable")
        return frame.iloc[order].reset_index(drop=True)

    def distribution_frame(self) -> pd.DataFrame:
        """The distribution over persons by group: persons, mean, SD, minimum, quartiles, maximum."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for name, on in zip(self.group_names, (self.group, ~self.group), strict=True):
            values = self.value[on]
            spread = float(values.std(ddof=1)) if values.size > 1 else float("nan")
            ends = np.quantile(values, [0, 0.25, 0.5, 0.75, 1]).tolist()
            numbers = dict(zip(("minimum", "quartile_1", "median", "quartile_3", "maximum"), ends, strict=True))
            rows.append({"group": name, "persons": values.size, "mean": float(values.mean()), "sd": spread, **numbers})
        return pd.DataFrame(rows)

    def summary(self) -> dict[str, Any]:
        """The numbers as plain Python values, with the tables as lists of rows."""
        plain = ("difference", "low", "high", "pvalue", "mean_true", "mean_false", "scale", "unit_name", "level")
        return {
            "cell": list(self.cell),
            "group_names": list(self.group_names),
            **{name: getattr(self, name) for name in plain},
            "n": len(self.persons),
            "n_units": len(self.units),
            "n_left_out": self.n_left_out,
            "units_that_turn_the_sign": int(self._turned().sum()),
            "units_that_change_the_verdict": int(self._changed().sum()),
            "persons": self.to_frame().to_dict(orient="records"),
            "influence": self.influence_frame().to_dict(orient="records"),
            "distribution": self.distribution_frame().to_dict(orient="records"),
            "notes": list(self.notes),
        }

    def text(self, *, names: bool = True) -> str:
        """The difference, what the most influential unit does to it, and the persons who carry most of it.

        Args:
            names: whether persons and units are called by their labels.
        """
        left = self.without
        most = int(np.nanargmax(np.abs(left.difference - self.difference)))
        higher = "higher" if self.difference >= 0 else "lower"
        return (
            f"Moving from {self.cell[0]} to {self.cell[1]} is {self._size(abs(self.difference))} {higher} in the "
            f"{self.group_names[0]} group than in the {self.group_names[1]} group ({self._interval()}). Leaving out "
            f"{f'{self.units[most]} (one of' if names else 'one of the'} {len(self.units)} {self.unit_name}"
            f"{')' if names else ''} moves the difference from {self._number(self.difference)} to "
            f"{self._size(left.difference[most])}, {'more than any other' if names else 'at most'}; "
            f"{self._verdict()}. {self._carriers(names=names)}"
        )

    def apa(self) -> str:
        """The same as a sentence for the results section."""
        left = self.without
        low, high = float(np.nanmin(left.difference)), float(np.nanmax(left.difference))
        return (
            f"The difference from {self.cell[0]} to {self.cell[1]} was {self._size(self.difference)}, "
            f"{self._interval()}; leaving out one of {len(self.units)} {self.unit_name} at a time it ranged from "
            f"{self._number(low)} to {self._number(high)}, and {self._verdict()}."
        )

    def _order(self) -> np.ndarray:
        """Persons by how much they push the difference the way it goes."""
        direction = -1.0 if self.difference < 0 else 1.0
        return np.argsort(-direction * self.contribution, kind="stable")

    def _turned(self) -> np.ndarray:
        """Units without which the difference is zero or has the other sign."""
        return ~(np.sign(self.difference) * self.without.difference > 0)

    def _changed(self) -> np.ndarray:
        """Units without which the interval leaves out zero where it included it, or the other way round."""
        clear = self.low > 0 or self.high < 0
        left = self.without
        return np.isfinite(left.low) & (((left.low > 0) | (left.high < 0)) != clear)

    def _verdict(self) -> str:
        turned, changed = int(self._turned().sum()), int(self._changed().sum())
        sign = (
            f"no single one of the {self.unit_name} turns it to zero"
            if turned == 0
            else f"it vanishes or turns round without {turned} of the {self.unit_name}"
        )
        if not changed:
            return sign
        clear = self.low > 0 or self.high < 0
        return (
            f"{sign}, but without {changed} of them the interval {'includes' if clear else 'no longer includes'} zero"
        )

    def _carriers(self, *, names: bool) -> str:
        if not np.isfinite(self.share).all():
            return "The groups do not differ, so nobody carries a difference."
        order = self._order()
        few = order[: min(5, order.size)]
        return (
            f"{self.persons[order[0]] if names else 'One person'} accounts for {self._share(order[:1])} of it, the "
            f"{few.size} persons who push it most for {self._share(few)}."
        )

    def _share(self, members: np.ndarray) -> str:
        return f"{wording.number(100 * float(self.share[members].sum()), 0)}%"

    def _number(self, value: float) -> str:
        if self.scale == "score":
            return wording.number(value)
        # Below half a percentage point one decimal says nothing.
        return wording.points(value, 1 if abs(self.difference) >= 0.005 else 3)

    def _size(self, value: float) -> str:
        return self._number(value) + (" percentage points" if self.scale == "probability" else "")

    def _interval(self) -> str:
        return wording.ci_text(self._number(self.low), self._number(self.high), self.level)


def cell_drivers(
    values: ArrayLike,
    group: ArrayLike,
    *,
    persons: ArrayLike | None = None,
    unit: ArrayLike | None = None,
    cell: tuple[str, str] = ("one state", "another"),
    group_names: tuple[str, str] = ("True", "False"),
    scale: str = "probability",
    level: float = 0.95,
    unit_name: str | None = None,
) -> CellDrivers:
    """Who carries a difference between two groups in one cell.

    A person on side s (+1 where the group is True, -1 elsewhere) contributes ``s (x_i - c) / n_s`` with c the middle of
    the two means; whatever c, contributions sum to ``mean_true - mean_false``. Each unit is left out exactly: means,
    linearised standard error over the remaining units and Welch's t are what a new computation would give.

    Args:
        values: the cell of each person, shape (persons,); NaN where a person has none.
        group: True or False (or 1 and 0) per person.
        persons: labels (pseudonyms); 1, 2, ... by default.
        unit: label per person of what is left out as a whole (family); None: persons.
        cell: names of the states, (from, into).
        group_names: what True and False are called.
        scale: "probability" (percentage points in sentences) or "score".
        level: of the intervals.
        unit_name: plural for sentences; "persons" without `unit`, else "units".

    Raises:
        DataError: E110 infinite values, E111 nothing but missing values or a missing group, E112 missing labels, E113 a
            person twice, E115 the same value for everybody, E124 a group with fewer than two units, E127 lengths.
        ConfigError: E302 an unknown scale or a level out of range.
    """
    if scale not in ("probability", "score") or not 0 < level < 1:
        wrong = "level" if scale in ("probability", "score") else "scale"
        raise ConfigError(f"{wrong} is out of range", code="E302", column=wrong, remedy="probability or score; .95")
    x = np.asarray(values, dtype=np.float64)
    side, labels, unit_labels, present = _checked(x, group, persons, unit)
    x, side = x[present], side[present]
    unit_codes, unit_levels = factorise(unit_labels[present], x.size, "unit", missing_code="E112")
    name = make_units(None if unit is None else unit_labels[present], x.size, unit_name).name
    per_side = [int(np.unique(unit_codes[on]).size) for on in (side, ~side)]
    if min(per_side) < 2:
        raise DataError(
            f"a group has fewer than two {name} with a value in this cell: nobody can be left out",
            code="E124",
            column="group",
            remedy="Compare groups with at least two",
        )
    whole, without = leave_out_units(x, side, unit_codes, level)
    difference = float(whole.difference[0])
    mean_true, mean_false = float(x[side].mean()), float(x[~side].mean())
    middle = (mean_true + mean_false) / 2
    contribution = np.where(side, (x - middle) / side.sum(), -(x - middle) / (~side).sum())
    zero = abs(difference) <= 1e-12 * max(1.0, float(np.abs(x).max()))
    return CellDrivers(
        cell=cell,
        group_names=group_names,
        scale=scale,
        difference=difference,
        low=float(whole.low[0]),
        high=float(whole.high[0]),
        pvalue=float(whole.pvalue[0]),
        mean_true=mean_true,
        mean_false=mean_false,
        persons=tuple(labels[present].tolist()),
        value=read_only(x),
        group=read_only(side, dtype=bool),
        unit=tuple(unit_labels[present].tolist()),
        contribution=read_only(contribution),
        share=read_only(np.full(x.size, np.nan) if zero else contribution / difference),
        units=unit_levels,
        without=without,
        unit_name=name,
        level=level,
        n_left_out=int((~present).sum()),
        notes=_notes(int((~present).sum()), min(per_side), name),
    )


def _checked(
    x: np.ndarray, group: ArrayLike, persons: ArrayLike | None, unit: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Group, person and unit labels, and who has a value."""
    check_length(x, x.size, "values")
    side = boolean_group(group, x.size)
    labels = np.arange(1, x.size + 1).astype(object) if persons is None else np.asarray(persons, dtype=object)
    factorise(labels, x.size, "person", missing_code="E112")
    if len(set(labels.tolist())) != x.size:
        raise DataError("a person appears twice", code="E113", column="person", remedy="Give one value per person")
    units = labels if unit is None else np.asarray(unit, dtype=object)
    factorise(units, x.size, "unit", missing_code="E112")
    infinite = np.flatnonzero(np.isinf(x))
    if infinite.size:
        rows = (infinite + 1).tolist()
        raise DataError(
            "values are infinite", code="E110", column="values", rows=rows, remedy="Leave these persons out"
        )
    present = np.isfinite(x)
    if not present.any():
        raise DataError(
            "no person has a value in this cell", code="E111", column="values", remedy="Choose another cell"
        )
    if np.ptp(x[present]) == 0:
        raise DataError(
            "the cell is the same for every person (such as a transition that cannot occur)",
            code="E115",
            column="values",
            remedy="Choose another cell",
        )
    return side, labels, units, present


def _notes(left_out: int, fewest: int, unit_name: str) -> tuple[str, ...]:
    notes: list[str] = []
    if left_out:
        notes.append(f"{left_out} persons never were in the first state and have no value here; they are left out.")
    if fewest < FEW_UNITS:
        notes.append(f"The smaller group has {fewest} {unit_name}, so that each of them carries much of its mean.")
    return tuple(notes)
