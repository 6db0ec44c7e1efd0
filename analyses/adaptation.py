"""What a few rows of a new person buy: metrics on rows held out, by the share of rows a model adapted to."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses import wording
from analyses.model_comparison import WORDS, ModelComparison, compare_models
from toolkit.data.adaptation_splits import ADAPTATIONS
from toolkit.errors import DataError, ToolkitWarning

if TYPE_CHECKING:
    import pandas as pd

NEEDED = ("model", "target", "metric", "share", "person", "value")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Point:
    """The models at one share, for one target: those that can predict there, and how they compare."""

    target: str
    share: float
    models: tuple[str, ...]
    comparison: ModelComparison


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AdaptationCurve:
    """Outcome of `adaptation_curve`.

    Attributes:
        metric: which.
        design: how the rows were divided, a name of `toolkit.data.adaptation_splits.ADAPTATIONS`.
        points: one per target and share.
        persons: number of new persons.
        unit_name: what was resampled.
    """

    metric: str
    design: str
    points: tuple[Point, ...]
    persons: int
    unit_name: str

    def to_frame(self) -> pd.DataFrame:
        """model, target, metric, share, value (mean over persons), low, high, persons, marks."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "model": model,
                    "target": point.target,
                    "metric": self.metric,
                    "share": point.share,
                    "value": float(point.comparison.means[0, place]),
                    "low": float(point.comparison.low[0, place]),
                    "high": float(point.comparison.high[0, place]),
                    "persons": int(point.comparison.n_defined[0, place]),
                    "marks": point.comparison.marks[0][place],
                }
                for point in self.points
                for place, model in enumerate(point.models)
            ]
        )

    def summary(self) -> dict[str, Any]:
        """The numbers as plain Python values, with all paired comparisons."""
        pairs = [
            {"target": p.target, "share": p.share, "pairs": p.comparison.to_frame().to_dict("records")}
            for p in self.points
        ]
        about = {"metric": self.metric, "design": self.design, "persons": self.persons, "unit": self.unit_name}
        return {**about, "means": self.to_frame().to_dict("records"), "comparisons": pairs}

    def text(self) -> str:
        """What adapting brought, in plain words."""
        said = [self._target(name) for name in dict.fromkeys(point.target for point in self.points)]
        how = ADAPTATIONS.get(self.design, self.design)
        return f"{self.persons} new persons; {how}. {' '.join(said)}"

    def apa(self) -> str:
        """The comparisons at each share as sentences for the results section."""
        several = len({point.target for point in self.points}) > 1
        return " ".join(
            f"{f'{point.target}, a' if several else 'A'}fter adapting to {wording.percent(point.share)} of the rows: "
            f"{point.comparison.apa()}"
            for point in self.points
        )

    def _target(self, name: str) -> str:
        points = [point for point in self.points if point.target == name]
        shown = []
        for point in points:
            values = point.comparison.means[0]
            listed = ", ".join(f"{m} {wording.number(float(v))}" for m, v in zip(point.models, values, strict=True))
            clear = " (a clear difference)" if any(point.comparison.marks[0]) else ""
            shown.append(f"{wording.percent(point.share)}: {listed}{clear}")
        word = WORDS.get(self.metric, self.metric)
        return f"Mean {word} per person for {name}, by share of rows adapted to: {'; '.join(shown)}."


def adaptation_curve(
    scores: pd.DataFrame,
    metric: str,
    *,
    design: str = "time",
    baseline: str | None = None,
    unit: Mapping[str, str] | None = None,
    unit_name: str | None = None,
    resamples: int = 10_000,
    level: float = 0.95,
    rng: np.random.Generator,
) -> AdaptationCurve:
    """Compare models on new persons at every share of rows, by paired bootstrap over persons or their clusters.

    Args:
        scores: columns model, target, metric, share, person, value, as
            `toolkit.runs.adaptation_scores.adaptation_scores` gives them.
        metric: which to compare.
        design: how the rows were divided, for the sentences.
        baseline: compare every other model with this one; None: all pairs.
        unit: cluster of each person, resampled as a whole; None: persons.
        unit_name: plural for sentences.
        resamples: at least 99.
        level: of the intervals.
        rng: source of the resamples; every share sees the same ones.

    Raises:
        DataError: E103 a missing column, E124 one model only, or a metric nobody has.
    """
    absent = [name for name in NEEDED if name not in scores.columns]
    if absent:
        raise DataError(f"the table has no column {', '.join(absent)}", code="E103", column=absent[0])
    mine = scores[scores["metric"] == metric]
    if mine.empty:
        raise DataError("no model has this metric", code="E124", column="metric")
    stream, points = int(rng.integers(2**63)), []
    order = list(dict.fromkeys(mine["model"]))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ToolkitWarning)
        for _, part in mine.groupby(["target", "share"], sort=False):
            wide = part.pivot(index="person", columns="model", values="value")
            models = [name for name in order if name in wide.columns]
            found = compare_models(
                {metric: wide[models].to_numpy(dtype=np.float64)}, models, baseline=baseline,
                unit=_units(list(wide.index), unit), unit_name=unit_name, resamples=resamples, level=level,
                rng=np.random.default_rng(stream),
            )  # fmt: skip
            target, share = str(part["target"].iloc[0]), float(part["share"].iloc[0])
            points.append(Point(target=target, share=share, models=tuple(models), comparison=found))
    for words in {str(entry.message): entry for entry in caught}.values():  # each once, not once a share
        warnings.warn_explicit(words.message, words.category, words.filename, words.lineno)
    return AdaptationCurve(
        metric=metric,
        design=design,
        points=tuple(points),
        persons=int(mine["person"].nunique()),
        unit_name=unit_name or ("persons" if unit is None else "units"),
    )


def _units(persons: Sequence[Any], unit: Mapping[str, str] | None) -> list[str] | None:
    """Unit of each person; who has none is one of their own."""
    return None if unit is None else [unit.get(str(person), f"person {person}") for person in persons]
