"""How far does a person's bias rise with the baseline level, once the pull of shrinkage is taken out?

Shrunken estimates are not data: a person's effect is estimated as ``bias_i = lambda_i d_i``, with
``d_i = theta_i + e_i`` what the person's own rows say and lambda_i the reliability. So ``E[bias_i | baseline_i] =
lambda_i (alpha + beta baseline_i)``, and a regression of the shrunken estimates on the baseline finds about
``mean(lambda) beta`` instead of beta. Weighted least squares of ``d_i = bias_i / lambda_i`` with weights lambda_i,
which are proportional to ``1 / Var(d_i)``, finds beta:

    beta_hat = sum_i (b_i - b_bar) bias_i / sum_i lambda_i (b_i - b_bar)^2,   b_bar = sum lambda_i b_i / sum lambda_i

given the baselines exactly unbiased, as long as e_i is unrelated to b_i. That holds for a baseline from other rows
(held-out), not for one from the rows that the bias was fitted to. A held-out baseline is itself measured with error
s_i, which flattens the slope again; with `baseline_error` the denominator is reduced by what errors alone add to it,
``sum_i lambda_i s_i^2 (1 - lambda_i / sum lambda)`` (Fuller, 1987, Measurement error models, ch. 3).

On what regressions of shrunken estimates get wrong: Hadfield, Wilson, Garant, Sheldon & Kruuk (2010), American
Naturalist 175, 116-125; Houslay & Wilson (2017), Behavioral Ecology 28, 948-952.
"""

# pyright: strict, reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from analyses import wording
from analyses.correlation import check_enough, checked_pair, jackknife_interval
from analyses.intervals import WARN_BELOW
from analyses.resampling import Units, check_finite, check_length, make_units
from toolkit.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pandas as pd

LOW_RELIABILITY = 0.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SlopeResult:
    """Outcome of `corrected_slope`.

    Attributes:
        slope: change of the bias per unit of baseline, corrected for shrinkage. intercept: bias at baseline zero.
        low, high, pvalue: leaving out whole units one at a time, with t of the effective number of units less two.
        slope_shrunken: least squares of the shrunken estimates, for comparison.
        reliability: mean reliability of the biases. baseline_reliability: share of the baseline's spread that is not
            error; 1 when no errors were given.
        n: persons. n_units: units. notes: sentences for the reader.
    """

    slope: float
    intercept: float
    low: float
    high: float
    pvalue: float
    error: float
    slope_shrunken: float
    reliability: float
    baseline_reliability: float
    n: int
    n_units: int
    unit_name: str
    level: float
    notes: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row with the numbers."""
        import pandas as pd

        return pd.DataFrame([{name: value for name, value in self.summary().items() if name != "notes"}])

    def summary(self) -> dict[str, Any]:
        """The numbers as plain Python values."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "notes"} | {"notes": list(self.notes)}

    def text(self, bias: str = "the person-specific bias", baseline: str = "the baseline level") -> str:
        """What was found, in plain words, beside what the shrunken estimates alone would say."""
        direction = "higher" if self.slope >= 0 else "lower"
        clear = self.low > 0 or self.high < 0
        unclear = "" if clear else "; the interval includes no change at all"
        return (
            f"For each unit that {baseline} is higher, {bias} is {self.number(abs(self.slope))} {direction}, "
            f"{self.interval()}{unclear} (leaving out {self.unit_name} one at a time). The model pulls biases towards "
            f"the average; without correcting for that the slope would be {self.number(self.slope_shrunken)}."
        )

    def apa(self) -> str:
        """The same as a sentence for the results section."""
        errors = " and for error in the baseline" if self.baseline_reliability < 1 else ""
        return (
            f"The slope of person-specific bias on baseline, corrected for shrinkage{errors}, was b = "
            f"{self.number(self.slope)}, {self.interval()}, {wording.p_text(self.pvalue)} (reliability-weighted "
            f"least squares, jackknife over {self.n_units} {self.unit_name})."
        )

    def interval(self) -> str:
        """The interval with its level, as text."""
        return wording.ci_text(self.number(self.low), self.number(self.high), self.level)

    def number(self, value: float) -> str:
        """A slope with two significant digits or two decimals, whichever says more."""
        size = max(abs(self.slope), abs(self.high - self.low) / 2)
        return wording.number(value, max(2, 1 - math.floor(math.log10(size)) if size > 0 else 2))


