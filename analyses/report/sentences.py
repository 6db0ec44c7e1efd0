"""Plain sentences that reports and pages share: what a run is, how far persons differ, how much to trust one person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analyses import wording
from analyses.figures.labels import is_transition, listed, parameter_label
from analyses.grouping_factors import beside_persons
from analyses.wording import plural as plural

RELIABLE = 0.8
FAIR = 0.5
FEW_ROWS = 10

MODEL_NAMES = {"nme-crf": "NME-CRF", "generic-crf": "Generic-CRF", "nme-mlp": "NME-MLP", "generic-mlp": "Generic-MLP",
               "specific-crf": "Specific-CRF", "specific-mlp": "Specific-MLP", "mlp-lme": "MLP-LME",
               "lmm": "LMM", "glmm": "GLMM", "lmmnn": "LMMNN", "mc-gmenn": "MC-GMENN", "pen": "PEN",
               "pen-shared": "PEN, shared network", "unme-mlp": "uNME-MLP", "unme-crf": "uNME-CRF",
               "one-hot-mlp": "One-hot MLP", "embedding-mlp": "Embedding-MLP", "lstm": "LSTM", "map-cnn": "CNN of maps",
               "svdkl": "SVDKL",
               "deep-glmm": "DeepGLMM", "menets": "MeNets", "armed": "ARMED",
               "target-encoding-mlp": "Target-encoding MLP"}  # fmt: skip
MODEL_SENTENCES = {
    "nme-crf": "NME-CRF: a sequence model of states in which every person has their own transitions and their own "
    "last layer.",
    "generic-crf": "Generic-CRF: a sequence model of states with one set of transitions for everybody.",
    "nme-mlp": "NME-MLP: a neural network for one outcome in which every person has their own last layer.",
    "generic-mlp": "Generic-MLP: a neural network for one outcome, the same for everybody.",
    "specific-crf": "Specific-CRF: a sequence model of states whose transitions every person learns alone.",
    "specific-mlp": "Specific-MLP: a neural network for one outcome whose last layer every person learns alone.",
    "mlp-lme": "MLP-LME: a neural network for one outcome with a linear mixed model on its last hidden layer.",
    "lmm": "LMM: a linear mixed model of one outcome, fitted by exact maximum likelihood.",
    "glmm": "GLMM: a logistic mixed model of an outcome with two classes, fitted by maximum likelihood.",
    "lmmnn": "LMMNN: a neural network for what all persons share, with a mixed model’s random effects added to it.",
    "mc-gmenn": "MC-GMENN: a neural network for what all persons share, with random effects of every person (and item, "
    "clinic, …) added to what it says of each class.",
    "pen": "PEN: a neural network with an expert for every person, and a gate that learns to recognise the persons.",
    "pen-shared": "PEN, shared network: the part of a network of experts that is the same for everybody.",
    "one-hot-mlp": "One-hot MLP: a neural network for one outcome that has an input of its own for every person.",
    "embedding-mlp": "Embedding-MLP: a neural network for one outcome in which every person has a few numbers that are "
    "learned (an embedding).",
    "lstm": "LSTM: a neural network for one outcome that remembers what a person did before.",
    "map-cnn": "CNN of maps: a neural network for one outcome that sees where a row is as a point on a map.",
    "target-encoding-mlp": "Target-encoding MLP: a neural network for one outcome that sees how a person’s other rows "
    "turned out.",
    "armed": "ARMED: a neural network for one outcome from which an adversary keeps what tells the persons "
    "apart, with the persons’ random effects beside it.",
    "menets": "MeNets: a neural network for one outcome with random effects of every person on its last hidden layer.",
    "deep-glmm": "DeepGLMM: a small neural network for one outcome with random coefficients of every person, "
    "fitted by variational Bayes.",
    "svdkl": "SVDKL: a neural network for one outcome, and a smooth surface over places (a Gaussian process) on top.",
}
METRIC_NAMES = {
    "krippendorff_alpha": "Krippendorff’s α",
    "pearson": "Pearson’s r",
    "ccc": "concordance (CCC)",
    "rmse": "RMSE",
    "nrmse": "NRMSE",
    "accuracy": "accuracy",
    "ordinal_alpha": "ordinal α",
    "kendall": "Kendall’s τ-b",
    "ranked_probability_score": "ranked probability score",
    "poisson_deviance": "Poisson deviance",
}
LEVEL_NAMES = {
    "person": "with person effects",
    "population": "without person effects",
    "previous state": "always the previous state",
    "forecast": "forecast, with person effects",
    "whole sequence": "in hindsight, not a forecast",
}
HOW_TO_READ = {
    "caterpillar": (
        "Each mark is one person, sorted; the line is the range in which the person’s true value probably lies. Zero "
        "is the "
        "average person. A line that crosses zero: this person may well be average. Estimates of persons with few "
        "rows are "
        "pulled towards the average, so that noise does not look like personality."
    ),
    "effect_distributions": (
        "Each mark is one person, placed by their value; the box holds the middle half of a group and the thick line "
        "its "
        "median. Look at how much the boxes overlap, and at the number of persons below each group."
    ),
    "person_matrix": (
        "Rows are where a step starts, columns where it leads; numbers are percent, and each row adds up to 100. The "
        "average "
        "person is the model without person effects. The difference is in percentage points: orange means this "
        "person makes "
        "the step more often than average, blue less often. Hatched cells were never observed for this person: "
        "the model fills them in from the average."
    ),
    "null_distribution": (
        "The grey bars show how large the statistic gets when the group labels are shuffled at random. If the line "
        "lies far "
        "to the right of the bars, chance alone hardly explains it. p is the share of shuffles at least as large "
        "(orange)."
    ),
    "interval_matrix": (
        "One box per step, from the row’s state into the column’s. The diamond is the difference between the groups in "
        "percentage points; the thick line its interval if this were the only step looked at; the thin line holds "
        "for all "
        "steps together. Sixteen looks make a false alarm likely, so only a thin line that leaves out zero (yellow "
        "box) "
        "counts as clear; a grey box is a hint at best."
    ),
    "group_matrices": (
        "Average of the persons’ matrices in each group, in percent; the difference is in percentage points "
        "(orange: higher in the first group)."
    ),
    "model_alpha": (
        "Krippendorff’s α is agreement beyond chance: 1 is perfect, 0 is guessing. Pooled takes all prompts "
        "together, which "
        "also rewards knowing who is usually in which state; the mean per person asks how well changes within a "
        "person are "
        "foreseen. A model is worth its effort only if it beats repeating the previous state."
    ),
    "base_rates": "One line per state: how often it occurs in each group. The distance between the marks is the "
    "difference.",
    "baseline_scatter": (
        "Each mark is a person. A steep line means that the person-specific part of the model mostly carries the "
        "person’s "
        "usual level of the outcome."
    ),
    "person_series": (
        "Dots are what the person reported, the solid line what their own model predicts, the dashed line what the "
        "model "
        "predicts for an average person in the same situation. The grey area was not used for fitting."
    ),
    "training_curve": (
        "Left: the loss on the rows used for fitting. Right: the metric on rows set aside. Fitting stops when the "
        "right "
        "curve no longer improves, and the best state is kept."
    ),
}


def model_sentence(manifest: Mapping[str, Any]) -> str:
    """What kind of model a run is, and what else than persons has effects in it."""
    name = str(manifest["model"])
    said, others = MODEL_SENTENCES.get(name, f"{name}."), beside_persons(manifest)
    return f"{said} {others[:1].upper()}{others[1:]} have effects of their own as well." if others else said


def effects_note(manifest: Mapping[str, Any]) -> str:
    """What “with person effects” means where families or items have effects too; empty for persons alone."""
    others = beside_persons(manifest)
    return f"With person effects: with those of {others} as well. Without: with none of them." if others else ""


def caterpillar_reading(noun: str = "person") -> str:
    """How to read the sorted effects of persons, families or items."""
    if noun == "person":
        return HOW_TO_READ["caterpillar"]
    return (
        f"Each mark is one {noun}, sorted; the line is the range in which its true value probably lies. Zero is the "
        f"average {noun}. What a {noun} has in common with all others of its kind is not in it, and neither are the "
        f"effects of its persons: they stand on top. Estimates from few rows are pulled towards the average."
    )


def counted(count: int, word: str) -> str:
    """``1 row``, ``2,400 rows``."""
    return f"{wording.thousands(count)} {word if count == 1 else plural(word)}"


def reliability_words(reliability: float, noun: str = "person") -> str:
    """How far one person's (family's) estimate rests on their own data: 1 - Var(person | data) / Var(persons)."""
    if not np.isfinite(reliability):
        return "no reliability can be given"
    if reliability >= RELIABLE:
        return f"mostly this {noun}’s own data"
    if reliability >= FAIR:
        return f"partly this {noun}’s own data, partly the average"
    return "mostly the group’s average" if noun == "person" else "mostly the average"


def reliability_sentence(effects: pd.DataFrame, rows: int) -> str:
    """One person's reliability over all their parameters, with a warning where there are few rows.

    Args:
        effects: the person's rows of the random effects table.
        rows: rows of the person that were used for fitting.
    """
    if effects.empty:
        return "No differences between persons were found here: every person gets the average."
    reliability = float(np.clip(effects["reliability"].astype(float).mean(), 0, 1))
    start = f"With {counted(rows, 'row')} used for fitting, these estimates are {reliability_words(reliability)}"
    few = f" Fewer than {FEW_ROWS} rows: read them with great care." if rows < FEW_ROWS else ""
    return f"{start} (mean reliability {wording.bounded(reliability)}).{few}"


def group_reliability_sentence(effects: pd.DataFrame, noun: str = "person") -> str:
    """How many persons' (families', items') estimates of one parameter rest mostly on the average.

    Args:
        effects: one row per person with a column ``reliability``.
        noun: what has the effects.
    """
    reliability = effects["reliability"].to_numpy(dtype=float)
    weak = int(np.sum(reliability < FAIR))
    total = int(np.isfinite(reliability).sum())
    if total == 0:
        return "No reliability can be given for this parameter."
    mean = wording.bounded(float(np.clip(np.nanmean(reliability), 0, 1)))
    average, own = ("the group’s average", "their own data") if noun == "person" else ("the average", "its own rows")
    if weak == 0:
        return f"Mean reliability {mean}: for every {noun} the estimate rests at least half on {own}."
    who = f"every {noun}" if weak == total else f"{weak} of {total} {plural(noun)}"
    return f"Mean reliability {mean}: for {who} the estimate is mostly {average} rather than {own}."


def spread_sentence(caterpillar: pd.DataFrame, components: pd.DataFrame, noun: str = "person") -> str:
    """How far persons (families, items) differ in one parameter, with the standard deviation of their effects.

    Args:
        caterpillar: frame of ``analyses.figures.caterpillar.tidy``.
        components: the run's variance components, of what has these effects.
        noun: what has the effects.
    """
    parameter = str(caterpillar["parameter"].iloc[0])
    away = int(((caterpillar["low"] > 0) | (caterpillar["high"] < 0)).sum())
    row = components[components["parameter"] == parameter]
    what = f"moving {parameter_label(parameter)}" if is_transition(parameter) else parameter_label(parameter)
    unit = " on the scale of the scores (log odds)" if is_transition(parameter) else ""
    nouns = plural(noun)
    start = f"{nouns[:1].upper()}{nouns[1:]} differ in {what}"
    if not row.empty:
        if bool(row["at_boundary"].fillna(value=False).iloc[0]):
            return f"{start} by so little that the model cannot tell it from zero."
        start += f" with a standard deviation of {wording.number(float(row['sd'].iloc[0]))}{unit}"
    who = f"{away} of {len(caterpillar)} {nouns}" if away else f"none of the {len(caterpillar)} {nouns}"
    return f"{start}: for {who} the interval leaves out the average {noun}."


def group_labels(manifest: Mapping[str, Any]) -> dict[str, str]:
    """How the group labels of a run are written out."""
    return {str(key): str(text) for key, text in (manifest.get("study", {}).get("group_labels") or {}).items()}


def group_counts(persons: pd.DataFrame, manifest: Mapping[str, Any]) -> dict[str, int]:
    """Persons per group, by the written-out label, in the order of the labels; persons without a group are left out."""
    names = group_labels(manifest)
    labels = persons["group"].dropna().astype(str)
    counts = {str(label): int(count) for label, count in labels.value_counts().sort_index().items()}
    return {names.get(label, label): count for label, count in counts.items()}


def exclusion_sentences(manifest: Mapping[str, Any]) -> list[str]:
    """Every exclusion of a run: who or what was left out, and why."""
    sentences = []
    for entry in manifest.get("exclusions") or []:
        persons, rows = int(entry.get("persons") or 0), int(entry.get("rows") or 0)
        sizes = [counted(count, word) for count, word in ((persons, "person"), (rows, "row")) if count]
        sentences.append(f"{entry.get('reason', 'left out')}: {listed(sizes) or 'nothing'}")
    return sentences


def _repeated_levels(rows: pd.DataFrame) -> list[str]:
    """Levels whose every number another level gives already: a forecast, or the persons of a shared model."""
    values = {level: part["value"].to_numpy(dtype=float) for level, part in rows.groupby("level")}
    same = [("forecast", "person"), ("person", "population"), ("forecast", "population")]
    return [
        later
        for later, first in same
        if later in values and first in values and np.array_equal(values[later], values[first], equal_nan=True)
    ]


def status_words(manifest: Mapping[str, Any]) -> str:
    """The model's status as a sentence."""
    return str((manifest.get("status") or {}).get("sentence") or "The status of the fit is not known.")


