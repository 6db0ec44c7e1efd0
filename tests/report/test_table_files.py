"""Tables in every format: the same numbers, nothing that runs, nothing that breaks."""

from __future__ import annotations

import io
import math
import re
import shutil
import subprocess
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest
from docx import Document
from docx.oxml.ns import qn
from hypothesis import given, settings
from hypothesis import strategies as st

from analyses.report.latex import escaped, latex_table
from analyses.report.spreadsheet import table_csv, table_xlsx
from analyses.report.symbols import heading_runs, sentence_runs
from analyses.report.table_files import TABLE_FORMATS, plain_table, table_file, table_page
from analyses.report.tables import ReportTable, Spanner, p_cell, points_cell
from analyses.report.word import tables_docx
from analyses.report.word_parts import column_widths
from analyses.report.word_styles import TEXT_WIDTH_MM

EVIL = '=HYPERLINK("http://x")</w:t>{\\input{a}} & 100% $x$ _^~ \x07 <script>'


def example(label: str = "calm") -> ReportTable:
    return ReportTable(
        frame=pd.DataFrame(
            {
                "state": [label, "of which tense"],
                "n": [1200, 3],
                "difference": [-0.028, np.nan],
                "interval": ["[−5.5, −0.1]", "[0.1, 12.0]"],
                "p": [0.0003, 0.2],
            }
        ),
        title=f"Table of {label}",
        note="n = 7 persons, p < .001.",
        specific={"a": "Better than b, p = .03."},
        headings={"state": "State", "interval": "95% CI", "difference": "Difference"},
        formats={"p": p_cell, "difference": points_cell},
        bold={(0, "interval")},
        marks={(0, "interval"): "a"},
        numbers={"interval"},
        indented={1},
        spanners=(Spanner(label="Group minus group", columns=("difference", "interval")),),
        data=pd.DataFrame({"=state": [label, "-x"], "difference": [-0.0281234567, np.nan], "n": [1200, 3]}),
    )


def test_symbols_of_statistics_are_found_where_they_are_symbols() -> None:
    def italics(runs: list[Any]) -> list[str]:
        return [run.text for run in runs if run.italic]

    assert italics(sentence_runs("Groups differed, F(2, 40) = 3.1, p < .001, r(36) = −.05; n = 7.")) == [
        "F", "p", "r", "n",
    ]  # fmt: skip
    assert italics(sentence_runs("M and SD of persons; Cramér’s V = .1")) == ["M", "SD", "V"]
    assert italics(sentence_runs("The person p felt sad, and Mr N agreed (t-test, n-gram).")) == []
    assert italics(heading_runs("p (FDR)")) == ["p"]
    assert italics(heading_runs("Persons")) == []
    assert "".join(run.text for run in sentence_runs(EVIL)) == EVIL


class TestWord:
    def table(self, made: ReportTable) -> Any:
        return Document(io.BytesIO(tables_docx([made], ["5"]))).tables[0]

    def test_it_is_a_real_table_with_three_rules(self) -> None:
        table = self.table(example())
        texts = [[cell.text.replace("\u00a0", " ") for cell in row.cells] for row in table.rows]
        assert texts[0] == ["", "", "Group minus group", "Group minus group", ""]
        assert texts[1:] == [
            ["State", "n", "Difference", "95% CI", "p"],
            ["calm", "1,200", "−2.8", "[−5.5, −0.1]a", "< .001"],
            ["of which tense", "3", "–", "[0.1, 12.0]", ".200"],
        ]
        borders = table._tbl.tblPr.find(qn("w:tblBorders"))
        assert [edge.tag for edge in borders] == [qn("w:top"), qn("w:bottom")]
        for edge in table._tbl.iter(qn("w:tcBorders")):
            assert [side.tag for side in edge] == [qn("w:bottom")]  # no vertical rule anywhere
        below = [row._tr.findall(f".//{qn('w:tcBorders')}") for row in table.rows]
        assert [len(found) for found in below] == [1, 5, 0, 0]

    def test_headings_repeat_and_lines_do_not_break(self) -> None:
        rows = self.table(example()).rows
        flags = [row._tr.find(f".//{qn('w:tblHeader')}") is not None for row in rows]
        assert flags == [True, True, False, False]
        assert all(row._tr.find(f".//{qn('w:cantSplit')}") is not None for row in rows)

    def test_bold_superscript_and_italic(self) -> None:
        table = self.table(example())
        interval, mark = table.rows[2].cells[3].paragraphs[0].runs
        assert interval.bold
        assert mark.font.superscript
        assert not mark.bold
        assert [run.italic for run in table.rows[1].cells[4].paragraphs[0].runs] == [True]
        assert table.rows[3].cells[0].paragraphs[0].paragraph_format.left_indent is not None

    def test_number_title_and_notes_have_styles_of_their_own(self) -> None:
        document = Document(io.BytesIO(tables_docx([example()], ["5"])))
        styles = [(paragraph.style.name, paragraph.text) for paragraph in document.paragraphs if paragraph.text]
        assert styles == [
            ("Caption", "Table 5"),
            ("Caption Title", "Table of calm"),
            ("Table Note", "Note. n = 7 persons, p < .001."),
            ("Table Note", "a Better than b, p = .03."),
        ]
        assert "SEQ Table" in document.element.xml
        assert document.styles["Caption"].font.bold
        assert document.styles["Caption Title"].font.italic
        named = Document(io.BytesIO(tables_docx([example()], ["A1"])))
        assert named.paragraphs[0].text == "Table A1"

    def test_no_name_and_no_time_is_in_the_file(self) -> None:
        made = tables_docx([example()], ["1"])
        assert made == tables_docx([example()], ["1"])
        with zipfile.ZipFile(io.BytesIO(made)) as archive:
            assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
            about = archive.read("docProps/core.xml").decode("utf-8")
            assert not any("thumbnail" in name for name in archive.namelist())
        assert "python-docx" not in about
        assert "created" not in about

    @pytest.mark.parametrize("label", [EVIL, "x" * 300, "word " * 60, "中文 العربية 🙂", "", "line\nbreak"])
    def test_any_label_makes_a_document(self, label: str) -> None:
        table = self.table(example(label))
        expected = " ".join(label.splitlines()).replace("\x07", "\ufffd")
        assert table.rows[2].cells[0].text == expected

    def test_columns_fit_the_page_and_numbers_are_not_squeezed(self) -> None:
        from analyses.report.tables import heading_rows, table_cells

        wide = example("a very long label of a state " * 5)
        widths = column_widths(heading_rows(wide)[-1], table_cells(wide))
        assert sum(widths) == pytest.approx(TEXT_WIDTH_MM)
        assert widths[3] > 12 * 2  # twelve characters of an interval


