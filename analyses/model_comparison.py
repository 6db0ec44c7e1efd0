"""Several models on the same persons: mean metrics, paired differences and marks, as a table of a paper."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from analyses import progress, wording
from analyses.comparison import PairedResult, paired_bootstrap
from analyses.mean_intervals import mean_intervals
from toolkit.errors import ConfigError, DataError, ToolkitWarning
from toolkit.results import read_only

if TYPE_CHECKING:
    import pandas as pd

LOWER_IS_BETTER = {"rmse", "nrmse", "poisson_deviance", "ranked_probability_score"}
WORDS = {
    "krippendorff_alpha": "Krippendorff's α",
    "pearson": "Pearson's r",
    "ccc": "concordance correlation",
    "rmse": "root mean squared error",
    "nrmse": "normalised root mean squared error",
    "accuracy": "accuracy",
    "ordinal_alpha": "ordinal α",
    "kendall": "Kendall's τ-b",
    "ranked_probability_score": "ranked probability score",
    "poisson_deviance": "Poisson deviance",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelComparison:
    """Outcome of `compare_models`.

    Attributes:
        models: names, in the order given; model k has the letter a, b, c ...
        metrics: names. means: mean over persons, shape (metrics, models). n_defined: persons behind each mean.
        low, high: interval of each mean on its own; models are compared by `results`, not by these.
        pairs: (metric, first, second) positions of each comparison.
        results: the paired bootstrap of each pair; difference is first minus second.
        pvalue_holm: Holm's p over the pairs of one metric, shape (pairs,); NaN where not tested.
        marks: letters of the models that are significantly better, [metric][model].
        correction: "none" (as published) or "holm": what the marks go by. alpha: their level.
        n_persons, level_name, split: what was compared.
        notes: what the reader should know, as sentences.
    """

    models: tuple[str, ...]
    metrics: tuple[str, ...]
    means: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n_defined: np.ndarray
    pairs: tuple[tuple[int, int, int], ...]
    results: tuple[PairedResult, ...]
    pvalue_holm: np.ndarray
    marks: tuple[tuple[str, ...], ...]
    correction: str
    alpha: float
    n_persons: int
    split: str
    notes: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row per metric and pair: means, difference, interval, p, Holm's p, significant."""
        import pandas as pd

        rows = []
        for place, ((metric, first, second), found) in enumerate(zip(self.pairs, self.results, strict=True)):
            names = {"metric": self.metrics[metric], "first": self.models[first], "second": self.models[second]}
            numbers = {name: getattr(found, name) for name in ("mean_a", "mean_b", "difference", "low", "high", "n")}
            holm = float(self.pvalue_holm[place])
            tests = {"pvalue": found.pvalue, "pvalue_holm": holm, "significant": self._significant(place)}
            rows.append(names | numbers | tests)
        return pd.DataFrame(rows)

    def table(self, digits: int = 3) -> pd.DataFrame:
        """The table of a paper: one row per model, its letter, and the mean of each metric with its superscript."""
        import pandas as pd

        columns: dict[str, list[str]] = {"letter": list(ascii_lowercase[: len(self.models)])}
        for k, metric in enumerate(self.metrics):
            shown = [wording.number(float(value), digits) for value in self.means[k]]
            pairs = zip(shown, self.marks[k], strict=True)
            columns[metric] = [f"{value}^{mark}" if mark else value for value, mark in pairs]
        return pd.DataFrame(columns, index=pd.Index(self.models, name="model")).reset_index()

    def summary(self) -> dict[str, Any]:
        """The numbers as plain Python values."""
        return {
            "models": list(self.models),
            "metrics": list(self.metrics),
            "means": self.means.tolist(),
            "low": self.low.tolist(),
            "high": self.high.tolist(),
            "persons_defined": self.n_defined.tolist(),
            "marks": [list(row) for row in self.marks],
            "pairs": self.to_frame().to_dict("records"),
            "correction": self.correction,
            "alpha": self.alpha,
            "n_persons": self.n_persons,
            "split": self.split,
            "notes": list(self.notes),
        }

    def text(self) -> str:
        """The best model of each metric, and what it is clearly better than, in plain words."""
        return " ".join([*(self._best(k) for k in range(len(self.metrics))), *self.notes])

    def apa(self) -> str:
        """All comparisons as sentences for the results section."""
        said = []
        for place, (metric, first, second) in enumerate(self.pairs):
            name = WORDS.get(self.metrics[metric], self.metrics[metric])
            sentence = self.results[place].apa(self.models[first], self.models[second], name).rstrip(".")
            holm = f"; Holm-corrected {wording.p_text(float(self.pvalue_holm[place]))}" if len(self.pairs) > 1 else ""
            said.append(f"{sentence}{holm}.")
        return " ".join(said)

    def _significant(self, place: int) -> bool:
        return _is_significant(self.results[place], float(self.pvalue_holm[place]), self.correction, self.alpha)

    def _best(self, metric: int) -> str:
        name, lower = self.metrics[metric], self.metrics[metric] in LOWER_IS_BETTER
        values = -self.means[metric] if lower else self.means[metric]
        if np.isnan(values).all():
            return f"The {WORDS.get(name, name)} is not defined for anybody."
        best = int(np.nanargmax(values))
        word, direction = WORDS.get(name, name), "lowest" if lower else "highest"
        start = (
            f"The {direction} mean {word} over persons had {self.models[best]} "
            f"({wording.number(float(self.means[metric, best]), 3)})"
        )
        letter = ascii_lowercase[best]
        beaten = [model for k, model in enumerate(self.models) if letter in self.marks[metric][k]]
        tested = [k for k, pair in enumerate(self.pairs) if pair[0] == metric and best in pair[1:]]
        if not tested:
            return f"{start}; it was not compared with the others."
        if not beaten:
            return f"{start}, but not clearly better than any model it was compared with."
        return f"{start}, clearly better than {' and '.join(beaten)}."