def metric_table(
    metrics: pd.DataFrame, split: str = "test", only: Sequence[str] = ("krippendorff_alpha", "pearson", "rmse")
) -> pd.DataFrame:
    """One row per metric and level: pooled value, mean per person, persons averaged and left out.

    Args:
        metrics: the run's metrics.
        split: train, validation or test.
        only: which metrics, by their name in the run.
    """
    rows = metrics[(metrics["split"] == split) & metrics["metric"].isin(list(only))]
    rows = rows[~rows["level"].isin(_repeated_levels(rows))]
    table = []
    for (metric, level), part in rows.groupby(["metric", "level"], sort=False):
        by_scope = {scope: block.iloc[0] for scope, block in part[part["scope"] != "person"].groupby("scope")}
        pooled, mean = by_scope.get("pooled"), by_scope.get("mean")
        table.append(
            {
                "metric": METRIC_NAMES.get(str(metric), str(metric)),
                "level": LEVEL_NAMES.get(str(level), str(level)),
                "pooled": float("nan") if pooled is None else float(pooled["value"]),
                "mean_per_person": float("nan") if mean is None else float(mean["value"]),
                "persons": 0 if mean is None else int(mean["persons"]),
                "excluded": 0 if mean is None else int(mean["excluded"]),
            }
        )
    return pd.DataFrame(table, columns=["metric", "level", "pooled", "mean_per_person", "persons", "excluded"])
