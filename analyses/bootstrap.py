"""Cluster bootstrap of means and of differences between two groups' means, for many cells at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from analyses import wording
from analyses.bootstrap_draws import SINGLE_FROM, draw_studentised
from analyses.bootstrap_strata import Stratum, bca_acceleration, evaluate_strata, lay_out_strata, unit_totals
from analyses.intervals import METHODS, WARN_BELOW, Intervals, choose_method, few_units_note, make_intervals
from analyses.resampling import Units, check_draws
from toolkit.errors import DataError

RELATIVE_ZERO = 1e-12
STRONG_SKEWNESS = 1.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contrast:
    """Mean (one side) or difference of two means (side True minus side False) per cell, with intervals.

    Attributes:
        point: shape (cells,). error: its linearised standard error over units. means: shape (sides, cells), True
            first. rows: valid rows, shape (sides, cells).
        intervals: see `Intervals`. method: "percentile", "bca", "bootstrap-t" or
            "symmetric-t", as used.
        units_per_side: units with at least one row on the side. notes: sentences for the reader.
    """

    point: np.ndarray
    error: np.ndarray
    means: np.ndarray
    rows: np.ndarray
    intervals: Intervals
    method: str
    units_per_side: tuple[int, ...]
    notes: tuple[str, ...]


def bootstrap_contrast(
    values: Float[np.ndarray, "rows cells"],
    side: Bool[np.ndarray, " rows"] | None,
    units: Units,
    *,
    resamples: int,
    method: str,
    level: float,
    rng: np.random.Generator,
    simultaneous: bool = True,
) -> Contrast:
    """Mean over rows per cell, or the difference of two sides' means, with intervals from resampled whole units.

    The mean is a ratio of totals, ``sum of valid values / number of valid rows``, so that units of any size and cells
    that are NaN in some rows (a state never visited) are handled alike. Units are resampled within each side when every
    unit lies on one side; when some units have rows on both, all units are resampled jointly.

    "auto" is the symmetric bootstrap-t for two separate sides, where the skewness of the two means largely cancels, and
    the equal-tailed one for a single mean or for sides that share units, where it does not. Simulated coverage is in
    benchmarks/results/interval_coverage.json.

    Args:
        values: NaN marks a cell that a row has no value for.
        side: True and False rows; None for the mean itself.
        units: what is resampled.
        resamples: number of resamples, at least 99.
        method: "auto", "percentile", "bca", "bootstrap-t" or "symmetric-t".
        level: of the intervals, such as .95.
        rng: source of the resamples.
        simultaneous: also intervals for all cells at once.

    Raises:
        DataError: E124 when a side has fewer than two units.
        ConfigError: E125 too few resamples, E302 an unknown method or an impossible level.
    """
    check_draws(resamples, "resamples")
    sides = np.ones((1, values.shape[0]), dtype=bool) if side is None else np.stack([side, ~side])
    sums, sizes, members = unit_totals(values, sides, units)
    per_side = tuple(int(count) for count in members.sum(axis=1))
    check_sides(per_side, units)
    rows = sizes.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums.sum(axis=1) / rows
    scale = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    # Values of size 1, so that their squares stay within single precision whatever the unit of measurement.
    strata = lay_out_strata(sums / scale, sizes, means / scale, members, (1.0, -1.0)[: len(sides)])
    separate = len(strata) == 2
    effective = min(units.n_units, 2 * min(per_side)) if side is not None else units.n_units
    auto = "symmetric-t" if separate else "bootstrap-t"
    used = choose_method(method, level, effective, units.name, (*METHODS, "bca", "symmetric-t"), auto)
    point = means[0] - means[1] if len(sides) == 2 else means[0]
    _, error = evaluate_strata(strata, [np.ones((1, s.n_units)) for s in strata], len(point))
    drawn = draw_studentised(
        strata,
        len(point),
        resamples,
        rng,
        smooth=separate,
        plain=used in ("percentile", "bca"),
        spread=simultaneous or used in ("bootstrap-t", "symmetric-t"),
    )
    intervals = make_intervals(
        point,
        error[0] * scale,
        drawn.shift * scale,
        drawn.studentised,
        method=used,
        tested=np.isfinite(point) & (error[0] > RELATIVE_ZERO),
        level=level,
        acceleration=bca_acceleration(strata, len(point)) if used == "bca" else None,
        together=("symmetric" if separate else "tails") if simultaneous else "none",
    )
    return Contrast(
        point=point,
        error=error[0] * scale,
        means=means,
        rows=rows,
        intervals=intervals,
        method=used,
        units_per_side=per_side,
        notes=(
            *contrast_notes(intervals, effective, units.name, resamples, point),
            *(_skewness_note(strata, len(point), units.name) if separate else ()),
        ),
    )


def _skewness_note(strata: list[Stratum], cells: int, unit_name: str) -> tuple[str, ...]:
    """A warning where few units are strongly skewed, for which the symmetric intervals are known to be too wide."""
    few = [stratum for stratum in strata if stratum.n_units < SINGLE_FROM]
    if len(few) < len(strata):
        return ()
    pulls = np.concatenate([stratum.columns[:, :cells] for stratum in few])
    spread = np.sqrt(np.mean(pulls**2, axis=0))
    third = np.divide(np.mean(pulls**3, axis=0), spread**3, out=np.zeros(cells), where=spread > 0)
    strong = int((np.abs(third) > STRONG_SKEWNESS).sum())
    if not strong:
        return ()
    return (
        f"{strong} of {cells} cells are strongly skewed over {unit_name}: with so few {unit_name} their intervals are "
        "on the wide side (in simulations 96 to 97 instead of 95 %, a familywise error of .02).",
    )


def check_sides(per_side: tuple[int, ...], units: Units) -> None:
    """Raise E124 when a side has fewer than two units."""
    if min(per_side) < 2:
        raise DataError(
            f"a group has fewer than two {units.name}: there is nothing to resample",
            code="E124",
            column="group",
            remedy="Compare groups with at least two (11 are needed to display a group)",
        )


def contrast_notes(
    intervals: Intervals, effective: int, unit_name: str, resamples: int, point: np.ndarray
) -> tuple[str, ...]:
    """What the reader of these intervals should know, as sentences."""
    notes = []
    if effective < WARN_BELOW:
        sentence = few_units_note(effective, unit_name)
        notes.append(sentence[:1].upper() + sentence[1:] + ".")
    untested = int((~intervals.tested).sum())
    if untested:
        notes.append(
            f"{untested} of {point.size} cells do not vary between {unit_name} (structural zeros, or no data): "
            "they are shown without an interval, not tested, and not counted in the corrections."
        )
    if intervals.degenerate:
        notes.append(
            f"{wording.thousands(intervals.degenerate)} of {wording.thousands(resamples)} resamples left a cell "
            "without variance or without data; they are not used for that cell."
        )
    return tuple(notes)
