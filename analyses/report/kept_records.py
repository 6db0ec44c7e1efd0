"""A whole result record in a run folder: arrays as .npz, the rest as JSON, nothing that could be code.

`record.json` names the record's class, which must be a dataclass of this project, and its fields; `record.npz` holds
the arrays. What was written by other settings, from another run, or by another version of the toolkit is not read.
"""

from __future__ import annotations

import dataclasses
import importlib
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

import toolkit
from toolkit.runs.atomic import write_atomically
from toolkit.runs.kept import MADE_WITH, Recipe

RECORD = "record.json"
ARRAYS = "record.npz"
OWN = ("analyses.", "app.")


def write_record(folder: Path, result: Any, *, run_hash: str) -> None:
    """Write a result beside what is kept of it.

    Args:
        folder: of the analysis, in ``analyses/`` of the run.
        result: a dataclass of ``analyses`` or ``app`` made of numbers, words, arrays, frames and further such records.
        run_hash: of the manifest it was made from.

    Raises:
        TypeError: for a value of another kind.
        OSError: when the folder cannot be written.
    """
    arrays: dict[str, np.ndarray] = {}
    said = {"toolkit": toolkit.__version__, "run": run_hash, "value": _told(result, arrays)}
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **arrays)
    (folder / RECORD).unlink(missing_ok=True)
    write_atomically(folder / ARRAYS, packed.getvalue())
    write_atomically(folder / RECORD, json.dumps(said).encode())


def read_record(folder: Path, *, recipe: Recipe, run_hash: str) -> Any:
    """The result, or None when it is of other settings, another run or version, or cannot be read."""
    try:
        made = json.loads((folder / MADE_WITH).read_text(encoding="utf-8"))
        said = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        fits = made == json.loads(json.dumps(recipe.as_data()))
        if not fits or said["run"] != run_hash or said["toolkit"] != toolkit.__version__:
            return None
        with np.load(folder / ARRAYS, allow_pickle=False) as arrays:
            return _made(said["value"], dict(arrays))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError):
        return None


def _told(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """A value as JSON; arrays go into ``arrays`` and leave their name."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, np.generic):
        return _told(value.item(), arrays)
    if isinstance(value, np.ndarray):
        return _told_array(value, arrays)
    if isinstance(value, tuple | list | frozenset):
        return {type(value).__name__: [_told(item, arrays) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[_told(name, arrays), _told(item, arrays)] for name, item in value.items()]}
    return _told_record(value, arrays)


def _told_array(value: np.ndarray, arrays: dict[str, np.ndarray]) -> Any:
    if value.dtype == object:
        return {"objects": [_told(item, arrays) for item in value.ravel().tolist()], "shape": list(value.shape)}
    arrays[f"a{len(arrays)}"] = value
    return {"array": f"a{len(arrays) - 1}"}


def _told_record(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    import pandas as pd

    if isinstance(value, pd.DataFrame):
        packed = io.BytesIO()
        value.to_parquet(packed)
        arrays[f"a{len(arrays)}"] = np.frombuffer(packed.getvalue(), dtype=np.uint8)
        return {"frame": f"a{len(arrays) - 1}"}
    kind = type(value)
    if not dataclasses.is_dataclass(value) or not kind.__module__.startswith(OWN):
        raise TypeError(f"a {kind.__name__} cannot be kept")
    fields = {field.name: _told(getattr(value, field.name), arrays) for field in dataclasses.fields(value)}
    return {"record": f"{kind.__module__}:{kind.__qualname__}", "fields": fields}


def _made(said: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The value that `_told` told."""
    if not isinstance(said, dict):
        return said
    kind, inside = next(iter(said.items()))
    if kind == "record":
        return _record(inside, {name: _made(item, arrays) for name, item in said["fields"].items()})
    if kind == "array":
        arrays[inside].setflags(write=False)
        return arrays[inside]
    if kind == "objects":
        objects = np.empty(len(inside), dtype=object)
        objects[:] = [_made(item, arrays) for item in inside]
        return objects.reshape(said["shape"])
    if kind == "frame":
        import pandas as pd

        return pd.read_parquet(io.BytesIO(arrays[inside].tobytes()))
    if kind == "dict":
        return {_made(name, arrays): _made(item, arrays) for name, item in inside}
    if kind == "float":
        return float(inside)
    return {"tuple": tuple, "list": list, "frozenset": frozenset}[kind](_made(item, arrays) for item in inside)


def _record(name: str, fields: dict[str, Any]) -> Any:
    module, _, qualified = name.partition(":")
    if not module.startswith(OWN):
        raise ValueError("not a record of this project")
    kind = getattr(importlib.import_module(module), qualified)
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        raise ValueError("not a record of this project")
    return kind(**fields)
