"""Do person-specific biases follow the persons' baseline levels (NME, Fig. 4)? Pearson's r with intervals."""

# pyright: strict, reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from analyses import wording
from analyses.intervals import WARN_BELOW, choose_method, few_units_note, make_intervals, studentise_shift
from analyses.resampling import (
    Units,
    check_draws,
    check_finite,
    check_length,
    count_block_sizes,
    make_units,
    multinomial_counts,
)
from toolkit.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

MIN_PERSONS = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BaselineResult:
    """Outcome of `bias_baseline`.

    Attributes:
        r: Pearson's correlation over persons.
        low, high, pvalue: Fisher's interval and the t test (pingouin) without `unit`; with it, those of the bootstrap.
        low_bootstrap, high_bootstrap, pvalue_bootstrap: from resampled persons, or whole units.
        n: persons. n_units: units resampled. by_unit: whether a unit was given.
        method: "percentile" or "bootstrap-t", as used. notes: sentences for the reader.
    """

    r: float
    low: float
    high: float
    pvalue: float
    low_bootstrap: float
    high_bootstrap: float
    pvalue_bootstrap: float
    n: int
    n_units: int
    unit_name: str
    by_unit: bool
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

    def text(self, bias: str = "Person-specific bias", baseline: str = "baseline level") -> str:
        """What was found, in plain words and with both intervals.

        Args:
            bias: what the model's person parameter is called, at the start of the sentence.
            baseline: what it is compared with.
        """
        clear = self.low > 0 or self.high < 0
        direction = "positively" if self.r > 0 else "negatively"
        found = f"were {direction} correlated" if clear else "were not clearly correlated"
        if self.by_unit:
            return f"{bias} and {baseline} {found}, {self._apa()} (interval and p by {self._how()})."
        interval = self._interval(self.low_bootstrap, self.high_bootstrap)
        return f"{bias} and {baseline} {found}, {self._apa()} ({self._how()}: {interval})."

    def apa(self, bias: str = "Person-specific bias", baseline: str = "baseline level") -> str:
        """The same as a sentence for the results section (arguments as in `text`)."""
        clear = self.low > 0 or self.high < 0
        direction = "positively" if self.r > 0 else "negatively"
        found = f"were {direction} correlated" if clear else "were not detectably correlated"
        return f"{bias} and {baseline} {found}, {self._apa()}{f' ({self._how()})' if self.by_unit else ''}."

    def statistic(self) -> str:
        """The numbers alone: ``r(36) = .91, 95% CI [.83, .95], p < .001``."""
        return self._apa()

    def _apa(self) -> str:
        r = wording.bounded(self.r)
        return f"r({self.n - 2}) = {r}, {self._interval(self.low, self.high)}, {wording.p_text(self.pvalue)}"

    def _interval(self, low: float, high: float) -> str:
        return wording.ci_text(wording.bounded(low), wording.bounded(high), self.level)

    def _how(self) -> str:
        return f"{self.method}, {wording.thousands(self.resamples)} resamples of {self.unit_name}"


def bias_baseline(
    bias: ArrayLike,
    baseline: ArrayLike,
    *,
    unit: ArrayLike | None = None,
    resamples: int = 10_000,
    method: str = "auto",
    level: float = 0.95,
    rng: np.random.Generator,
    unit_name: str | None = None,
) -> BaselineResult:
    """Pearson correlation of a person parameter with the persons' baseline level.

    Without `unit`, interval and p are Fisher's z and the t test of pingouin, with the person bootstrap beside them.
    With `unit` (families) those would treat relatives as independent: interval and p are then the cluster bootstrap's,
    on the scale of Fisher's z, p by inverting the interval.

    Args:
        bias: estimate per person, shape (persons,).
        baseline: mean of the target over the person's training rows, shape (persons,), in raw units.
        unit: label per person of what is resampled as a whole (family); None: persons.
        resamples: at least 99.
        method: of the bootstrap: "percentile", "bootstrap-t", or "auto": bootstrap-t below 40 units.
        level: of the intervals.
        rng: source of the resamples.
        unit_name: plural for sentences; "persons" without `unit`, else "units".

    Raises:
        DataError: E110/E111 infinite or missing values, E115 a constant side, E116 fewer than four persons or units,
            E127 lengths that differ.
        ConfigError: E125 too few resamples, E302 an option out of range.
    """
    check_draws(resamples, "resamples")
    x, y = _checked(bias, baseline)
    units = make_units(unit, x.size, unit_name)
    _check_enough(units.n_units, units.name)
    used = choose_method(method, level, units.n_units, units.name)
    r, low, high, pvalue = _fisher(x, y, level)
    ends = _bootstrap(x, y, r, units, resamples=resamples, method=used, level=level, rng=rng)
    low_bootstrap, high_bootstrap, p_bootstrap = ends
    by_unit = not units.alone
    notes = (_few(units.n_units, units.name),) if units.n_units < WARN_BELOW else ()
    return BaselineResult(
        r=r,
        low=low_bootstrap if by_unit else low,
        high=high_bootstrap if by_unit else high,
        pvalue=p_bootstrap if by_unit else pvalue,
        low_bootstrap=low_bootstrap,
        high_bootstrap=high_bootstrap,
        pvalue_bootstrap=p_bootstrap,
        n=x.size,
        n_units=units.n_units,
        unit_name=units.name,
        by_unit=by_unit,
        method=used,
        resamples=resamples,
        level=level,
        notes=notes,
    )


