"""The group test twice: labels shuffled over single persons, and over whole families. Only the second one counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from analyses import progress, wording
from analyses.hsic import hsic_test
from analyses.hsic_result import HsicResult
from toolkit.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

ALPHA = 0.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NaiveBlock:
    """Outcome of `naive_against_block`.

    Attributes:
        values: what was compared, such as "probability". naive: tests over persons. block: over whole units.
        unit_name: plural of the units.
    """

    values: tuple[str, ...]
    naive: tuple[HsicResult, ...]
    block: tuple[HsicResult, ...]
    unit_name: str

    def to_frame(self) -> pd.DataFrame:
        """One row per value and unit: value, unit, statistic, pvalue, pvalue_low, pvalue_high, units."""
        import pandas as pd

        rows = []
        for value, pair in zip(self.values, zip(self.naive, self.block, strict=True), strict=True):
            for found in pair:
                numbers = {name: getattr(found, name) for name in ("statistic", "pvalue", "pvalue_low", "pvalue_high")}
                rows.append({"value": value, "unit": found.unit_name, **numbers, "units": found.n_units})
        return pd.DataFrame(rows)

    def summary(self) -> dict[str, Any]:
        """The table, and how many verdicts change."""
        return {
            "unit_name": self.unit_name,
            "alpha": ALPHA,
            "verdicts_changed": len(self._changed()),
            "tests": self.to_frame().to_dict("records"),
        }

    def text(self) -> str:
        """Whether ignoring families would have changed a verdict."""
        changed = self._changed()
        naive, block = self.naive[0], self.block[0]
        start = (
            f"Shuffled over whole {self.unit_name}, the first test has {wording.p_text(block.pvalue)}; shuffled over "
            f"single persons it would have {wording.p_text(naive.pvalue)}."
        )
        if not changed:
            return f"{start} No verdict at {wording.bounded(ALPHA)} depends on it."
        count = f"{len(changed)} of {len(self.values)} verdicts"
        return f"{start} {count} at {wording.bounded(ALPHA)} would be another one; trust those over {self.unit_name}."

    def apa(self) -> str:
        """Both p-values of every test."""
        said = [
            f"{value}: {wording.p_text(block.pvalue)} over {self.unit_name}, {wording.p_text(naive.pvalue)} over "
            "persons"
            for value, naive, block in zip(self.values, self.naive, self.block, strict=True)
        ]
        count = wording.thousands(self.block[0].permutations)
        return (
            f"Kernel permutation tests of group ({count} permutations), with whole {self.unit_name} and, for "
            f"comparison only, with single persons as units: {'; '.join(said)}."
        )

    def _changed(self) -> list[str]:
        return [
            value
            for value, naive, block in zip(self.values, self.naive, self.block, strict=True)
            if (naive.pvalue < ALPHA) != (block.pvalue < ALPHA)
        ]


def naive_against_block(
    matrices: Mapping[str, ArrayLike],
    group: ArrayLike,
    unit: ArrayLike,
    *,
    unit_name: str = "units",
    permutations: int = 9_999,
    rng: np.random.Generator,
) -> NaiveBlock:
    """`hsic_test` of every set of matrices with persons and with whole units changing places.

    Args:
        matrices: one matrix per person by what it holds, shape (persons, S, S); the same persons everywhere.
        group: label per person.
        unit: label per person of what stays together.
        unit_name: plural, for sentences.
        permutations: of each test, at least 99.
        rng: source of the permutations.

    Raises:
        DataError: E124 no matrices, and as `hsic_test`.
    """
    if not matrices:
        raise DataError("there is nothing to test", code="E124", column="matrices")
    naive, block = [], []
    streams = iter(rng.spawn(2 * len(matrices)))
    for place, values in enumerate(matrices.values()):
        with progress.part(2 * place, 2 * len(matrices)):
            naive.append(hsic_test(values, group, permutations=permutations, rng=next(streams)))
        with progress.part(2 * place + 1, 2 * len(matrices)):
            block.append(
                hsic_test(values, group, unit=unit, unit_name=unit_name, permutations=permutations, rng=next(streams))
            )
    return NaiveBlock(values=tuple(matrices), naive=tuple(naive), block=tuple(block), unit_name=unit_name)
