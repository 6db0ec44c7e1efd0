"""The appendix of a report: settings, code, versions; for one's own files also diagnostics, persons and checksums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from analyses.report import sentences
from analyses.report.document import Section
from analyses.report.report_facts import OF_GROUPS, OF_PERSONS, ReportOptions, RunFacts, kind_of
from analyses.report.report_figures import catalogue_figure
from analyses.report.report_missing import missing_section
from analyses.report.report_results import title_of
from analyses.report.snippet_fit import fit_code
from analyses.report.snippets import snippet
from analyses.report.tables import ReportTable, bounded_cell
from toolkit.errors import RunFolderError

IDENTIFIABLE = "About single persons, by pseudonym: for your own files, not to be passed on."


def appendix(facts: Sequence[RunFacts], options: ReportOptions) -> list[Section]:
    """Settings of every run, code of every model and result, what is missing."""
    sections = [Section(title="Appendix", text=["How every number of this report can be made again."])]
    sections += [_settings(one) for one in facts]
    sections += missing_section(facts)
    sections += [section for one in facts for section in _code(one, options)]
    return sections


def _settings(facts: RunFacts) -> Section:
    """The manifest as a table."""
    table = ReportTable(
        frame=pd.DataFrame(manifest_lines(facts.manifest), columns=["what", "value"]),
        title=f"Manifest of {facts.run.name}",
        headings={"what": "Entry", "value": "Value"},
    )
    return Section(title=f"Settings: {facts.run.name}", level=2, table=table)


def manifest_lines(manifest: Any) -> list[tuple[str, str]]:
    """The entries of a manifest that a reader needs, as words."""
    config = ", ".join(f"{name} = {value}" for name, value in manifest["config"].items())
    rows = manifest["split"]["rows"]
    versions = ", ".join(f"{name} {version}" for name, version in (manifest.get("versions") or {}).items())
    lines = [
        ("Model", sentences.MODEL_NAMES.get(str(manifest["model"]), str(manifest["model"]))),
        ("Target", ", ".join(map(str, manifest.get("targets") or [manifest.get("target")]))),
        ("Predictors", ", ".join(map(str, manifest["data"]["features"]))),
        ("Settings", config),
        ("Person effects in", ", ".join(map(str, manifest.get("effects") or [])) or "none"),
        ("Split", f"{manifest['split']['name']} ({', '.join(f'{part} {count}' for part, count in rows.items())})"),
        ("Seed", str(manifest.get("seed"))),
        ("Data, SHA-256", str(manifest["data"]["hash"])),
        ("Device, threads", f"{manifest.get('device', '–')}, {manifest.get('threads', '–')}"),
        ("Fitted", f"{manifest.get('started', '–')} to {manifest.get('finished', '–')}"),
        ("Versions", versions),
    ]
    return lines


def _code(facts: RunFacts, options: ReportOptions) -> list[Section]:
    """The code of the model and of every result that is shown."""
    first = Section(title=f"Code: model {facts.run.name}", level=2, code=fit_code(facts.manifest))
    sections = [first]
    for kept in facts.kept:
        kind = kind_of(kept)
        hidden = options.guarded and (kind in OF_PERSONS or (kind in OF_GROUPS and facts.groups_hidden))
        if kept.recipe is None or hidden:
            continue
        try:
            code = snippet(kept.recipe, facts.place)
        except RunFolderError:
            continue
        sections.append(Section(title=f"Code: {title_of(kind, kept)}, {facts.run.name}", level=2, code=code))
    return sections


def diagnostics(facts: RunFacts) -> list[Section]:
    """For one's own files: status, warnings, training, all variance components, every person, checksums."""
    warnings = [str(words) for words in facts.manifest.get("warnings") or []]
    status = facts.manifest["status"]
    told = "; ".join(f"{name} {value}" for name, value in status.items() if name != "sentence")
    sections = [
        Section(
            title=f"Diagnostics: {facts.run.name}",
            text=[sentences.status_words(facts.manifest), f"Status: {told}.",
                  f"Interrupted and resumed: {facts.manifest.get('resume_count', 0)} times.",
                  *(warnings or ["No warnings."])],
            figure=catalogue_figure("training", facts.run, f"Training of {facts.run.name}"),
            how_to_read=sentences.HOW_TO_READ["training_curve"],
        ),
        *_components(facts),
        _persons(facts),
        _files(facts),
    ]  # fmt: skip
    return sections


def _components(facts: RunFacts) -> list[Section]:
    if facts.components.empty:
        return []
    columns = ["parameter", "variance", "sd", "share", "correlation", "at_boundary"]
    table = ReportTable(
        frame=facts.components[columns],
        title=f"All Variance Components of {facts.run.name}",
        headings={"parameter": "Parameter", "variance": "Variance", "sd": "SD", "share": "Share",
                  "correlation": "Correlation", "at_boundary": "At the boundary"},
        formats={"share": bounded_cell, "correlation": bounded_cell, "variance": _small, "sd": _small},
        note="At the boundary: the variance could not be told from zero.",
    )  # fmt: skip
    return [Section(title=f"Variance components: {facts.run.name}", level=2, table=table)]


def _small(value: float) -> str:
    """Three figures that count, for variances of any size."""
    return "–" if value != value else f"{value:.3g}".replace("-", "−")


def _persons(facts: RunFacts) -> Section:
    """One row per person: pseudonym, group, cluster, rows, metric on the test rows, reliability."""
    metrics = facts.metrics
    mine = metrics[(metrics["scope"] == "person") & (metrics["split"] == "test")]
    task = str(facts.manifest["task"])
    name = "ordinal_alpha" if task == "ordinal" else "krippendorff_alpha" if facts.run.classes else "rmse"
    mine = mine[(mine["metric"] == name) & mine["level"].isin(["forecast", "person"])].drop_duplicates("person")
    table = facts.persons[["person", "group", "cluster", "rows", "rows_train", "baseline"]].copy()
    table["metric"] = table["person"].map(mine.set_index("person")["value"])
    if facts.personal:
        table["reliability"] = table["person"].map(facts.effects.groupby("level")["reliability"].mean())
    table = table.loc[:, table.notna().any()]
    words = {column: table[column].astype(object) for column in ("group", "cluster") if column in table}
    shown = ReportTable(
        frame=table.assign(**words),
        title=f"Persons of {facts.run.name}",
        headings={"person": "Pseudonym", "group": "Group", "cluster": "Cluster", "rows": "Rows",
                  "rows_train": "Rows in training", "baseline": "Baseline",
                  "metric": f"{sentences.METRIC_NAMES.get(name, name)}, test rows", "reliability": "Reliability"},
        note=IDENTIFIABLE,
    )  # fmt: skip
    return Section(title=f"Persons: {facts.run.name}", level=2, table=shown)


def _files(facts: RunFacts) -> Section:
    lines = [(name, digest) for name, digest in facts.manifest["files"].items()]
    table = ReportTable(
        frame=pd.DataFrame(lines, columns=["file", "digest"]),
        title=f"Files of {facts.run.name}",
        headings={"file": "File", "digest": "SHA-256"},
        note=f"nme verify {facts.place} compares them with what is on the disk.",
    )
    return Section(title=f"Files: {facts.run.name}", level=2, table=table)
