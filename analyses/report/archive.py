"""Results kept in a run folder, ``analyses/NAME/``: numbers as json, the table as parquet, the sentences as text."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from toolkit.errors import RunFolderError

FOLDER = "analyses"
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,80}$")


def save_analysis(
    run_folder: str | Path, name: str, *, result: Mapping[str, Any], table: pd.DataFrame, text: Sequence[str]
) -> Path:
    """Write one analysis whole or not at all; an earlier one of the same name is replaced.

    Args:
        run_folder: folder of the run.
        name: letters, digits, ``.``, ``_`` and ``-``; it becomes a folder's name.
        result: the numbers, as plain values.
        table: the tidy table.
        text: sentences, one paragraph each.

    Returns:
        The folder written.

    Raises:
        RunFolderError: E302 for a name that cannot be a folder, E305 when nothing can be written there.
    """
    if not _NAME.match(name):
        raise RunFolderError(
            "this name cannot be used for a folder", code="E302", column="name", remedy="Use letters, digits and dashes"
        )
    home = Path(run_folder) / FOLDER
    try:
        home.mkdir(exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".saving-", dir=home))
    except OSError as problem:
        raise RunFolderError(
            "nothing can be written into this run folder", code="E305", remedy="Check that the folder is not read-only"
        ) from problem
    try:
        _write(staging / "result.json", json.dumps(_plain(result), indent=2, allow_nan=False).encode())
        table.to_parquet(staging / "table.parquet", index=False)
        _write(staging / "text.md", ("\n\n".join(text) + "\n").encode())
        return _put_in_place(staging, home / name)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def saved_analyses(run_folder: str | Path) -> dict[str, str]:
    """Sentences of every analysis kept in a run folder, by name."""
    home = Path(run_folder) / FOLDER
    if not home.is_dir():
        return {}
    texts = {path.parent.name: path for path in sorted(home.glob("*/text.md")) if not path.parent.name.startswith(".")}
    return {name: path.read_text(encoding="utf-8") for name, path in texts.items()}


def _put_in_place(staging: Path, target: Path) -> Path:
    staging.chmod(0o755)
    old = staging.with_name(f"{staging.name}-old")
    if target.exists():
        target.rename(old)
    staging.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    return target


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _plain(value: Any) -> Any:
    """Numpy values as plain ones, undefined numbers as null: json knows neither."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
