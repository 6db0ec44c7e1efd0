"""A split on disk, so that every model of a study is judged on the same rows."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from toolkit.data.grouped import GroupedDataset
from toolkit.data.groupings import present_levels
from toolkit.data.labels import row_numbers
from toolkit.data.splits import PARTS, Split
from toolkit.errors import ConfigError, DataError, RunFolderError

_NOTE = b"nme split"
_FOLD = re.compile(r"(?P<path>.+\.parquet)(:(?P<fold>\d+))?")


def save_split(splits: Split | Sequence[Split], data: GroupedDataset, path: str | Path) -> Path:
    """Write a split, or the folds of one, as a parquet file: row, person code, time, and a part per fold.

    Persons are numbers without meaning outside the file; what it needs is that equal numbers are the same person.

    Raises:
        RunFolderError: E305 if it cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    folds = [splits] if isinstance(splits, Split) else list(splits)
    columns: dict[str, object] = {"row": data.row_numbers, "person": present_levels(data.person, data.n_persons)[1]}
    columns["time"] = np.arange(data.n_rows, dtype=np.float64) if data.time is None else data.time
    for number, fold in enumerate(folds, start=1):
        columns[f"part_{number}"] = pa.array(fold.labels.tolist()).dictionary_encode()
    table = pa.table(columns)
    about = json.dumps({"names": [fold.name for fold in folds], "timed": data.time is not None})
    path = Path(path)
    partial = path.with_name(f".{path.name}.part")
    try:
        pq.write_table(table.replace_schema_metadata({_NOTE: about.encode()}), partial)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise RunFolderError(
            "the split cannot be written", code="E305", column="out", remedy="Choose a folder you may write to"
        ) from None
    return path


def names_split_file(words: str) -> bool:
    """Whether words like ``folds.parquet`` or ``folds.parquet:2`` (its second fold) name a split file."""
    return _FOLD.fullmatch(words) is not None


def load_split(path: str | Path, data: GroupedDataset, *, fold: int = 1) -> Split:
    """The split of a file, for the rows of some data; data may lack rows of the file (those with empty cells, say).

    Args:
        path: written by :func:`save_split`; ``folds.parquet:2`` is its second fold.
        data: the rows; every one has to be in the file, of the same person and time.
        fold: which of the file's folds, from 1.

    Raises:
        RunFolderError: E401 if it is no split file.
        ConfigError: E302 if it has no such fold.
        DataError: E303 with the rows that are not those the split was made for.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    words = _FOLD.fullmatch(str(path))
    if words is not None and words["fold"]:
        path, fold = words["path"], int(words["fold"])
    try:
        table = pq.read_table(path)
        about = json.loads((table.schema.metadata or {})[_NOTE])
    except (OSError, pa.ArrowException, KeyError, ValueError):
        raise RunFolderError(
            "this is not a split file, or it was not found", code="E401", column="split", remedy="Make one: nme split"
        ) from None
    if not 1 <= fold <= len(about["names"]):
        raise ConfigError(f"the split has {len(about['names'])} fold(s)", code="E302", column="fold")
    rows = table["row"].to_numpy()
    place = np.full(int(max(rows.max(initial=-1), data.row_numbers.max(initial=-1))) + 1, -1)
    place[rows] = np.arange(len(rows))
    found = place[data.row_numbers]
    _require_same(found, table["person"].to_numpy(), table["time"].to_numpy(), data, timed=about["timed"])
    parts = np.array(table[f"part_{fold}"].to_pylist())[found]
    if not np.isin(parts, PARTS).all():
        raise RunFolderError(
            "the split file is damaged", code="E401", column="split", remedy="Make it again: nme split"
        )
    return Split(labels=parts, name=about["names"][fold - 1])


def _require_same(
    found: np.ndarray, person: np.ndarray, time: np.ndarray, data: GroupedDataset, *, timed: bool
) -> None:
    """Refuse rows that are not in the file, or there belong to another person or time (E303)."""
    other = found < 0
    if not other.any():
        pairs = np.unique(np.column_stack([person[found], data.person]), axis=0)
        mixed = np.concatenate([_repeated(pairs[:, 0]), _repeated(pairs[:, 1])])
        other |= np.isin(person[found], pairs[np.isin(pairs[:, 0], mixed) | np.isin(pairs[:, 1], mixed), 0])
        if timed and data.time is not None:
            other |= time[found] != data.time
    if other.any():
        raise DataError(
            "the data are not those the split was made for",
            code="E303",
            column="split",
            rows=row_numbers(other, data.row_numbers),
            remedy="Make the split again (nme split), or use the data it was made for",
        )


def _repeated(values: np.ndarray) -> np.ndarray:
    unique, counts = np.unique(values, return_counts=True)
    return unique[counts > 1]
