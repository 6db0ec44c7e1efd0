"""What a few rows of a new person buy: metrics on rows held out, by the share of rows a model adapted to."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses import wording
from analyses.mean_intervals import mean_intervals
from analyses.model_comparison import WORDS, ModelComparison, compare_models
from toolkit.data.adaptation_splits import ADAPTATIONS
from toolkit.errors import DataError, ToolkitWarning
from toolkit.results import read_only

if TYPE_CHECKING:
    import pandas as pd

NEEDED = ("model", "target", "metric", "share", "person", "value")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Point:
    """The models at one share, for one target: those that can predict there, and how they compare.

    Attributes:
        target, share: where.
        models: names.
        means, low, high: mean of the metric over persons with its interval (models,).
        persons: for whom the metric is defined (models,).
        marks: letters of the models that are clearly better.
        comparison: paired; None where one model alone can predict.
    """

    target: str
    share: float
    models: tuple[str, ...]
    means: np.ndarray
    low: np.ndarray
    high: np.ndarray
    persons: np.ndarray
    marks: tuple[str, ...]
    comparison: ModelComparison | None


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
                    "value": float(point.means[place]),
                    "low": float(point.low[place]),
                    "high": float(point.high[place]),
                    "persons": int(point.persons[place]),
                    "marks": point.marks[place],
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
            if p.comparison is not None
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
            if point.comparison is not None
        )

    def _target(self, name: str) -> str:
        points = [point for point in self.points if point.target == name]
        shown = []
        for point in points:
            pairs = zip(point.models, point.means, strict=True)
            listed = ", ".join(f"{model} {wording.number(float(value))}" for model, value in pairs)
            clear = " (a clear difference)" if any(point.marks) else ""
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
    order, stream = list(dict.fromkeys(mine["model"])), int(rng.integers(2**63))
    if len(order) < 2:
        raise DataError("one model alone cannot be compared", code="E124", remedy="name two or more models")
    asked = {"resamples": resamples, "level": level}
    points = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ToolkitWarning)
        for _, part in mine.groupby(["target", "share"], sort=False):
            wide = part.pivot(index="person", columns="model", values="value")
            wide = wide[[name for name in order if name in wide.columns]]
            units = _units(list(wide.index), unit)
            others = {**asked, "rng": np.random.default_rng(stream)}
            found = (
                _several_models(wide, metric, baseline, units, unit_name, **others)
                if len(wide.columns) > 1
                else _one_model(wide, units, **others)
            )
            points.append(Point(target=str(part["target"].iloc[0]), share=float(part["share"].iloc[0]), **found))
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


def _several_models(
    wide: pd.DataFrame, metric: str, baseline: str | None, unit: list[str] | None, unit_name: str | None, **asked: Any
) -> dict[str, Any]:
    """Means, intervals and paired differences of one share."""
    models = [str(name) for name in wide.columns]
    chosen = baseline if baseline in models else None
    found = compare_models({metric: wide.to_numpy()}, models, baseline=chosen, unit=unit, unit_name=unit_name, **asked)
    return {
        "models": tuple(models),
        "means": found.means[0],
        "low": found.low[0],
        "high": found.high[0],
        "persons": found.n_defined[0],
        "marks": found.marks[0],
        "comparison": found,
    }


def _one_model(wide: pd.DataFrame, unit: list[str] | None, **asked: Any) -> dict[str, Any]:
    """Mean and interval of the only model that can predict at a share."""
    values = wide.to_numpy(dtype=np.float64)[:, :1]
    low, high = mean_intervals(values, None if unit is None else np.array(unit, dtype=object), **asked)
    there = np.isfinite(values[:, 0])
    return {
        "models": (str(wide.columns[0]),),
        "means": read_only([values[there, 0].mean() if there.any() else np.nan]),
        "low": read_only(low),
        "high": read_only(high),
        "persons": read_only([int(there.sum())], dtype=np.int64),
        "marks": ("",),
        "comparison": None,
    }
