"""The page: self-contained, escaped, numbered, and never half-written."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from page_reading import LOADING, parsed

from analyses.report.document import Report, ReportFigure, Section, render, write_report
from analyses.report.tables import ReportTable, cell_text, interval_column, p_cell, points_cell, table_columns

EVIL = '<script>alert("1")</script>'


def sample(label: str = "calm") -> Report:
    table = ReportTable(
        frame=pd.DataFrame({"who": [label, "b"], "n": [1200, 3], "value": [0.12345, np.nan], label: ["x", "y"]}),
        title=f"Table of {label}",
        note=f"Note on {label}",
        headings={"who": "Who"},
    )
    svg = '<svg viewBox="0 0 1 1"><defs><path id="p1" d="M0 0"/></defs><use href="#p1"/></svg>'
    figure = ReportFigure(svg=svg, alt=f"A figure of {label}: 1.", title=f"Figure of {label}")
    first = Section(
        title=f"About {label}", text=[f"Plain {label}."], apa=[f"APA {label}."], figure=figure, table=table,
        how_to_read=f"Read {label}", code=f"run {label}", note=label,
    )  # fmt: skip
    return Report(
        title=f"Report on {label}", subtitle=label, blocks=[first, Section(title="Second", figure=figure)], footer=label
    )


def test_labels_that_look_like_markup_are_shown_as_text() -> None:
    page = render(sample(EVIL))
    assert EVIL not in page
    assert "&lt;script&gt;" in page
    assert parsed(page).scripts == 0
    assert parsed(page).handlers == []


def test_nothing_is_loaded_from_elsewhere() -> None:
    page = render(sample())
    assert LOADING.findall(page) == []
    assert "default-src 'none'" in page
    parsed(page)


def test_figures_and_tables_are_numbered_and_ids_are_unique() -> None:
    page = render(sample())
    assert "Figure 1" in page
    assert "Figure 2" in page
    assert "Table 1" in page
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    targets = re.findall(r'href="#([^"]+)"', page)
    assert set(targets) <= set(ids)
    assert len(targets) == 4


def test_what_is_missing_leaves_nothing_behind() -> None:
    page = render(Report(title="Empty", blocks=[Section(title="Only words", text=["One."])]))
    body = page[page.index("<body>") :]
    assert "<table" not in body
    assert "<figure" not in body
    assert "How to read" not in body
    assert "<nav" not in body


def test_writing_replaces_the_page_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "report.html"
    assert write_report(sample(), target) == target
    before = target.read_text(encoding="utf-8")

    def fails(value: object) -> str:
        raise ZeroDivisionError

    table = ReportTable(frame=pd.DataFrame({"a": [1]}), title="t", formats={"a": fails})
    with pytest.raises(ZeroDivisionError):
        write_report(Report(title="x", blocks=[Section(title="y", table=table)]), target)
    assert target.read_text(encoding="utf-8") == before
    assert [path.name for path in target.parent.iterdir()] == ["report.html"]


def test_cells_are_written_as_a_paper_writes_them() -> None:
    assert cell_text(1200) == "1,200"
    assert cell_text(np.float64(-0.126)) == "−0.13"
    assert cell_text(float("nan")) == "–"
    assert cell_text(None) == "–"
    assert cell_text(pd.NA) == "–"
    assert cell_text(np.bool_(True)) == "yes"
    assert p_cell(0.0004) == "< .001"
    assert p_cell(0.0061) == ".006"
    assert p_cell(float("nan")) == "–"
    assert points_cell(0.028) == "+2.8"
    assert interval_column(pd.Series([0.001, np.nan]), pd.Series([0.055, 1.0]), 1, 100.0) == ["[0.1, 5.5]", "–"]


def test_words_stand_left_and_numbers_right() -> None:
    table = ReportTable(frame=pd.DataFrame({"a": ["x"], "b": [1.5], "c": [2]}), title="t")
    assert [column.words for column in table_columns(table)] == [True, False, False]
