"""How much of the differences is between persons, where in the model it sits, and how much the model explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from analyses import wording
from analyses.component_interval import METHODS
from analyses.grouping_factors import FactorShare, cluster_nouns, factor_shares, named, shares_text
from analyses.resampling import (
    Units,
    check_draws,
    check_finite,
    check_length,
    factorise,
    make_units,
)
from analyses.variance_notes import partition_notes, several_notes
from analyses.variance_quantities import QUANTITIES as QUANTITIES
from analyses.variance_quantities import jackknife_ends, percentile_ends, person_sums, quantities
from analyses.variance_shares import Block, blocks_of_factors, person_components, share_rows, shares_sentence
from analyses.variance_shares import variance_blocks as variance_blocks
from toolkit.errors import ConfigError, DataError
from toolkit.results import read_only

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.runs.folder import SavedRun

SHARE_ONLY = (
    "This model predicts states: it has no residual variance, so R2 and ICC are not defined on the scale of the "
    "answers. The shares by block weigh every parameter by how strongly it acts on the likelihood."
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VariancePartition:
    """Outcome of `partition_variance` and `variance_of_run`.

    Attributes:
        quantities: names of `values`, keys of QUANTITIES; empty for chains.
        values, low, high: estimate and interval of each quantity, no unit; NaN ends where an interval is not defined.
        parts: variance of the shared predictions, of the person effects' contribution, of the residual (units^2).
        blocks: (layer, block, share of the person variance, parameters, of which at the boundary of zero) each.
        n_persons, n_rows, n_units, unit_name, method, resamples (0 for the jackknife), level, rows_used: how it was
            computed.
        notes: what the reader should know, as sentences.
        factors: share and intraclass correlation of every grouping factor; empty where there are persons alone.
        further_blocks: (noun, blocks) of the grouping factors beside the person.
    """

    quantities: tuple[str, ...]
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray
    parts: tuple[float, ...]
    blocks: tuple[Block, ...]
    n_persons: int
    n_rows: int
    n_units: int
    unit_name: str
    method: str
    resamples: int
    level: float
    rows_used: str
    notes: tuple[str, ...]
    factors: tuple[FactorShare, ...] = ()
    further_blocks: tuple[tuple[str, tuple[Block, ...]], ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """One row per quantity, grouping factor (share, then icc) and block.

        Columns: kind, name, layer, block, value, low, high, parameters, at_boundary.
        """
        import pandas as pd

        rows: list[dict[str, Any]] = [
            {"kind": "quantity", "name": name, "value": v, "low": a, "high": b}
            for name, v, a, b in zip(self.quantities, self.values, self.low, self.high, strict=True)
        ]
        rows += share_rows(self.factors, (("", self.blocks), *self.further_blocks))
        columns = ["kind", "name", "layer", "block", "value", "low", "high", "parameters", "at_boundary"]
        text, count = ("kind", "name", "layer", "block"), ("parameters", "at_boundary")
        kinds = {name: "string" if name in text else "Int64" if name in count else "float64" for name in columns}
        return pd.DataFrame(rows, columns=columns).astype(kinds)  # type: ignore[arg-type]

    def summary(self) -> dict[str, Any]:
        """The numbers as plain Python values."""
        plain = ("n_persons", "n_rows", "n_units", "unit_name", "method", "resamples", "level", "rows_used")
        found = zip(self.quantities, self.values, self.low, self.high, strict=True)
        fields = ("layer", "block", "share", "parameters", "at_boundary")
        return {
            **{name: {"value": float(v), "low": float(a), "high": float(b)} for name, v, a, b in found},
            "variances": dict(zip(("shared", "persons", "residual"), self.parts, strict=False)),
            "blocks": [dict(zip(fields, block, strict=True)) for block in self.blocks],
            **({"factors": [one.summary() for one in self.factors]} if self.factors else {}),
            **{name: getattr(self, name) for name in plain},
            "notes": list(self.notes),
        }

    def text(self) -> str:
        """Where the differences lie, in plain words and with their uncertainty."""
        said: list[str] = []
        if self.quantities:
            said.append(
                f"Of all the variance of the answers, {self._named('icc_target')} lies between persons (before any "
                f"model). The shared part of the model accounts for {self._named('r2_marginal')}, together with the "
                f"{self._effects()} for {self._named('r2_conditional')} ({self.rows_used} rows; "
                f"{self._how()})."
            )
        said += [shares_text(self.factors)] if self.factors else []
        said.append(shares_sentence(self.blocks))
        said += [shares_sentence(blocks, noun) for noun, blocks in self.further_blocks]
        return " ".join([*said, *self.notes])

    def apa(self) -> str:
        """The same as a sentence for the results section."""
        if not self.quantities:
            return shares_text(self.factors) or shares_sentence(self.blocks)
        more = f" {shares_text(self.factors)}" if self.factors else ""
        return (
            f"The intraclass correlation of the target was {self._named('icc_target')}; marginal R² = "
            f"{self._named('r2_marginal')}, conditional R² = {self._named('r2_conditional')} (Nakagawa & Schielzeth, "
            f"2013, on {self.rows_used} rows; {self._how()}).{more}"
        )

    def _effects(self) -> str:
        """Whose effects the conditional R2 counts."""
        return f"effects of {named(self.factors)}" if self.factors else "person effects"

    def _named(self, name: str) -> str:
        place = self.quantities.index(name)
        ends = wording.bounded(float(self.low[place])), wording.bounded(float(self.high[place]))
        return f"{wording.bounded(float(self.values[place]))}, {wording.ci_text(*ends, self.level)}"

    def _how(self) -> str:
        if self.method == "jackknife":
            return f"jackknife intervals, {self.unit_name} left out one by one"
        return f"percentile intervals, {wording.thousands(self.resamples)} resamples of {self.unit_name}"


def partition_variance(  # noqa: PLR0913 - each option is one a report has to name
    truth: ArrayLike,
    prediction: ArrayLike,
    population: ArrayLike,
    person: ArrayLike,
    *,
    unit: ArrayLike | None = None,
    blocks: Sequence[Block] = (),
    method: str = "jackknife",
    resamples: int = 10_000,
    level: float = 0.95,
    rng: np.random.Generator,
    unit_name: str | None = None,
    rows_used: str = "all",
) -> VariancePartition:
    """Variance of the shared predictions, the person effects and the residual, as ICC and R2 with intervals.

    With f the population-level prediction, d = prediction - f and e = truth - prediction (variances over rows, V):
    ``R2 marginal = V(f) / (V(f) + V(d) + V(e))``, ``R2 conditional = (V(f) + V(d)) / (same)``,
    ``ICC model = V(d) / (V(d) + V(e))``, ``explained = 1 - mean(e^2) / V(truth)``. The ICC of the target is that of a
    one-way analysis of variance (see `analyses.icc`). Intervals leave out whole persons or units one by one, on scales
    and with limits described in `analyses.component_interval`, or are the percentiles of resampled units.

    Coverage of 95 % intervals in 2,000 simulated studies (benchmarks/calibration/variance_coverage.py; persons or
    families, equal or unequal rows): normal person effects .93 to .97 at 10 and 20 (marginal R2 .91 at 10 where the
    predictor differs between persons or the model is fitted), .93 to .96 from 38; skewed ones (skewness 1) .91 to .97
    at 10, .92 to .96 at 20 and 38, .93 to .96 from 100; strongly skewed ones (exponential) .87 to .96 at 10, .90 to .95
    at 20 and 38, .93 to .96 from 100. Percentiles held .67 to .80 at 10 and .82 to .89 at 38, with strongly skewed
    effects .59 to .80. All take the fitted model as given: what R2 would be with the true coefficients is another
    question, and the interval of marginal R2 held that value in .75 to .80 (fits to 10 and 38 persons).

    Bias: variances of few persons are low, at 10 persons and an ICC of .5 by .03 in ICC and conditional R2, .05 in the
    ICC of the model, and marginal R2 is .02 high; at 38 a quarter of that; skewed effects double it. The intervals are
    centred on values corrected for it, the estimates themselves are the plain formulas. Shrinkage does not vanish with
    more persons: with 15 to 60 training rows, conditional R2 was .665 where effects known without error give .684 (ICC
    .5), and .402 where they give .430 (ICC .1).

    Args:
        truth: observed values, shape (rows,).
        prediction: the model's, with person effects.
        population: the model's, without them.
        person: label per row.
        unit: label per row of what is resampled as a whole (family); None: persons.
        blocks: shares from `variance_blocks`.
        method: "jackknife" or "percentile".
        resamples: at least 99; only "percentile" draws them.
        level: of the intervals.
        rng: source of the resamples.
        unit_name: plural for sentences.
        rows_used: name of the part of the data, for sentences.

    Raises:
        DataError: E110/E111 infinite or missing values, E115 a constant target, E124 fewer than two persons or units,
            E126 a person in two units, E127 lengths that differ.
        ConfigError: E125 too few resamples, E302 an unknown method.

    Source: Nakagawa & Schielzeth (2013), Methods in Ecology and Evolution 4, 133-142.
    """
    check_draws(resamples, "resamples")
    if method not in METHODS:
        raise ConfigError("unknown method", code="E302", column="method", remedy=f"Use {' or '.join(METHODS)}")
    y, p, f = _checked(truth, prediction, population)
    codes, levels = factorise(person, y.size, "person")
    units = _person_units(codes, len(levels), unit, unit_name)
    sums = units.sums(person_sums(y, p, f, codes, len(levels)))
    low, high = jackknife_ends(sums, level) if method == "jackknife" else percentile_ends(sums, resamples, level, rng)
    point = quantities(sums.sum(axis=0)[None])[0]
    return VariancePartition(
        quantities=tuple(QUANTITIES),
        values=read_only(point),
        low=read_only(low),
        high=read_only(high),
        parts=tuple(float(values.var()) for values in (f, p - f, y - p)),
        blocks=tuple(blocks),
        n_persons=len(levels),
        n_rows=y.size,
        n_units=units.n_units,
        unit_name=units.name,
        method=method,
        resamples=resamples if method == "percentile" else 0,
        level=level,
        rows_used=rows_used,
        notes=partition_notes(units, sums, method, point),
    )


def variance_of_run(
    run: SavedRun,
    *,
    unit: str = "person",
    split: str | None = None,
    method: str = "jackknife",
    resamples: int = 10_000,
    level: float = 0.95,
    rng: np.random.Generator,
) -> VariancePartition:
    """`partition_variance` of a run folder; for models of states the shares by block only, and it is said so.

    Args:
        run: a finished run.
        unit: "person" or "cluster".
        split: rows to use; None: the test rows if there are any, else those trained on.
        method: "jackknife" or "percentile".
        resamples: at least 99; only "percentile" draws them.
        level: of the intervals.
        rng: source of the resamples.

    Raises:
        DataError: E124 for a run without person effects, or without rows in `split`; others as `partition_variance`.
    """
    import pandas as pd

    components = run.variance_components()
    blocks = variance_blocks(person_components(components))
    if not blocks:
        raise DataError(
            "this run has no person effects, so there is no variance between persons to divide",
            code="E124",
            remedy="choose a run of a model with person effects, such as nme-mlp",
        )
    persons = run.persons().set_index("person")
    shares = factor_shares(components, run.manifest["data"].get("groupings", ()))
    further = {"factors": shares, "further_blocks": blocks_of_factors(components)}
    if run.manifest["task"] != "regression":
        return replace(_shares_only(blocks, len(persons), level), **further)
    table = run.predictions()
    table = table[table["truth"].notna() & table["person_known"]]
    used = split or ("test" if (table["split"] == "test").any() else "train")
    rows = table[table["split"] == used]
    if rows.empty:
        raise DataError("there are no such rows in this run", code="E124", column="split", remedy="use train or test")
    cluster = rows["person"].map(persons["cluster"])
    if unit == "cluster" and bool(pd.isna(cluster).any()):
        raise DataError("not every person has a cluster", code="E126", remedy="use the unit person")
    found = partition_variance(
        rows["truth"].to_numpy(dtype=np.float64),
        rows["prediction"].to_numpy(dtype=np.float64),
        rows["prediction_population"].to_numpy(dtype=np.float64),
        rows["person"].to_numpy(dtype=object),
        unit=cluster.to_numpy(dtype=object) if unit == "cluster" else None,
        unit_name=cluster_nouns(run.manifest) if unit == "cluster" else None,
        blocks=blocks,
        method=method,
        resamples=resamples,
        level=level,
        rng=rng,
        rows_used=used,
    )
    return replace(found, **further, notes=(*found.notes, *several_notes(shares, found.unit_name)))


def _checked(*given: ArrayLike) -> tuple[np.ndarray, ...]:
    arrays = tuple(np.asarray(values, dtype=np.float64) for values in given)
    for name, values in zip(("truth", "prediction", "population"), arrays, strict=True):
        check_length(values, arrays[0].size, name)
        check_finite(values, name)
    if arrays[0].size < 3 or np.ptp(arrays[0]) == 0:
        raise DataError("the target does not vary", code="E115", column="truth", remedy="choose a target that varies")
    return arrays


def _person_units(codes: np.ndarray, persons: int, unit: ArrayLike | None, name: str | None) -> Units:
    """The unit of each person; E126 when a person lies in two, E124 when there are fewer than two."""
    if unit is None:
        units = make_units(None, persons, name)
    else:
        labels = factorise(unit, codes.size, "unit", missing_code="E112")[0]
        by_person = np.zeros(persons, dtype=np.int64)
        by_person[codes] = labels
        if (by_person[codes] != labels).any():
            raise DataError("a person lies in two units", code="E126", column="unit")
        units = make_units(by_person, persons, name)
    if units.n_units < 2:
        raise DataError(f"fewer than two {units.name}: there is nothing to resample", code="E124", column="person")
    return units


def _shares_only(blocks: tuple[Block, ...], persons: int, level: float) -> VariancePartition:
    return VariancePartition(
        quantities=(),
        values=read_only([]),
        low=read_only([]),
        high=read_only([]),
        parts=(),
        blocks=blocks,
        n_persons=persons,
        n_rows=0,
        n_units=persons,
        unit_name="persons",
        method="none",
        resamples=0,
        level=level,
        rows_used="no",
        notes=(SHARE_ONLY,),
    )
