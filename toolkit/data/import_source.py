"""A table to be imported: csv in pieces, however large; everything else as one piece."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from toolkit.data.readers import ReadOptions, TableFormat, read_file
from toolkit.data.readers.delimited import ENDINGS as DELIMITED
from toolkit.data.readers.delimited import DelimitedFile
from toolkit.data.readers.opening import require_memory, size_of
from toolkit.errors import ToolkitWarning

SAMPLE_ROWS = 50_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ImportSource:
    """A checked table whose rows can be gone through several times. Built by :meth:`open` or :meth:`of_frame`.

    Attributes:
        sample: the first rows, or all; for proposals.
        rows: number of rows.
        format: how the file is written.
        file: a csv file that is read in pieces; ``None`` where ``sample`` is the whole table.
        value_labels: column -> code -> label.
        questions: column -> wording.
        notices: what was assumed or changed while reading.
    """

    sample: pd.DataFrame
    rows: int
    format: TableFormat
    file: DelimitedFile | None = None
    value_labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    questions: Mapping[str, str] = field(default_factory=dict)
    notices: tuple[ToolkitWarning, ...] = ()

    @classmethod
    def open(cls, path: Path, options: ReadOptions) -> ImportSource:
        """Check a file and look at its first rows.

        Raises:
            DataError: as :func:`toolkit.data.readers.read_table`.
        """
        if path.suffix.lower() in DELIMITED:
            file = DelimitedFile.look(path, options)
            notice = file.format.notice()
            return cls(
                sample=_first_rows(file),
                rows=file.rows,
                format=file.format,
                file=file,
                notices=(notice,) if notice else (),
            )
        result = read_file(path, options=options)
        return cls(
            sample=result.frame,
            rows=len(result.frame),
            format=result.format,
            value_labels=result.value_labels,
            questions=result.questions,
            notices=result.notices,
        )

    def with_frame(self, frame: pd.DataFrame) -> ImportSource:
        """The same source with another table (after joining or reshaping)."""
        return replace(self, sample=frame, rows=len(frame), file=None)

    def whole(self) -> pd.DataFrame:
        """The whole table in memory.

        Raises:
            DataError: E503 if it does not fit.
        """
        if self.file is None:
            return self.sample
        require_memory(size_of(self.file.path))
        return pd.concat(list(self.pieces(list(self.file.columns))), ignore_index=True)

    @property
    def columns(self) -> list[str]:
        """Names of all columns."""
        return [str(name) for name in self.sample.columns]

    def pieces(self, columns: Sequence[str], *, ids: Sequence[str] = ()) -> Iterator[pd.DataFrame]:
        """The rows of some columns, in pieces.

        Args:
            columns: those wanted.
            ids: columns read as text, exactly as written.
        """
        if self.file is None:
            yield self.sample[list(columns)]
            return
        kinds = {name: "text" if name in ids else kind for name, kind in self.file.columns.items()}
        file = replace(self.file, columns=kinds, text_columns=tuple(ids))
        for piece in file.pieces(columns):
            yield piece.to_pandas()


def _first_rows(file: DelimitedFile) -> pd.DataFrame:
    pieces: list[pd.DataFrame] = []
    for piece in file.pieces():
        pieces.append(piece.slice(0, SAMPLE_ROWS - sum(map(len, pieces))).to_pandas())
        if sum(map(len, pieces)) >= SAMPLE_ROWS:
            break
    return pd.concat(pieces, ignore_index=True)
