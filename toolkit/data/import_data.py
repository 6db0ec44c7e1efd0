"""The data file of an imported study: pseudonyms in place of ids, written piece by piece."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from toolkit.data.column_facts import kind_of_column
from toolkit.data.import_labels import RoleLabels, has_pseudonyms
from toolkit.data.import_source import ImportSource
from toolkit.data.pseudonyms import Key
from toolkit.errors import RunFolderError

if TYPE_CHECKING:
    import pyarrow as pa


def write_data(
    source: ImportSource, kept: Sequence[str], labels: Mapping[str, RoleLabels], key: Key, path: Path
) -> None:
    """The kept columns with pseudonyms, streamed into a parquet file that replaces the old one when complete."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = {
        found.column: {cell: key[role][label] for cell, label in found.by_cell.items()}
        for role, found in labels.items()
        if has_pseudonyms(role)
    }
    temporary: str | None = None
    writer: pq.ParquetWriter | None = None
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".data-", suffix=".part")
        os.close(descriptor)
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
        if temporary is not None:
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
