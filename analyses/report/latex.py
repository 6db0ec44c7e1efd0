r"""Tables in LaTeX: three rules by booktabs, notes by threeparttable, every character escaped.

The result is the table alone, for ``\input`` in a paper; a comment at its head names the packages it needs.
"""

from __future__ import annotations

from collections.abc import Sequence

from analyses.report.symbols import Run, heading_runs, sentence_runs
from analyses.report.tables import Cell, Heading, ReportTable, heading_rows, table_cells

_HEAD = r"""% \usepackage{array,booktabs,threeparttable,caption}
% \captionsetup[table]{labelfont=bf,textfont=it,labelsep=newline,justification=raggedright,singlelinecheck=false}
% (the class apa7 sets captions by itself). Labels in scripts that are not Latin need xelatex or lualatex."""
_LONG = 35  # lines; longer tables have to break between pages
_PAGE_PT, _LETTER_PT = 455.0, 5.5  # a page's text and, at 11 pt, an average letter
_SIZES = {"": 1.0, r"\small": 0.91, r"\footnotesize": 0.82, r"\scriptsize": 0.73}
_LONGEST_WORDS = 24  # letters in a column of words; beyond, they wrap
_LONGEST_WORD = 20  # letters; longer words may be broken anywhere
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
    '"': "''",  # the straight one needs an encoding that not every paper has
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
    letters = [_letters(place, heading, rows) for place, heading in enumerate(headings[-1])]
    size = _size(letters, headings[0])
    body = [rf"  {' & '.join(map(_cell, row))} \\" for row in rows]
    lines = [*_head(headings, letters), *body, r"  \bottomrule"]
    title = r"\allowbreak{}".join(map(escaped, _pieces(table.title)))
    caption = rf"\caption{{{title}}}" + (rf"\label{{{label}}}" if label else "")
    sides = "".join(_side(heading, count, size) for heading, count in zip(headings[-1], letters, strict=True))
    set_as = _long if len(rows) > _LONG else _short
    return "\n".join(set_as(sides, caption, lines, _notes(table), size)) + "\n"


def _letters(place: int, heading: Heading, rows: Sequence[Sequence[Cell]]) -> int:
    """How many letters a column is wide: its longest cell, or the longest word of its heading."""
    longest = max([len(row[place].text) + len(row[place].mark) for row in rows] or [0])
    word = max([len(word) for word in heading.text.split()] or [1])
    return max(longest, min(word, _LONGEST_WORD))


def _size(letters: Sequence[int], spanners: Sequence[Heading]) -> str:
    """The largest size in which the table fits a page; columns of words count as wrapped."""
    counted, place = sum(min(count, _LONGEST_WORDS) for count in letters), 0
    for heading in spanners:  # one may be wider than the columns below it
        below = sum(letters[place : place + heading.columns])
        counted += max(0, len(heading.text) - below) if heading.spans else 0
        place += heading.columns
    wide = counted * _LETTER_PT
    fits = [size for size, factor in _SIZES.items() if wide * factor + 8 * len(letters) <= _PAGE_PT]
    return fits[0] if fits else r"\scriptsize"


def _side(heading: Heading, letters: int, size: str) -> str:
    """How a column is set: numbers to the right, words to the left, long ones wrapped."""
    if not heading.words:
        return "r"
    if letters <= _LONGEST_WORDS:
        return "l"
    return rf">{{\raggedright\arraybackslash}}p{{{_LONGEST_WORDS * _LETTER_PT * _SIZES[size]:.0f}pt}}"


def _short(sides: str, caption: str, lines: list[str], notes: list[str], size: str) -> list[str]:
    below = [r"\begin{tablenotes}[flushleft]\small", *(rf"  \item {note}" for note in notes), r"\end{tablenotes}"]
    return [
        _HEAD,
        r"\begin{table}[htbp]",
        r"\begin{threeparttable}",
        caption,
        *([rf"{size}\setlength{{\tabcolsep}}{{4pt}}"] if size else []),
        rf"\begin{{tabular}}{{@{{}}{sides}@{{}}}}",
        r"  \toprule",
        *lines,
        r"\end{tabular}",
        *(below if notes else []),
        r"\end{threeparttable}",
        r"\end{table}",
    ]


def _long(sides: str, caption: str, lines: list[str], notes: list[str], size: str) -> list[str]:
    """A table that breaks between pages, with its heading on each of them."""
    place = lines.index(r"  \midrule") + 1
    heading = lines[:place]
    below = [rf"\par\noindent{{\small {note}}}" for note in notes]
    return [
        _HEAD.replace("booktabs,", "booktabs,longtable,"),
        *([rf"\begingroup{size}\setlength{{\tabcolsep}}{{4pt}}"] if size else []),
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
        *([r"\endgroup"] if size else []),
        *below,
    ]


def _head(headings: Sequence[Sequence[Heading]], letters: Sequence[int]) -> list[str]:
    lines = []
    for row in headings:
        widths = letters if len(row) == len(letters) else [0] * len(row)
        cells = [_heading(heading, wide) for heading, wide in zip(row, widths, strict=True)]
        lines.append(rf"  {' & '.join(cells)} \\")
        rules, place = [], 1
        for cell in row:
            if cell.spans:
                rules.append(rf"\cmidrule(lr){{{place}-{place + cell.columns - 1}}}")
            place += cell.columns
        lines += [f"  {' '.join(rules)}"] if rules else []
    return [*lines, r"  \midrule"]


def _heading(heading: Heading, letters: int) -> str:
    """A heading; one that is longer than what stands below it takes several lines."""
    if heading.spans:
        return rf"\multicolumn{{{heading.columns}}}{{c}}{{{_runs(heading_runs(heading.text))}}}"
    lines = _wrapped(heading.text, max(letters, 8))
    if len(lines) == 1:
        return _runs(heading_runs(heading.text))
    told = r"\\".join(_runs(heading_runs(line)) for line in lines)
    return rf"\shortstack[{'l' if heading.words else 'r'}]{{{told}}}"


def _wrapped(text: str, letters: int) -> list[str]:
    """Words in lines of so many letters, where they fit."""
    lines: list[str] = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}".strip()
        if lines[-1] and len(joined) > letters:
            lines.append(word)
        else:
            lines[-1] = joined
    return lines


def _cell(cell: Cell) -> str:
    text = r"\allowbreak{}".join(map(escaped, _pieces(cell.text)))
    text = rf"\textbf{{\boldmath {text}}}" if cell.bold else text
    mark = rf"\textsuperscript{{{escaped(cell.mark)}}}" if cell.mark else ""
    # a line that begins with a bracket would be read as an option of the line break above
    start = "{}" if text.startswith(("[", "*")) else ""
    indent = r"\quad " if cell.indented else ""
    return f"{indent}{start}{text}{mark}"


def _pieces(text: str) -> list[str]:
    """A text in pieces between which a line may end: one, unless it has a word too long for any line."""
    if max(map(len, text.split()), default=0) <= _LONGEST_WORD:
        return [text]
    return [text[place : place + _LONGEST_WORD] for place in range(0, len(text), _LONGEST_WORD)]


def _notes(table: ReportTable) -> list[str]:
    general = [rf"\textit{{Note.}} {_runs(sentence_runs(table.note))}"] if table.note else []
    marked = [
        rf"\textsuperscript{{{escaped(mark)}}} {_runs(sentence_runs(meaning))}"
        for mark, meaning in table.specific.items()
    ]
    return [*general, *marked]


def _runs(runs: Sequence[Run]) -> str:
    return "".join(rf"\textit{{{escaped(run.text)}}}" if run.italic else escaped(run.text) for run in runs)
