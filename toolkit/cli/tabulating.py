"""Write tables and the methods of a run into files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analyses.report.guard import SMALLEST_SHOWN, checked_smallest
from analyses.report.standard_tables import TABLES, TableOptions, standard_table
from analyses.report.table_files import TABLE_FORMATS, plain_table, table_file
from toolkit.cli.answers import Answer
from toolkit.errors import ConfigError
from toolkit.runs.atomic import enough_room, write_atomically
from toolkit.runs.folder import load_run

if TYPE_CHECKING:
    from toolkit.data.description import Description

_LONGEST_NUMBER = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRequest:
    """What the command line asked for; see ``nme table --help``."""

    formats: str = "docx"
    out: Path = Path("tables")
    number: str = "1"
    min_group: int = SMALLEST_SHOWN
    analysis: str | None = None
    interval: str = "raw"
    split: str = "test"
    study: Path | None = None


def list_tables() -> Answer:
    """All tables: name, title, what a run must have."""
    width = max(len(entry.name) for entry in TABLES)
    rows = [{"name": entry.name, "title": entry.title, "needs": entry.needs} for entry in TABLES]
    lines = [f"{row['name']:<{width}}  {row['title']} (needs: {row['needs']})" for row in rows]
    return Answer(text="\n".join(lines), data={"tables": rows, "formats": list(TABLE_FORMATS)})


def write_table(name: str | None, path: Path | None, request: TableRequest) -> Answer:
    """Build a table from a run and write it in every format asked for.

    Raises:
        ConfigError: E302 an unknown table, format or option, or a smallest group outside 5 to 21.
        DataError: the run lacks what the table needs. RunFolderError: E304, E305 the folder cannot be written.
    """
    if name is None or path is None:
        raise ConfigError(
            "name a table and a run folder", code="E302", column="table", remedy="nme table --list shows the tables"
        )
    kinds = _formats(request.formats)
    checked_smallest(request.min_group)
    if not request.number.strip() or len(request.number) > _LONGEST_NUMBER:
        raise ConfigError("a table's number is a short word, such as 5 or A1", code="E302", column="number")
    run = load_run(path)
    options = TableOptions(
        smallest=request.min_group,
        analysis=request.analysis,
        interval=request.interval,
        split=request.split,
        sample=None if request.study is None else _described(request.study),
    )
    made = standard_table(name, run, options)
    files = {
        f"{name}-{run.path.resolve().name}.{kind}": table_file(made, kind, number=request.number, name=name)
        for kind in kinds
    }
    _write(request.out, files)
    written = [str(request.out / file) for file in files]
    data: dict[str, Any] = {"table": name, "title": made.title, "note": made.note, "files": written}
    return Answer(text=f"{plain_table(made)}\n\nWritten: {', '.join(written)}", data=data | {"rows": len(made.frame)})


def tell_methods(path: Path, out: Path | None, smallest: int = SMALLEST_SHOWN) -> Answer:
    """Methods paragraph, APA sentences and references of a run; to files where a folder is named."""
    from analyses.report.methods_text import methods_of_run

    found = methods_of_run(load_run(path), smallest=smallest)
    written: list[str] = []
    if out is not None:
        _write(out, {"methods.md": found.markdown().encode("utf-8"), "references.bib": found.bibtex().encode("utf-8")})
        written = [str(out / "methods.md"), str(out / "references.bib")]
    told = found.plain() + (f"\n\nWritten: {', '.join(written)}" if written else "")
    return Answer(text=told, data=found.as_data() | {"files": written})


def _formats(text: str) -> list[str]:
    words = list(dict.fromkeys(part.strip().lower().lstrip(".") for part in text.split(",") if part.strip()))
    unknown = [word for word in words if word not in TABLE_FORMATS]
    if unknown or not words:
        raise ConfigError(
            "tables are not written in this format",
            code="E302",
            column="format",
            remedy=f"use {', '.join(TABLE_FORMATS)}",
        )
    return words


def _described(study: Path) -> Description:
    from toolkit.data.description import describe_study
    from toolkit.data.study import Study

    return describe_study(Study.read(study))


def _write(folder: Path, files: dict[str, bytes]) -> None:
    """All files, each whole or not at all."""
    with enough_room("the files", "choose another folder with --out, or ask for the right to write to this one"):
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_atomically(folder / name, content)
