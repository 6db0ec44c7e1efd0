"""Effects on the logits of several classes, as differences from their mean over the classes.

The probabilities of C classes are the softmax of C logits, and adding one number to all of a row's logits changes none
of them. So do effects of a level: only their differences between classes are about the outcome. What is reported is

    b*_qc = b_qc - mean over c of b_qc,  Cov(b*_q) = M Cov(b_q) M,  M = I - 1 1' / C,

which adds up to zero over the classes and gives the same probabilities. The SD of b*_qc over levels is the root of the
diagonal of ``M Sigma M``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from analyses import wording
from analyses.effect_parameters import varying
from analyses.figures.labels import listed
from analyses.grouping_factors import Factor, factor_of
from toolkit.errors import DataError, RunFolderError
from toolkit.results import read_only

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.runs.folder import SavedRun

WHY = (
    "Effects are given as differences from their mean over the classes, and add up to zero: adding one number to the "
    "logits of all classes changes no probability, so that only differences between classes are about the outcome."
)
APART = "Effects of the classes were taken as independent given the data, since their covariances were not kept."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassCentred:
    """Outcome of `class_centred`.

    Attributes:
        factor: whose levels. classes, levels: names of the axes.
        estimate, sd: of each level's centred effects (levels, classes).
        spread: SD of the centred effects over levels (classes,).
        level: of the intervals.
        note: what was taken for granted; empty for nothing.
    """

    factor: Factor
    classes: tuple[str, ...]
    levels: tuple[str, ...]
    estimate: np.ndarray
    sd: np.ndarray
    spread: np.ndarray
    level: float
    note: str = ""

    def to_frame(self) -> pd.DataFrame:
        """One row per level and class: estimate, sd, low, high, reliability."""
        import pandas as pd
        from scipy.stats import norm

        reach = float(norm.ppf(0.5 + self.level / 2)) * self.sd
        with np.errstate(divide="ignore", invalid="ignore"):
            reliability = np.clip(1.0 - self.sd**2 / self.spread**2, 0.0, 1.0)
        return pd.DataFrame(
            {
                "term": self.factor.term,
                "level": np.repeat(np.array(self.levels, dtype=object), len(self.classes)),
                "outcome": list(self.classes) * len(self.levels),
                "estimate": self.estimate.ravel(),
                "sd": self.sd.ravel(),
                "low": (self.estimate - reach).ravel(),
                "high": (self.estimate + reach).ravel(),
                "reliability": reliability.ravel(),
            }
        )

    def summary(self) -> dict[str, Any]:
        """The numbers over all levels as plain Python values."""
        return {
            "term": self.factor.term,
            "levels": len(self.levels),
            "sd": {name: float(value) for name, value in zip(self.classes, self.spread, strict=True)},
            "sd_of_estimates": {
                name: float(values.std(ddof=1)) if len(values) > 1 else 0.0
                for name, values in zip(self.classes, self.estimate.T, strict=True)
            },
            "note": self.note,
        }

    def text(self) -> str:
        """In which classes levels differ most, in plain words."""
        order = np.argsort(-self.spread, kind="stable")
        told = [f"{self.classes[k]} {wording.number(float(self.spread[k]))}" for k in order]
        return (
            f"How far {self.factor.nouns} differ in what they make of each class (standard deviation in log odds): "
            f"{listed(told)}. {WHY} {self.note}".rstrip()
        )

    def apa(self) -> str:
        """The same as a sentence for the results section."""
        told = [
            f"SD = {wording.number(float(value))} for {name}"
            for name, value in zip(self.classes, self.spread, strict=True)
        ]
        return (
            f"Class-centred random intercepts (sum to zero over classes) of {wording.thousands(len(self.levels))} "
            f"{self.factor.nouns} varied with {listed(told)}."
        )


def centred_effects(
    effects: Float[np.ndarray, "levels class"],
    covariance: Float[np.ndarray, "levels class class"],
    prior: Float[np.ndarray, "class class"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centred effects (levels, classes), their posterior SDs, and the SD of centred effects over levels (classes,)."""
    count = effects.shape[1]
    centre = np.eye(count) - 1.0 / count
    variance = np.einsum("ij,qjk,ik->qi", centre, covariance, centre)
    over_levels = np.einsum("ij,jk,ik->i", centre, prior, centre)
    return effects @ centre, np.sqrt(np.maximum(variance, 0.0)), np.sqrt(np.maximum(over_levels, 0.0))


