"""Reports and tables as Word documents: real headings, captions, tables and contents, figures with their words.

The same report gives the same file, byte for byte: no clock, no random number, no name of a computer goes in.
"""

# pyright: reportMissingTypeStubs=false
from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analyses.report.document import Report, ReportFigure, Section
from analyses.report.symbols import sentence_runs
from analyses.report.tables import ReportTable
from analyses.report.word_parts import add_xml, bookmarked, field_xml, legal, run_xml, table_element, text_xml
from analyses.report.word_styles import TEXT_WIDTH_MM, set_up
from toolkit.runs.atomic import enough_room, write_atomically

if TYPE_CHECKING:
    from docx.document import Document
    from docx.text.paragraph import Paragraph

_NEVER = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip file can hold


def write_docx(report: Report, path: str | Path) -> Path:
    """Write a report as a Word document, whole or not at all.

    Returns:
        The path written.

    Raises:
        RunFolderError: E304 if the disk is full, E305 if the folder may not be written to.
    """
    target = Path(path)
    content = docx_bytes(report)
    with enough_room("the document", "choose another folder, or ask for the right to write to this one"):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, content)
    return target


def docx_bytes(report: Report) -> bytes:
    """A report as the content of a docx file: title, contents, sections with figures and tables numbered in order."""
    document = _empty(report.title)
    _add(document, report.title, "Title")
    if report.subtitle:
        _add(document, report.subtitle, "Subtitle")
    _contents(document, [section.title for section in report.blocks if section.level == 1])
    figures = tables = chapters = 0
    for section in report.blocks:
        heading = _add(document, section.title, "Heading 1" if section.level == 1 else "Heading 2")
        if section.level == 1:
            chapters += 1
            bookmarked(heading, _anchor(chapters), chapters)
        figures += section.figure is not None
        tables += section.table is not None
        _section(document, section, figures, tables)
    _footer(document, report.footer)
    return _same_every_time(document)


def tables_docx(tables: Sequence[ReportTable], numbers: Sequence[str]) -> bytes:
    """Tables alone as the content of a docx file, each with its number, title and notes.

    Args:
        tables: one after the other.
        numbers: what stands after "Table", such as ``5`` or ``A1``.
    """
    document = _empty(tables[0].title if tables else "Tables")
    for table, number in zip(tables, numbers, strict=True):
        _table(document, table, number)
    return _same_every_time(document)


def _empty(title: str) -> Document:
    """A document without paragraphs, with our styles, that knows its title and nothing about who made it."""
    from docx import Document as new_document

    document = new_document()
    set_up(document)
    about = document.core_properties
    about.title, about.language = legal(title)[:255], "en-GB"
    about.author = about.last_modified_by = about.comments = about.keywords = ""
    for element in list(about._element):
        if element.tag.endswith(("}created", "}modified")):
            about._element.remove(element)
    package: Any = document.part.package
    for name, relation in list(package.rels.items()):
        if relation.reltype.endswith("/thumbnail"):  # a picture of somebody else's page
            del package.rels[name]
    return document


def _section(document: Document, section: Section, figure_number: int, table_number: int) -> None:
    for paragraph in section.text:
        if paragraph:
            _sentence(document, paragraph, "Normal")
    if section.figure is not None:
        _figure(document, section.figure, figure_number)
    if section.apa:
        _add(document, "For a paper (APA 7)", "Tag")
        for sentence in section.apa:
            _sentence(document, sentence, "APA Sentence")
    if section.table is not None:
        _table(document, section.table, str(table_number))
    if section.how_to_read:
        _add(document, "How to read this", "Tag")
        _sentence(document, section.how_to_read, "How To Read")
    if section.code:
        _code(document, section.code)
    if section.note:
        _sentence(document, section.note, "Small Print")


def _add(document: Document, text: str, style: str) -> Paragraph:
    return document.add_paragraph(legal(text), style=style)


def _sentence(document: Document, text: str, style: str) -> Paragraph:
    """A paragraph with the symbols of its statistics in italics."""
    paragraph = document.add_paragraph(style=style)
    add_xml(paragraph, "".join(run_xml(run) for run in sentence_runs(text)))
    return paragraph


def _code(document: Document, code: str) -> None:
    paragraph = document.add_paragraph(style="Code")
    run = paragraph.add_run()
    for place, line in enumerate(legal(code).splitlines()):
        if place:
            run.add_break()
        run.add_text(line)


