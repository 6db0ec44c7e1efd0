"""Chapters on the groups: how often states occur, one test for all transitions, each transition on its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analyses import wording
from analyses.figures import base_rates, group_matrices, interval_matrix, null_distribution
from analyses.report import sentences
from analyses.report.document import Section
from analyses.report.figure_block import report_figure
from analyses.report.guard import SMALLEST_SHOWN
from analyses.report.standard_tables.differences import difference_list
from analyses.report.tables import interval_column
from analyses.transition_scales import IN_POINTS

SIGNIFICANT = 0.05


def group_sections(results: Mapping[str, Any], variants: Mapping[str, str], missing: list[str]) -> list[Section]:
    """All comparisons of the groups, the conclusion first; what is absent joins ``missing``."""
    lead = Section(title="Do the groups differ?", text=[conclusion(results), *_model_caution(results, variants)])
    sections = [lead]
    for variant, words in variants.items():
        sections += _base_rates(results.get(f"base_rates_{variant}"), words, missing)
    for variant, words in variants.items():
        observed, model = results.get(f"hsic_observed_{variant}"), results.get(f"hsic_model_{variant}")
        sections += _hsic(observed, "transitions as observed", words, missing)
        sections += _hsic(model, "transition scores of the model", words, missing)
    for variant, words in variants.items():
        sections += _differences(results.get(f"differences_{variant}"), words, missing)
    return sections if len(sections) > 1 else []


def conclusion(results: Mapping[str, Any]) -> str:
    """What the tests of base rates and transitions say together, built from their p-values and nothing else.

    Transitions are judged by the observed ones, and by those of the person-centred states in particular: on the
    absolute scale, states that occur more often are also moved into more often.
    """
    often, absolute, centred = (
        _pvalue(results.get(name))
        for name in ("base_rates_absolute", "hsic_observed_absolute", "hsic_observed_person_centred")
    )
    if often is None and absolute is None and centred is None:
        return "The tests between the groups were not part of this run."
    tests = [
        f"{name} {wording.p_text(p)}"
        for name, p in (
            ("how often states occur", often),
            ("transitions on the absolute scale", absolute),
            ("transitions relative to the person’s own average", centred),
        )
        if p is not None
    ]
    return f"{_verdict(often, absolute, centred)} The tests behind this: {'; '.join(tests)}."


def _model_caution(results: Mapping[str, Any], variants: Mapping[str, str]) -> list[str]:
    """Where observed and modelled transitions disagree, which of them to believe first."""
    pairs = [(_pvalue(results.get(f"hsic_{kind}_{name}")) for kind in ("observed", "model")) for name in variants]
    found = [(observed, model) for observed, model in pairs if observed is not None and model is not None]
    if not any((observed < SIGNIFICANT) != (model < SIGNIFICANT) for observed, model in found):
        return []
    return [
        "The test on the model’s transition scores and the test on the observed transitions do not agree everywhere. "
        "The "
        "scores are estimates that borrow strength from all persons and set aside what the previous prompt’s answers "
        "already explain; the observed transitions are counts. Both are shown below."
    ]


def _verdict(often: float | None, absolute: float | None, centred: float | None) -> str:
    frequency = often is not None and often < SIGNIFICANT
    moves = absolute is not None and absolute < SIGNIFICANT
    if centred is not None and centred < SIGNIFICANT:
        return (
            "The groups differ in how one state follows another, also when lasting differences in level are taken out."
        )
    if centred is not None and (frequency or moves):
        return (
            "The groups differ in how often states occur more clearly than in how one follows another: once lasting "
            "differences in level are taken out, the transitions no longer differ detectably."
        )
    if moves:
        return (
            "The transitions differ between the groups; whether this is more than a difference in how often states "
            "occur "
            "was not tested."
        )
    if frequency:
        return "The groups differ in how often states occur; a difference in transitions was not detected."
    return "No difference between the groups was detected, which does not prove that there is none."


def _pvalue(result: Any) -> float | None:
    return None if result is None else float(result.pvalue)


def _base_rates(result: Any, words: str, missing: list[str]) -> list[Section]:
    if result is None:
        missing.append(f"how often states occur, {words}")
        return []
    frame = base_rates.tidy(result.to_frame())
    return [
        Section(
            title=f"How often states occur: {words}",
            level=2,
            text=[result.text()],
            figure=report_figure(base_rates, frame, f"Share of Prompts in Each State by Group, {words}"),
            apa=[result.apa()],
            how_to_read=sentences.HOW_TO_READ["base_rates"],
            note=" ".join(result.notes),
        )
    ]


def _hsic(result: Any, what: str, words: str, missing: list[str]) -> list[Section]:
    if result is None:
        missing.append(f"HSIC test, {what}, {words}")
        return []
    frame = null_distribution.tidy(result)
    return [
        Section(
            title=f"One test for all transitions: {what}, {words}",
            level=2,
            text=[result.text(subject=what, features="transitions")],
            figure=report_figure(null_distribution, frame, f"n × HSIC Under Shuffled Labels, {what}"),
            apa=[result.apa(subject=what, features="transitions")],
            how_to_read=sentences.HOW_TO_READ["null_distribution"],
            note=" ".join(result.notes),
        )
    ]


def _differences(result: Any, words: str, missing: list[str]) -> list[Section]:
    if result is None:
        missing.append(f"single transitions, {words}")
        return []
    frame, means = interval_matrix.tidy(result), group_matrices.tidy(result)
    names = f"{result.group_names[0]} minus {result.group_names[1]}"
    return [
        Section(
            title=f"Each transition on its own: {words}",
            level=2,
            text=[result.text()],
            figure=report_figure(interval_matrix, frame, f"Differences of Transition Probabilities, {names}"),
            apa=[result.apa()],
            how_to_read=sentences.HOW_TO_READ["interval_matrix"],
        ),
        Section(
            title=f"Group means: {words}",
            level=2,
            figure=report_figure(group_matrices, means, "Mean Transition Probabilities of the Groups, in Percent"),
            table=difference_list(result.summary(), smallest=SMALLEST_SHOWN),
            how_to_read=sentences.HOW_TO_READ["group_matrices"],
            note=" ".join(result.notes),
        ),
    ]


def difference_table(comparison: Any) -> pd.DataFrame:
    """One row per transition: difference (0 to 1), both intervals as text in percentage points, p, FDR-adjusted p."""
    frame = comparison.to_frame()
    scale = 100.0 if getattr(comparison, "scale", "probability") in IN_POINTS else 1.0
    raw = interval_column(frame["low"], frame["high"], 1, scale)
    together = interval_column(frame["low_simultaneous"], frame["high_simultaneous"], 1, scale)
    table = frame[["from_state", "to_state", "difference"]].assign(raw=raw, simultaneous=together)
    return table.assign(pvalue=frame["pvalue"], pvalue_fdr=frame["pvalue_fdr"])
