"""What a command prints: text for people, one JSON object for programs, a sentence for an error."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import typer
import typer.core

from toolkit.errors import ToolkitError, ToolkitWarning

INTERRUPTED = 130
# typer raises errors of a copy of click that it brings along (before 0.26: of click itself)
_WrongUse: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
_answered: ContextVar[bool] = ContextVar("answered", default=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """The outcome of a command: lines to read, and the same as data."""

    text: str
    data: Mapping[str, Any] = field(default_factory=dict)

    def show(self, as_json: bool) -> None:
        """Print it."""
        if as_json:
            _answered.set(True)
        typer.echo(json.dumps(dict(self.data), ensure_ascii=False, default=float) if as_json else self.text)


class Commands(typer.core.TyperGroup):
    """The commands; with ``--json`` an error is one JSON object too, unless the command has answered already."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **settings: Any) -> Any:
        """Run a command."""
        words = list(sys.argv[1:] if args is None else args)
        _answered.set(False)
        try:
            return super().main(words, *rest, **settings)
        except ToolkitError as error:
            if "--json" in words and not _answered.get():
                typer.echo(json.dumps({"error": as_data(error)}, ensure_ascii=False))
            raise


def as_data(error: ToolkitError) -> dict[str, Any]:
    """An error for programs: code, column, rows, message, remedy."""
    return {
        "code": error.code,
        "column": error.column,
        "rows": list(error.rows),
        "message": error.message,
        "remedy": error.remedy,
    }


def plain_errors(command: Callable[[], Any]) -> int:
    """Run a command; returns the exit code: 0 done, 1 failed, 2 bad input, 130 interrupted."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", ToolkitWarning)
        warnings.showwarning = _note
        return _exit_code(command)


def _note(message: Warning | str, *_: Any) -> None:
    """A warning of ours as a sentence on standard error; others are for developers."""
    if isinstance(message, ToolkitWarning):
        _complain(str(message))


def _exit_code(command: Callable[[], Any]) -> int:
    """Run a command, turning exceptions into a sentence and an exit code."""
    try:
        return int(command() or 0)
    except ToolkitError as error:
        _complain(str(error))
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        _complain("interrupted; finished runs are kept, run the command again to go on")
        return INTERRUPTED
    except _WrongUse as error:
        error.show()
        return 2
    except Exception as error:
        if os.environ.get("NME_DEBUG"):
            raise
        _complain(
            f"E900: something went wrong that should not have ({type(error).__name__}). "
            "Set NME_DEBUG=1 to see where; the details may show data."
        )
        return 1


def _complain(sentence: str) -> None:
    """An error sentence on standard error."""
    print(f"nme: {sentence}", file=sys.stderr)  # noqa: T201
