"""A report of chosen results in a chosen order, for a paper, for clinicians, or for one's own files.

What an audience gets: a paper gets the APA sentences, figures and tables, then methods and references; clinicians get
the plain sentences with "how to read this"; one's own files get everything, with the code.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analyses.report import report_parts
from analyses.report.document import Report, ReportFigure, Section, render
from analyses.report.report_facts import ReportOptions, gather
from analyses.report.report_limits import limits
from analyses.report.report_methods import methods_sections, reference_sections
from analyses.report.spreadsheet import table_csv
from analyses.report.word import docx_bytes
from toolkit.errors import DataError

if TYPE_CHECKING:
    from analyses.report.tables import ReportTable
    from toolkit.runs.folder import SavedRun

AUDIENCES = {
    "paper": "For a paper: APA sentences, figures, tables, methods, references",
    "clinician": "For clinicians: plain sentences, and how to read every figure",
    "internal": "For your own files: everything, with the code",
}
FOOTERS = {
    "paper": "For research, not for diagnosis.",
    "clinician": "For research, not for diagnosis.",
    "internal": "For your own files. For research, not for diagnosis.",
}
IDENTIFIABLE = "This document shows single persons: it is identifiable. Keep it as you keep the raw data."
PERSONAL = ("levels", "further_levels", "files")  # of a manifest: pseudonyms, and checksums that a copy does not have


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chosen:
    """One result of the report.

    Attributes:
        title: its heading. text: plain sentences. apa: sentences for a paper. remark: what the user wrote about it.
        figure, table: already guarded against small groups. reading: how to read them. note: small print.
        code: Python that makes it again. identifiable: about a single person.
    """

    title: str
    text: Sequence[str] = ()
    apa: Sequence[str] = ()
    remark: str = ""
    figure: ReportFigure | None = None
    table: ReportTable | None = None
    reading: str = ""
    note: str = ""
    code: str = ""
    identifiable: bool = False


def pinned_report(
    chosen: Sequence[Chosen], runs: Sequence[SavedRun], *, audience: str, title: str, identifiable: bool = False
) -> Report:
    """The report of chosen results.

    Args:
        chosen: the results, in order.
        runs: the runs they are from; their methods and limits follow. None for results about rows alone.
        audience: one of ``AUDIENCES``.
        title: of the document.
        identifiable: single persons are wanted in it.

    Raises:
        DataError: E410 when nothing was chosen, or single persons would be shown without being wanted.
        ConfigError: E302 for an unknown audience. RunFolderError: as for a damaged run.
    """
    if not chosen:
        raise DataError("nothing is pinned for the report", code="E410", remedy="Pin results on the other pages first")
    if any(one.identifiable for one in chosen) and not identifiable:
        raise DataError(
            "a pinned result shows a single person",
            code="E410",
            remedy="Take it out, or say that the document may be identifiable",
        )
    footer = " ".join([FOOTERS.get(audience, ""), *([IDENTIFIABLE] if any(one.identifiable for one in chosen) else [])])
    around = _around(runs, audience)
    return Report(
        title=title,
        subtitle=AUDIENCES.get(audience, ""),
        blocks=[*around[0], Section(title="Results"), *[_section(one, audience) for one in chosen], *around[1]],
        footer=footer.strip(),
    )


def _section(one: Chosen, audience: str) -> Section:
    paper, plain = audience == "paper", audience == "clinician"
    return Section(
        title=one.title,
        level=2,
        text=[*([] if paper and one.apa else one.text), *([one.remark] if one.remark.strip() else [])],
        apa=() if plain else one.apa,
        figure=one.figure,
        table=None if plain else one.table,
        how_to_read="" if paper else one.reading,
        code=one.code if audience == "internal" else "",
        note=one.note,
    )


def _around(runs: Sequence[SavedRun], audience: str) -> tuple[list[Section], list[Section]]:
    """Sample and methods before the results, limits and references after them."""
    if not runs:
        return [], []
    options = ReportOptions(audience=audience)
    facts = gather(runs, options)
    sample = report_parts.sample(facts, options)
    if audience == "clinician":
        return sample, [limits(facts, options)]
    return [*sample, *methods_sections(facts, options)], [limits(facts, options), *reference_sections(facts)]


def report_zip(report: Report, chosen: Sequence[Chosen], manifests: Mapping[str, Mapping[str, Any]]) -> bytes:
    """The report with everything behind it: page, Word document, tables as csv, figures as svg, code, manifests.

    Args:
        report: of `pinned_report`.
        chosen: the same results.
        manifests: of the runs, by name; what they hold about persons is left out.
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("report.html", render(report))
        archive.writestr("report.docx", docx_bytes(report))
        for number, one in enumerate(chosen, start=1):
            if one.table is not None:
                archive.writestr(f"tables/{number:02d}.csv", table_csv(one.table))
            if one.figure is not None:
                archive.writestr(f"figures/{number:02d}.svg", one.figure.svg)
            if one.code:
                archive.writestr(f"code/{number:02d}.py", one.code)
        for name, manifest in manifests.items():
            told = {key: value for key, value in manifest.items() if key not in PERSONAL}
            archive.writestr(f"manifests/{name}.json", json.dumps(told, indent=1, ensure_ascii=False, default=str))
    return packed.getvalue()
