"""How the effects of each grouping factor are spread: the variance they were drawn from, and the estimates themselves.

Effects of a factor's levels are drawn from N(0, sigma2). Their estimates are posterior means, pulled towards zero where
a level has few rows, so that they lie closer together than the effects do: ``Var(estimate) + mean Var(effect | data)``
is about sigma2. A distribution of estimates is therefore always shown beside the normal that the variance stands for.

Source: Tschalzev et al. (2024), section 3.3 and figure 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses import wording
from analyses.effect_parameters import Varying, varying
from analyses.figures.labels import listed
from analyses.grouping_factors import Factor, all_effects, factors_of
from analyses.variance_interval import variance_interval
from toolkit.errors import RunFolderError

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.runs.folder import SavedRun

NUMBER = "units of the outcome"
SCALES = {"regression": NUMBER, "count": "log of the mean count"}
LOGITS = "log odds"
SHRUNKEN = (
    "Estimates lie closer together than the levels do, because each is pulled towards zero as far as its rows leave it "
    "open: the standard deviation is that of the levels, not of the estimates."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectSpread:
    """One parameter of one grouping factor.

    Attributes:
        factor: whose levels. parameter: what varies.
        levels: how many of them have an estimate.
        variance: of the effects over levels. low, high: its limits; NaN where the effects say nothing of it.
        spread: SD of the estimates.
        reliability: mean over levels; 1 less this is how far estimates are pulled towards zero on average.
        information: number of perfectly known levels that would tell as much about the variance.
        at_boundary: whether the variance cannot be told from zero.
    """

    factor: Factor
    parameter: Varying
    levels: int
    variance: float
    low: float
    high: float
    spread: float
    reliability: float
    information: float
    at_boundary: bool

    @property
    def sd(self) -> float:
        """SD of the effects over levels."""
        return float(np.sqrt(self.variance))


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectDistributions:
    """Outcome of `effect_distributions`.

    Attributes:
        parts: one for each grouping factor and parameter, the factors in the order of the run.
        level: of the intervals.
        scale: what the effects are counted in.
    """

    parts: tuple[EffectSpread, ...]
    level: float
    scale: str

    def to_frame(self) -> pd.DataFrame:
        """One row per grouping factor and parameter."""
        import pandas as pd

        return pd.DataFrame(
            {
                "term": [part.factor.term for part in self.parts],
                "parameter": [part.parameter.name for part in self.parts],
                "outcome": [part.parameter.outcome for part in self.parts],
                "levels": [part.levels for part in self.parts],
                "variance": [part.variance for part in self.parts],
                "low": [part.low for part in self.parts],
                "high": [part.high for part in self.parts],
                "sd": [part.sd for part in self.parts],
                "sd_low": np.sqrt([part.low for part in self.parts]),
                "sd_high": np.sqrt([part.high for part in self.parts]),
                "spread": [part.spread for part in self.parts],
                "reliability": [part.reliability for part in self.parts],
                "shrinkage": [1.0 - part.reliability for part in self.parts],
                "information": [part.information for part in self.parts],
                "at_boundary": [part.at_boundary for part in self.parts],
            }
        )

    def summary(self) -> dict[str, Any]:
        """The numbers as plain Python values."""
        return {
            "level": self.level,
            "scale": self.scale,
            "parts": [
                {
                    "term": part.factor.term,
                    "parameter": part.parameter.name,
                    "levels": part.levels,
                    "variance": part.variance,
                    "low": _plain(part.low),
                    "high": _plain(part.high),
                    "spread": part.spread,
                    "reliability": part.reliability,
                }
                for part in self.parts
            ],
        }

    @property
    def by_factor(self) -> Mapping[str, tuple[EffectSpread, ...]]:
        """The parameters of each grouping factor, by its column."""
        terms = dict.fromkeys(part.factor.term for part in self.parts)
        return {term: tuple(part for part in self.parts if part.factor.term == term) for term in terms}

    def text(self) -> str:
        """How far the levels of each factor differ, in plain words."""
        said = [_factor_words(parts, self.level) for parts in self.by_factor.values()]
        first = f"Standard deviations of the effects over levels, in {self.scale}: {'; '.join(said)}."
        widest = max(self.parts, key=lambda part: part.variance)
        closest = (
            f" Where they differ most ({_named(widest)}{widest.factor.nouns}), estimates have a standard deviation of "
            f"{wording.number(widest.spread)} and effects one of {wording.number(widest.sd)} (reliability "
            f"{wording.bounded(widest.reliability)})."
        )
        flat = [f"{part.factor.nouns} ({_named(part)[:-2]})" if _named(part) else part.factor.nouns
                for part in self.parts if part.at_boundary]  # fmt: skip
        none = f" Not to be told from zero: {listed(flat)}." if flat else ""
        return f"{first}{closest}{none} {SHRUNKEN}"

    def apa(self) -> str:
        """The same as a sentence for the results section."""
        said = [f"{_start(parts)} {listed([_apa_part(part, self.level) for part in _ends(parts)])}"
                for parts in self.by_factor.values()]  # fmt: skip
        return f"Estimated variances of the random effects were {'; '.join(said)}."


def effect_distributions(
    effects: pd.DataFrame,
    components: pd.DataFrame,
    described: Sequence[Varying],
    *,
    scale: str = NUMBER,
    level: float = 0.95,
) -> EffectDistributions:
    """Variances of the effects with intervals, beside the spread of their estimates.

    Args:
        effects: of every grouping factor: term, level, parameter, estimate, reliability.
        components: variance components: term, parameter, variance, at_boundary.
        described: the parameters to report.
        scale: what the effects are counted in.
        level: of the intervals; see `analyses.variance_interval`.
    """
    known = {(str(row.term), str(row.parameter)): row for row in components.itertuples(index=False)}
    parts = []
    for factor in factors_of(components):
        own = effects[effects["term"] == factor.term]
        for one in described:
            mine, row = own[own["parameter"] == one.name], known.get((factor.term, one.name))
            if row is not None and len(mine):
                parts.append(_spread(factor, one, mine, row, level))
    return EffectDistributions(parts=tuple(parts), level=level, scale=scale)


def distributions_of_run(run: SavedRun, *, every: bool = False, level: float = 0.95) -> EffectDistributions:
    """`effect_distributions` of a run: of the levels of its outcome, or of every parameter that varies.

    A factor that moves no level of the outcome (slopes alone, deeper layers) is reported with all its parameters.

    Raises:
        RunFolderError: E406 for a model without effects of grouping factors.
    """
    components = run.variance_components()
    effects = all_effects(run)
    if effects.empty or not factors_of(components):
        raise RunFolderError(
            f"{run.model} has no effects of grouping factors",
            code="E406",
            remedy="choose a run of a personalised model",
        )
    names = [str(name) for name in dict.fromkeys(components["parameter"])]
    described = {one.name: one for one in varying(run, names)}
    levels = [name for name, one in described.items() if one.is_level]
    is_level = components["parameter"].isin(levels)
    with_level = set(components.loc[is_level, "term"])
    chosen = components[is_level | ~components["term"].isin(with_level) | every]
    scale = SCALES.get(str(run.manifest["task"]), LOGITS)
    return effect_distributions(effects, chosen, tuple(described.values()), scale=scale, level=level)


def _spread(factor: Factor, one: Varying, mine: pd.DataFrame, row: Any, level: float) -> EffectSpread:
    reliability = mine["reliability"].to_numpy(dtype=float)
    estimates = mine["estimate"].to_numpy(dtype=float)
    found = variance_interval(float(row.variance), reliability, level)
    return EffectSpread(
        factor=factor,
        parameter=one,
        levels=len(mine),
        variance=float(row.variance),
        low=found.low,
        high=found.high,
        spread=float(estimates.std(ddof=1)) if len(estimates) > 1 else 0.0,
        reliability=float(np.nanmean(reliability)) if np.isfinite(reliability).any() else float("nan"),
        information=found.information,
        at_boundary=bool(row.at_boundary),
    )


def _ends(parts: Sequence[EffectSpread]) -> list[EffectSpread]:
    """All parameters where there are few, else the one that varies least and the one that varies most."""
    if len(parts) <= 3:
        return list(parts)
    ordered = sorted(parts, key=lambda part: part.variance)
    return [ordered[0], ordered[-1]]


def _factor_words(parts: Sequence[EffectSpread], level: float) -> str:
    """``persons (40) 1.17, 95% CI [0.93, 1.47]``."""
    told = [f"{_named(part)}{wording.number(part.sd)}{_interval(part, level, root=True)}" for part in _ends(parts)]
    return f"{_start(parts)} {listed(told)}"


def _start(parts: Sequence[EffectSpread]) -> str:
    few = f", {len(parts)} parameters, from least to most" if len(parts) > 3 else ""
    return f"{parts[0].factor.nouns} ({wording.thousands(parts[0].levels)}{few})"


def _apa_part(part: EffectSpread, level: float) -> str:
    return f"{_named(part)}σ² = {wording.number(part.variance)}{_interval(part, level)}"


def _interval(part: EffectSpread, level: float, *, root: bool = False) -> str:
    if part.low != part.low:
        return ""
    low, high = (wording.number(end**0.5 if root else end) for end in (part.low, part.high))
    return f", {wording.ci_text(low, high, level)}"


def _named(part: EffectSpread) -> str:
    """Which parameter, where it is not the level of a single outcome: ``calm: ``, ``slope of x1: ``."""
    one = part.parameter
    words = [*([] if one.is_level else [one.label]), *([one.outcome] if one.outcome else [])]
    return f"{' on '.join(words)}: " if words else ""


def _plain(value: float) -> float | None:
    return None if value != value else value
