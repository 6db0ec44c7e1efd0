"""The report of the bundled study: how well models predict, who differs, whether groups differ, how to repeat it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from analyses import wording
from analyses.figures.labels import listed
from analyses.report import sentences
from analyses.report.document import Report, Section
from analyses.report.group_sections import group_sections
from analyses.report.model_sections import baseline_sections, person_sections, prediction_sections
from analyses.report.tables import ReportTable

if TYPE_CHECKING:
    from toolkit.runs.folder import SavedRun

VARIANTS = {
    "absolute": "states on the absolute scale",
    "person_centred": "states relative to the person’s own average",
}

_RULE = (
    "Every item is standardised. Positive is the mean of happy and relaxed, aggressive is anger, dysphoric the mean of "
    "sad and stressed. A prompt is given the largest of the three if it exceeds 0.25, and otherwise counts as “other”."
)
_TWICE = (
    "This is done twice. On the absolute scale, items are standardised over everybody, so that a person who is often "
    "sad is often in the dysphoric state. Relative to the person’s own average, items are standardised within each "
    "person, which takes lasting differences in level between persons, and hence between the groups, out of the states."
)


def demo_report(runs: Mapping[str, SavedRun], results: Mapping[str, Any]) -> Report:
    """Assemble the demonstration's report.

    Args:
        runs: finished runs by name: ``generic-crf-VARIANT`` and ``nme-crf-VARIANT`` for both variants (``absolute``,
            ``person_centred``), ``nme-mlp``, ``generic-mlp``.
        results: analyses by name, for each variant ``hsic_model_``, ``hsic_observed_``, ``differences_``,
            ``base_rates_``, ``alpha_gain_`` and ``alpha_`` (frame: model, pooled, mean_per_person, persons, excluded);
            and ``baseline``.

    Returns:
        The report. What is missing is left out, and listed at the end.
    """
    missing: list[str] = []
    blocks = [
        *_study(runs),
        *prediction_sections(runs, results, VARIANTS, missing),
        *person_sections(runs, missing),
        *group_sections(results, VARIANTS, missing),
        *baseline_sections(runs, results, missing),
        *_record(runs, missing),
    ]
    return Report(
        title="Emotions in daily life: who differs, and do the groups differ?",
        subtitle="Demonstration on a published diary study, with models in which every person has their own parameters",
        blocks=_explained_once(blocks),
        footer=(
            "Data: Dejonckheere et al. (2019), openESM dataset 0012, CC BY 4.0. For research, not for diagnosis. "
            "This page contains no script and loads nothing from elsewhere."
        ),
    )


def _study(runs: Mapping[str, SavedRun]) -> list[Section]:
    used = ""
    for run in runs.values():
        data = run.manifest.get("data") or {}
        used = f" The models below used {wording.thousands(int(data.get('rows') or 0))} answered prompts."
        break
    return [
        Section(
            title="The study",
            text=[
                "100 persons answered up to seven short questionnaires a day for 14 days: how happy, relaxed, sad, "
                "angry "
                f"and stressed they felt. Of 9,800 prompts, 8,702 were answered.{used} Two groups are compared: 26 "
                f"persons "
                "with a CES-D sum of 16 or more (a screening score for depressive symptoms) and 74 persons below.",
                "This is a research study. A CES-D score is not a diagnosis, and nothing on this page is meant for "
                "decisions about a single person.",
            ],
        ),
        Section(title="How the states are made", level=2, text=[*_rules(runs), _TWICE]),
    ]


def _rules(runs: Mapping[str, SavedRun]) -> list[str]:
    """How states were made, as the runs keep it in their manifests; the study's own rule where they do not."""
    told = []
    for variant, words in VARIANTS.items():
        run = next((run for name, run in runs.items() if name.endswith(f"-{variant}")), None)
        rules = ((run.manifest.get("study") or {}).get("definitions") or []) if run is not None else []
        if rules:
            told.append(f"{words[:1].upper()}{words[1:]}: {' '.join(map(str, rules))}")
    return told or [_RULE]


def _record(runs: Mapping[str, SavedRun], missing: list[str]) -> list[Section]:
    rows = []
    for name, run in runs.items():
        manifest = run.manifest
        rows.append({"run": name, "seed": str(manifest.get("seed", "–")), "status": sentences.status_words(manifest)})
    exclusions = _unique(text for run in runs.values() for text in sentences.exclusion_sentences(run.manifest))
    versions = _unique(
        f"{name} {version}" for run in runs.values() for name, version in (run.manifest.get("versions") or {}).items()
    )
    left_out = f"Not part of this report, because it was not run: {listed(missing)}." if missing else ""
    return [
        Section(
            title="Exclusions, status, and how to repeat this",
            text=[
                f"Left out: {'; '.join(exclusions)}." if exclusions else "Nobody was left out.",
                *([left_out] if left_out else []),
                f"Versions: {', '.join(versions)}." if versions else "",
            ],
            table=ReportTable(
                frame=pd.DataFrame(rows, columns=["run", "seed", "status"]),
                title="The Models of This Report",
                headings={"run": "Run", "seed": "Seed", "status": "Status"},
            ),
            code="nme demo          # or: make demo",
            note="The manifest in each run folder holds the settings, the hash of the data, the random streams and "
            "every file’s checksum.",
        )
    ]


def _explained_once(blocks: Iterable[Section]) -> list[Section]:
    """The same explanation is given at its first place only."""
    seen: set[str] = set()
    kept = []
    for block in blocks:
        kept.append(replace(block, how_to_read="") if block.how_to_read in seen else block)
        seen.add(block.how_to_read)
    return kept


def _unique(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