class TestLatex:
    def test_the_whole_table(self) -> None:
        assert latex_table(example(), label="tab:x").splitlines()[3:] == [
            r"\begin{table}[htbp]",
            r"\begin{threeparttable}",
            r"\caption{Table of calm}\label{tab:x}",
            r"\begin{tabular}{@{}lrrrr@{}}",
            r"  \toprule",
            r"   &  & \multicolumn{2}{c}{Group minus group} &  \\",
            r"  \cmidrule(lr){3-4}",
            r"  State & \textit{n} & Difference & 95\% CI & \textit{p} \\",
            r"  \midrule",
            r"  calm & 1,200 & $-$2.8 & \textbf{\boldmath [$-$5.5, $-$0.1]}\textsuperscript{a} & \textless{} .001 \\",
            r"  \quad of which tense & 3 & -- & {}[0.1, 12.0] & .200 \\",
            r"  \bottomrule",
            r"\end{tabular}",
            r"\begin{tablenotes}[flushleft]\small",
            r"  \item \textit{Note.} \textit{n} = 7 persons, \textit{p} \textless{} .001.",
            r"  \item \textsuperscript{a} Better than b, \textit{p} = .03.",
            r"\end{tablenotes}",
            r"\end{threeparttable}",
            r"\end{table}",
        ]

    @pytest.mark.parametrize(
        ("plain", "written"),
        [
            ("50% & more_less #1", r"50\% \& more\_less \#1"),
            ("{a}\\b$c$", r"\{a\}\textbackslash{}b\$c\$"),
            ("a^2 ~ b", r"a\textasciicircum{}2 \textasciitilde{} b"),
            ("−.05 – χ² → α", r"$-$.05 -- $\chi$\textsuperscript{2} $\rightarrow$ $\alpha$"),
            ("a--b", "a-{}-b"),
            ("tab\tbell\x07", "tab bell "),
        ],
    )
    def test_escaping(self, plain: str, written: str) -> None:
        assert escaped(plain) == written

    @settings(max_examples=100, deadline=None)
    @given(st.text(max_size=40))
    def test_no_text_can_command_anything(self, text: str) -> None:
        written = escaped(text)
        # every backslash begins one of our own commands, and braces are balanced
        own = r"\\(?:text[a-z]+\b|chi\b|alpha\b|sigma\b|dag\b|times\b|rightarrow\b|geq\b|leq\b|pm\b|[{}$&#%_])"
        assert re.sub(own, "", written).count("\\") == 0
        balanced = re.sub(r"\\[{}]", "", written)
        assert balanced.count("{") == balanced.count("}")
        assert "%" not in re.sub(r"\\%", "", written)

    def test_a_long_table_breaks_between_pages_and_repeats_its_heading(self) -> None:
        frame = pd.DataFrame({"state": [f"s{k}" for k in range(60)], "n": range(60)})
        made = latex_table(ReportTable(frame=frame, title="Long", note="A note."))
        assert r"\begin{longtable}" in made
        assert made.count(r"state & \textit{n} \\") == 2
        assert made.count("\n  s") == 60 + 2


