"""The reports for papers and for one's own files, and `run_report`, which makes a report for any audience."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from analyses.figures.labels import listed
from analyses.report import report_parts
from analyses.report.document import Report, Section
from analyses.report.report_appendix import appendix, diagnostics
from analyses.report.report_clinician import clinician_report
from analyses.report.report_facts import ReportOptions, RunFacts, gather
from analyses.report.report_limits import limits
from analyses.report.report_methods import bibtex_sections, methods_sections, reference_sections
from analyses.report.report_results import results

if TYPE_CHECKING:
    from toolkit.runs.folder import SavedRun

FOOTERS = {
    "paper": "For research, not for diagnosis. Groups of fewer than {smallest} persons are not shown.",
    "internal": "For your own files: holds pseudonyms and small groups. Not to be passed on. For research, not for "
    "diagnosis.",
}
SUBTITLES = {
    "paper": "Report for a paper: sample, methods, results in APA style, code",
    "internal": "Report for your own files: everything, with diagnostics and every person by pseudonym",
}


def run_report(runs: Sequence[SavedRun], options: ReportOptions) -> Report:
    """The report of one run or several, for an audience.

    Args:
        runs: finished runs; the first one's study gives title and sample.
        options: audience, smallest group, Table 1, how folders are written.

    Raises:
        ConfigError: E302 for an unknown audience or a smallest group outside 5 to 21.
        DataError: E124 for a study with fewer persons than may be shown.
        RunFolderError: E401, E402 or E404 for a damaged or newer run or kept analysis, E409 for a run without persons.
    """
    facts = gather(runs, options)
    if options.audience == "clinician":
        return clinician_report(facts, options)
    return _full(facts, options)


def _full(facts: Sequence[RunFacts], options: ReportOptions) -> Report:
    internal = options.audience == "internal"
    blocks = [
        report_parts.asked(facts),
        *report_parts.sample(facts, options),
        *(report_parts.models(facts) if internal else []),
        *methods_sections(facts, options),
        Section(title="Results", text=[]),
        *report_parts.prediction(facts, options),
        *[section for one in facts for section in _results(one, options, several=len(facts) > 1)],
        limits(facts, options),
        *([section for one in facts for section in diagnostics(one)] if internal else []),
        *reference_sections(facts),
        *appendix(facts, options),
        *bibtex_sections(facts),
    ]
    title = str(facts[0].study.get("title") or "Report")
    return Report(
        title=f"{title}: {listed(list(dict.fromkeys(one.outcomes for one in facts)))}",
        subtitle=SUBTITLES[options.audience],
        blocks=[block for block in blocks if block is not None],
        footer=FOOTERS[options.audience].format(smallest=options.smallest),
    )


def _results(facts: RunFacts, options: ReportOptions, *, several: bool) -> list[Section]:
    """Persons and kept analyses of one run, under a heading of its own where there are several."""
    sections = [*report_parts.fixed(facts), *report_parts.persons(facts, options), *results(facts, options)]
    if not sections or not several:
        return sections
    return [Section(title=f"Results: {facts.title}", text=[]), *sections]
