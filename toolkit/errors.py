"""Every exception and warning of the toolkit.

An error says what is wrong, where, and what to do. It never repeats the value of a cell: cells hold what patients
wrote.
"""

from __future__ import annotations

from collections.abc import Iterable

MAX_ROWS_SHOWN = 10


class ToolkitError(Exception):
    """Base of all errors raised on purpose.

    Attributes:
        code: stable identifier such as ``E103``.
        column: name of the column (or option) concerned, if there is one.
        rows: row numbers as a spreadsheet shows them (the header is row 1).
        remedy: what to do about it, one sentence.
        exit_code: what the command line returns.
    """

    exit_code = 1

    def __init__(
        self, message: str, *, code: str, column: str | None = None, rows: Iterable[int] = (), remedy: str = ""
    ) -> None:
        """Compose the sentence shown to the user from its parts."""
        self.message = message
        self.code = code
        self.column = column
        self.rows = tuple(int(row) for row in rows)
        self.remedy = remedy
        super().__init__(f"{code}: {self.sentence}")

    @property
    def sentence(self) -> str:
        """Message, row numbers and remedy as one line, without the code."""
        parts = [self.message + rows_in_words(self.rows), self.remedy]
        return ". ".join(part.rstrip(".") for part in parts if part) + "."


class DataError(ToolkitError):
    """The data, a setting or a run folder cannot be used as it is."""

    exit_code = 2


class ConfigError(DataError):
    """A setting does not exist, does not apply, or is out of range (codes E302 and E125)."""


class RunFolderError(DataError):
    """A run folder is missing, damaged, of another version, or in the way (codes E30x and E40x)."""


class Interrupted(ToolkitError):
    """The user or the system stopped a fit (code E308); the exit code is 128 and the number of the signal."""

    def __init__(self, message: str, *, signal_number: int, remedy: str = "") -> None:
        """Compose the sentence; 130 after Ctrl-C, 143 after SIGTERM."""
        super().__init__(message, code="E308", remedy=remedy)
        self.exit_code = 128 + signal_number


class ToolkitWarning(UserWarning):
    """Something the user should know; the work goes on. The text starts with a ``W`` code."""

    def __init__(self, message: str, *, code: str) -> None:
        """Keep the code beside the sentence."""
        self.code = code
        self.message = message
        super().__init__(f"{code}: {message}")


def rows_in_words(rows: tuple[int, ...]) -> str:
    """`` (rows 3, 8 and 12 more)`` for an error message; empty without rows."""
    if not rows:
        return ""
    shown = ", ".join(str(row) for row in rows[:MAX_ROWS_SHOWN])
    hidden = len(rows) - MAX_ROWS_SHOWN
    more = f" and {hidden} more" if hidden > 0 else ""
    return f" ({'row' if len(rows) == 1 else 'rows'} {shown}{more})"
