"""Methods section and references of a report: every paragraph and every work once."""

from __future__ import annotations

from collections.abc import Sequence

from analyses.report.document import Section
from analyses.report.methods_text import cited_works, methods_paragraphs
from analyses.report.references import Reference, bibtex
from analyses.report.report_facts import ReportOptions, RunFacts, kind_of
from analyses.report.report_results import visible


def methods_sections(facts: Sequence[RunFacts], options: ReportOptions) -> list[Section]:
    """The methods section: data, models, analyses, software."""
    data: list[str] = []
    models: list[Section] = []
    tests: list[str] = []
    software: list[str] = []
    for one in facts:
        kept = [found for found in one.kept if visible(kind_of(found), one, options)]
        paragraphs = methods_paragraphs(one.manifest, kept)
        data.append(paragraphs[0])
        models.append(Section(title=f"Model: {one.title}", level=2, text=[paragraphs[1]]))
        tests += paragraphs[2:-1]
        software.append(paragraphs[-1])
    analyses = _sentences(tests)
    return [
        Section(title="Method", text=list(dict.fromkeys(data))),
        *models,
        *([Section(title="Statistical analysis", level=2, text=[analyses])] if analyses else []),
        Section(title="Software", level=2, text=list(dict.fromkeys(software))),
    ]


def _sentences(paragraphs: Sequence[str]) -> str:
    """Several paragraphs as one, every sentence once."""
    parts = [part.rstrip(".") for paragraph in paragraphs for part in paragraph.split(". ")]
    return ". ".join(dict.fromkeys(part for part in parts if part)) + "." if any(parts) else ""


def works_of(facts: Sequence[RunFacts]) -> list[Reference]:
    """What to cite, by author."""
    found = {
        work.key: work
        for one in facts
        for work in cited_works(one.manifest, one.kept, {str(name) for name in one.metrics["metric"].unique()})
    }
    return sorted(
        found.values(), key=lambda work: (work.fields.get("author", work.key).lower(), work.fields.get("year", ""))
    )


def reference_sections(facts: Sequence[RunFacts]) -> list[Section]:
    """References of data, methods and software."""
    works = works_of(facts)
    return [Section(title="References", text=[reference_line(work) for work in works])] if works else []


def bibtex_sections(facts: Sequence[RunFacts]) -> list[Section]:
    """The same references as BibTeX."""
    works = works_of(facts)
    return [Section(title="References as BibTeX", level=2, code=bibtex(works))] if works else []


def reference_line(work: Reference) -> str:
    """One work as APA sets it, without italics."""
    fields = {name: value.replace("{", "").replace("}", "").replace("--", "–") for name, value in work.fields.items()}
    container = fields.get("journal") or fields.get("booktitle") or fields.get("publisher") or ""
    if container and "volume" in fields:
        container += f", {fields['volume']}" + (f"({fields['number']})" if "number" in fields else "")
    if container and "pages" in fields:
        container += f", {fields['pages']}"
    container = f"In {container}" if "booktitle" in fields else container
    parts = [f"{_authors(fields.get('author', ''))} ({fields.get('year', 'n.d.')})", fields.get("title", ""), container]
    parts += [fields["note"]] if "note" in fields else []
    line = ". ".join(part.rstrip(".") for part in parts if part.strip()) + "."
    return f"{line} https://doi.org/{fields['doi']}" if "doi" in fields else line


def _authors(names: str) -> str:
    """``Hayes, A. F., & Krippendorff, K.``; ``et al.`` where the entry says others."""
    people = [_initials(name) for name in names.split(" and ") if name and name != "others"]
    if names.endswith("and others"):
        return f"{', '.join(people)}, et al."
    return people[0] if len(people) == 1 else f"{', '.join(people[:-1])}, & {people[-1]}" if people else ""


def _initials(name: str) -> str:
    """``Hayes, Andrew F.`` becomes ``Hayes, A. F.``; names of one word stay."""
    last, _, given = name.partition(", ")
    parts = ["-".join(f"{word[0]}." for word in part.split("-") if word) for part in given.split()]
    return f"{last}, {' '.join(parts)}" if parts else last
