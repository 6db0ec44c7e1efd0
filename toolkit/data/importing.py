"""From somebody's file to a study folder: pseudonyms in place of ids, free text left out, a study.toml to read.

The folder can be copied and published as far as names go; who is who stands in a key file of mode 0600 outside it.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from toolkit.data.column_facts import kind_of_column
from toolkit.data.columns import require_columns
from toolkit.data.import_source import ImportSource
from toolkit.data.labels import label_codes, natural_order
from toolkit.data.pseudonyms import Key, extended, key_folder, read_key, unpredictable, write_key
from toolkit.data.roles import Proposal, names_an_id
from toolkit.data.study_writing import study_text, write_text
from toolkit.errors import DataError, RunFolderError, ToolkitWarning

if TYPE_CHECKING:
    import pyarrow as pa

STUDY_FILE = "study.toml"
DATA_FILE = "data.parquet"  # never the name of the source: file names can hold names
MOST_LISTED = 12  # labels of states or groups written into the study file
MAX_ROWS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportChoices:
    """What the user decides about an import besides the roles.

    Attributes:
        title: for headings; the folder's name by default.
        unit: what one row is ("prompt", "day").
        keep: text columns to keep although they have no role.
        day_first: order of day and month in the time column, where it must be said.
        key_path: where the key goes; a new name in :func:`toolkit.data.pseudonyms.key_folder` by default.
        drop_empty: rows with empty cells in target or features are left out when the study is used.
        overwrite: replace the study that is in the folder; persons it knew keep their pseudonyms.
    """

    title: str | None = None
    unit: str = "row"
    keep: tuple[str, ...] = ()
    day_first: bool | None = None
    key_path: Path | None = None
    drop_empty: bool = False
    overwrite: bool = False


DEFAULTS = ImportChoices()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImportedStudy:
    """What an import made.

    Attributes:
        study_file: study.toml.
        key_path: who is who; outside the project unless the user said otherwise.
        rows, persons, clusters: counts.
        kept: columns of the data file.
        left_out: text columns without a role; they can hold names.
        notices: what was assumed or changed.
    """

    study_file: Path
    key_path: Path
    rows: int
    persons: int
    clusters: int
    kept: tuple[str, ...]
    left_out: tuple[str, ...]
    notices: tuple[ToolkitWarning, ...]


def import_study(
    source: ImportSource,
    proposal: Proposal,
    out: Path,
    *,
    choices: ImportChoices = DEFAULTS,
    rng: np.random.Generator | None = None,
) -> ImportedStudy:
    """Write ``study.toml`` and ``data.parquet`` into a folder, and the key outside it.

    Args:
        source: the table.
        proposal: what each column is for.
        out: folder of the study; made if it is not there.
        choices: title, unit, further columns to keep, ...
        rng: order of new pseudonyms; unpredictable by default, as it should be outside tests.

    Raises:
        DataError: E112 rows without a person.
        RunFolderError: E305 the folder cannot be written, E306 a study is in it.
    """
    roles = proposal.roles
    if roles.person is None:
        raise DataError("no person column was named", code="E103", remedy="Say whose row it is (--person)")
    require_columns(source.sample, {"keep": choices.keep})
    known_name = _claim(out, overwrite=choices.overwrite)
    labels = _labels(source, proposal)
    key_name = known_name or f"study-{secrets.token_hex(4)}"
    path = choices.key_path or key_folder() / f"{key_name}.key.csv"
    key = _extended_key(read_key(path), labels, rng=unpredictable() if rng is None else rng)
    _write_key(path, key)
    kept = [name for name in source.columns if _is_kept(source, proposal, name, choices.keep)]
    left_out = tuple(name for name in source.columns if name not in kept)
    _write_data(source, kept, labels, key, out / DATA_FILE)
    write_text(out / STUDY_FILE, _text(source, proposal, labels, choices, left_out, out, key_name))
    return ImportedStudy(
        study_file=out / STUDY_FILE,
        key_path=path,
        rows=source.rows,
        persons=len(labels["person"].names),
        clusters=len(labels["cluster"].names) if "cluster" in labels else 0,
        kept=tuple(kept),
        left_out=left_out,
        notices=(*source.notices, *(notice for role in labels.values() for notice in role.notices)),
    )


def _text(
    source: ImportSource,
    proposal: Proposal,
    labels: Mapping[str, _Labels],
    choices: ImportChoices,
    left_out: Sequence[str],
    out: Path,
    key_name: str,
) -> str:
    """The study file."""
    settings: dict[str, object] = {"file": DATA_FILE, "pseudonymous": True}
    settings |= {"key_name": key_name} if choices.key_path is None else {}
    settings |= {} if choices.day_first is None else {"day_first": choices.day_first}
    settings |= {"empty_cells": "drop"} if choices.drop_empty else {}
    states = labels["state"].names if "state" in labels else ()
    return study_text(
        proposal,
        title=choices.title or out.resolve().name or "Study",
        unit=choices.unit,
        data=settings,
        origin=_origin(source, left_out),
        states=states if len(states) <= MOST_LISTED else (),
        group_labels=_group_labels(source, proposal, labels),
        questions=source.questions,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class _Labels:
    """The labels of one role: raw cell -> label, the labels in their order, notices."""

    column: str
    by_cell: Mapping[object, str]
    names: tuple[str, ...]
    notices: tuple[ToolkitWarning, ...]


def _labels(source: ImportSource, proposal: Proposal) -> dict[str, _Labels]:
    """Every label of persons, clusters, groups and states, in one pass over the file.

    Raises:
        DataError: E112 with the rows that have no person.
    """
    roles = proposal.roles
    columns = {
        role: name for role in ("person", "cluster", "group", "state") if (name := getattr(roles, role)) is not None
    }
    ids = [columns[role] for role in ("person", "cluster") if role in columns]
    cells: dict[str, dict[object, None]] = {role: {} for role in columns}
    missing: list[int] = []
    row = 0
    for piece in source.pieces(list(dict.fromkeys(columns.values())), ids=ids):
        for role, name in columns.items():
            cells[role] |= dict.fromkeys(piece[name].dropna().unique())
        blank = _without_id(piece[columns["person"]])
        missing += [row + int(place) + 2 for place in np.flatnonzero(blank)[: MAX_ROWS - len(missing)]]
        row += len(piece)
    if missing:
        raise DataError(
            f"row(s) without an id in column '{columns['person']}'",
            code="E112",
            column=columns["person"],
            rows=missing,
            remedy="Fill in whose rows these are, or drop them",
        )
    return {role: _role_labels(list(found), columns[role], role) for role, found in cells.items()}


def _without_id(series: pd.Series) -> np.ndarray:
    blank = series.isna()
    if not pd.api.types.is_numeric_dtype(series.dtype):
        blank |= series.astype("str").str.strip() == ""
    return blank.to_numpy(dtype=bool)


def _role_labels(cells: list[object], column: str, role: str) -> _Labels:
    series = pd.Series(cells, dtype=object, name=column).infer_objects()
    codes, levels, notices = label_codes(series, kind=role)
    by_cell = {cell: levels[code] for cell, code in zip(cells, codes, strict=True) if code >= 0}
    shown = notices if role in ("person", "cluster") else []
    return _Labels(column=column, by_cell=by_cell, names=levels, notices=tuple(shown))


def _extended_key(key: Key, labels: Mapping[str, _Labels], *, rng: np.random.Generator) -> Key:
    """The key with a pseudonym for every person and cluster."""
    wanted = {role: labels[role].names for role in ("person", "cluster") if role in labels}
    return {**key, **{role: extended(key.get(role, {}), names, role, rng=rng) for role, names in wanted.items()}}


def _write_key(path: Path, key: Key) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        raise DataError(
            "the folder of the key cannot be made", code="E305", column="key", remedy="Choose another place (--key)"
        ) from None
    write_key(path, key)


def _is_kept(source: ImportSource, proposal: Proposal, name: str, keep: Sequence[str]) -> bool:
    """Columns with a role, numbers and dates; text without a role can hold names, further ids are not needed."""
    if name in keep or name in proposal.roles.columns():
        return True
    return kind_of_column(source.sample[name]) != "text" and not names_an_id(name)


def _write_data(source: ImportSource, kept: Sequence[str], labels: Mapping[str, _Labels], key: Key, path: Path) -> None:
    """The kept columns with pseudonyms, streamed into a parquet file that replaces the old one when complete."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = {
        labels[role].column: {cell: key[role][label] for cell, label in labels[role].by_cell.items()}
        for role in ("person", "cluster")
        if role in labels
    }
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".data-", suffix=".part")
    os.close(descriptor)
    writer: pq.ParquetWriter | None = None
    try:
        for piece in source.pieces(kept, ids=list(names)):
            table = _pseudonymous_table(piece, names, None if writer is None else writer.schema)
            kinds = (pa.types.is_string, pa.types.is_large_string)
            words: Any = [field.name for field in table.schema if any(kind(field.type) for kind in kinds)]
            # a dictionary of numbers with many decimals costs time and saves nothing
            writer = writer or pq.ParquetWriter(temporary, table.schema, compression="zstd", use_dictionary=words)
            writer.write_table(table)
        if writer is not None:
            writer.close()
        os.replace(temporary, path)
    except (OSError, pa.ArrowException):
        raise RunFolderError(
            "the data cannot be written into the study's folder",
            code="E305",
            column="out",
            remedy="Choose a folder with enough space (--out); columns of mixed kinds may be the cause",
        ) from None
    finally:
        if writer is not None:
            writer.close()
        Path(temporary).unlink(missing_ok=True)


