"""Results that a figure draws from a run's folder because they take long: read, or refused with the command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolkit.errors import ConfigError, DataError
from toolkit.runs.kept import KeptAnalysis, read_kept

if TYPE_CHECKING:
    from analyses.report.catalogue.entry import FigureOptions
    from toolkit.runs.folder import SavedRun


def kept_result(run: SavedRun, name: str, command: str) -> KeptAnalysis:
    """The analysis kept under a name.

    Args:
        run: the run.
        name: of the folder in ``analyses/``.
        command: what makes it, after ``nme`` and with RUN for the run folder.

    Raises:
        DataError: E124 when the run has no such result. RunFolderError: E401, E404 when it cannot be read.
    """
    folder = run.path / "analyses" / name
    if not (folder / "result.json").is_file():
        raise DataError(
            "this figure draws a result that the run folder does not hold yet",
            code="E124",
            column=name,
            remedy=f"make it with: nme {command}",
        )
    return read_kept(folder)


def further_runs(options: FigureOptions, fewest: int, most: int | None = None) -> tuple[SavedRun, ...]:
    """The further runs that were named.

    Raises:
        ConfigError: E302 when there are fewer than ``fewest`` or more than ``most``.
    """
    count = len(options.others)
    if count < fewest or (most is not None and count > most):
        how = f"{fewest} further run{'s' if fewest > 1 else ''}" + ("" if most == fewest else " or more")
        raise ConfigError(
            f"this figure compares runs and needs {how}",
            code="E302",
            column="run",
            remedy="name them after the first: nme figure NAME RUN OTHER_RUN",
        )
    return options.others


def words_of(options: FigureOptions, setting: str) -> list[str]:
    """A setting written as a list with commas; empty when it was not given."""
    text = str(options.settings.get(setting) or "")
    return [part.strip() for part in text.split(",") if part.strip()]


def one_of(options: FigureOptions, setting: str, known: tuple[str, ...], default: str) -> str:
    """A setting that is one of a few words.

    Raises:
        ConfigError: E302 for another word.
    """
    word = str(options.settings.get(setting) or default)
    if word not in known:
        raise ConfigError("this setting is not known", code="E302", column=setting, remedy=f"use {', '.join(known)}")
    return word
