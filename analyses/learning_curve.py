"""Does a personal model keep its lead with less data per person? Metrics by share of the training rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses import wording
from analyses.model_comparison import WORDS, ModelComparison, compare_models
from toolkit.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LearningCurve:
    """Outcome of `learning_curve`.

    Attributes:
        metric: which. models: names. shares: of the training rows, largest first.
        comparisons: of the models at each share, in the order of `shares`.
    """

    metric: str
    models: tuple[str, ...]
    shares: tuple[float, ...]
    comparisons: tuple[ModelComparison, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row per share and model: share, model, mean with its interval on its own (low, high), persons, marks."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "share": share,
                    "model": model,
                    "mean": float(found.means[0, k]),
                    "low": float(found.low[0, k]),
                    "high": float(found.high[0, k]),
                    "persons": int(found.n_defined[0, k]),
                    "marks": found.marks[0][k],
                }
                for share, found in zip(self.shares, self.comparisons, strict=True)
                for k, model in enumerate(self.models)
            ]
        )

    def summary(self) -> dict[str, Any]:
        """The numbers as plain Python values, with all paired comparisons."""
        pairs = [
            {"share": share, "pairs": found.to_frame().to_dict("records")}
            for share, found in zip(self.shares, self.comparisons, strict=True)
        ]
        return {"metric": self.metric, "means": self.to_frame().to_dict("records"), "comparisons": pairs}

    def text(self) -> str:
        """Which model was ahead at each share, in plain words."""
        said = [self._share(share, found) for share, found in zip(self.shares, self.comparisons, strict=True)]
        return (
            f"Mean {WORDS.get(self.metric, self.metric)} per person by share of each person's training rows: "
            f"{'; '.join(said)}. Each share is one draw of rows and one fit, so that small steps may be chance."
        )

    def apa(self) -> str:
        """The same as sentences for the results section."""
        return " ".join(
            f"With {wording.percent(share)} of the training rows: {found.apa()}"
            for share, found in zip(self.shares, self.comparisons, strict=True)
        )

    def _share(self, share: float, found: ModelComparison) -> str:
        values = [f"{m} {wording.number(float(v), 3)}" for m, v in zip(self.models, found.means[0], strict=True)]
        clear = any(found.marks[0])
        return f"{wording.percent(share)}: {', '.join(values)}{' (a clear difference)' if clear else ''}"


def learning_curve(
    scores: pd.DataFrame, metric: str, *, resamples: int = 10_000, level: float = 0.95, rng: np.random.Generator
) -> LearningCurve:
    """Compare models at every share of the training rows, by paired bootstrap over persons.

    Args:
        scores: columns model, share, person, metric, value, as `toolkit.runs.repeats.fit_less_data` gives them.
        metric: which to compare.
        resamples: at least 99.
        level: of the intervals.
        rng: source of the resamples.

    Raises:
        DataError: E103 a missing column, E124 one model only or no such metric, E127 persons or shares that differ
            between models.
    """
    absent = [name for name in ("model", "share", "person", "metric", "value") if name not in scores.columns]
    if absent:
        raise DataError(f"the table has no column {', '.join(absent)}", code="E103")
    mine = scores[scores["metric"] == metric]
    models, shares = list(dict.fromkeys(mine["model"])), sorted(set(mine["share"]), reverse=True)
    if not models:
        raise DataError("no model has this metric", code="E124", column="metric")
    found = []
    for share in shares:
        wide = mine[mine["share"] == share].pivot(index="person", columns="model", values="value")
        if set(wide.columns) != set(models):
            raise DataError("a model was not fitted to every share of rows", code="E127", column="share")
        values = {metric: wide[models].to_numpy(dtype=np.float64)}
        found.append(compare_models(values, models, resamples=resamples, level=level, rng=rng))
    return LearningCurve(
        metric=metric, models=tuple(models), shares=tuple(float(s) for s in shares), comparisons=tuple(found)
    )
