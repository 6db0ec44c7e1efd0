"""Writing reports and cards: formats, folders, analyses that are made first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analyses.report.document import Report, write_report
from analyses.report.report_facts import ReportOptions, gather
from analyses.report.report_markdown import write_markdown
from analyses.report.report_missing import Missing, missing
from analyses.report.report_paper import run_report
from toolkit.cli.answers import Answer
from toolkit.cli.keeping import busy
from toolkit.errors import ConfigError, DataError, RunFolderError
from toolkit.runs.atomic import enough_room
from toolkit.runs.folder import load_run

if TYPE_CHECKING:
    from toolkit.data.description import Description

REMEDY = "choose another folder (--out), or make room"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportAsked:
    """What the command line asked for."""

    audience: str
    formats: str
    out: Path
    min_group: int
    study: Path | None
    run_missing: bool
    seed: int
    overwrite: bool


def write_reports(paths: Sequence[Path], asked: ReportAsked, *, quiet: bool) -> Answer:
    """Write the report of one run or several in every format asked for."""
    formats = checked_formats(asked.formats, ("docx", "html", "md"))
    runs = [load_run(path) for path in paths]
    options = ReportOptions(
        audience=asked.audience,
        smallest=asked.min_group,
        places=[path.as_posix() for path in paths],
        sample=_description(asked.study),
    )
    gather(runs, options)
    targets = free_targets(asked.out, "report", formats, overwrite=asked.overwrite)
    made: list[str] = []
    failed: list[str] = []
    if asked.run_missing:
        made, failed = _make_missing(missing(gather(runs, options)), asked.seed)
    with busy("Writing the report", quiet):
        written = write_document(run_report(runs, options), targets)
    left = missing(gather(runs, options))
    lines = [*(f"Made: {name}" for name in made), *(f"Could not be made: {said}" for said in failed)]
    lines += [f"Report: {path}" for path in written]
    lines += [f"Not part of it: {entry.command}" for entry in left]
    data = {
        "report": [str(path) for path in written],
        "audience": asked.audience,
        "made": made,
        "failed": failed,
        "missing": [entry.command for entry in left],
    }
    return Answer(text="\n".join(lines), data=data)


def write_card(path: Path, kind: str, *, formats: str, out: Path, smallest: int, overwrite: bool) -> Answer:
    """Write a model card or the TRIPOD+AI checklist of a run."""
    from analyses.report.card import model_card
    from analyses.report.tripod import tripod_checklist

    chosen = checked_formats(formats, ("md", "html", "docx"))
    run = load_run(path)
    make = model_card if kind == "card" else tripod_checklist
    document = make(run, smallest=smallest)
    name = "model-card" if kind == "card" else "tripod-ai"
    written = write_document(document, free_targets(out, name, chosen, overwrite=overwrite))
    return Answer(text="\n".join(map(str, written)), data={kind: [str(path) for path in written]})


def checked_formats(words: str, known: Sequence[str]) -> list[str]:
    """Formats separated by commas.

    Raises:
        ConfigError: E302 for an unknown one.
    """
    chosen = list(dict.fromkeys(word.strip().lower() for word in words.split(",") if word.strip()))
    if not chosen or set(chosen) - set(known):
        raise ConfigError("this format is not known", code="E302", column="--format", remedy=f"use {', '.join(known)}")
    return chosen


def free_targets(out: Path, name: str, formats: Sequence[str], *, overwrite: bool) -> list[Path]:
    """The files to write, after checking that none is lost and the folder can be written.

    Raises:
        RunFolderError: E306 where a file is there already, E305 where the folder cannot be written.
    """
    targets = [out / f"{name}.{kind}" for kind in formats]
    try:
        there = [target.name for target in targets if target.exists()]
        if there and not overwrite:
            raise RunFolderError(
                f"{' and '.join(there)} {'is' if len(there) == 1 else 'are'} in the folder already",
                code="E306",
                column="out",
                remedy="choose another folder (--out), or replace them (--overwrite)",
            )
        with enough_room("the document", REMEDY):
            out.mkdir(parents=True, exist_ok=True)
            probe = out / f".{name}.probe"
            probe.touch()
            probe.unlink()
    except OSError:
        raise RunFolderError(
            "the folder cannot be written", code="E305", column="out", remedy="choose one you may write to"
        ) from None
    return targets


def write_document(document: Report, targets: Sequence[Path]) -> list[Path]:
    """Write a document in the format each target's name says."""
    from analyses.report.word import write_docx

    writers = {".html": write_report, ".md": write_markdown, ".docx": write_docx}
    with enough_room("the document", REMEDY):
        return [writers[target.suffix](document, target) for target in targets]


def _description(study: Path | None) -> Description | None:
    """The description of a study, for Table 1."""
    if study is None:
        return None
    from toolkit.data.description import describe_study
    from toolkit.data.study import Study

    return describe_study(Study.read(study))


def _make_missing(entries: Sequence[Missing], seed: int) -> tuple[list[str], list[str]]:
    """Make the quick analyses: names of those made, and what stood in the way of the others."""
    made, failed = [], []
    for entry in entries:
        if not entry.quick:
            continue
        try:
            made.append(_make(entry, seed))
        except DataError as error:
            if error.code in ("E304", "E305"):  # the folder is the trouble, not the analysis
                raise
            failed.append(f"{entry.kind}, {entry.run}: {error.sentence}")
    return made, failed


def _make(entry: Missing, seed: int) -> str:
    """Make one analysis with the command's own defaults; returns its name."""
    from toolkit.cli import analyses, differences, drivers, robustness

    paths = [Path(place) for place in entry.places]
    path = paths[0]
    if entry.kind == "hsic":
        analyses.hsic(path, value=entry.value, unit="auto", permutations=9_999, seed=seed)
    elif entry.kind in ("differences", "differences-pairs"):
        differences.differences(path, differences.DifferenceOptions(seed=seed))
    elif entry.kind == "base-rates":
        drivers.answer_base_rates(path, unit="auto", split=None, permutations=9_999, level=0.95, seed=seed)
    elif entry.kind == "baseline":
        analyses.baseline(
            path, parameter=None, unit="auto", resamples=10_000, permutations=9_999, level=0.95, seed=seed
        )
    elif entry.kind == "variance":
        robustness.variance(path, unit="auto", split=None, resamples=10_000, seed=seed)
    else:
        robustness.compare(
            paths, metrics=None, split="test", unit="auto", baseline=None, holm=False, resamples=10_000, seed=seed
        )
    return f"{entry.kind}{f' ({entry.value})' if entry.value else ''}, {entry.run}"
