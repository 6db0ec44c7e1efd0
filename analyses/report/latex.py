r"""Tables in LaTeX: three rules by booktabs, notes by threeparttable, every character escaped.

The result is the table alone, for ``\input`` in a paper; a comment at its head names the packages it needs.
"""

from __future__ import annotations

from collections.abc import Sequence

from analyses.report.symbols import Run, heading_runs, sentence_runs
from analyses.report.tables import Cell, Heading, ReportTable, heading_rows, table_cells

_HEAD = r"""% \usepackage{booktabs,threeparttable,caption}
% \captionsetup[table]{labelfont=bf,textfont=it,labelsep=newline,justification=raggedright,singlelinecheck=false}
% (the class apa7 sets captions by itself). Labels in scripts that are not Latin need xelatex or lualatex."""
_LONG = 35  # lines; longer tables have to break between pages
_ESCAPED = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "−": "$-$",
    "–": "--",
    "—": "---",
    "’": "'",
    "‘": "`",
    "“": "``",
    "”": "''",
    "×": r"$\times$",
    "→": r"$\rightarrow$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "±": r"$\pm$",
    "²": r"\textsuperscript{2}",
    "α": r"$\alpha$",
    "χ": r"$\chi$",
    "σ": r"$\sigma$",
    "†": r"\dag{}",
    "\u00a0": "~",
}
_JOINED = {"--", "''", ",,"}  # LaTeX takes these for one longer dash or a quotation mark


def escaped(text: str) -> str:
    """A text that LaTeX prints as it is; control characters become spaces."""
    parts: list[str] = []
    for place, letter in enumerate(text):
        parts.append("{}" if place and text[place - 1] + letter in _JOINED else "")
        parts.append(_ESCAPED.get(letter, letter if letter.isprintable() else " "))
    return "".join(parts)


def latex_table(table: ReportTable, *, label: str = "") -> str:
    r"""A table as LaTeX.

    Args:
        table: what to set.
        label: for ``\ref``, such as ``tab:differences``; none without.
    """
    headings, rows = heading_rows(table), table_cells(table)
    sides = "".join("l" if heading.words else "r" for heading in headings[-1])
    body = [rf"  {' & '.join(map(_cell, row))} \\" for row in rows]
    lines = [*_head(headings), *body, r"  \bottomrule"]
    caption = rf"\caption{{{escaped(table.title)}}}" + (rf"\label{{{label}}}" if label else "")
    notes = _notes(table)
    return (
        "\n".join(_long(sides, caption, lines, notes) if len(rows) > _LONG else _short(sides, caption, lines, notes))
        + "\n"
    )


def _short(sides: str, caption: str, lines: list[str], notes: list[str]) -> list[str]:
    below = [r"\begin{tablenotes}[flushleft]\small", *(rf"  \item {note}" for note in notes), r"\end{tablenotes}"]
    return [
        _HEAD,
        r"\begin{table}[htbp]",
        r"\begin{threeparttable}",
        caption,
        rf"\begin{{tabular}}{{@{{}}{sides}@{{}}}}",
        r"  \toprule",
        *lines,
        r"\end{tabular}",
        *(below if notes else []),
        r"\end{threeparttable}",
        r"\end{table}",
    ]


def _long(sides: str, caption: str, lines: list[str], notes: list[str]) -> list[str]:
    """A table that breaks between pages, with its heading on each of them."""
    place = lines.index(r"  \midrule") + 1
    heading = lines[:place]
    below = [rf"\par\noindent{{\small {note}}}" for note in notes]
    return [
        _HEAD.replace("booktabs,", "booktabs,longtable,"),
        rf"\begin{{longtable}}{{@{{}}{sides}@{{}}}}",
        rf"{caption} \\",
        r"  \toprule",
        *heading,
        r"  \endfirsthead",
        r"  \toprule",
        *heading,
        r"  \endhead",
        *lines[place:],
        r"\end{longtable}",
        *below,
    ]


def _head(headings: Sequence[Sequence[Heading]]) -> list[str]:
    lines = []
    for row in headings:
        lines.append(rf"  {' & '.join(map(_heading, row))} \\")
        rules, place = [], 1
        for cell in row:
            if cell.spans:
                rules.append(rf"\cmidrule(lr){{{place}-{place + cell.columns - 1}}}")
            place += cell.columns
        lines += [f"  {' '.join(rules)}"] if rules else []
    return [*lines, r"  \midrule"]


def _heading(heading: Heading) -> str:
    text = _runs(heading_runs(heading.text))
    return rf"\multicolumn{{{heading.columns}}}{{c}}{{{text}}}" if heading.spans else text


def _cell(cell: Cell) -> str:
    text = escaped(cell.text)
    text = rf"\textbf{{\boldmath {text}}}" if cell.bold else text
    mark = rf"\textsuperscript{{{escaped(cell.mark)}}}" if cell.mark else ""
    # a line that begins with a bracket would be read as an option of the line break above
    start = "{}" if text.startswith(("[", "*")) else ""
    indent = r"\quad " if cell.indented else ""
    return f"{indent}{start}{text}{mark}"


def _notes(table: ReportTable) -> list[str]:
    general = [rf"\textit{{Note.}} {_runs(sentence_runs(table.note))}"] if table.note else []
    marked = [
        rf"\textsuperscript{{{escaped(mark)}}} {_runs(sentence_runs(meaning))}"
        for mark, meaning in table.specific.items()
    ]
    return [*general, *marked]


def _runs(runs: Sequence[Run]) -> str:
    return "".join(rf"\textit{{{escaped(run.text)}}}" if run.italic else escaped(run.text) for run in runs)