def _checked(bias: ArrayLike, baseline: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(bias, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    check_length(x, x.size, "bias")
    check_length(y, x.size, "baseline")
    _check_enough(x.size, "persons")
    for name, values in (("bias", x), ("baseline", y)):
        check_finite(values, name)
        if np.ptp(values) == 0:
            raise DataError(
                f"{name} is the same for every person, so that no correlation is defined",
                code="E115",
                column=name,
                remedy="A model whose person effects collapsed to zero has no bias to compare; see its status",
            )
    return x, y


def _check_enough(count: int, name: str) -> None:
    if count < MIN_PERSONS:
        raise DataError(f"{count} {name} are too few; a correlation needs at least {MIN_PERSONS}", code="E116")


def _fisher(x: np.ndarray, y: np.ndarray, level: float) -> tuple[float, float, float, float]:
    """r, Fisher's interval and p from pingouin; a perfect correlation has no width."""
    r = _correlation(x, y)
    if abs(r) >= 1 - 1e-12:
        return float(np.sign(r)), float(np.sign(r)), float(np.sign(r)), 0.0
    import pingouin

    row = pingouin.corr(x, y, method="pearson", confidence=level).iloc[0]
    low, high = pingouin.compute_esci(stat=r, nx=x.size, ny=x.size, confidence=level, decimals=15, eftype="r")
    return r, float(low), float(high), float(row["p_val"])


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    x, y = x - x.mean(), y - y.mean()
    return float(np.dot(x / np.linalg.norm(x), y / np.linalg.norm(y)))


def _bootstrap(
    x: np.ndarray,
    y: np.ndarray,
    r: float,
    units: Units,
    *,
    resamples: int,
    method: str,
    level: float,
    rng: np.random.Generator,
) -> tuple[float, float, float]:
    """Low, high and p from resampled units, on the scale ``z = atanh(r)`` where r is nearly symmetric."""
    if abs(r) >= 1 - 1e-12:
        return r, r, float("nan")
    # Standardised, so that the moments of a resample stay small numbers; r does not change.
    u, v = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
    moments = units.sums(np.stack([np.ones_like(u), u, v, u * u, v * v, u * v], axis=1))
    z, error = _fisher_z(moments, np.ones((1, units.n_units)))
    drawn = [
        _fisher_z(moments, multinomial_counts(units.n_units, block.stop - block.start, rng))
        for block in count_block_sizes(units.n_units, resamples)
    ]
    shift = (np.concatenate([z_star for z_star, _ in drawn]) - z)[:, None]
    error_star = np.concatenate([e for _, e in drawn])[:, None]
    studentised = studentise_shift(shift, error_star)
    found = make_intervals(z, error, shift, studentised, method=method, tested=np.array([True]), level=level)
    return float(np.tanh(found.low[0])), float(np.tanh(found.high[0])), float(found.pvalue[0])


def _fisher_z(
    moments: Float[np.ndarray, "units 6"], weights: Float[np.ndarray, "resamples units"]
) -> tuple[Float[np.ndarray, " resamples"], Float[np.ndarray, " resamples"]]:
    """``atanh(r)`` and its linearised standard error under weights; NaN where a resample has no variance.

    r depends on weighted totals T of (1, u, v, u^2, v^2, uv) only; by the chain rule the influence of a unit is its
    moments times the gradient of z at T, and the variance ``U / (U - 1) sum_u w_u influence_u^2`` is a quadratic form
    in the weighted products of the moments.
    """
    n_units, k = moments.shape
    products = (moments[:, :, None] * moments[:, None, :]).reshape(n_units, k * k)
    n, s_u, s_v, s_uu, s_vv, s_uv = (weights @ moments).T
    mean_u, mean_v = s_u / n, s_v / n
    var_u, var_v = s_uu / n - mean_u**2, s_vv / n - mean_v**2
    usable = (var_u > 1e-12) & (var_v > 1e-12)
    var_u, var_v = np.where(usable, var_u, 1.0), np.where(usable, var_v, 1.0)
    r = (s_uv / n - mean_u * mean_v) / np.sqrt(var_u * var_v)
    usable &= np.abs(r) < 1 - 1e-12
    r = np.where(usable, r, 0.0)
    # Influence of one row on r: (a b - r (a^2 + b^2) / 2) / n with a, b standardised within the resample.
    g_uv = 1 / np.sqrt(var_u * var_v)
    g_uu, g_vv = -r / (2 * var_u), -r / (2 * var_v)
    g_u = -mean_v * g_uv - 2 * mean_u * g_uu
    g_v = -mean_u * g_uv - 2 * mean_v * g_vv
    g_1 = mean_u * mean_v * g_uv + mean_u**2 * g_uu + mean_v**2 * g_vv
    gradient = np.stack([g_1, g_u, g_v, g_uu, g_vv, g_uv], axis=1) / (n * (1 - r**2))[:, None]
    spread = np.einsum("ri,rij,rj->r", gradient, (weights @ products).reshape(-1, k, k), gradient)
    error = np.sqrt(np.maximum(spread, 0.0) * n_units / (n_units - 1))
    return np.where(usable, np.arctanh(r), np.nan), np.where(usable, error, np.nan)


def _few(n_units: int, unit_name: str) -> str:
    sentence = few_units_note(n_units, unit_name)
    return sentence[:1].upper() + sentence[1:] + "."