def corrected_slope(
    bias: ArrayLike,
    baseline: ArrayLike,
    *,
    reliability: ArrayLike,
    baseline_error: ArrayLike | None = None,
    unit: ArrayLike | None = None,
    level: float = 0.95,
    unit_name: str | None = None,
) -> SlopeResult:
    """Slope of the persons' biases on their baseline levels, corrected for shrinkage (see the head of this file).

    Coverage is simulated in benchmarks/calibration/baseline_intervals.py: 93.5 to 96.5 % from 10 persons on, normal or
    skewed. t has ``(sum_u n_u)^2 / sum_u n_u^2 - 2`` degrees of freedom, n_u being the persons of a unit: units of
    unequal size count as fewer than they are (Carter, Schnepel & Steigerwald, 2017, Review of Economics and Statistics
    99, 698-709). With 20 families of one to four persons alike at .8 the test still rejects in 6 to 7 % of studies.

    Args:
        bias: shrunken estimate per person (posterior mean, deviation from the average), shape (persons,).
        baseline: level per person, preferably from rows that the bias was not fitted to, shape (persons,).
        reliability: ``1 - Var(theta_i | data) / Var(theta)`` per person, between 0 and 1.
        baseline_error: standard error of each person's baseline; corrects for it when given.
        unit: label per person of what is left out as a whole (family); None: persons.
        level: of the interval.
        unit_name: plural for sentences.

    Raises:
        DataError: E110/E111 infinite or missing values, E115 a constant side, no reliability at all, or a baseline that
            is nothing but error, E116 fewer than four persons or units, E127 lengths, E302 a reliability or an error
            out of range.
        ConfigError: E302 a level out of range.
    """
    x, y = checked_pair(baseline, bias, ("baseline", "bias"))
    weight = _checked_reliability(reliability, x.size)
    error = _checked_error(baseline_error, x.size)
    if not 0 < level < 1:
        raise ConfigError("level lies outside 0 and 1", code="E302", column="level", remedy="Use .95 for 95% intervals")
    units = make_units(unit, x.size, unit_name)
    check_enough(units.n_units, units.name)
    centre = float(x.mean())
    b = x - centre
    columns = np.stack([weight, weight * b, weight * b * b, y, b * y, weight * error**2, (weight * error) ** 2], axis=1)
    by_unit = units.sums(columns)
    total = by_unit.sum(axis=0)
    slope, signal, spread = _slope(total[None])
    without, signal_without, _ = _slope(total - by_unit)
    if not (signal[0] > 0 and np.all(signal_without > 0)):
        raise DataError(
            "the baseline's errors are as large as its differences between persons, so no slope can be told",
            code="E115",
            column="baseline",
            remedy="Take the baseline from more rows, or leave out baseline_error",
        )
    sizes = units.sums(np.ones((x.size, 1))).ravel()
    df = max(float(sizes.sum() ** 2 / (sizes**2).sum()) - 2.0, 1.0)
    found = jackknife_interval(float(slope[0]), without, level, df=df)
    mean_weight = float(weight.mean())
    return SlopeResult(
        slope=float(slope[0]),
        intercept=float((total[3] - slope[0] * total[1]) / total[0] - slope[0] * centre),
        low=found.low,
        high=found.high,
        pvalue=found.pvalue,
        error=found.error,
        slope_shrunken=float(np.sum(b * y) / np.sum(b * b)),
        reliability=mean_weight,
        baseline_reliability=float(signal[0] / spread[0]),
        n=x.size,
        n_units=units.n_units,
        unit_name=units.name,
        level=level,
        notes=_notes(units, mean_weight, float(signal[0] / spread[0])),
    )


def _slope(sums: Float[np.ndarray, "rows 7"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slope, the baseline's spread less what errors add to it, and its whole spread, for every row of sums."""
    w, wb, wbb, y, by, ws, wws = sums.T
    spread = wbb - wb**2 / w
    signal = spread - ws + wws / w
    usable = signal > 1e-12 * np.abs(spread)
    return (by - wb * y / w) / np.where(usable, signal, np.nan), np.where(usable, signal, 0.0), spread


def _checked_reliability(reliability: ArrayLike, n: int) -> Float[np.ndarray, " n"]:
    weight = np.asarray(reliability, dtype=np.float64)
    check_length(weight, n, "reliability")
    check_finite(weight, "reliability")
    outside = np.flatnonzero((weight < 0) | (weight > 1))
    if outside.size:
        raise DataError(
            "a reliability lies outside 0 and 1",
            code="E302",
            column="reliability",
            rows=(outside + 1).tolist(),
            remedy="Use 1 minus the posterior variance over the variance between persons",
        )
    if np.count_nonzero(weight > 1e-6) < 4:
        raise DataError(
            "fewer than four persons have an effect with any reliability: the model found no differences to regress",
            code="E115",
            column="reliability",
            remedy="Choose another person effect, or see the model's status",
        )
    return weight


def _checked_error(error: ArrayLike | None, n: int) -> Float[np.ndarray, " n"]:
    if error is None:
        return np.zeros(n)
    values = np.asarray(error, dtype=np.float64)
    check_length(values, n, "baseline_error")
    check_finite(values, "baseline_error")
    if (values < 0).any():
        rows = (np.flatnonzero(values < 0) + 1).tolist()
        raise DataError(
            "a standard error is negative", code="E302", column="baseline_error", rows=rows, remedy="Use 0 or more"
        )
    return values


def _notes(units: Units, reliability: float, baseline_reliability: float) -> tuple[str, ...]:
    notes: list[str] = []
    if units.n_units < WARN_BELOW:
        notes.append(
            f"The interval rests on {units.n_units} {units.name}; with strongly skewed levels and fewer than "
            f"{WARN_BELOW} it can be too short."
        )
    if reliability < LOW_RELIABILITY:
        notes.append(
            "The biases have almost no reliability: the model found next to no differences between persons here, and "
            "the corrected slope rests on what little there is."
        )
    if baseline_reliability < 0.5:
        notes.append("More than half of the baseline's spread is error, so that the corrected slope is uncertain.")
    return tuple(notes)
