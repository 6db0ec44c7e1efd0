"""Files of a run folder, read once and believed only if they are what was written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import DataError, RunFolderError

if TYPE_CHECKING:
    import pandas as pd

CODE_STARTS = (b"\x80", b"PK\x03\x04")  # pickles, and the zip files torch.save makes of them
AGAIN = "copy the whole folder again from its source, or repeat the fit"


def read_checked(path: Path, expected: str | None) -> bytes:
    """The content of a file whose SHA-256 is as expected.

    Raises:
        RunFolderError: E401 if it is missing, may not be read or is no file of its kind, E402 if it was changed,
            E403 if it may contain code.
    """
    try:
        content = path.read_bytes() if expected is not None else None
    except FileNotFoundError:
        content = None
    except OSError:
        raise RunFolderError(
            f"{path.name} in the run folder may not be read", code="E401", remedy="ask for the right to open it"
        ) from None
    if content is None:
        raise RunFolderError(f"the run folder has no {path.name}", code="E401", remedy=AGAIN)
    if hashlib.sha256(content).hexdigest() != expected:
        raise _damage(path, content)
    return content


def refuse_code(start: bytes) -> None:
    """Refuse a pickled model by its first bytes (E403); nothing reads it any further, so nothing in it can run."""
    if start.startswith(CODE_STARTS):
        raise RunFolderError(
            "refused: this file may contain code",
            code="E403",
            remedy="a run is a folder with safetensors and parquet files; fit the model again to make one",
        )


def _damage(path: Path, content: bytes) -> RunFolderError:
    """What is wrong with a file that is not the one that was written."""
    refuse_code(content)
    whole = {".parquet": _is_parquet, ".safetensors": _is_safetensors}.get(path.suffix)
    if whole is not None and not whole(content):
        kind = path.suffix.removeprefix(".")
        return RunFolderError(f"{path.name} is cut short or no {kind} file", code="E401", remedy=AGAIN)
    return RunFolderError(f"{path.name} is not the file that was written (checksum differs)", code="E402", remedy=AGAIN)


def _is_parquet(content: bytes) -> bool:
    """Whether the marks at both ends are there."""
    return content.startswith(b"PAR1") and content.endswith(b"PAR1")


def _is_safetensors(content: bytes) -> bool:
    """Whether the header is one, and the tensors it lists fill the rest of the file."""
    start = 8 + int.from_bytes(content[:8], "little")
    try:
        header = json.loads(content[8:start])
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return False
    return start + max(ends, default=0) == len(content)


def of_target(table: pd.DataFrame, target: str | None, known: Sequence[str]) -> pd.DataFrame:
    """The rows of one target, the first by default; a table of one target has no column for it.

    Raises:
        DataError: E103 for a target the run does not have.
    """
    if target is not None and target not in known:
        raise DataError(
            "the run does not have this target", code="E103", column="target", remedy=f"known: {', '.join(known)}"
        )
    if "target" not in table:
        return table.copy()
    return table[table["target"] == (target or known[0])].drop(columns="target").reset_index(drop=True)


def further_groupings(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Grouping factors of a run's data beside the person, in their order."""
    named = manifest["data"].get("groupings")
    if named is not None:
        return tuple(str(factor["name"]) for factor in named[1:])
    return tuple(str(name) for name in manifest.get("further_levels", {}))


def of_term(table: pd.DataFrame, term: str | None) -> pd.DataFrame:
    """The effects of one grouping factor, of the first (the persons) by default.

    Raises:
        DataError: E302 for a grouping factor the run does not have.
    """
    known = list(dict.fromkeys(table["term"]))
    if term is not None and term not in known:
        raise DataError(
            f"the run has no effects of '{term}'", code="E302", column="term", remedy=f"known: {', '.join(known)}"
        )
    if len(known) <= 1:
        return table.copy()
    return table[table["term"] == (term or known[0])].reset_index(drop=True)
