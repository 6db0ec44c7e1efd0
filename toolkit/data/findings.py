"""What a check of a study found: every fault and every oddity, not only the first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pandas as pd

from toolkit.errors import MAX_ROWS_SHOWN, DataError, ToolkitWarning

T = TypeVar("T")
MAX_ROWS_KEPT = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fault (``E``) or oddity (``W``).

    Attributes:
        code: such as "E111".
        column: where; ``None`` if it is about the whole table.
        rows: row numbers as a spreadsheet shows them, at most 1,000.
        count: number of rows concerned.
        message: what, without any cell's value.
        remedy: what to do.
    """

    code: str
    message: str
    column: str | None = None
    rows: tuple[int, ...] = ()
    count: int = 0
    remedy: str = ""

    @property
    def is_fault(self) -> bool:
        """Whether it keeps the study from being used as it is."""
        return self.code.startswith("E")

    def rows_shown(self) -> str:
        """``3, 8 and 12 more`` for a table."""
        shown = ", ".join(map(str, self.rows[:MAX_ROWS_SHOWN]))
        hidden = self.count - min(len(self.rows), MAX_ROWS_SHOWN)
        return f"{shown} and {hidden} more" if hidden > 0 else shown

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        level = "error" if self.is_fault else "warning"
        return {
            "code": self.code,
            "level": level,
            "column": self.column,
            "rows": list(self.rows),
            "row_count": self.count,
            "message": self.message,
            "remedy": self.remedy,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All findings of a check, faults first."""

    found: list[Finding] = field(default_factory=list)

    def add(
        self, code: str, message: str, *, column: str | None = None, rows: Iterable[int] = (), remedy: str = ""
    ) -> None:
        """One more."""
        rows = tuple(rows)
        kept = rows[:MAX_ROWS_KEPT]
        self.found.append(Finding(code=code, message=message, column=column, rows=kept, count=len(rows), remedy=remedy))

    def add_error(self, error: DataError) -> None:
        """A refusal as a finding."""
        self.add(error.code, error.message, column=error.column, rows=error.rows, remedy=error.remedy)

    def add_notices(self, notices: Iterable[ToolkitWarning]) -> None:
        """Warnings as findings, each once."""
        for notice in notices:
            if all(finding.message != notice.message for finding in self.found):
                self.add(notice.code, notice.message)

    def tried(self, action: Callable[[], T]) -> T | None:
        """The outcome of an action, or nothing and a finding if it refuses."""
        try:
            return action()
        except DataError as error:
            self.add_error(error)
            return None

    @property
    def faults(self) -> list[Finding]:
        """What keeps the study from being used."""
        return [finding for finding in self.found if finding.is_fault]

    def ordered(self) -> list[Finding]:
        """Faults first; otherwise in the order they were found."""
        return sorted(self.found, key=lambda finding: not finding.is_fault)

    def to_frame(self) -> pd.DataFrame:
        """One row per finding: code, column, rows in words, message, remedy."""
        rows = [(f.code, f.column or "", f.rows_shown(), f.message, f.remedy) for f in self.ordered()]
        return pd.DataFrame(rows, columns=["code", "column", "rows", "finding", "what to do"])

    def first_error(self) -> DataError | None:
        """The first fault as an error, with the number of the others."""
        if not self.faults:
            return None
        first = self.faults[0]
        return DataError(first.message, code=first.code, column=first.column, rows=first.rows, remedy=first.remedy)
