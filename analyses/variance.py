"""How much of the differences is between persons, where in the model it sits, and how much the model explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from analyses import wording
from analyses.icc import icc_one_way, one_way_sums
from analyses.intervals import few_units_note
from analyses.resampling import (
    Units,
    check_draws,
    check_finite,
    check_length,
    count_block_sizes,
    factorise,
    make_units,
    multinomial_counts,
)
from analyses.variance_shares import Block, shares_sentence
from analyses.variance_shares import variance_blocks as variance_blocks
from toolkit.errors import DataError
from toolkit.results import read_only

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.runs.folder import SavedRun

QUANTITIES = {
    "icc_target": "ICC of the target as it was answered",
    "r2_marginal": "marginal R2 (shared part of the model)",
    "r2_conditional": "conditional R2 (shared part and person effects)",
    "icc_model": "share of persons in what the shared part leaves over",
    "explained": "1 - squared error / variance",
}
PERCENTILE_NOTE_BELOW = 40
SHARE_ONLY = (
    "This model predicts states: it has no residual variance, so R2 and ICC are not defined on the scale of the "
    "answers. The shares by block weigh every parameter by how strongly it acts on the likelihood."
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VariancePartition:
    """Outcome of `partition_variance` and `variance_of_run`.

    Attributes:
        quantities: names of `values`, keys of QUANTITIES; empty for chains.
        values, low, high: estimate and percentile interval of each quantity, no unit.
        parts: variance of the shared predictions, of the person effects' contribution, of the residual (units^2).
        blocks: (layer, block, share of the person variance, parameters, of which at the boundary of zero) each.
        n_persons, n_rows, n_units, unit_name, resamples, level, rows_used: how it was computed.
        notes: what the reader should know, as sentences.
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
    resamples: int
    level: float
    rows_used: str
    notes: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row per quantity, then one per block: kind, name, layer, block, value, low, high, parameters."""
        import pandas as pd

        rows: list[dict[str, Any]] = [
            {"kind": "quantity", "name": name, "value": v, "low": a, "high": b}
            for name, v, a, b in zip(self.quantities, self.values, self.low, self.high, strict=True)
        ]
        for layer, block, share, count, zero in self.blocks:
            where = {"kind": "share", "name": f"{layer} {block}".strip(), "layer": layer, "block": block}
            rows.append({**where, "value": share, "parameters": count, "at_boundary": zero})
        columns = ["kind", "name", "layer", "block", "value", "low", "high", "parameters", "at_boundary"]
        text, count = ("kind", "name", "layer", "block"), ("parameters", "at_boundary")
        kinds = {name: "string" if name in text else "Int64" if name in count else "float64" for name in columns}
        return pd.DataFrame(rows, columns=columns).astype(kinds)  # type: ignore[arg-type]

    def summary(self) -> dict[str, Any]:
        """The numbers as plain Python values."""
        plain = ("n_persons", "n_rows", "n_units", "unit_name", "resamples", "level", "rows_used")
        found = zip(self.quantities, self.values, self.low, self.high, strict=True)
        fields = ("layer", "block", "share", "parameters", "at_boundary")
        return {
            **{name: {"value": float(v), "low": float(a), "high": float(b)} for name, v, a, b in found},
            "variances": dict(zip(("shared", "persons", "residual"), self.parts, strict=False)),
            "blocks": [dict(zip(fields, block, strict=True)) for block in self.blocks],
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
                f"person effects for {self._named('r2_conditional')} ({self.rows_used} rows; "
                f"{self._how()})."
            )
        said.append(shares_sentence(self.blocks))
        return " ".join([*said, *self.notes])

    def apa(self) -> str:
        """The same as a sentence for the results section."""
        if not self.quantities:
            return shares_sentence(self.blocks)
        return (
            f"The intraclass correlation of the target was {self._named('icc_target')}; marginal R² = "
            f"{self._named('r2_marginal')}, conditional R² = {self._named('r2_conditional')} (Nakagawa & Schielzeth, "
            f"2013, on {self.rows_used} rows; {self._how()})."
        )

    def _named(self, name: str) -> str:
        place = self.quantities.index(name)
        ends = wording.bounded(float(self.low[place])), wording.bounded(float(self.high[place]))
        return f"{wording.bounded(float(self.values[place]))}, {wording.ci_text(*ends, self.level)}"

    def _how(self) -> str:
        return f"percentile, {wording.thousands(self.resamples)} resamples of {self.unit_name}"


def partition_variance(  # noqa: PLR0913 - each option is one a report has to name
    truth: ArrayLike,
    prediction: ArrayLike,
    population: ArrayLike,
    person: ArrayLike,
    *,
    unit: ArrayLike | None = None,
    blocks: Sequence[Block] = (),
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
    one-way analysis of variance (see `analyses.icc`). Intervals: percentile, whole persons or units resampled.

    Args:
        truth: observed values, shape (rows,).
        prediction: the model's, with person effects.
        population: the model's, without them.
        person: label per row.
        unit: label per row of what is resampled as a whole (family); None: persons.
        blocks: shares from `variance_blocks`.
        resamples: at least 99.
        level: of the intervals.
        rng: source of the resamples.
        unit_name: plural for sentences.
        rows_used: name of the part of the data, for sentences.

    Raises:
        DataError: E110/E111 infinite or missing values, E115 a constant target, E124 fewer than two persons or units,
            E126 a person in two units, E127 lengths that differ.
        ConfigError: E125 too few resamples.

    Source: Nakagawa & Schielzeth (2013), Methods in Ecology and Evolution 4, 133-142.
    """
    check_draws(resamples, "resamples")
    y, p, f = _checked(truth, prediction, population)
    codes, levels = factorise(person, y.size, "person")
    units = _person_units(codes, len(levels), unit, unit_name)
    sums = units.sums(_person_sums(y, p, f, codes, len(levels)))
    drawn = [
        _quantities(multinomial_counts(units.n_units, block.stop - block.start, rng) @ sums)
        for block in count_block_sizes(units.n_units, resamples)
    ]
    tail = 50 * (1 - level)
    low, high = np.nanpercentile(np.concatenate(drawn), [tail, 100 - tail], axis=0)
    point = _quantities(sums.sum(axis=0)[None])[0]
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
        resamples=resamples,
        level=level,
        rows_used=rows_used,
        notes=_notes(units, p - f, point),
    )