def class_centred(run: SavedRun, term: str | None = None, *, level: float = 0.95) -> ClassCentred:
    """Effects of a grouping factor on the logits of several classes, centred over the classes.

    Args:
        run: a finished run of a model of three classes or more.
        term: the grouping factor, the persons by default.
        level: of the intervals.

    Raises:
        RunFolderError: E406 where the outcome is no class among several, or the factor does not move all of them.
        DataError: E302 for a factor the run does not have.
    """
    classes = run.classes or ()
    if str(run.manifest["task"]) != "multiclass" or len(classes) < 3:
        raise RunFolderError(
            "only effects on three classes or more are centred over them", code="E406", column="task",
            remedy="effects on a number or on two classes are differences from the average already",
        )  # fmt: skip
    factor = factor_of(run, term)
    effects = run.random_effects(None if factor.is_person else factor.term)
    names = [str(name) for name in dict.fromkeys(effects["parameter"])]
    found = {one.outcome: one.name for one in varying(run, names) if one.is_level and one.outcome}
    if set(found) != set(classes):
        raise RunFolderError(
            f"{factor.nouns} have no effect on the level of every class", code="E406", column="term",
            remedy="choose a grouping factor whose effects are on the last layer",
        )  # fmt: skip
    parameters = [found[name] for name in classes]
    wide = effects.pivot(index="level", columns="parameter", values=["estimate", "sd"])
    levels = [str(name) for name in dict.fromkeys(effects["level"])]
    estimate = wide["estimate"].loc[levels, parameters].to_numpy(dtype=float)
    sd = wide["sd"].loc[levels, parameters].to_numpy(dtype=float)
    covariance, prior, note = _covariances(run, factor, parameters, levels, sd)
    centred, spread, over_levels = centred_effects(estimate, covariance, prior)
    return ClassCentred(
        factor=factor, classes=classes, levels=tuple(levels), estimate=read_only(centred), sd=read_only(spread),
        spread=read_only(over_levels), level=level, note=note,
    )  # fmt: skip


def _covariances(
    run: SavedRun, factor: Factor, parameters: list[str], levels: list[str], sd: np.ndarray
) -> tuple[np.ndarray, np.ndarray, str]:
    """Posterior covariances over the classes, their covariance over levels, and what was taken for granted.

    What is kept is on the scale of the fit; it is used where that is the scale of the tables.
    """
    from toolkit.runs.person_posterior import level_posterior

    components = run.variance_components()
    own = components[components["term"] == factor.term].set_index("parameter")["variance"]
    variances = own.reindex(parameters).to_numpy(dtype=float)
    apart = sd[:, :, None] * np.eye(len(parameters)) * sd[:, None, :]
    try:
        kept = level_posterior(run, None if factor.is_person else factor.term)
    except (RunFolderError, DataError):
        return apart, np.diag(variances), APART
    places = [kept.parameters.index(name) for name in parameters]
    place = {name: row for row, name in enumerate(kept.persons)}
    rows = [place[name] for name in levels]
    covariance = kept.covariance[rows][:, places][:, :, places]
    prior = kept.prior[np.ix_(places, places)]
    same = np.allclose(np.sqrt(np.einsum("qcc->qc", covariance)), sd, rtol=1e-5) and np.allclose(
        np.diagonal(prior), variances, rtol=1e-5
    )
    return (covariance, prior, "") if same else (apart, np.diag(variances), APART)
