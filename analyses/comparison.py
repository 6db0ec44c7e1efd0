"""Is one model better than another for the same persons? Paired differences with a cluster bootstrap."""

# pyright: strict
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from analyses import wording
from analyses.bootstrap import bootstrap_contrast
from analyses.resampling import check_length, make_units
from toolkit.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairedResult:
    """Outcome of `paired_bootstrap`.

    Attributes:
        difference: mean of a - b over persons, in the metric's units; low and high its interval.
        pvalue: inverts the interval; NaN when all differences are equal.
        mean_a, mean_b: means over the persons used.
        n: persons used. n_excluded: persons without a value in a or b. n_units: units resampled.
        method: "percentile", "bca", "bootstrap-t" or "symmetric-t", as used. notes: sentences for the reader.
    """

    difference: float
    low: float
    high: float
    pvalue: float
    mean_a: float
    mean_b: float
    n: int
    n_excluded: int
    n_units: int
    unit_name: str
    method: str
    resamples: int
    level: float
    notes: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row with the numbers."""
        import pandas as pd

        return pd.DataFrame([{name: value for name, value in self.summary().items() if name != "notes"}])

    def summary(self) -> dict[str, Any]:
        """The numbers as plain Python values."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "notes"} | {"notes": list(self.notes)}

    def text(self, first: str = "the first model", second: str = "the second", metric: str = "score") -> str:
        """What was found, in plain words and with its uncertainty."""
        verb = "is" if self.n_excluded == 1 else "are"
        without = f"{wording.persons(self.n_excluded)} without a value in one of them {verb} left out"
        excluded = f" ({without})" if self.n_excluded else ""
        if math.isnan(self.pvalue):
            return (
                f"For each of {wording.persons(self.n)}{excluded}, the {metric} of {first} minus that of {second} is "
                f"{wording.number(self.difference)}, so there is nothing to test."
            )
        clear = "clearly " if self.low > 0 or self.high < 0 else "not clearly "
        direction = "higher" if self.difference >= 0 else "lower"
        means = f"{wording.number(self.mean_a)} against {wording.number(self.mean_b)}"
        return (
            f"Over {wording.persons(self.n)}{excluded}, the mean {metric} of {first} was {clear}{direction} than that "
            f"of {second}: {means}, difference {self._numbers()}."
        )

    def apa(self, first: str = "the first model", second: str = "the second", metric: str = "score") -> str:
        """The same as a sentence for the results section."""
        if math.isnan(self.pvalue):
            return (
                f"The {metric} of {first} minus that of {second} was {wording.number(self.difference)} for every "
                f"person, N = {self.n}; no test was possible."
            )
        return f"The mean {metric} of {first} minus that of {second} was {self._numbers()}, N = {self.n}."

    def _numbers(self) -> str:
        interval = wording.ci_text(wording.number(self.low), wording.number(self.high), self.level)
        how = f"{wording.METHODS[self.method]}, {wording.thousands(self.resamples)} resamples of {self.unit_name}"
        return f"{wording.number(self.difference)}, {interval} ({how}), {wording.p_text(self.pvalue)}"


def paired_bootstrap(
    a: ArrayLike,
    b: ArrayLike,
    *,
    unit: ArrayLike | None = None,
    resamples: int = 10_000,
    method: str = "auto",
    level: float = 0.95,
    rng: np.random.Generator,
    unit_name: str | None = None,
) -> PairedResult:
    """Mean difference ``a - b`` of a per-person metric between two models, with an interval over whole units.

    Args:
        a: metric per person under the first model, shape (persons,); NaN where undefined.
        b: the same persons under the second model.
        unit: label per person of what is resampled as a whole (family); None: persons.
        resamples: at least 99.
        method: "percentile", "bca", "bootstrap-t", "symmetric-t" or "auto": bootstrap-t.
        level: of the interval.
        rng: source of the resamples.
        unit_name: plural for sentences; "persons" without `unit`, else "units".

    Returns:
        The difference; persons with NaN in either are excluded, and counted.

    Raises:
        DataError: E110 infinite values, E124 fewer than two units with both values, E127 lengths that differ.
        ConfigError: E125 too few resamples, E302 an option out of range.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    check_length(first, first.size, "a")
    check_length(second, first.size, "b")
    if np.isinf(first).any() or np.isinf(second).any():
        raise DataError(
            "a metric is infinite", code="E110", rows=(np.flatnonzero(np.isinf(first) | np.isinf(second)) + 1).tolist()
        )
    units = make_units(unit, first.size, unit_name)
    both = ~np.isnan(first - second)
    kept = make_units(None if units.alone else units.codes[both], int(both.sum()), units.name)
    if kept.n_units < 2:
        raise DataError(
            f"fewer than two {units.name} have a value under both models",
            code="E124",
            remedy="Compare models on the same persons",
        )
    values = (first - second)[both][:, None]
    result = bootstrap_contrast(values, None, kept, resamples=resamples, method=method, level=level, rng=rng)
    return PairedResult(
        difference=float(result.point[0]),
        low=float(result.intervals.low[0]),
        high=float(result.intervals.high[0]),
        pvalue=float(result.intervals.pvalue[0]),
        mean_a=float(first[both].mean()),
        mean_b=float(second[both].mean()),
        n=int(both.sum()),
        n_excluded=int((~both).sum()),
        n_units=kept.n_units,
        unit_name=units.name,
        method=result.method,
        resamples=resamples,
        level=level,
        notes=result.notes,
    )
