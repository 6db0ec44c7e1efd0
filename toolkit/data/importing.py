"""From somebody's file to a study folder: pseudonyms in place of ids, free text left out, a study.toml to read.

The folder can be copied and published as far as names go; who is who stands in a key file of mode 0600 outside it.
"""

from __future__ import annotations

import secrets
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toolkit.data.column_facts import kind_of_column
from toolkit.data.columns import require_columns
from toolkit.data.import_data import write_data
from toolkit.data.import_labels import RoleLabels, extended_key, factor_columns, labels_of_roles
from toolkit.data.import_source import ImportSource
from toolkit.data.labels import label_codes, natural_order
from toolkit.data.pseudonyms import Key, key_folder, read_key, unpredictable, write_key
from toolkit.data.roles import Proposal, names_an_id
from toolkit.data.study_writing import quoted, study_text, toml_value, write_text
from toolkit.errors import DataError, RunFolderError, ToolkitWarning

STUDY_FILE = "study.toml"
DATA_FILE = "data.parquet"  # never the name of the source: file names can hold names
MOST_LISTED = 12  # labels of states or groups written into the study file


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportChoices:
    """What the user decides about an import besides the roles.

    Attributes:
        title: for headings; the folder's name by default.
        unit: what one row is ("prompt", "day").
        keep: text columns to keep although they have no role.
        day_first: order of day and month in the time column, where it must be said.
        key_path: where the key goes; a new name in :func:`toolkit.data.pseudonyms.key_folder` by default.
        drop_empty: rows with empty cells in target or features are left out when the study is used.
        planned_per_day: rows planned for each person on each day; compliance is relative to the plan.
        planned_days: days planned for each person.
        overwrite: replace the study that is in the folder; persons it knew keep their pseudonyms.
    """

    title: str | None = None
    unit: str = "row"
    keep: tuple[str, ...] = ()
    day_first: bool | None = None
    key_path: Path | None = None
    drop_empty: bool = False
    planned_per_day: int | None = None
    planned_days: int | None = None
    overwrite: bool = False


DEFAULTS = ImportChoices()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImportedStudy:
    """What an import made.

    Attributes:
        study_file: study.toml.
        key_path: who is who; outside the project unless the user said otherwise.
        rows, persons, clusters: counts.
        kept: columns of the data file.
        left_out: text columns without a role; they can hold names.
        notices: what was assumed or changed.
    """

    study_file: Path
    key_path: Path
    rows: int
    persons: int
    clusters: int
    kept: tuple[str, ...]
    left_out: tuple[str, ...]
    notices: tuple[ToolkitWarning, ...]


def import_study(
    source: ImportSource,
    proposal: Proposal,
    out: Path,
    *,
    choices: ImportChoices = DEFAULTS,
    rng: np.random.Generator | None = None,
) -> ImportedStudy:
    """Write ``study.toml`` and ``data.parquet`` into a folder, and the key outside it.

    Args:
        source: the table.
        proposal: what each column is for.
        out: folder of the study; made if it is not there.
        choices: title, unit, further columns to keep, ...
        rng: order of new pseudonyms; unpredictable by default, as it should be outside tests.

    Raises:
        DataError: E112 rows without a person.
        RunFolderError: E305 the folder cannot be written, E306 a study is in it.
    """
    roles = proposal.roles
    if roles.person is None:
        raise DataError("no person column was named", code="E103", remedy="Say whose row it is (--person)")
    require_columns(source.sample, {"keep": choices.keep})
    known_name = _claim(out, overwrite=choices.overwrite)
    labels = labels_of_roles(source, proposal)
    key_name = known_name or f"study-{secrets.token_hex(4)}"
    path = choices.key_path or key_folder() / f"{key_name}.key.csv"
    key = extended_key(read_key(path), labels, rng=unpredictable() if rng is None else rng)
    _write_key(path, key)
    kept = [name for name in source.columns if _is_kept(source, proposal, name, choices.keep)]
    left_out = tuple(name for name in source.columns if name not in kept)
    write_data(source, kept, labels, key, out / DATA_FILE)
    write_text(out / STUDY_FILE, _text(source, proposal, labels, choices, left_out, out, key_name))
    return ImportedStudy(
        study_file=out / STUDY_FILE,
        key_path=path,
        rows=source.rows,
        persons=len(labels["person"].names),
        clusters=len(labels["cluster"].names) if "cluster" in labels else 0,
        kept=tuple(kept),
        left_out=left_out,
        notices=(*source.notices, *(notice for role in labels.values() for notice in role.notices)),
    )