class TestSpreadsheet:
    def sheets(self, made: ReportTable) -> Any:
        return openpyxl.load_workbook(io.BytesIO(table_xlsx(made, number="5")))

    def test_numbers_stay_numbers_and_look_as_printed(self) -> None:
        sheet = self.sheets(example())["Table 5"]
        assert sheet["A1"].value == "Table 5"
        assert [cell.value for cell in sheet[5]] == ["calm", 1200, pytest.approx(-2.8), "[−5.5, −0.1]ᵃ", 0.0003]
        assert sheet["C5"].number_format == "+0.0;−0.0;0.0"
        assert sheet["E5"].number_format.startswith('[<0.001]"< .001"')
        assert sheet["C6"].value == "–"
        assert sheet["D5"].font.bold
        assert sheet["A6"].alignment.indent == 1
        assert sheet["A3"].border.top.style == "medium"
        assert sheet["A4"].border.bottom.style == "thin"
        assert sheet["A6"].border.bottom.style == "medium"
        assert all(cell.border.left is None or cell.border.left.style is None for row in sheet.rows for cell in row)

    def test_a_superscript_leaves_a_number_a_number(self) -> None:
        made = ReportTable(frame=pd.DataFrame({"mean": [0.467]}), title="T", marks={(0, "mean"): "a"})
        cell = self.sheets(made)["Table 5"]["A4"]
        assert cell.value == 0.467
        assert cell.number_format == '0.00"ᵃ";−0.00"ᵃ";0.00"ᵃ"'

    def test_the_second_sheet_holds_all_digits(self) -> None:
        sheet = self.sheets(example())["Numbers"]
        assert [[cell.value for cell in row] for row in sheet.rows] == [
            ["'=state", "difference", "n"],
            ["calm", -0.0281234567, 1200],
            ["'-x", None, 3],
        ]

    @pytest.mark.parametrize("label", [EVIL, "@x", "+1", "\t=1", "x" * 40_000, "\x00"])
    def test_no_cell_is_a_formula(self, label: str) -> None:
        for sheet in self.sheets(example(label)):
            for row in sheet.rows:
                for cell in row:
                    assert cell.data_type != "f"
                    assert not str(cell.value or "").lstrip().startswith(("=", "+", "@", "\t"))

    def test_the_same_table_gives_the_same_file(self) -> None:
        assert table_xlsx(example()) == table_xlsx(example())

    @pytest.mark.slow
    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=5))
    def test_numbers_come_back_as_they_were(self, values: list[float]) -> None:
        made = ReportTable(frame=pd.DataFrame({"x": values}), title="T", data=pd.DataFrame({"x": values}))
        sheet = self.sheets(made)["Numbers"]
        read = [float(row[0].value) for row in sheet.iter_rows(min_row=2)]
        assert all(math.isclose(a, b, rel_tol=1e-15) for a, b in zip(read, values, strict=True))

    def test_csv_has_the_plain_numbers(self) -> None:
        text = table_csv(example()).decode("utf-8-sig")
        assert text == "'=state,difference,n\r\ncalm,-0.0281234567,1200\r\n'-x,,3\r\n"
        bare = ReportTable(frame=pd.DataFrame({"n": [3]}), title="T", headings={"n": "Persons"})
        assert table_csv(bare).decode("utf-8-sig") == "Persons\r\n3\r\n"


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)


def test_the_web_page_escapes_everything() -> None:
    page = table_page(example(EVIL), "5")
    tags = Tags()
    tags.feed(page)
    assert "script" not in tags.names
    assert "<b>[−5.5, −0.1]</b><sup>a</sup>" in page
    assert "<em>p</em> &lt; .001" in page
    assert 'class="words indented"' in page
    assert 'colspan="2"' in page


def test_every_format_is_written() -> None:
    for kind in TABLE_FORMATS:
        assert len(table_file(example(), kind)) > 50
    with pytest.raises(ValueError, match="not 'doc'"):
        table_file(example(), "doc")


def test_a_terminal_gets_the_table_too() -> None:
    lines = plain_table(example("x" * 300)).splitlines()
    assert max(map(len, lines[1:5])) < 120
    assert "−2.8  [−5.5, −0.1]*^a  < .001" in lines[3]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is needed")
def test_latex_sets_any_label(tmp_path: Path) -> None:
    labels = ("calm", EVIL.replace("\x07", " "), "x" * 300, "a word " * 40)
    for place, label in enumerate(labels):
        (tmp_path / f"table{place}.tex").write_text(latex_table(example(label)), encoding="utf-8")
    tables = "\n".join(rf"\input{{table{place}}}" for place in range(len(labels)))
    packages = latex_table(example()).splitlines()[0].removeprefix("% ")
    (tmp_path / "paper.tex").write_text(
        "\\documentclass{article}\n" + packages + "\n\\begin{document}\n" + tables + "\n\\end{document}\n"
    )
    words = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=120)
    if "not found" in done.stdout and ".sty" in done.stdout:
        pytest.skip("a package of LaTeX is missing")
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull \\hbox" not in done.stdout
