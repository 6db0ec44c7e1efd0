"""Which transitions differ between any two of several groups?"""

# pyright: strict
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from analyses import wording
from analyses.bootstrap_pairs import bootstrap_pairs
from analyses.resampling import factorise, make_units
from analyses.transition_comparison import TransitionComparison, comparison_of
from analyses.transition_scales import prepared_matrices
from toolkit.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairwiseTransitions:
    """Outcome of `compare_groups`.

    Attributes:
        comparisons: one per pair of groups, first named minus second named; simultaneous intervals and adjusted
            p-values (FDR, Holm) are corrected over all pairs and cells.
        groups: names. sizes: persons per group.
    """

    comparisons: tuple[TransitionComparison, ...]
    groups: tuple[str, ...]
    sizes: tuple[int, ...]

    def to_frame(self, *, every: bool = False) -> pd.DataFrame:
        """One row per pair and cell: first, second, then the columns of `TransitionComparison.to_frame`."""
        import pandas as pd

        frames: list[pd.DataFrame] = []
        for found in self.comparisons:
            frame = found.to_frame(every=every)
            frame.insert(0, "second", found.group_names[1])
            frame.insert(0, "first", found.group_names[0])
            frames.append(frame)
        return pd.concat(frames, ignore_index=True)

    def summary(self) -> dict[str, Any]:
        """The numbers as plain Python values, one entry per pair."""
        return {
            "groups": dict(zip(self.groups, self.sizes, strict=True)),
            "pairs": [found.summary() for found in self.comparisons],
        }

    def text(self) -> str:
        """How many cells differ between which groups, and the clearest of all, in plain words."""
        one = self.comparisons[0]
        told = "; ".join(
            f"{first} against {second}: {found.flagged()['cells_simultaneous'].sum()}"
            for found in self.comparisons
            for first, second in (found.group_names,)
        )
        tested = sum(int(np.isfinite(found.pvalue).sum()) for found in self.comparisons)
        if tested == 0:
            return "No transition varies between persons, so the groups cannot be compared."
        clearest = min(
            (found for found in self.comparisons if np.isfinite(found.pvalue).any()),
            key=lambda found: float(np.nanmin(found.pvalue)),
        )
        row, column = np.unravel_index(np.nanargmin(clearest.pvalue), clearest.pvalue.shape)
        sentence = clearest.cell_text(one.states[int(row)], one.states[int(column)])
        return (
            f"Of {len(one.states) ** 2} transitions, these differ clearly with all {len(self.comparisons)} pairs of "
            f"groups looked at together (simultaneous {wording.percent(one.level)} intervals that leave out zero): "
            f"{told}. The clearest one, of {clearest.group_names[0]} against {clearest.group_names[1]}: "
            f"{sentence[:1].lower()}{sentence[1:]}"
        )

    def apa(self) -> str:
        """The comparisons as a sentence for the results section."""
        one = self.comparisons[0]
        sizes = ", ".join(f"{name} (n = {size})" for name, size in zip(self.groups, self.sizes, strict=True))
        found = "; ".join(
            f"{pair.flagged()['cells_simultaneous'].sum()} between {pair.group_names[0]} and {pair.group_names[1]}"
            for pair in self.comparisons
        )
        return (
            f"Transitions of {len(self.groups)} groups, {sizes}, were compared in pairs by simultaneous "
            f"{wording.percent(one.level)} CIs over all pairs and cells ({wording.METHODS[one.method]}, "
            f"{wording.thousands(one.resamples)} resamples of {one.unit_name}; studentised max-T): {found} differed."
        )


def compare_groups(  # noqa: PLR0913 - each option is one a report has to name
    t: ArrayLike,
    group: ArrayLike,
    *,
    unit: ArrayLike | None = None,
    resamples: int = 10_000,
    method: str = "auto",
    level: float = 0.95,
    rng: np.random.Generator,
    states: Sequence[str] | None = None,
    unit_name: str | None = None,
    group_names: Sequence[str] | None = None,
    scale: str = "auto",
    structural: str = "keep",
) -> PairwiseTransitions:
    """Difference of every transition between any two groups, corrected over all pairs and cells.

    ``difference = mean(t[first]) - mean(t[second])`` per cell. Groups are taken in sorted order of their labels.

    Args:
        t: one matrix per person, from x into, shape (persons, S, S); rows may be NaN (a state never visited).
        group: label per person, two or more different ones.
        unit: label per person of what is resampled as a whole (family); None: persons.
        resamples: at least 99.
        method: "auto" (symmetric bootstrap-t, or equal-tailed when units have persons in several groups),
            "percentile", "bootstrap-t" or "symmetric-t".
        level: of the intervals.
        rng: source of the resamples.
        states: names of the S states.
        unit_name: plural for sentences.
        group_names: what the groups are called in sentences, in the order of their labels.
        scale: as for two groups, see `analyses.transitions.compare_transitions`.
        structural: as for two groups.

    Raises:
        DataError: E110, E111, E112, E127, E128 as for two groups; E124 fewer than two groups, or a group with fewer
            than two units.
        ConfigError: E125 too few resamples, E302 an option out of range.
    """
    given = prepared_matrices(t, states, scale, structural)
    n = len(given.matrices)
    codes, labels = factorise(group, n, "group")
    names = tuple(str(label) for label in labels) if group_names is None else tuple(group_names)
    if len(labels) < 2:
        raise DataError(
            "there is one group only", code="E124", column="group", remedy="Choose a variable with two or more groups"
        )
    if len(names) != len(labels) or len(set(names)) != len(names):
        raise DataError(
            f"{len(names)} group names for {len(labels)} groups",
            code="E127",
            column="group_names",
            remedy="Name every group once",
        )
    units = make_units(unit, n, unit_name)
    flat = given.matrices.reshape(n, -1)
    found = bootstrap_pairs(flat, codes, units, resamples=resamples, method=method, level=level, rng=rng)
    sizes = np.bincount(codes).tolist()
    return PairwiseTransitions(
        comparisons=tuple(
            comparison_of(
                contrast,
                None,
                given,
                units,
                sizes=(sizes[a], sizes[b]),
                resamples=resamples,
                level=level,
                group_names=(names[a], names[b]),
            )
            for (a, b), contrast in found.items()
        ),
        groups=names,
        sizes=tuple(sizes),
    )