def _text(
    source: ImportSource,
    proposal: Proposal,
    labels: Mapping[str, RoleLabels],
    choices: ImportChoices,
    left_out: Sequence[str],
    out: Path,
    key_name: str,
) -> str:
    """The study file."""
    settings: dict[str, object] = {"file": DATA_FILE, "pseudonymous": True}
    settings |= {"key_name": key_name} if choices.key_path is None else {}
    settings |= {} if choices.day_first is None else {"day_first": choices.day_first}
    settings |= {"empty_cells": "drop"} if choices.drop_empty else {}
    planned = {"planned_per_day": choices.planned_per_day, "planned_days": choices.planned_days}
    settings |= {name: count for name, count in planned.items() if count is not None}
    states = labels["state"].names if "state" in labels else ()
    return study_text(
        proposal,
        title=choices.title or out.resolve().name or "Study",
        unit=choices.unit,
        data=settings,
        origin=_origin(source, left_out),
        states=states if len(states) <= MOST_LISTED else (),
        group_labels=_group_labels(source, proposal, labels),
        questions=source.questions,
        tables="\n".join(part for part in (_groupings(proposal), _categories(source, proposal)) if part),
    )


def _groupings(proposal: Proposal) -> str:
    """The tables of further grouping factors."""
    own = set(factor_columns(proposal).values())
    lines = []
    for name in proposal.roles.groupings:
        lines.append(f"[groupings.{quoted(name)}]  # its levels have effects of their own, beside the persons")
        lines += ["pseudonymous = true"] if name in own else []
        lines.append('# effects = "last"  # what varies by it; as the persons\' if left out')
    return "\n".join([*lines, ""]) if lines else ""


def _categories(source: ImportSource, proposal: Proposal) -> str:
    """The table of the levels of features that are words, in natural order; empty if there are none.

    Columns with many levels are left to the user: they can be remarks, or names.
    """
    lines = []
    for name in proposal.roles.features:
        if kind_of_column(source.sample[name]) != "text":
            continue
        levels = label_codes(source.sample[name], kind="category")[1]
        if 2 <= len(levels) <= MOST_LISTED:
            lines.append(f"{quoted(name)} = {toml_value(levels)}")
    head = "[categories]  # words as 0/1 columns; the first level is the reference, put the one you want there"
    return "\n".join([head, *lines, ""]) if lines else ""


def _write_key(path: Path, key: Key) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        raise DataError(
            "the folder of the key cannot be made", code="E305", column="key", remedy="Choose another place (--key)"
        ) from None
    write_key(path, key)


def _is_kept(source: ImportSource, proposal: Proposal, name: str, keep: Sequence[str]) -> bool:
    """Columns with a role, numbers and dates; text without a role can hold names, further ids are not needed."""
    if name in keep or name in proposal.roles.columns():
        return True
    return kind_of_column(source.sample[name]) != "text" and not names_an_id(name)


def _claim(out: Path, *, overwrite: bool) -> str | None:
    """Make the folder; the name of the key of the study that is in it already.

    Raises:
        RunFolderError: E305, E306.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        taken = (out / STUDY_FILE).exists() or (out / DATA_FILE).exists()
        settings = tomllib.loads((out / STUDY_FILE).read_text(encoding="utf-8")) if (out / STUDY_FILE).exists() else {}
    except (OSError, ValueError):
        raise RunFolderError(
            "the study's folder cannot be made, or its study file not be read",
            code="E305",
            column="out",
            remedy="Choose another (--out)",
        ) from None
    if taken and not overwrite:
        raise RunFolderError(
            "there is a study in this folder already",
            code="E306",
            column="out",
            remedy="Choose another (--out), or replace it (--overwrite); persons keep their pseudonyms then",
        )
    name = settings.get("data", {}).get("key_name") if isinstance(settings.get("data"), dict) else None
    return name if isinstance(name, str) else None


def _origin(source: ImportSource, left_out: Sequence[str]) -> str:
    """Comments on the data file."""
    lines = [f"imported from {source.format.words()}; persons, clusters and levels of groupings are pseudonyms"]
    if left_out:
        lines.append(f"{len(left_out)} column(s) of text or ids without a role were left out: they can hold names")
    return "\n".join(lines)


def _group_labels(source: ImportSource, proposal: Proposal, labels: Mapping[str, RoleLabels]) -> dict[str, str]:
    """Label of each group -> its words: the file's value labels, or itself to be written out by a person."""
    if "group" not in labels or len(labels["group"].names) > MOST_LISTED:
        return {}
    words = source.value_labels.get(proposal.roles.group or "", {})
    return {name: words.get(name, name) for name in sorted(labels["group"].names, key=natural_order)}
