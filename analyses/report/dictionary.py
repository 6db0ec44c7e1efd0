"""The data dictionary of a run folder: every file, every column, its type, its unit and what it means."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import pandas as pd

from analyses.report.dictionary_words import COLUMNS, FILES, MANIFEST_ENTRIES, Meaning
from analyses.report.document import Report, Section
from analyses.report.guard import csv_bytes
from analyses.report.tables import ReportTable
from toolkit.runs.folder import MANIFEST

if TYPE_CHECKING:
    from toolkit.runs.folder import SavedRun

UNKNOWN = "not described"
ORDER = ["file", "column", "type", "unit", "meaning"]


def dictionary(run: SavedRun) -> pd.DataFrame:
    """One row per column of every table of the run, per entry of the manifest, and per file that is no table.

    Returns:
        file, column, type (text, number, whole number, yes or no), unit, meaning.

    Raises:
        RunFolderError: E401 or E402 for a damaged table.
    """
    lines = [_entry(MANIFEST, name, "entry", meaning) for name, meaning in MANIFEST_ENTRIES.items()]
    for name in run.manifest["files"]:
        if not name.endswith(".parquet"):
            lines.append(_entry(name, "", "tensors", Meaning(FILES.get(name, UNKNOWN))))
            continue
        table = read_table_of(run, name)
        lines += [
            _entry(name, str(column), _type(table[column]), meaning_of(name.removesuffix(".parquet"), str(column)))
            for column in table.columns
        ]
    lines += [_entry(f"analyses/NAME/{name}", "", "file", Meaning(FILES[name])) for name in ANALYSIS]
    unit = str(run.manifest["study"].get("unit") or "row")
    frame = pd.DataFrame(lines, columns=ORDER)
    return frame.assign(
        unit=[str(words).replace("{row}", unit) for words in frame["unit"]],
        meaning=[str(words).replace("{row}", unit) for words in frame["meaning"]],
    )


ANALYSIS = ("result.json", "table.parquet", "text.md", "made_with.json", "snippet.py")


def read_table_of(run: SavedRun, name: str) -> pd.DataFrame:
    """A table of the run as it is kept, checked."""
    return pd.read_parquet(io.BytesIO(run.content(name)))


def meaning_of(table: str, column: str) -> Meaning:
    """What a column of a table means; says so where it is not known."""
    for name in (f"{table}.{column}", column):
        if name in COLUMNS:
            return COLUMNS[name]
    for pattern, meaning in COLUMNS.items():
        if "<" in pattern and re.fullmatch(re.sub(r"<\w+>", ".+", re.escape(pattern)), column):
            return meaning
    return Meaning(UNKNOWN)


def dictionary_report(run: SavedRun) -> Report:
    """The dictionary as a document, one table a file."""
    frame = dictionary(run)
    headings = {"column": "Column or entry", "type": "Type", "unit": "Unit", "meaning": "Meaning"}
    blocks = [
        Section(
            title=str(name),
            text=[FILES[str(name)]] if name in FILES else [],
            table=ReportTable(
                frame=part[ORDER[1:]].reset_index(drop=True), title=f"Columns of {name}", headings=headings
            ),
        )
        for name, part in frame.groupby("file", sort=False)
    ]
    return Report(
        title=f"Data dictionary: {run.name}", subtitle="Every file and column of the run folder", blocks=blocks
    )


def dictionary_csv(run: SavedRun) -> bytes:
    """The dictionary as csv that spreadsheets open well."""
    return csv_bytes(dictionary(run))


def _entry(file: str, column: str, kind: str, meaning: Meaning) -> dict[str, str]:
    return {"file": file, "column": column, "type": kind, "unit": meaning.unit, "meaning": meaning.text}


def _type(column: pd.Series) -> str:
    if pd.api.types.is_bool_dtype(column):
        return "yes or no"
    if pd.api.types.is_integer_dtype(column):
        return "whole number"
    return "number" if pd.api.types.is_numeric_dtype(column) else "text"
