"""Csv and tsv files, read in pieces: what each column holds is found first, over the whole file, then the values.

Nothing of the file is kept but the piece at hand, and no temporary file is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.data.columns import require_rows
from toolkit.data.readers.cells import (
    OTHER_NOTATIONS,
    Kind,
    Notation,
    arrow_type,
    kind_of,
    values_of,
    widened,
)
from toolkit.data.readers.csv_structure import checked_header
from toolkit.data.readers.opening import head_of, opened, require_memory, size_of
from toolkit.data.readers.options import ReadOptions, ReadResult, TableFormat
from toolkit.data.readers.sniffing import ambiguous_numbers, csv_format
from toolkit.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

ENDINGS = (".csv", ".tsv", ".txt", ".tab")
PIECE = 16 * 2**20  # bytes of text read at once


@dataclass(frozen=True, slots=True, kw_only=True)
class DelimitedFile:
    """A checked csv file: its form is known, its cells are still in the file. Built by :meth:`look`.

    Attributes:
        path: the file.
        format: how it is written.
        columns: column -> what it holds.
        rows: number of rows below the header.
        text_columns: ids, kept exactly as written.
    """

    path: Path
    format: TableFormat
    columns: dict[str, Kind]
    rows: int
    text_columns: tuple[str, ...] = ()

    @classmethod
    def look(cls, path: Path, options: ReadOptions, *, text_columns: Sequence[str] = ()) -> DelimitedFile:
        """Check every row of the file, and find out what each column holds.

        Raises:
            DataError: E100, E101, E102, E104 to E108 as :func:`toolkit.data.readers.read_table`.
        """
        found = csv_format(head_of(path), options, ending=path.suffix.lower())
        header, rows = checked_header(path, found.options)
        if not rows:
            raise DataError("the table has no rows", code="E102", remedy="Check that the data stand below the header")
        as_text = tuple(name for name in header if name in text_columns)
        kinds = _kinds(path, found.options, header, as_text, rows)
        return cls(
            path=path,
            format=found,
            columns=kinds,
            rows=rows,
            text_columns=as_text,
        )

    @property
    def notation(self) -> Notation:
        """How numbers are written in the file."""
        return Notation(decimal=self.format.options.decimal or ".", thousands=self.format.options.thousands)

    def pieces(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The table in pieces of some thousand rows, its columns as numbers, true/false or text.

        Args:
            columns: those wanted; all by default.

        Raises:
            DataError: E100 if the file has gone or has changed since it was looked at.
        """
        import pyarrow as pa

        wanted, rows = list(self.columns) if columns is None else list(columns), 0
        for piece in _text_pieces(self.path, self.format.options, list(self.columns), wanted):
            rows += piece.num_rows
            try:
                cells = {name: self._values(name, piece.column(name)) for name in wanted}
            except pa.ArrowException:
                raise _changed() from None
            yield pa.record_batch(cells)
        if rows != self.rows:  # somebody was still writing it
            raise _changed()

    def _values(self, name: str, cells: pa.Array) -> pa.Array:
        """Cells of a column as what it holds; ids as they are written."""
        return cells if name in self.text_columns else values_of(cells, self.columns[name], self.notation)

    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        import pyarrow as pa

        return pa.schema([(name, arrow_type(kind)) for name, kind in self.columns.items()])


def _changed() -> DataError:
    return DataError(
        "the file changed while it was read", code="E100", remedy="Wait until it is written, then try again"
    )


def read_delimited(path: Path, options: ReadOptions, *, text_columns: Sequence[str]) -> ReadResult:
    """A csv file as a frame.

    Raises:
        DataError: as :meth:`DelimitedFile.look`; E503 if it does not fit into memory.
    """
    import pyarrow as pa

    head_of(path)
    require_memory(size_of(path))
    file = DelimitedFile.look(path, options, text_columns=text_columns)
    table = pa.Table.from_batches(file.pieces(), schema=file.schema())
    frame = table.to_pandas(split_blocks=True, self_destruct=True)
    require_rows(frame)
    notice = file.format.notice()
    return ReadResult(frame=frame, format=file.format, notices=(notice,) if notice else ())


def _text_pieces(
    path: Path, options: ReadOptions, header: Sequence[str], wanted: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """The file in pieces, every cell as text, null where there is nothing in it."""
    import pyarrow as pa
    from pyarrow import csv

    names = [f"c{number}" for number in range(len(header))]  # arrow's own names would be those of the file's first line
    with opened(path) as file:
        try:
            reader = csv.open_csv(
                file,
                read_options=csv.ReadOptions(
                    block_size=PIECE, column_names=names, encoding=(options.encoding or "utf-8").replace("-sig", "")
                ),
                parse_options=csv.ParseOptions(
                    delimiter=options.separator, newlines_in_values=True, ignore_empty_lines=len(header) > 1
                ),
                convert_options=csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    null_values=[""],
                    strings_can_be_null=True,
                    include_columns=[names[list(header).index(name)] for name in wanted],
                ),
            )
            first = True
            for piece in reader:
                piece = piece.slice(1) if first else piece  # the header is the first row here
                first = False
                yield pa.record_batch(piece.columns, names=list(wanted))
        except (pa.ArrowException, UnicodeError):
            raise DataError(
                "the file cannot be read as a table", code="E105", remedy="Export it again as csv UTF-8"
            ) from None


def _kinds(
    path: Path, options: ReadOptions, header: Sequence[str], as_text: Sequence[str], rows: int
) -> dict[str, Kind]:
    """What each column holds over the whole file.

    Raises:
        DataError: E105 if the file is cut into other rows than those that were checked; E108 for a column of numbers
            in another notation than the one in force.
    """
    notation = Notation(decimal=options.decimal or ".", thousands=options.thousands)
    looked = [name for name in header if name not in as_text]
    kinds: dict[str, Kind] = {name: "text" if name in as_text else "empty" for name in header}
    others = {name: set(OTHER_NOTATIONS) - {notation} for name in looked}
    seen = 0
    for piece in _text_pieces(path, options, header, looked or header[:1]):
        seen += piece.num_rows
        for name in looked:
            cells = piece.column(name)
            if kinds[name] != "text":
                kinds[name] = widened(kinds[name], kind_of(cells, notation, at_least=kinds[name]))
            if kinds[name] == "text" and others[name]:
                others[name] = {
                    other for other in others[name] if kind_of(cells, other) in ("whole", "number", "empty")
                }
    if seen != rows:  # two parsers that disagree mean a file nobody should trust
        raise DataError("the file cannot be cut into rows", code="E105", remedy="Export it again as csv UTF-8")
    _refuse_other_notation(kinds, others, options)
    return kinds


def _refuse_other_notation(kinds: dict[str, Kind], others: dict[str, set[Notation]], options: ReadOptions) -> None:
    """Refuse a text column that is one of numbers in another notation, unless the user named the marks (E108)."""
    if options.thousands is not None:
        return
    for name, kind in kinds.items():
        if kind == "text" and others.get(name):
            raise ambiguous_numbers(name, "numbers with a mark between thousands, or with another decimal mark")