def _pseudonymous_table(
    piece: pd.DataFrame, names: Mapping[str, Mapping[object, str]], schema: pa.Schema | None
) -> pa.Table:
    """A piece as an arrow table; mixed columns become text."""
    import pyarrow as pa

    columns = {}
    for name in piece.columns:
        series = piece[name]
        if name in names:
            series = series.map(names[name]).astype("str")
        elif series.dtype == object and kind_of_column(series) == "text":
            series = series.where(series.isna(), series.astype("str")).astype("str")
        columns[str(name)] = pa.array(series, from_pandas=True)
    table = pa.table(columns)
    return table if schema is None else table.cast(schema)


def _claim(out: Path, *, overwrite: bool) -> str | None:
    """Make the folder; the name of the key of the study that is in it already.

    Raises:
        RunFolderError: E305, E306.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        taken = (out / STUDY_FILE).exists() or (out / DATA_FILE).exists()
        settings = tomllib.loads((out / STUDY_FILE).read_text(encoding="utf-8")) if (out / STUDY_FILE).exists() else {}
    except (OSError, ValueError):
        raise RunFolderError(
            "the study's folder cannot be made, or its study file not be read",
            code="E305",
            column="out",
            remedy="Choose another (--out)",
        ) from None
    if taken and not overwrite:
        raise RunFolderError(
            "there is a study in this folder already",
            code="E306",
            column="out",
            remedy="Choose another (--out), or replace it (--overwrite); persons keep their pseudonyms then",
        )
    name = settings.get("data", {}).get("key_name") if isinstance(settings.get("data"), dict) else None
    return name if isinstance(name, str) else None


def _origin(source: ImportSource, left_out: Sequence[str]) -> str:
    """Comments on the data file."""
    lines = [f"imported from {source.format.words()}; persons and clusters are pseudonyms"]
    if left_out:
        lines.append(f"{len(left_out)} column(s) of text or ids without a role were left out: they can hold names")
    return "\n".join(lines)


def _group_labels(source: ImportSource, proposal: Proposal, labels: Mapping[str, _Labels]) -> dict[str, str]:
    """Label of each group -> its words: the file's value labels, or itself to be written out by a person."""
    if "group" not in labels or len(labels["group"].names) > MOST_LISTED:
        return {}
    words = source.value_labels.get(proposal.roles.group or "", {})
    return {name: words.get(name, name) for name in sorted(labels["group"].names, key=natural_order)}