def compare_models(  # noqa: PLR0913 - each option is one a report has to name
    scores: Mapping[str, ArrayLike],
    models: Sequence[str],
    *,
    baseline: str | None = None,
    unit: ArrayLike | None = None,
    correction: str = "none",
    resamples: int = 10_000,
    level: float = 0.95,
    rng: np.random.Generator,
    unit_name: str | None = None,
    split: str = "test",
) -> ModelComparison:
    """Compare the per-person metrics of several models: a paired cluster bootstrap for every pair, or against one.

    A model's mark holds the letters of the models that are significantly better: interval of the paired difference
    without zero, or Holm's p below ``1 - level``.

    Args:
        scores: per metric an array (persons, models); NaN where undefined. Lower is better for rmse and nrmse.
        models: names of the columns, two to 26, each once.
        baseline: compare every other model with this one; None: all pairs.
        unit: label per person of what is resampled as a whole (family); None: persons.
        correction: "none" (as in the paper) or "holm" (within each metric).
        resamples: at least 99.
        level: of the intervals.
        rng: source of the resamples; every pair sees the same ones.
        unit_name: plural for sentences.
        split: name of the rows, for the table.

    Raises:
        DataError: E124 fewer than two models or persons, E127 shapes that do not fit.
        ConfigError: E302 an unknown correction or baseline, or a model twice; E125 too few resamples.

    Source: Wörtwein et al. (2023), section 5.3 and Table 3; Holm (1979).
    """
    names = tuple(models)
    pairs = _pairs(names, baseline, correction)
    arrays = _checked(scores, len(names))
    stream = rng.integers(2**63)
    places, results = [], []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ToolkitWarning)
        for metric, values in enumerate(arrays.values()):
            for first, second in pairs:
                progress.report(len(places), len(arrays) * len(pairs))
                places.append((metric, first, second))
                results.append(
                    paired_bootstrap(
                        values[:, first],
                        values[:, second],
                        unit=unit,
                        resamples=resamples,
                        level=level,
                        rng=np.random.default_rng(stream),
                        unit_name=unit_name,
                    )
                )
        options = {"resamples": resamples, "level": level, "unit_name": unit_name}
        ends = [
            mean_intervals(values, _labels(unit), rng=np.random.default_rng(stream), **options)
            for values in arrays.values()
        ]
    _warn_once(caught)
    holm = _holm(places, results)
    return ModelComparison(
        models=names,
        metrics=tuple(arrays),
        means=read_only([_column_means(values) for values in arrays.values()]),
        low=read_only([low for low, _ in ends]),
        high=read_only([high for _, high in ends]),
        n_defined=read_only([np.isfinite(values).sum(axis=0) for values in arrays.values()], dtype=np.int64),
        pairs=tuple(places),
        results=tuple(results),
        pvalue_holm=read_only(holm),
        marks=_marks(places, results, holm, tuple(arrays), len(names), correction=correction, alpha=1 - level),
        correction=correction,
        alpha=1 - level,
        n_persons=len(next(iter(arrays.values()))),
        split=split,
        notes=_notes(results, len(pairs) * len(arrays), correction, level),
    )


