"""A run folder without anything about persons: population parameters, metrics over everybody, averages of groups."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from toolkit.errors import RunFolderError
from toolkit.runs.atomic import enough_room, sha256, sync_folder, write_atomically
from toolkit.runs.folder import MANIFEST, SavedRun

KEPT = ("generic.safetensors", "variance_components.parquet", "trace.parquet")
OF_EVERYBODY = ("transition_covariates.parquet",)  # of some models
NOTE = "left out of this copy; the run it was exported from has it"


def export_without_persons(
    run: SavedRun, tables: Mapping[str, pd.DataFrame], folder: Path, *, smallest: int, overwrite: bool = False
) -> Path:
    """Write a copy of a run without persons: no effects, rows, predictions, metrics or pseudonyms of anybody.

    `toolkit.runs.folder.load_run` opens it, predictions for an average person work, and whatever needs persons says so
    (E409). Kept analyses stay behind: their tables may be about persons.

    Args:
        run: the run.
        tables: what may be told instead, by name: ``metrics`` and the tables of groups.
        folder: of the copy.
        smallest: the smallest number of persons that may be told.
        overwrite: replace a copy that is there.

    Raises:
        RunFolderError: E304, E305 or E306 if it cannot be written, E401 or E402 for a damaged run, E406 for a model
            whose parts are persons, E409 for a run that has no persons already.
    """
    if run.without_persons:
        raise RunFolderError("this is a copy without persons already", code="E409", remedy="pass it on as it is")
    if run.manifest["network"].get("experts") is not None:
        raise RunFolderError(
            "the experts of this model are persons: without them nothing is left to predict with",
            code="E406",
            remedy="pass on its report instead (nme report)",
        )
    if run.model == "svdkl":
        raise RunFolderError(
            "the process of this model stands on places where persons were: without them nothing is left to predict "
            "with",
            code="E406",
            remedy="pass on its report instead (nme report)",
        )
    _check_free(folder, overwrite=overwrite)
    content = {name: run.content(name) for name in KEPT}
    content |= {name: run.content(name) for name in OF_EVERYBODY if name in run.manifest["files"]}
    content |= {f"{name}.parquet": _parquet(table) for name, table in tables.items()}
    partial = folder.parent / f".{folder.name}.{os.getpid()}.part"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with enough_room("the copy", "choose another folder (--out), or make room"):
            partial.mkdir(parents=True)
            for name, data in content.items():
                write_atomically(partial / name, data)
            files = {path.name: sha256(path) for path in sorted(partial.iterdir())}
            manifest = json.dumps(_manifest(run.manifest, files, smallest), indent=1, ensure_ascii=False)
            write_atomically(partial / MANIFEST, manifest.encode())
            if folder.exists():
                shutil.rmtree(folder)
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    sync_folder(folder.parent)
    return folder


def _check_free(folder: Path, *, overwrite: bool) -> None:
    """Refuse to write over a run that holds persons, or anything else that is no such copy."""
    try:
        if not folder.exists() or not any(folder.iterdir()):
            return
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except NotADirectoryError:
        raise RunFolderError("there is a file where the copy should go", code="E306", column="out") from None
    except PermissionError:
        raise RunFolderError("the folder may not be read or written", code="E305", column="out") from None
    except (OSError, ValueError):
        manifest = {}
    if not (overwrite and isinstance(manifest, dict) and manifest.get("without_persons")):
        what = "a copy" if isinstance(manifest, dict) and manifest.get("without_persons") else "something else"
        remedy = "choose another folder (--out)" + (", or replace it (--overwrite)" if what == "a copy" else "")
        raise RunFolderError(f"the output folder holds {what} already", code="E306", column="out", remedy=remedy)


def _manifest(manifest: Mapping[str, Any], files: Mapping[str, str], smallest: int) -> dict[str, Any]:
    """The manifest without pseudonyms, and without numbers of few persons."""
    excluded = [_excluded(entry, smallest) for entry in manifest.get("exclusions") or []]
    warnings = [f"{str(words).partition(':')[0]}: {NOTE}" for words in manifest.get("warnings") or []]
    changed = {
        "levels": [],
        **({"further_levels": {}} if "further_levels" in manifest else {}),
        "without_persons": True,
        "exclusions": excluded,
        "warnings": warnings,
        "files": dict(files),
    }
    return {**manifest, **changed}


def _excluded(entry: Mapping[str, Any], smallest: int) -> dict[str, Any]:
    """One exclusion; who they are must not follow from their number."""
    few = 0 < int(entry.get("persons") or 0) < smallest
    return {**entry, **({"persons": None, "rows": None} if few else {})}


def _parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()
