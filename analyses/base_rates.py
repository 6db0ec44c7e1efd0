"""Do the groups differ in how often each state occurs, leaving aside how one state follows another?"""

# pyright: strict, reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from analyses import wording
from analyses.rao_scott import RaoScott, cramers_v_interval, rao_scott
from analyses.resampling import (
    BLOCK_CELLS,
    Units,
    check_draws,
    factorise,
    make_units,
    permutation_blocks,
    permutation_pvalue,
    unit_values,
)
from toolkit.errors import DataError
from toolkit.results import read_only

if TYPE_CHECKING:
    import pandas as pd

FEW_UNITS = 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BaseRateResult:
    """Outcome of `base_rate_test`.

    Attributes:
        statistic: Pearson's chi-squared. df: its degrees of freedom.
        cramers_v: effect size in [0, 1]. cramers_v_corrected: the same less what chance alone gives.
        v_low, v_high: interval of Cramér's V that knows who observations belong to. level: of it.
        rao_scott: chi-squared corrected for clustering, see `RaoScott`; its `pvalue_second` needs no permutation.
        pvalue: from permuting the label over whole persons (or units); pvalue_low, pvalue_high: Monte Carlo interval.
        pvalue_naive: from the chi-squared distribution, as if every observation were independent; often too small.
        counts: observations, shape (groups, states). groups, states: their labels.
        n: observations used. n_excluded: those without a state.
        n_persons: persons. n_units: units permuted.
        notes: sentences for the reader.
    """

    statistic: float
    df: int
    cramers_v: float
    cramers_v_corrected: float
    v_low: float
    v_high: float
    level: float
    rao_scott: RaoScott
    pvalue: float
    pvalue_low: float
    pvalue_high: float
    pvalue_naive: float
    counts: np.ndarray
    groups: tuple[Any, ...]
    states: tuple[Any, ...]
    n: int
    n_excluded: int
    n_persons: int
    n_units: int
    unit_name: str
    permutations: int
    notes: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row per group and state: count, and share within the group."""
        import pandas as pd

        share = self.counts / self.counts.sum(axis=1, keepdims=True)
        return pd.DataFrame(
            {
                "group": np.repeat(np.array(self.groups, dtype=object), len(self.states)),
                "state": np.tile(np.array(self.states, dtype=object), len(self.groups)),
                "count": self.counts.ravel(),
                "share": share.ravel(),
            }
        )

    def summary(self) -> dict[str, Any]:
        """The numbers as plain Python values."""
        arrays = {"counts", "groups", "states", "notes", "rao_scott"}
        plain = {name: getattr(self, name) for name in self.__slots__ if name not in arrays}
        labels = {"groups": [str(g) for g in self.groups], "states": [str(s) for s in self.states]}
        corrected = {"rao_scott": self.rao_scott.summary()}
        return plain | labels | corrected | {"counts": self.counts.tolist(), "notes": list(self.notes)}

    def text(self) -> str:
        """What was found, in plain words, the honest p first."""
        found = "differ between groups" if self.pvalue < 0.05 else "do not differ detectably between groups"
        return (
            f"How often the states occur: they {found} when the labels are shuffled over whole {self.unit_name}, "
            f"{wording.p_text(self.pvalue)} ({wording.thousands(self.permutations)} permutations; "
            f"{wording.monte_carlo_text(self.pvalue_low, self.pvalue_high)}), Cramér's V = "
            f"{wording.bounded(self.cramers_v)}, {self._interval()}. Correcting the chi-squared test instead "
            f"(Rao-Scott) gives {wording.p_text(self.rao_scott.pvalue_second)}: chance alone makes the statistic "
            f"{wording.number(self.rao_scott.design_effect, 1)} times as large here as among independent observations. "
            f"Taking every observation as independent would give {wording.p_text(self.pvalue_naive)}, which ignores "
            "that observations of one person belong together."
        )

    def apa(self) -> str:
        """The same as a sentence for the results section; the first p is the naive one."""
        return (
            f"{self.statistic_text()} (observations taken as independent); permuting the label over whole "
            f"{self.unit_name}, {wording.p_text(self.pvalue)} ({wording.thousands(self.permutations)} permutations); "
            f"{self.rao_scott_text()}; Cramér's V = {wording.bounded(self.cramers_v)}, {self._interval()} (over "
            f"{self.unit_name})."
        )

    def rao_scott_text(self) -> str:
        """The corrected test alone: ``Rao-Scott F(2.8, 104.3) = 3.12, p = .032``."""
        first, second = (wording.number(df, 1) for df in self.rao_scott.df_second)
        value, p = wording.number(self.rao_scott.f_second), wording.p_text(self.rao_scott.pvalue_second)
        return f"Rao-Scott F({first}, {second}) = {value}, {p}"

    def _interval(self) -> str:
        return wording.ci_text(wording.bounded(self.v_low), wording.bounded(self.v_high), self.level)

    def statistic_text(self) -> str:
        """The usual test alone, observations taken as independent: ``χ²(3, N = 8946) = 61.0, p < .001``."""
        return f"χ²({self.df}, N = {self.n}) = {wording.number(self.statistic, 1)}, {wording.p_text(self.pvalue_naive)}"


def base_rate_test(
    states: ArrayLike,
    group: ArrayLike,
    *,
    person: ArrayLike,
    unit: ArrayLike | None = None,
    permutations: int = 9_999,
    level: float = 0.95,
    rng: np.random.Generator,
    states_order: Sequence[Any] | None = None,
    unit_name: str | None = None,
) -> BaseRateResult:
    """Pearson's chi-squared for states by group, with a p-value that knows who the observations belong to.

    ``chi2 = sum (observed - expected)^2 / expected``; V = ``sqrt(chi2 / (N (min(groups, states) - 1)))``.
    The p of the chi-squared distribution takes every observation as independent; the permutation p shuffles the group
    label over whole persons, or units, and compares the same statistic. Rao and Scott's correction (see
    `analyses.rao_scott`) divides it by its design effects instead; V has an interval that holds under clustering. Error
    rates and coverage are simulated in benchmarks/calibration/base_rates_tests.py and base_rates_intervals.py.

    Args:
        states: label per observation, shape (rows,); missing ones are left out, and counted.
        group: group label per observation; the same for all observations of a person.
        person: person of each observation.
        unit: family (clinic, ...) of each observation; the label is then permuted over whole units.
        permutations: at least 99.
        level: of the interval of Cramér's V.
        rng: source of the permutations and of the interval's draws.
        states_order: order of the states in the table; sorted by default.
        unit_name: plural for sentences; "persons" without `unit`, else "units".

    Raises:
        DataError: E111/E112 missing group, person or unit, E120 a state not in `states_order`, E121 one state only,
            E123 a person in two groups, E124 fewer than two groups or a group with fewer than two units, E126 a unit in
            two groups, E127 lengths that differ.
        ConfigError: E125 too few permutations, E302 a level out of range.
    """
    check_draws(permutations, "permutations")
    present = _present(states)
    n = int(present.sum())
    state_codes, levels = _state_codes(np.asarray(states, dtype=object)[present], states_order)
    persons = make_units(_subset(person, present), n, "persons")
    group_codes, groups = factorise(_subset(group, present), n, "group")
    _check_one_group(group_codes, persons)
    units = persons if unit is None else make_units(_subset(unit, present), n, unit_name or "units")
    label = unit_values(group_codes, units, "group")
    if len(groups) < 2 or np.bincount(label).min() < 2:
        raise DataError(
            f"a comparison needs at least two groups with at least two {units.name} each", code="E124", column="group"
        )
    one_hot = np.zeros((n, len(levels)))
    one_hot[np.arange(n), state_codes] = 1.0
    by_unit = units.sums(one_hot)
    counts = np.stack([by_unit[label == g].sum(axis=0) for g in range(len(groups))])
    observed = float(_chi_squared(counts[None])[0])
    blocks = permutation_blocks(label, None, permutations, rng, max(1, BLOCK_CELLS // label.size))
    null = np.concatenate([_chi_squared(_tables(block, by_unit, len(groups))) for block in blocks])
    pvalue, low, high = permutation_pvalue(observed, null, 1e-9 * observed + 1e-12)
    from scipy.stats import chi2

    df = (len(groups) - 1) * (len(levels) - 1)
    corrected = rao_scott(by_unit, label)
    v_low, v_high = cramers_v_interval(by_unit, label, level=level, rng=rng)
    return BaseRateResult(
        statistic=observed,
        df=df,
        cramers_v=corrected.cramers_v,
        cramers_v_corrected=corrected.cramers_v_corrected,
        v_low=v_low,
        v_high=v_high,
        level=level,
        rao_scott=corrected,
        pvalue=pvalue,
        pvalue_low=low,
        pvalue_high=high,
        pvalue_naive=float(chi2.sf(observed, df)),
        counts=read_only(counts, dtype=np.int64),
        groups=groups,
        states=levels,
        n=n,
        n_excluded=int((~present).sum()),
        n_persons=persons.n_units,
        n_units=units.n_units,
        unit_name=units.name,
        permutations=permutations,
        notes=_notes(label, units.name, corrected, v_low),
    )


def _notes(label: np.ndarray, unit_name: str, corrected: RaoScott, v_low: float) -> tuple[str, ...]:
    """What the reader should know about the tests."""
    notes: list[str] = []
    fewest = int(np.bincount(label).min())
    if fewest < FEW_UNITS:
        notes.append(
            f"The smallest group has {fewest} {unit_name}; with so few, the permutation p is the one to trust, and the "
            "interval of Cramér's V is approximate."
        )
    if v_low == 0:
        notes.append("The interval of Cramér's V reaches 0; near 0 it holds a little more often than it says.")
    if np.isnan(corrected.pvalue_second):
        notes.append(f"The {unit_name} of a group do not differ at all, so there is nothing to correct the test by.")
    return tuple(notes)


def _present(states: ArrayLike) -> np.ndarray:
    import pandas as pd

    return ~np.asarray(pd.isna(np.asarray(states, dtype=object)))


def _subset(labels: ArrayLike, present: np.ndarray) -> np.ndarray:
    values = np.asarray(labels, dtype=object)
    return values[present] if values.shape == present.shape else values


def _state_codes(states: np.ndarray, order: Sequence[Any] | None) -> tuple[np.ndarray, tuple[Any, ...]]:
    """Codes of the states that occur, in the order asked for."""
    codes, levels = factorise(states, states.size, "state")
    if order is not None:
        if not set(levels) <= set(order):
            raise DataError("a state is not listed in states_order", code="E120", column="states")
        kept = [s for s in order if s in set(levels)]
        codes = np.array([kept.index(level) for level in levels], dtype=np.int64)[codes]
        levels = tuple(kept)
    if len(levels) < 2:
        raise DataError("one state only occurs; there is nothing to compare", code="E121", column="states")
    return codes, levels


def _check_one_group(group_codes: np.ndarray, persons: Units) -> None:
    first = np.zeros(persons.n_units, dtype=np.int64)
    first[persons.codes[::-1]] = group_codes[::-1]
    differing = np.flatnonzero(first[persons.codes] != group_codes)
    if differing.size:
        raise DataError(
            "a person appears in two groups",
            code="E123",
            column="group",
            rows=(differing + 1).tolist(),
            remedy="Give every person one group label",
        )


def _tables(labels: np.ndarray, by_unit: np.ndarray, n_groups: int) -> Float[np.ndarray, "permutations groups states"]:
    return np.stack([(labels == g).astype(np.float64) @ by_unit for g in range(n_groups)], axis=1)


def _chi_squared(tables: Float[np.ndarray, "permutations groups states"]) -> Float[np.ndarray, " permutations"]:
    rows, columns = tables.sum(axis=2, keepdims=True), tables.sum(axis=1, keepdims=True)
    expected = rows * columns / rows.sum(axis=1, keepdims=True)
    return ((tables - expected) ** 2 / expected).sum(axis=(1, 2))
