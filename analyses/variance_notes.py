"""What the reader of a variance partition should know, as sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analyses import wording
from analyses.component_interval import MIN_UNITS, sample_skewness
from analyses.grouping_factors import FactorShare, crossed_note, named
from analyses.resampling import Units

NOTE_BELOW, NOTE_SKEWNESS = 40, 1.5
SHRINKAGE = (
    "Person effects are shrunken towards the mean, so that the variance they contribute is on the low side, most so "
    "for persons with few rows. Intervals take the fitted model as given: they say what other persons could have "
    "given, not what a model fitted to other rows would."
)
PERCENTILE = (
    "Percentile intervals are too short with few {name} (here {count}): in simulated studies of 10 persons they held "
    "the true value in 67 to 80 % instead of 95 %, of 38 persons in 82 to 89 %, with strongly skewed person effects in "
    "less."
)
FEW = (
    "With {count} {name}, ICC and conditional R² come out low on average (at 10 persons by up to .03, at 38 by up to "
    ".01, with skewed person effects by twice that), which the intervals allow for. In simulated studies they held the "
    "true value in 91 to 97 % at 10 persons and 92 to 97 % at 20 to 38; where person effects are strongly skewed (a "
    "few persons far from all others) in 87 to 96 % at 10 and 90 to 95 % at 20 to 38, instead of 95 %."
)
SKEWED = (
    "Person effects or mean answers are strongly skewed: a few {name} lie far from all others, and the variance rests "
    "on them. The intervals are wider for it; with exponential effects they held the true value in 93 to 96 % of "
    "simulated studies of 100 and more persons."
)


def partition_notes(units: Units, sums: np.ndarray, method: str, point: np.ndarray) -> tuple[str, ...]:
    """Sentences for a result.

    Args:
        units: what was left out or resampled.
        sums: `analyses.variance_quantities.person_sums` of each unit.
        method: of the intervals.
        point: the quantities, in the order of QUANTITIES.
    """
    notes = [SHRINKAGE, *_interval_notes(units, sums, method)]
    if not sums[:, 5].any():
        notes.append("The person effects do not change any prediction: their variance is zero.")
    conditional, explained = point[2], point[4]
    if abs(conditional - explained) > 0.05:
        notes.append(
            f"Counted by squared error, the model explains {wording.bounded(float(explained))} of the variance of "
            "these rows; the difference to conditional R² arises because the parts are correlated or predictions are "
            "off on average."
        )
    return tuple(notes)


def several_notes(shares: Sequence[FactorShare], units: str) -> list[str]:
    """What to know where families or items have effects too: what counts as whose, and what intervals leave out."""
    if not shares:
        return []
    around = " and ".join(f"their {other.noun}" for other in shares[0].within)
    told = [f"The ICC of the answers counts what persons share with {around} as theirs."] if around else []
    told.append(f"Conditional R² counts the effects of {named(shares)} together.")
    note = crossed_note(shares, units)
    return [*told, *([note] if note else [])]


def _interval_notes(units: Units, sums: np.ndarray, method: str) -> list[str]:
    """Where the intervals are known not to hold."""
    few, name = units.n_units < NOTE_BELOW, units.name
    if method == "percentile":
        return [PERCENTILE.format(count=units.n_units, name=name)] if few else []
    if units.n_units < MIN_UNITS:
        return [f"{units.n_units} {name} are too few for intervals; at least {MIN_UNITS} are needed."]
    skewed = max(abs(sample_skewness(sums[:, k] / np.maximum(sums[:, 9], 1))) for k in (1, 3)) > NOTE_SKEWNESS
    if few:
        return [FEW.format(count=units.n_units, name=name)]
    return [SKEWED.format(name=name)] if skewed else []
