"""Reading study.toml: every key is known and of the right kind, or the error names the nearest key."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from toolkit.data.constructions import TABLES
from toolkit.data.readers import KINDS as KINDS_OF_TABLES
from toolkit.errors import ConfigError, DataError

# key -> kind: "text", "list" (of text), "names" (text or a list of texts), "flag", "count" or "table"
TOP = {key: "text" for key in ("name", "title", "citation", "licence", "unit")} | {
    key: "table" for key in ("data", "roles", "group_labels", "groupings", "orders", *TABLES)
}
READING = {key: "text" for key in ("separator", "decimal", "thousands", "encoding", "sheet")} | {"value_labels": "list"}
DATA = {
    **dict.fromkeys(("file", "derive", "key", "key_name", "empty_cells", "empty_targets"), "text"),
    **dict.fromkeys(("pseudonymous", "day_first"), "flag"),
    **dict.fromkeys(("planned_per_day", "planned_days"), "count"),
    **READING,
}
ROLES = {key: "text" for key in ("person", "cluster", "group", "time", "sequence", "state")} | {
    key: "list" for key in ("targets", "features", "states")
}
KINDS = {
    "text": "text in quotes",
    "list": "a list of texts",
    "names": "text in quotes, or a list of texts",
    "flag": "true or false",
    "count": "a whole number, 1 or more",
    "table": "a table",
}


def read_settings(path: Path) -> dict[str, Any]:
    """The checked settings of a study file: the top-level keys, with the tables data, roles, group_labels and orders.

    Raises:
        DataError: E100 if the file cannot be read, E106 if it is not UTF-8.
        ConfigError: E302 for broken TOML, an unknown key, a value of the wrong kind, no ``file`` or no ``person``.
    """
    if path.suffix.lower() in KINDS_OF_TABLES and path.exists():
        raise ConfigError(
            "this is a table, not a study file",
            code="E302",
            column="study",
            remedy="Make a study of it first: nme import FILE --out FOLDER",
        )
    settings = _toml(path)
    check_keys(settings, TOP, where="the study file")
    for table in ("data", "roles", "group_labels", "orders"):
        settings.setdefault(table, {})
    check_keys(settings["data"], DATA, where="[data]")
    check_keys(settings["roles"], ROLES, where="[roles]")
    check_keys(settings["group_labels"], dict.fromkeys(settings["group_labels"], "text"), where="[group_labels]")
    check_keys(settings["orders"], dict.fromkeys(settings["orders"], "list"), where="[orders]")
    for table, key in (("data", "file"), ("roles", "person")):
        if not settings[table].get(key):
            raise ConfigError(f"the study file does not say '{key}' in [{table}]", code="E302", column=key)
    return settings


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise DataError("the study file was not found", code="E100", remedy="Check its name and folder") from None
    except OSError:
        raise DataError("the study file cannot be read", code="E100", remedy="Check that you may open it") from None
    except UnicodeDecodeError:
        raise DataError("the study file is not UTF-8", code="E106", remedy="Save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at line (\d+)", str(error))
        rows = [int(place[1])] if place else []
        raise ConfigError("the study file is not valid TOML", code="E302", rows=rows, remedy="Correct it") from None


def check_keys(given: Mapping[str, Any], known: Mapping[str, str], *, where: str) -> None:
    """Refuse a key that is not known, with the nearest one, or a value of the wrong kind (E302)."""
    for key, value in given.items():
        if key not in known:
            raise ConfigError(
                f"unknown key '{key}' in {where}", code="E302", column=key, remedy=nearest_name(key, known)
            )
        if not _is_kind(value, known[key]):
            kind = KINDS[known[key]]
            raise ConfigError(f"'{key}' in {where} must be {kind}", code="E302", column=key)


def _is_kind(value: object, kind: str) -> bool:
    if kind == "names" and isinstance(value, str):
        return True
    if kind in ("list", "names"):
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if kind == "count":
        return isinstance(value, int) and not isinstance(value, bool) and value >= 1
    return isinstance(value, {"text": str, "flag": bool, "table": dict}[kind])


def nearest_name(name: str, known: Iterable[str]) -> str:
    """``Did you mean 'x'?``, or the list of what there is."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean '{near[0]}'?" if near else "Known: " + ", ".join(f"'{key}'" for key in known)