def variance_of_run(
    run: SavedRun,
    *,
    unit: str = "person",
    split: str | None = None,
    resamples: int = 10_000,
    level: float = 0.95,
    rng: np.random.Generator,
) -> VariancePartition:
    """`partition_variance` of a run folder; for models of states the shares by block only, and it is said so.

    Args:
        run: a finished run.
        unit: "person" or "cluster".
        split: rows to use; None: the test rows if there are any, else those trained on.
        resamples: at least 99.
        level: of the intervals.
        rng: source of the resamples.

    Raises:
        DataError: E124 for a run without person effects, or without rows in `split`; others as `partition_variance`.
    """
    import pandas as pd

    blocks = variance_blocks(run.variance_components())
    if not blocks:
        raise DataError(
            "this run has no person effects, so there is no variance between persons to divide",
            code="E124",
            remedy="choose a run of a model with person effects, such as nme-mlp",
        )
    persons = run.persons().set_index("person")
    if run.manifest["task"] != "regression":
        return _shares_only(blocks, len(persons), level)
    table = run.predictions()
    table = table[table["truth"].notna() & table["person_known"]]
    used = split or ("test" if (table["split"] == "test").any() else "train")
    rows = table[table["split"] == used]
    if rows.empty:
        raise DataError("there are no such rows in this run", code="E124", column="split", remedy="use train or test")
    cluster = rows["person"].map(persons["cluster"])
    if unit == "cluster" and bool(pd.isna(cluster).any()):
        raise DataError("not every person has a cluster", code="E126", remedy="use the unit person")
    return partition_variance(
        rows["truth"].to_numpy(dtype=np.float64),
        rows["prediction"].to_numpy(dtype=np.float64),
        rows["prediction_population"].to_numpy(dtype=np.float64),
        rows["person"].to_numpy(dtype=object),
        unit=cluster.to_numpy(dtype=object) if unit == "cluster" else None,
        unit_name=str(run.manifest["study"]["cluster_name"] or "clusters") if unit == "cluster" else None,
        blocks=blocks,
        resamples=resamples,
        level=level,
        rng=rng,
        rows_used=used,
    )


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


def _person_sums(y: np.ndarray, p: np.ndarray, f: np.ndarray, codes: np.ndarray, persons: int) -> np.ndarray:
    """Sums per person: of f, d, e, y and their squares, then those of the one-way analysis of the target."""
    centre = y.mean()
    columns = [f - centre, p - f, y - p, y - centre]
    moments = [np.bincount(codes, weights=c**k, minlength=persons) for k in (1, 2) for c in columns]
    return np.column_stack([*moments, one_way_sums(y - centre, codes, persons)])


def _quantities(totals: Float[np.ndarray, "resamples columns"]) -> Float[np.ndarray, "resamples quantities"]:
    """All of QUANTITIES from summed `_person_sums`."""
    rows = totals[:, 9][:, None]
    spread = np.maximum(totals[:, 4:8] / rows - (totals[:, :4] / rows) ** 2, 0.0)
    shared, persons, residual, target = spread.T
    with np.errstate(invalid="ignore", divide="ignore"):
        total = shared + persons + residual
        parts = [shared / total, (shared + persons) / total, persons / (persons + residual)]
        explained = 1 - totals[:, 6] / rows[:, 0] / target
    return np.column_stack([icc_one_way(totals[:, 8:]), *parts, explained])


def _notes(units: Units, contribution: np.ndarray, point: np.ndarray) -> tuple[str, ...]:
    notes = [
        "Person effects are shrunken towards the mean, so that the variance they contribute is on the low side, most "
        "so for persons with few rows."
    ]
    if units.n_units < PERCENTILE_NOTE_BELOW:
        sentence = few_units_note(units.n_units, units.name)
        notes.append(sentence[:1].upper() + sentence[1:] + ".")
    if np.ptp(contribution) == 0:
        notes.append("The person effects do not change any prediction: their variance is zero.")
    conditional, explained = point[2], point[4]
    if abs(conditional - explained) > 0.05:
        notes.append(
            f"Counted by squared error, the model explains {wording.bounded(float(explained))} of the variance of "
            "these rows; the difference to conditional R² arises because the parts are correlated or predictions are "
            "off on average."
        )
    return tuple(notes)


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
        resamples=0,
        level=level,
        rows_used="no",
        notes=(SHARE_ONLY,),
    )
