"""One prediction taken apart: what the model says of anybody, and what each grouping factor's level adds to it.

The linear predictor of a row (the number itself; log odds; logits of several classes; the log of a count's mean) is the
population's part plus one part for every grouping factor, see `toolkit.models.effect_parts`. Parts of several classes
are centred over the classes (`analyses.class_centring`), the population's as well, which changes no probability.

Intervals are normal ones from each part's posterior SD, one part at a time. A level that was not there in training adds
0, with the SD by which levels differ.

Source: Tschalzev et al. (2024), section 3.3 (effects are linear, hence local explanations).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses import wording
from analyses.class_centring import WHY
from analyses.figures.labels import listed
from analyses.grouping_factors import Factor, noun_of
from toolkit.results import read_only

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.models.effect_parts import EffectParts
    from toolkit.runs.folder import SavedRun

POPULATION, FACTOR, PREDICTION = "population", "factor", "prediction"
SCALES = {
    "regression": "units of the outcome",
    "binary": "log odds",
    "multiclass": "log odds",
    "ordinal": "log odds of a higher class",
    "count": "log of the mean count",
}
COLUMNS = (
    "step", "term", "level", "known", "outcome", "value", "sd", "low", "high", "start", "end", "prediction",
)  # fmt: skip
JOINT = (
    "Effects act inside the network here, where they depend on each other: what is given is the mean addition of each "
    "grouping factor over all orders in which they can be added."
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contributions:
    """Outcome of `contributions`.

    Attributes:
        task: kind of outcome. outcome: its name.
        outputs: what the linear predictor is about: classes, targets, or one name.
        factors: grouping factors. levels: the row's level of each, empty where it was not there in training.
        population: without any effect (outputs,).
        parts, sd: what each factor adds (factors, outputs); an SD that is not known is NaN.
        classes: names of the classes of the predictions; None for numbers.
        predictions_population, predictions: without and with all effects (classes,) or (outputs,).
        additive: whether parts do not depend on each other. field: the factor that is a spatial effect, if any.
        level: of the intervals.
    """

    task: str
    outcome: str
    outputs: tuple[str, ...]
    factors: tuple[Factor, ...]
    levels: tuple[str, ...]
    population: np.ndarray
    parts: np.ndarray
    sd: np.ndarray
    classes: tuple[str, ...] | None
    predictions_population: np.ndarray
    predictions: np.ndarray
    additive: bool
    field: str | None
    level: float

    @property
    def total(self) -> np.ndarray:
        """The linear predictor with all effects (outputs,)."""
        return self.population + self.parts.sum(axis=0)

    @property
    def scale(self) -> str:
        """What the linear predictor is counted in."""
        return SCALES.get(self.task, "the scale of the model")

    def to_frame(self) -> pd.DataFrame:
        """One row per step and output.

        Columns: step, term, level, known, outcome, value, sd, low, high, start and end (the sums before and after the
        step), prediction (of the first and the last step: the probability of the class, or the number).
        """
        import pandas as pd
        from scipy.stats import norm

        z = float(norm.ppf(0.5 + self.level / 2))
        before = self.population + np.cumsum(self.parts, axis=0) - self.parts
        none = np.full(len(self.outputs), np.nan)
        steps: list[dict[str, Any]] = [{"step": POPULATION, "value": self.population, "end": self.population}]
        for factor, level, part, sd, start in zip(self.factors, self.levels, self.parts, self.sd, before, strict=True):
            known = bool(level) or factor.term == self.field
            ends = {"low": part - z * sd, "high": part + z * sd, "start": start, "end": start + part}
            steps.append(
                {"step": FACTOR, "term": factor.term, "level": level, "known": known, "value": part, "sd": sd, **ends}
            )
        steps.append({"step": PREDICTION, "value": self.total, "end": self.total})
        steps[0]["prediction"], steps[-1]["prediction"] = self._of_outputs()
        plain = {"term": "", "level": "", "known": True, "sd": none, "low": none, "high": none,
                 "start": np.zeros(len(self.outputs)), "prediction": none}  # fmt: skip
        blocks = [pd.DataFrame({"outcome": list(self.outputs), **plain, **step}) for step in steps]
        return pd.concat(blocks, ignore_index=True)[list(COLUMNS)]

    def _of_outputs(self) -> tuple[np.ndarray, np.ndarray]:
        """Predictions without and with effects, one for each output; of ordered classes there is none that fits one."""
        both = self.predictions_population, self.predictions
        if self.task == "ordinal":
            return np.full(1, np.nan), np.full(1, np.nan)
        first, last = (values[-1:] if self.task == "binary" else values for values in both)
        return first, last

    @property
    def note(self) -> str:
        """What has to be known to read the numbers."""
        said = [WHY] if self.task == "multiclass" else []
        return " ".join([*said, *([] if self.additive else [JOINT])])

    def summary(self) -> dict[str, Any]:
        """The numbers as plain Python values."""
        names = self.classes or self.outputs
        return {
            "task": self.task,
            "outcome": self.outcome,
            "field": self.field,
            "scale": self.scale,
            "additive": self.additive,
            "level": self.level,
            "without_effects": dict(zip(names, self.predictions_population.tolist(), strict=True)),
            "with_effects": dict(zip(names, self.predictions.tolist(), strict=True)),
            "parts": [
                {
                    "term": factor.term,
                    "known": bool(level) or factor.term == self.field,
                    "value": dict(zip(self.outputs, part.tolist(), strict=True)),
                }
                for factor, level, part in zip(self.factors, self.levels, self.parts, strict=True)
            ],
        }

    def text(self) -> str:
        """The prediction and what led to it, in plain words."""
        shown = self._shown()
        told = [self._part(k, shown) for k in np.argsort(-np.abs(self.parts[:, shown]), kind="stable").tolist()]
        what = f" for {self.outputs[shown]}" if len(self.outputs) > 1 else ""
        return f"{self._predicted()} In {self.scale}{what}: {'; '.join(told)}. {self.note}".rstrip()

    def apa(self) -> str:
        """The same as a sentence for the results section."""
        shown = self._shown()
        told = [f"{factor.noun} {self._number(k, shown)}" for k, factor in enumerate(self.factors)]
        what = f" of {self.outputs[shown]}" if len(self.outputs) > 1 else ""
        start, end = (wording.number(float(values[shown])) for values in (self.population, self.total))
        return (
            f"The linear predictor{what} was {start} without random effects and {end} with them; contributions: "
            f"{listed(told)}."
        )

    def _shown(self) -> int:
        """The output that sentences are about: the class predicted, or the first."""
        return int(np.argmax(self.predictions)) if self.task == "multiclass" else 0

    def _predicted(self) -> str:
        """What is predicted without and with effects."""
        if self.classes is None:
            unit = "a mean count of " if self.task == "count" else ""
            first, last = (wording.number(float(v[0])) for v in (self.predictions_population, self.predictions))
            return f"Without effects of levels the model predicts {unit}{first}; with all of them {last}."
        place = -1 if self.task == "binary" else int(np.argmax(self.predictions))
        first, last = (_percent(float(v[place])) for v in (self.predictions_population, self.predictions))
        name = self.classes[place]
        return f"Without effects of levels the probability of {name} is {first}; with all of them it is {last}."

    def _part(self, k: int, shown: int) -> str:
        """What one factor adds, with its interval."""
        factor, level, value = self.factors[k], self.levels[k], float(self.parts[k, shown])
        if level or factor.term == self.field:
            verb = "adds" if value >= 0 else "takes off"
            return f"the {factor.noun} {verb} {wording.number(abs(value))}{self._interval(k, shown)}"
        spread = float(self.sd[k, shown])
        far = f" ({wording.plural(factor.noun)} differ with a standard deviation of {wording.number(spread)})"
        return f"this {factor.noun} was not there in training and adds nothing{far if spread == spread else ''}"

    def _number(self, k: int, shown: int) -> str:
        return f"{wording.signed(float(self.parts[k, shown]))}{self._interval(k, shown)}"

    def _interval(self, k: int, shown: int) -> str:
        from scipy.stats import norm

        value, sd = float(self.parts[k, shown]), float(self.sd[k, shown])
        if sd != sd:
            return ""
        reach = float(norm.ppf(0.5 + self.level / 2)) * sd
        low, high = wording.number(value - reach), wording.number(value + reach)
        return f", {wording.ci_text(low, high, self.level)}"


def contributions(
    parts: EffectParts, levels: Sequence[str], *, row: int = 0, outcome: str = "outcome", level: float = 0.95
) -> Contributions:
    """What each grouping factor adds to one prediction.

    Args:
        parts: of some rows, see `toolkit.runs.interpreting.parts_of_run`.
        levels: the row's level of each factor as it may be named; empty for one that was not there in training.
        row: which of the rows.
        outcome: name of what is predicted.
        level: of the intervals.
    """
    count = len(parts.outputs)
    centre = np.eye(count) - (1.0 / count if parts.task == "multiclass" else 0.0)
    variance = np.einsum("ij,fjk,ik->fi", centre, parts.covariance[row], centre)
    return Contributions(
        task=parts.task,
        outcome=outcome,
        outputs=parts.outputs if parts.outputs != ("outcome",) else (outcome,),
        factors=tuple(
            Factor(term=name, noun=_noun(place, name, parts.field), is_person=place == 0)
            for place, name in enumerate(parts.factors)
        ),
        levels=tuple(levels),
        population=read_only(parts.population[row] @ centre),
        parts=read_only(parts.parts[row] @ centre),
        sd=read_only(np.sqrt(np.maximum(variance, 0.0))),
        classes=parts.classes,
        predictions_population=read_only(parts.predictions_population[row]),
        predictions=read_only(parts.predictions[row]),
        additive=parts.additive,
        field=parts.field,
        level=level,
    )


def contributions_of_run(run: SavedRun, parts: EffectParts, *, row: int = 0, level: float = 0.95) -> Contributions:
    """`contributions` of a run, with the pseudonyms of its levels."""
    manifest = run.manifest
    known = {str(manifest["network"]["grouping"]): manifest["levels"], **manifest.get("further_levels", {})}
    labels = [
        str(known[name][code]) if code >= 0 else ""
        for name, code in zip(parts.factors, parts.levels[row].tolist(), strict=True)
    ]
    outcome = str(manifest["study"].get("target") or manifest.get("target") or "outcome")
    return contributions(parts, labels, row=row, outcome=outcome, level=level)


def kept_contributions(frame: pd.DataFrame, summary: Mapping[str, Any]) -> Contributions:
    """`Contributions` as they were kept: from their table and summary."""
    names = tuple(str(name) for name in summary["with_effects"])
    outputs = tuple(str(name) for name in dict.fromkeys(frame["outcome"]))
    own = frame[frame["step"] == FACTOR]
    terms = [str(name) for name in dict.fromkeys(own["term"])]
    shape, field = (len(terms), len(outputs)), summary["field"]
    return Contributions(
        task=str(summary["task"]),
        outcome=str(summary["outcome"]),
        outputs=outputs,
        factors=tuple(
            Factor(term=name, noun=_noun(place, name, field), is_person=place == 0) for place, name in enumerate(terms)
        ),
        levels=tuple(str(name) for name in own.drop_duplicates("term")["level"]),
        population=read_only(frame.loc[frame["step"] == POPULATION, "value"]),
        parts=read_only(own["value"].to_numpy(dtype=float).reshape(shape)),
        sd=read_only(own["sd"].to_numpy(dtype=float).reshape(shape)),
        classes=None if summary["task"] in ("regression", "count") else names,
        predictions_population=read_only([summary["without_effects"][name] for name in names]),
        predictions=read_only([summary["with_effects"][name] for name in names]),
        additive=bool(summary["additive"]),
        field=field,
        level=float(summary["level"]),
    )


def _noun(place: int, name: str, field: str | None) -> str:
    """What a factor's level is called: the first factor are the persons."""
    return "person" if place == 0 and name != field else noun_of(name)


def _percent(probability: float) -> str:
    """A probability in percent, one decimal where it is small."""
    return f"{wording.number(100 * probability, 1 if probability < 0.1 else 0)}%"
