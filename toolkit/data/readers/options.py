"""How a file is to be read, as the user says it or as it was found by looking."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from toolkit.errors import ConfigError, ToolkitWarning

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
DECIMALS = {".": "point", ",": "comma"}
THOUSANDS = {
    ",": "comma",
    ".": "point",
    " ": "space",
    "'": "apostrophe",
    "\u00a0": "fixed space",
    "\u202f": "thin space",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """What the user says about a file; ``None`` means: find out.

    Attributes:
        separator: between cells of a csv file: comma, semicolon, tab or bar.
        decimal: decimal mark of a csv file: point or comma.
        thousands: mark between groups of three digits; numbers that hold one are refused without it.
        encoding: of a csv file ("cp1252"), or of an old SPSS, Stata or SAS file.
        sheet: name of the sheet of an Excel file.
        value_labels: columns of an SPSS, Stata or SAS file read as the words of their value labels, not as codes.
    """

    separator: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    encoding: str | None = None
    sheet: str | None = None
    value_labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse marks that are not known (E302); their names ("tab", "comma") are taken as well."""
        for option, known in (("separator", SEPARATORS), ("decimal", DECIMALS), ("thousands", THOUSANDS)):
            object.__setattr__(self, option, _mark(option, getattr(self, option), known))
        if self.decimal is not None and self.decimal == self.thousands:
            raise ConfigError("decimal and thousands mark are the same", code="E302", column="thousands")
        if self.encoding is not None:
            try:
                "".encode(codecs.lookup(self.encoding).name)
            except (LookupError, ValueError):
                raise ConfigError(
                    "this encoding is not known", code="E302", column="encoding", remedy="Known are utf-8, cp1252, ..."
                ) from None

    def given(self) -> dict[str, Any]:
        """The options that were said, by name."""
        return {
            option.name: value for option in fields(self) if (value := getattr(self, option.name)) not in (None, ())
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFormat:
    """How a file was read; everything needed to read it the same way again.

    Attributes:
        kind: "csv", "parquet", "xlsx", "sav", "dta" or "sas7bdat".
        options: the options in force.
        assumed: names of those that were found by looking and differ from plain csv (comma, point, UTF-8).
    """

    kind: str
    options: ReadOptions = field(default_factory=ReadOptions)
    assumed: tuple[str, ...] = ()

    def words(self) -> str:
        """``csv, semicolon between cells, decimal comma, cp1252`` for a screen."""
        options = self.options
        parts = [self.kind]
        if options.separator:
            parts.append(f"{SEPARATORS[options.separator]} between cells")
        if options.decimal:
            parts.append(f"decimal {DECIMALS[options.decimal]}")
        if options.thousands:
            parts.append(f"{THOUSANDS[options.thousands]} between thousands")
        if options.encoding:
            parts.append(options.encoding)
        if options.sheet:
            parts.append(f"sheet '{options.sheet}'")
        return ", ".join(parts)

    def notice(self) -> ToolkitWarning | None:
        """The sentence that shows what was assumed, or nothing."""
        if not self.assumed:
            return None
        return ToolkitWarning(
            f"the file was read as {self.words()}; confirm by saying {' and '.join(self.assumed)}", code="W220"
        )

    def confirmed(self) -> TableFormat:
        """The same with nothing left open."""
        return replace(self, assumed=())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ReadResult:
    """A table with what its file says about it.

    Attributes:
        frame: the table.
        format: how it was read.
        value_labels: column -> code as text -> label (SPSS, Stata, SAS).
        questions: column -> its wording in the questionnaire (variable label).
        user_missing: column -> number of cells emptied because the file marks their code as missing.
        notices: what was assumed or changed.
    """

    frame: pd.DataFrame
    format: TableFormat
    value_labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    questions: Mapping[str, str] = field(default_factory=dict)
    user_missing: Mapping[str, int] = field(default_factory=dict)
    notices: tuple[ToolkitWarning, ...] = ()


def _mark(option: str, given: str | None, known: Mapping[str, str]) -> str | None:
    """A mark by itself or by its name."""
    by_name = {name: mark for mark, name in known.items()} | {"\\t": "\t"}
    mark = by_name.get(given, given) if given is not None else None
    if mark is not None and mark not in known:
        raise ConfigError(
            f"the {option} is not known", code="E302", column=option, remedy=f"Known are {', '.join(known.values())}"
        )
    return mark