def _pairs(names: tuple[str, ...], baseline: str | None, correction: str) -> list[tuple[int, int]]:
    if len(names) < 2:
        raise DataError("one model alone cannot be compared", code="E124", remedy="name two or more models")
    if len(set(names)) != len(names) or len(names) > len(ascii_lowercase):
        raise ConfigError("give each model once, and at most 26 of them", code="E302", column="models")
    if correction not in ("none", "holm"):
        raise ConfigError("this correction is not known", code="E302", column="correction", remedy='"none" or "holm"')
    if baseline is None:
        return list(combinations(range(len(names)), 2))
    if baseline not in names:
        raise ConfigError(
            "the baseline is not one of the models", code="E302", column="baseline", remedy=f"use {', '.join(names)}"
        )
    place = names.index(baseline)
    return [(k, place) for k in range(len(names)) if k != place]


def _checked(scores: Mapping[str, ArrayLike], models: int) -> dict[str, np.ndarray]:
    arrays = {name: np.asarray(values, dtype=np.float64) for name, values in scores.items()}
    shapes = {values.shape for values in arrays.values()}
    if len(shapes) != 1 or next(iter(shapes))[1:] != (models,):
        raise DataError(
            f"scores need one array (persons, {models}) per metric, all of one shape", code="E127", column="scores"
        )
    return arrays


def _labels(unit: ArrayLike | None) -> np.ndarray | None:
    return None if unit is None else np.asarray(unit, dtype=object)


def _column_means(values: np.ndarray) -> np.ndarray:
    """Means over the persons for whom the metric is defined; NaN without any."""
    defined = np.isfinite(values)
    count = defined.sum(axis=0)
    return np.divide(
        np.where(defined, values, 0.0).sum(axis=0), count, out=np.full(len(count), np.nan), where=count > 0
    )


def _holm(places: list[tuple[int, int, int]], results: list[PairedResult]) -> np.ndarray:
    """Holm's step-down p within each metric; NaN stays and is not counted."""
    p = np.array([result.pvalue for result in results])
    out = np.full(p.size, np.nan)
    for metric in {place[0] for place in places}:
        tested = [k for k, place in enumerate(places) if place[0] == metric and np.isfinite(p[k])]
        mine = np.array(tested, dtype=np.int64)
        order = mine[np.argsort(p[mine], kind="stable")]
        steps = p[order] * np.arange(order.size, 0, -1)
        out[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return out


def _is_significant(result: PairedResult, holm: float, correction: str, alpha: float) -> bool:
    if not np.isfinite(result.pvalue):
        return False
    return bool(holm < alpha) if correction == "holm" else bool(result.low > 0 or result.high < 0)


def _marks(
    places: list[tuple[int, int, int]],
    results: list[PairedResult],
    holm: np.ndarray,
    metrics: tuple[str, ...],
    models: int,
    *,
    correction: str,
    alpha: float,
) -> tuple[tuple[str, ...], ...]:
    found = [["" for _ in range(models)] for _ in metrics]
    for (metric, first, second), result, p in zip(places, results, holm, strict=True):
        if _is_significant(result, float(p), correction, alpha):
            first_better = (result.difference > 0) != (metrics[metric] in LOWER_IS_BETTER)
            better, worse = (first, second) if first_better else (second, first)
            found[metric][worse] = "".join(sorted(found[metric][worse] + ascii_lowercase[better]))
    return tuple(tuple(row) for row in found)


def _warn_once(caught: list[warnings.WarningMessage]) -> None:
    """Repeat each different warning of the comparisons once."""
    for message in {str(entry.message): entry.message for entry in caught}.values():
        warnings.warn(message, stacklevel=3)


def _notes(results: list[PairedResult], tests: int, correction: str, level: float) -> tuple[str, ...]:
    notes = list(dict.fromkeys(note for result in results for note in result.notes))
    if correction == "holm":
        notes.append("Clearly better means after Holm's correction for several comparisons.")
    elif tests > 1:
        notes.append(
            f"Clearly better is meant without correction for several comparisons: of {tests}, about "
            f"{wording.number(tests * (1 - level), 1)} would come out by chance alone if the models did not differ; "
            "Holm's p is kept beside each."
        )
    excluded = max(result.n_excluded for result in results)
    if excluded:
        verb = "is" if excluded == 1 else "are"
        notes.append(f"Up to {wording.persons(excluded)} without a defined metric {verb} left out of a comparison.")
    if any(np.isnan(result.pvalue) for result in results):
        notes.append("Models that agree in every person's metric were not tested against each other.")
    return tuple(notes)