def _caption(document: Document, kind: str, number: str, title: str) -> None:
    """``Table 1`` as a field that Word counts, and the title in italics below it."""
    caption = document.add_paragraph(style="Caption")
    counted = field_xml(f"SEQ {kind} \\* ARABIC", number) if number.isdigit() else f"<w:r>{text_xml(number)}</w:r>"
    add_xml(caption, f"<w:r>{text_xml(f'{kind} ')}</w:r>{counted}")
    _add(document, title, "Caption Title")


def _table(document: Document, table: ReportTable, number: str) -> None:
    _caption(document, "Table", number, table.title)
    document.element.body.sectPr.addprevious(table_element(table))
    notes = [(mark, text) for mark, text in (("Note.", table.note), *table.specific.items()) if text]
    for place, (mark, text) in enumerate(notes, start=1):
        paragraph = document.add_paragraph(style="Table Note")
        paragraph.paragraph_format.keep_with_next = place < len(notes)
        first = paragraph.add_run(legal(mark))
        first.italic, first.font.superscript = mark == "Note.", mark != "Note."
        add_xml(paragraph, "".join(run_xml(run) for run in sentence_runs(f" {text}")))
    document.add_paragraph(style="Table Note")  # room below, and two tables in a row would become one


def _figure(document: Document, figure: ReportFigure, number: int) -> None:
    _caption(document, "Figure", str(number), figure.title)
    pixels = figure.pixels()
    if pixels is None:
        _sentence(document, figure.alt, "Normal")
    else:
        _picture(document, pixels, figure)
    if figure.note:
        paragraph = document.add_paragraph(style="Table Note")
        paragraph.add_run("Note.").italic = True
        add_xml(paragraph, "".join(run_xml(run) for run in sentence_runs(f" {figure.note}")))


def _picture(document: Document, pixels: bytes, figure: ReportFigure) -> None:
    """The drawing at its own size, or as wide as the text, with the sentence that stands for it."""
    from docx.shared import Mm

    paragraph = document.add_paragraph(style="Figure Image")
    paragraph.paragraph_format.keep_with_next = bool(figure.note)
    run = paragraph.add_run()
    shape = run.add_picture(io.BytesIO(pixels))
    if shape.width > Mm(TEXT_WIDTH_MM):
        shape.height = round(shape.height * Mm(TEXT_WIDTH_MM) / shape.width)
        shape.width = Mm(TEXT_WIDTH_MM)
    about = shape._inline.docPr
    about.set("descr", legal(figure.alt))
    about.set("title", legal(figure.title))


def _contents(document: Document, titles: Sequence[str]) -> None:
    """Links to the chapters, in a field that Word can update; no page numbers, which only a layout knows."""
    if len(titles) < 2:
        return
    _add(document, "Contents", "Tag")
    begin = (
        '<w:r><w:fldChar w:fldCharType="begin"/></w:r>'
        '<w:r><w:instrText xml:space="preserve"> TOC \\o "1-1" \\n \\h \\z </w:instrText></w:r>'
        '<w:r><w:fldChar w:fldCharType="separate"/></w:r>'
    )
    end = '<w:r><w:fldChar w:fldCharType="end"/></w:r>'
    for place, title in enumerate(titles, start=1):
        entry = f'<w:hyperlink w:anchor="{_anchor(place)}" w:history="1"><w:r>{text_xml(title)}</w:r></w:hyperlink>'
        first, last = begin if place == 1 else "", end if place == len(titles) else ""
        add_xml(document.add_paragraph(style="Contents Entry"), f"{first}{entry}{last}")


def _anchor(place: int) -> str:
    return f"_Toc{place:08d}"


def _footer(document: Document, text: str) -> None:
    """The report's last words on every page, and the number of the page below them."""
    footer = document.sections[0].footer
    style = document.styles["Footer"]
    first = footer.paragraphs[0]
    for paragraph in (first, footer.add_paragraph()) if text else (first,):
        paragraph.style = style  # pyright: ignore[reportAttributeAccessIssue]
    if text:
        add_xml(first, f"<w:r>{text_xml(text)}</w:r>")
    add_xml(footer.paragraphs[-1], f"<w:r>{text_xml('Page ')}</w:r>{field_xml('PAGE', '1')}")


def _same_every_time(document: Document) -> bytes:
    """The saved document with the times of its parts taken out."""
    saved, written = io.BytesIO(), io.BytesIO()
    document.save(saved)
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            part = zipfile.ZipInfo(entry.filename, date_time=_NEVER)
            part.compress_type, part.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
            new.writestr(part, old.read(entry))
    return written.getvalue()
