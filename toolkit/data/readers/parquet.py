"""Parquet files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from toolkit.data.columns import require_unique_names
from toolkit.data.readers.opening import head_of, is_refusal, not_a_table, opened, require_memory
from toolkit.data.readers.options import ReadOptions, ReadResult, TableFormat
from toolkit.errors import DataError

ENDINGS = (".parquet",)


def read_parquet(path: Path, options: ReadOptions, *, text_columns: Sequence[str]) -> ReadResult:
    """A parquet file as a frame; its columns keep the types they have.

    Raises:
        DataError: E100, E101, E104 column name twice, E107 not a parquet table, E503 too large for the memory.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    head_of(path)
    with opened(path) as file:
        try:
            parquet = pq.ParquetFile(file)
            groups = range(parquet.metadata.num_row_groups)
            # unpacked, a small file may be huge: its own account is asked before anything is unpacked
            require_memory(sum(parquet.metadata.row_group(group).total_byte_size for group in groups))
            table = parquet.read()
        except DataError:
            raise
        except (pa.ArrowException, OSError, ValueError) as error:
            if is_refusal(error):
                raise
            raise not_a_table("the file is not a parquet table") from None
    require_unique_names(table.column_names)
    try:
        # no second copy while it is turned; dates as dates of pandas, not as objects
        frame = _without_decimals(table).to_pandas(split_blocks=True, self_destruct=True, date_as_object=False)
        del table
    except (pa.ArrowException, ValueError, TypeError):
        raise not_a_table("the parquet table holds columns that cannot be read") from None
    return ReadResult(frame=_with_plain_index(frame), format=TableFormat(kind="parquet", options=options))


def _without_decimals(table: Any) -> Any:
    """Decimal columns as floating-point numbers, which everything here computes with."""
    import pyarrow as pa

    fields = [field.with_type(pa.float64()) if pa.types.is_decimal(field.type) else field for field in table.schema]
    return table.cast(pa.schema(fields, metadata=table.schema.metadata))


def _with_plain_index(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows counted from 0; an index that pandas kept in the file becomes columns again if it has names."""
    if isinstance(frame.index, pd.RangeIndex):
        return frame.reset_index(drop=True)
    return frame.reset_index(drop=all(name is None for name in frame.index.names))
