"""Copies of runs without persons, and dictionaries of run folders."""

from __future__ import annotations

from pathlib import Path

from analyses.report.dictionary import dictionary_csv, dictionary_report
from analyses.report.group_tables import group_tables, metrics_of_everybody
from toolkit.cli.answers import Answer
from toolkit.cli.reporting import REMEDY, checked_formats, free_targets, write_document
from toolkit.errors import ConfigError
from toolkit.runs.atomic import enough_room, write_atomically
from toolkit.runs.exporting import export_without_persons
from toolkit.runs.folder import SavedRun, load_run


def export_run(
    path: Path, out: Path, *, without_persons: bool, with_dictionary: bool, smallest: int, overwrite: bool
) -> Answer:
    """Write the copy, the dictionary (into the folder of the copy's neighbour where both are asked for), or both."""
    if not (without_persons or with_dictionary):
        raise ConfigError(
            "an export leaves persons out, or is a dictionary",
            code="E302",
            column="--without-persons",
            remedy="add --without-persons or --dictionary; to copy a whole run, copy its folder",
        )
    run = load_run(path)
    if not without_persons:
        return _dictionary(run, out, ["md", "csv"], overwrite=overwrite)
    tables = group_tables(run, smallest=smallest) | {"metrics": metrics_of_everybody(run.metrics(), smallest=smallest)}
    copy = load_run(export_without_persons(run, tables, out, smallest=smallest, overwrite=overwrite))
    count = copy.verify()
    lines = [f"{count} files without anything about persons: {out}", "Kept analyses were left behind."]
    data: dict[str, object] = {"copy": str(out), "files": count}
    if with_dictionary:
        beside = out.with_name(f"{out.name}-dictionary")
        written = _dictionary(copy, beside, ["md", "csv"], overwrite=overwrite)
        lines.append(written.text)
        data |= dict(written.data)
    return Answer(text="\n".join(lines), data=data)


def write_dictionary(path: Path, out: Path, *, formats: str, overwrite: bool) -> Answer:
    """Write the dictionary of a run folder."""
    chosen = checked_formats(formats, ("md", "csv", "html", "docx"))
    return _dictionary(load_run(path), out, chosen, overwrite=overwrite)


def _dictionary(run: SavedRun, out: Path, formats: list[str], *, overwrite: bool) -> Answer:
    targets = free_targets(out, "dictionary", formats, overwrite=overwrite)
    documents = [target for target in targets if target.suffix != ".csv"]
    written = write_document(dictionary_report(run), documents) if documents else []
    for target in targets:
        if target.suffix == ".csv":
            with enough_room("the dictionary", REMEDY):
                write_atomically(target, dictionary_csv(run))
            written.append(target)
    return Answer(
        text="\n".join(f"Dictionary: {path}" for path in written),
        data={"dictionary": [str(path) for path in written]},
    )
