"""Reports as Word documents: what is in them, and that LibreOffice opens and draws them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import records
from docx import Document
from docx.oxml.ns import qn
from PIL import Image
from test_standard_tables import table_five
from word_reading import as_pdf, needs_office, pdf_pages, pdf_text

from analyses.report.document import Report, ReportFigure, Section
from analyses.report.standard_tables.differences import difference_list, difference_matrix
from analyses.report.tables import ReportTable
from analyses.report.word import docx_bytes, tables_docx, write_docx
from toolkit.errors import RunFolderError


def pixels(width: int = 1500, height: int = 800) -> bytes:
    drawn = io.BytesIO()
    Image.fromarray(np.full((height, width), 128, dtype=np.uint8)).save(drawn, "PNG", dpi=(300, 300))
    return drawn.getvalue()


def report(*, png: bool = True) -> Report:
    figure = ReportFigure(
        svg="<svg/>", alt="A line that rises, r = .30.", title="A Line", note="Made up.", png=pixels if png else None
    )
    table = difference_matrix(table_five(), smallest=11)
    first = Section(
        title="Do the groups differ?", text=["They do, p < .001.", ""], apa=[records.hsic().apa()], figure=figure,
        table=table, how_to_read="Bold cells differ.", code="import analyses\n    indented = 1", note="Small print.",
    )  # fmt: skip
    second = Section(title="A part", level=2, table=difference_list(table_five(), smallest=11))
    third = Section(title="Who <differs> & why?", figure=figure)
    return Report(title="A report", subtitle="On groups", blocks=[first, second, third], footer="For research.")


def opened(made: Report) -> Document:
    return Document(io.BytesIO(docx_bytes(made)))


def test_headings_captions_and_contents() -> None:
    document = opened(report())
    styled = [(paragraph.style.name, paragraph.text) for paragraph in document.paragraphs if paragraph.text]
    assert styled[:6] == [
        ("Title", "A report"),
        ("Subtitle", "On groups"),
        ("Tag", "Contents"),
        ("Contents Entry", "Do the groups differ?"),
        ("Contents Entry", "Who <differs> & why?"),
        ("Heading 1", "Do the groups differ?"),
    ]
    captions = [text for style, text in styled if style == "Caption"]
    assert captions == ["Figure 1", "Table 1", "Table 2", "Figure 2"]
    assert ("Heading 2", "A part") in styled
    assert ("APA Sentence", records.hsic().apa()) in styled
    assert ("Code", "import analyses\n    indented = 1") in styled
    assert ("How To Read", "Bold cells differ.") in styled
    assert ("Small Print", "Small print.") in styled
    assert len(document.tables) == 2


def test_links_of_the_contents_lead_to_headings() -> None:
    xml = opened(report()).element
    goals = {link.get(qn("w:anchor")) for link in xml.iter(qn("w:hyperlink"))}
    marks = {mark.get(qn("w:name")) for mark in xml.iter(qn("w:bookmarkStart"))}
    assert goals == marks
    assert len(goals) == 2


def test_figures_carry_their_sentence_and_fit_the_page() -> None:
    document = opened(report())
    assert len(document.inline_shapes) == 2
    shape = document.inline_shapes[0]
    assert shape._inline.docPr.get("descr") == "A line that rises, r = .30."
    assert shape._inline.docPr.get("title") == "A Line"
    assert shape.width.mm == pytest.approx(1500 / 300 * 25.4, abs=0.1)
    wide = ReportFigure(svg="", alt="wide", title="Wide", png=pixels(4000, 1000))
    shape = opened(Report(title="R", blocks=[Section(title="S", figure=wide)])).inline_shapes[0]
    assert shape.width.mm == pytest.approx(159.2, abs=0.1)
    assert shape.height.mm == pytest.approx(159.2 / 4, abs=0.1)


def test_a_figure_without_pixels_is_told() -> None:
    document = opened(report(png=False))
    assert len(document.inline_shapes) == 0
    assert "A line that rises, r = .30." in [paragraph.text for paragraph in document.paragraphs]


def test_the_same_report_gives_the_same_file() -> None:
    assert docx_bytes(report()) == docx_bytes(report())


def test_markup_and_control_characters_are_only_text() -> None:
    evil = '<w:br/> & "quoted" \x01\x1f \ud800 ]]>'
    cell = evil.replace("\ud800", "")  # pandas refuses half a character by itself
    table = ReportTable(frame=pd.DataFrame({cell: [cell]}), title=evil, note=evil, specific={evil: evil})
    section = Section(title=evil, text=[evil], apa=[evil], table=table, how_to_read=evil, code=evil, note=evil)
    document = opened(Report(title=evil, subtitle=evil, blocks=[section, section], footer=evil))
    shown = evil.replace("\x01", "\ufffd").replace("\x1f", "\ufffd").replace("\ud800", "\ufffd")
    assert document.paragraphs[0].text == shown


@pytest.mark.slow
def test_a_document_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = write_docx(report(), tmp_path / "deep" / "report.docx")
    assert target.read_bytes() == docx_bytes(report())
    assert [entry.name for entry in target.parent.iterdir()] == ["report.docx"]
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(RunFolderError) as refused:
        write_docx(report(), tmp_path / "file" / "report.docx")
    assert refused.value.code == "E305"


@pytest.mark.slow
@needs_office
def test_libreoffice_opens_and_draws_the_report(tmp_path: Path) -> None:
    pdf = as_pdf(write_docx(report(), tmp_path / "report.docx"), tmp_path)
    text = pdf_text(pdf)
    for words in ("A report", "Do the groups differ?", "Table 1", "Table 2", "Figure 2", "Page 1", "For research."):
        assert words in text
    assert "[−7.4, −1.3]" in text.replace("\u00a0", " ")
    assert "p = .006 (9,999" in " ".join(text.split())
    pages = pdf_pages(pdf, tmp_path)
    assert 2 <= len(pages) <= 4
    for page in pages:
        ink = np.asarray(Image.open(page).convert("L"))
        assert 0.002 < (ink < 200).mean() < 0.5
        assert (ink[:, -20:] > 240).all()  # nothing runs out over the right margin


@pytest.mark.slow
@needs_office
@pytest.mark.parametrize("label", ["calm", "x" * 300, "a state with a long name " * 8])
def test_libreoffice_draws_tables_with_any_label(tmp_path: Path, label: str) -> None:
    made = difference_matrix(table_five(states=[label, *table_five()["states"][1:]]), smallest=11)
    document = tmp_path / "table.docx"
    document.write_bytes(tables_docx([made, made], ["1", "2"]))
    pdf = as_pdf(document, tmp_path)
    # intervals stay on one line whatever the labels do
    assert pdf_text(pdf).replace("\u00a0", " ").count("[−7.4, −1.3]") == 2
    for page in pdf_pages(pdf, tmp_path):
        ink = np.asarray(Image.open(page).convert("L"))
        assert (ink[:, -20:] > 240).all()
