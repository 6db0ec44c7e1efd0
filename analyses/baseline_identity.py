"""Is the correlation of bias with baseline about who a person is? Baselines dealt to other persons at random."""

# pyright: strict, reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from dataclasses import dataclass
from math import lgamma, log
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from analyses import wording
from analyses.correlation import check_enough, check_kind, checked_pair, correlate, scores
from analyses.resampling import (
    BLOCK_CELLS,
    Units,
    check_draws,
    make_units,
    permutation_blocks,
    permutation_pvalue,
)
from toolkit.errors import DataError
from toolkit.results import read_only

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IdentityResult:
    """Outcome of `permuted_identity`.

    Attributes:
        r: the correlation with every person's own baseline. correlation: which one.
        low, high: the middle 95 % of the correlations with baselines dealt at random.
        pvalue: how often a random deal correlates as strongly, in either direction; pvalue_low, pvalue_high: Monte
            Carlo interval. null: the correlations, shape (permutations,).
        n: persons. n_units: units. n_fixed: persons in units that nobody shares the size of, who keep their own.
        notes: sentences for the reader.
    """

    r: float
    correlation: str
    low: float
    high: float
    pvalue: float
    pvalue_low: float
    pvalue_high: float
    null: np.ndarray
    n: int
    n_units: int
    n_fixed: int
    unit_name: str
    permutations: int
    notes: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row with the numbers."""
        import pandas as pd

        return pd.DataFrame([{name: value for name, value in self.summary().items() if name != "notes"}])

    def summary(self) -> dict[str, Any]:
        """The numbers as plain Python values, without the null distribution."""
        left_out = {"null", "notes"}
        return {name: getattr(self, name) for name in self.__slots__ if name not in left_out} | {
            "notes": list(self.notes)
        }

    def text(self) -> str:
        """What was found, in plain words."""
        inside = self.low <= self.r <= self.high
        return (
            f"With baseline levels dealt to other {self.unit_name} at random, the correlation lies between "
            f"{wording.bounded(self.low)} and {wording.bounded(self.high)} in 95% of {self._count()} shuffles; with "
            f"everyone's own it is {wording.bounded(self.r)}, {'within' if inside else 'outside'} that range, "
            f"{wording.p_text(self.pvalue)}."
        )

    def apa(self) -> str:
        """The same as a sentence for the results section."""
        return (
            f"Permuting baseline levels over whole {self.unit_name} gave correlations between "
            f"{wording.bounded(self.low)} and {wording.bounded(self.high)} (middle 95%, {self._count()} permutations), "
            f"against r = {wording.bounded(self.r)} observed, {wording.p_text(self.pvalue)} (two-sided)."
        )

    def _count(self) -> str:
        return wording.thousands(self.permutations)


def permuted_identity(
    bias: ArrayLike,
    baseline: ArrayLike,
    *,
    unit: ArrayLike | None = None,
    correlation: str = "pearson",
    permutations: int = 9_999,
    rng: np.random.Generator,
    unit_name: str | None = None,
) -> IdentityResult:
    """Permutation distribution of the correlation when the baselines carry no link to the persons.

    Whole units change places, each with one of the same number of persons, so that persons of a family stay together
    and no assumption about families is made; ``p = (b + 1) / (B + 1)`` counts ``|r*| >= |r|``. This control says
    whether identity matters, not whether the link is more than arithmetic: a baseline from the rows that the bias was
    fitted to passes it whatever the model does. For that, give the baseline from held-out rows.

    Args:
        bias: estimate per person, shape (persons,).
        baseline: level per person, shape (persons,).
        unit: label per person of what stays together (family); None: persons. Persons of a unit are matched in the
            order of the rows.
        correlation: "pearson", "spearman" or "bend".
        permutations: at least 99.
        rng: source of the permutations.
        unit_name: plural for sentences.

    Raises:
        DataError: E110/E111, E115, E116, E127 as `bias_baseline`; E124 when no two units have the same size.
        ConfigError: E125 too few permutations, E302 an unknown correlation.
    """
    check_draws(permutations, "permutations")
    check_kind(correlation)
    x, y = checked_pair(bias, baseline, ("bias", "baseline"))
    units = make_units(unit, x.size, unit_name)
    check_enough(units.n_units, units.name)
    r = correlate(x, y, correlation)
    null, sizes = _null(x, y, units, correlation, permutations, rng)
    pvalue, low, high = permutation_pvalue(abs(r), np.abs(null), 1e-9)
    middle = np.quantile(null, [0.025, 0.975])
    counts = np.bincount(sizes)
    n_fixed = int(np.sum(np.flatnonzero(counts == 1)))
    return IdentityResult(
        r=r,
        correlation=correlation,
        low=float(middle[0]),
        high=float(middle[1]),
        pvalue=pvalue,
        pvalue_low=low,
        pvalue_high=high,
        null=read_only(null),
        n=x.size,
        n_units=units.n_units,
        n_fixed=n_fixed,
        unit_name=units.name,
        permutations=permutations,
        notes=_notes(counts, n_fixed, units.name),
    )


def _null(
    x: np.ndarray, y: np.ndarray, units: Units, kind: str, permutations: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Correlations under permutations of whole units within their size, and the units' sizes."""
    sizes = np.bincount(units.codes, minlength=units.n_units)
    if np.unique(sizes).size == sizes.size:
        raise DataError(
            f"all {units.name} differ in their number of persons, so none can change places",
            code="E124",
            column="unit",
            remedy="Leave out unit, or leave out persons so that some units have the same size",
        )
    a, b = scores(x[None], kind)[0], scores(y[None], kind)[0]
    scale = np.sqrt(np.dot(a, a) * np.dot(b, b))
    order = np.argsort(units.codes, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    # The rows of the unit that takes a unit's place, in the place of its own rows.
    place = np.arange(x.size) - np.repeat(starts, sizes)
    owner = np.repeat(np.arange(units.n_units), sizes)
    ordered_a, ordered_b = a[order], b[order]
    step = max(1, 10 * BLOCK_CELLS // x.size)
    blocks = permutation_blocks(np.arange(units.n_units), sizes, permutations, rng, step)
    drawn = [ordered_b[starts[block[:, owner]] + place] @ ordered_a for block in blocks]
    return np.concatenate(drawn) / scale, sizes


def _notes(counts: np.ndarray, n_fixed: int, unit_name: str) -> tuple[str, ...]:
    notes: list[str] = []
    if n_fixed:
        notes.append(
            f"{n_fixed} persons belong to {unit_name} of a size that no other has; they keep their own baseline in "
            "every shuffle, which makes the control less sharp."
        )
    if sum(lgamma(count + 1) for count in counts[1:].tolist()) < log(40):
        notes.append(f"So few arrangements of the {unit_name} exist that p cannot fall below .05 on both sides.")
    return tuple(notes)
