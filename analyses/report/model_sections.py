"""Chapters on the models: how well they predict, who differs from whom, what the person-specific bias carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from analyses import wording
from analyses.figures import baseline_scatter, caterpillar, effect_distributions, model_alpha
from analyses.figures.labels import is_transition, listed, parameter_label
from analyses.figures.rows import records
from analyses.report import sentences
from analyses.report.document import Section
from analyses.report.figure_block import report_figure
from analyses.report.tables import ReportTable, bounded_cell
from analyses.stability_marks import MARK, stability_sentence, unstable_parameters
from analyses.variance_shares import person_components

if TYPE_CHECKING:
    from toolkit.runs.folder import SavedRun


def prediction_sections(
    runs: Mapping[str, SavedRun], results: Mapping[str, Any], variants: Mapping[str, str], missing: list[str]
) -> list[Section]:
    """Agreement of predicted and reported states per variant, then the mood models; what is absent: ``missing``."""
    sections = [
        Section(
            title="How well do the models predict?",
            text=[
                "Everything is predicted from what was known before the prompt, and judged on the last fifth of each "
                "person’s record, which no model saw while it was fitted."
            ],
        )
    ]
    for variant, words in variants.items():
        alpha = results.get(f"alpha_{variant}")
        if alpha is None:
            missing.append(f"prediction of {words}")
            continue
        sections.append(
            _alpha_section(
                alpha, results.get(f"alpha_gain_{variant}"), results.get(f"alpha_hindsight_{variant}"), words
            )
        )
    sections += _mood(runs, missing)
    return sections


def _alpha_section(alpha: pd.DataFrame, gain: Any, hindsight: pd.DataFrame | None, words: str) -> Section:
    frame = model_alpha.tidy(alpha)
    best = alpha["model"].iloc[int(alpha["mean_per_person"].to_numpy(dtype=float).argmax())]
    text = [f"{model_alpha.alt_text(frame)} The best mean per person is that of {best}."]
    names = {"first": "NME-CRF", "second": "Generic-CRF", "metric": "Krippendorff’s α"}
    if gain is not None:
        text.append(gain.text(**names))
    if hindsight is not None:
        text.append(_hindsight_sentence(hindsight))
    return Section(
        title=words[0].upper() + words[1:],
        level=2,
        text=text,
        figure=report_figure(model_alpha, frame, f"Agreement of Predicted and Reported States, {words}"),
        apa=[gain.apa(**names)] if gain is not None else [],
        table=ReportTable(
            frame=alpha,
            title="Krippendorff’s Alpha on the Test Rows",
            headings={"model": "Model", "pooled": "Pooled", "mean_per_person": "Mean per person",
                      "persons": "Persons", "excluded": "Undefined"},
            note="Undefined: persons with one state only in their test rows; they are left out of the mean.",
        ),
        how_to_read=sentences.HOW_TO_READ["model_alpha"],
    )  # fmt: skip


def _hindsight_sentence(alpha: pd.DataFrame) -> str:
    values = [
        f"{row.model} {wording.number(row.pooled)} pooled and {wording.number(row.mean_per_person)} per person"
        for row in records(alpha)
    ]
    return (
        f"Reading a whole day at once, in hindsight, gives {listed(values)}. That is not a forecast: what is known "
        "before a later prompt includes the answers to the earlier one."
    )


def _mood(runs: Mapping[str, SavedRun], missing: list[str]) -> list[Section]:
    blocks = []
    for name in ("nme-mlp", "generic-mlp"):
        if name not in runs:
            missing.append(f"mood model {sentences.MODEL_NAMES[name]}")
            continue
        table = sentences.metric_table(runs[name].metrics())
        table.insert(0, "model", sentences.MODEL_NAMES[name])
        blocks.append(table)
    if not blocks:
        return []
    table = pd.concat(blocks, ignore_index=True)
    text = "How happy a person is at a prompt (0 to 100), predicted from the previous prompt of the same day."
    return [
        Section(
            title="Happiness at the prompt",
            level=2,
            text=[text, _mood_sentence(runs)],
            table=ReportTable(
                frame=table,
                title="Prediction of Happiness on the Test Rows",
                headings={"model": "Model", "metric": "Metric", "level": "Prediction", "pooled": "Pooled",
                          "mean_per_person": "Mean per person", "persons": "Persons", "excluded": "Undefined"},
            ),
        )
    ]  # fmt: skip


def _mood_sentence(runs: Mapping[str, SavedRun]) -> str:
    parts = []
    for name, level in (("nme-mlp", "person"), ("generic-mlp", "population")):
        if name in runs:
            metrics = runs[name].metrics()
            r, rmse = (_metric(metrics, metric, level) for metric in ("pearson", "rmse"))
            parts.append(
                f"{sentences.MODEL_NAMES[name]} reaches r = {wording.bounded(r)} within persons on average and errs by "
                f"{wording.number(rmse, 1)} points (root mean square error, mean per person)"
            )
    return "; ".join(parts) + "."


def _metric(metrics: pd.DataFrame, metric: str, level: str, scope: str = "mean", split: str = "test") -> float:
    rows = metrics[(metrics["metric"] == metric) & (metrics["scope"] == scope) & (metrics["split"] == split)]
    chosen = rows[rows["level"] == level]
    chosen = rows if chosen.empty else chosen
    return float(chosen["value"].iloc[0]) if len(chosen) else float("nan")


def person_sections(runs: Mapping[str, SavedRun], missing: list[str]) -> list[Section]:
    """Who differs, in the transition with the largest variance between persons."""
    run = runs.get("nme-crf-absolute") or runs.get("nme-crf-person_centred")
    if run is None:
        missing.append("who differs (no NME-CRF run)")
        return []
    components = person_components(run.variance_components())
    moves = components[[is_transition(name) for name in components["parameter"].astype(str)]]
    if moves.empty:
        missing.append("who differs (the model has no personal transitions)")
        return []
    moves = moves.sort_values("variance", ascending=False)
    effects, names = run.random_effects(), sentences.group_labels(run.manifest)
    frame = caterpillar.tidy(effects, run.persons(), str(moves["parameter"].iloc[0]), group_names=names)
    distribution = effect_distributions.tidy(frame)
    what = parameter_label(str(moves["parameter"].iloc[0]))
    table = moves[["parameter", "sd", "share"]].assign(parameter=_marked(run, moves["parameter"]))
    reliability = effects.groupby("parameter")["reliability"].mean()
    table["reliability"] = [float(reliability.get(name, float("nan"))) for name in moves["parameter"]]
    return [
        Section(
            title="Who differs from whom?",
            text=[
                f"The transition in which persons differ most is {what}. "
                + sentences.spread_sentence(frame, components),
                sentences.group_reliability_sentence(frame),
                *_stability(run, moves),
            ],
            figure=report_figure(caterpillar, frame, f"Person Effects on {what}, Sorted, With 95% Intervals"),
            how_to_read=sentences.HOW_TO_READ["caterpillar"],
        ),
        Section(
            title="The same by group",
            level=2,
            figure=report_figure(effect_distributions, distribution, f"Person Effects on {what} by Group"),
            how_to_read=sentences.HOW_TO_READ["effect_distributions"],
            table=ReportTable(
                frame=table,
                title="How Far Persons Differ in Each Transition",
                headings={
                    "parameter": "Transition",
                    "sd": "SD",
                    "share": "Share of variance",
                    "reliability": "Reliability",
                },
                formats={"share": bounded_cell, "reliability": bounded_cell},
                note="SD of the person effects on the scale of the scores. Reliability: mean over persons of "
                "1 − Var(person | data) / Var(persons); below .50, an estimate is mostly the group’s average.",
            ),
        ),
    ]


def _marked(run: SavedRun, parameters: pd.Series) -> list[str]:
    """Labels of parameters, with a dagger where one was found unstable."""
    unstable = unstable_parameters(run)
    return [f"{parameter_label(str(name))}{f' {MARK}' if name in unstable else ''}" for name in parameters]


def _stability(run: SavedRun, moves: pd.DataFrame) -> list[str]:
    """Which of the personal transitions a stability analysis found unstable, if any."""
    names = [str(name) for name in moves["parameter"]]
    sentence = stability_sentence(unstable_parameters(run), names, [parameter_label(name) for name in names])
    return [sentence] if sentence else []


def baseline_sections(runs: Mapping[str, SavedRun], results: Mapping[str, Any], missing: list[str]) -> list[Section]:
    """Person-specific bias against the person's usual level."""
    result, run = results.get("baseline"), runs.get("nme-mlp")
    if result is None or run is None:
        missing.append("bias against baseline")
        return []
    biases = [name for name in run.random_effects()["parameter"].unique() if str(name).endswith("bias")]
    frame = baseline_scatter.tidy(
        run.random_effects(), run.persons(), str(biases[-1]), group_names=sentences.group_labels(run.manifest)
    )
    baseline = "mean happiness in the training rows"
    return [
        Section(
            title="What the person-specific bias carries",
            text=[result.text(baseline=baseline)],
            figure=report_figure(baseline_scatter, frame, "Person-Specific Bias Against Baseline Happiness"),
            apa=[result.apa(baseline=baseline)],
            how_to_read=sentences.HOW_TO_READ["baseline_scatter"],
            note=" ".join(result.notes),
        )
    ]
