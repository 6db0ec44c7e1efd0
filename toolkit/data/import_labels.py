"""The labels of an import's roles, gathered in one pass over the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from toolkit.data.import_source import ImportSource
from toolkit.data.labels import label_codes
from toolkit.data.pseudonyms import FACTOR, Key, extended
from toolkit.data.roles import Proposal
from toolkit.errors import DataError, ToolkitWarning

MAX_ROWS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class RoleLabels:
    """The labels of one role: raw cell -> label, the labels in their order, notices."""

    column: str
    by_cell: Mapping[object, str]
    names: tuple[str, ...]
    notices: tuple[ToolkitWarning, ...]


def has_pseudonyms(role: str) -> bool:
    """Whether the labels of a role are replaced by pseudonyms."""
    return role in ("person", "cluster") or role.startswith(FACTOR)


def factor_columns(proposal: Proposal) -> dict[str, str]:
    """Role in the key -> column of the further grouping factors that have pseudonyms of their own."""
    roles = proposal.roles
    names = [name for name in roles.groupings if name not in (roles.person, roles.cluster, roles.group)]
    return {f"{FACTOR}{name}": name for name in names}


def labels_of_roles(source: ImportSource, proposal: Proposal) -> dict[str, RoleLabels]:
    """Every label of persons, clusters, groups, states and further grouping factors, in one pass over the file.

    Raises:
        DataError: E112 with the rows that have no person.
    """
    roles = proposal.roles
    columns = {
        role: name for role in ("person", "cluster", "group", "state") if (name := getattr(roles, role)) is not None
    }
    columns |= factor_columns(proposal)
    ids = [name for role, name in columns.items() if has_pseudonyms(role)]
    cells: dict[str, dict[object, None]] = {role: {} for role in columns}
    missing: list[int] = []
    row = 0
    for piece in source.pieces(list(dict.fromkeys(columns.values())), ids=ids):
        for role, name in columns.items():
            cells[role] |= dict.fromkeys(piece[name].dropna().unique())
        blank = _without_id(piece[columns["person"]])
        missing += [row + int(place) + 2 for place in np.flatnonzero(blank)[: MAX_ROWS - len(missing)]]
        row += len(piece)
    if missing:
        raise DataError(
            f"row(s) without an id in column '{columns['person']}'",
            code="E112",
            column=columns["person"],
            rows=missing,
            remedy="Fill in whose rows these are, or drop them",
        )
    return {role: _role_labels(list(found), columns[role], role) for role, found in cells.items()}


def _without_id(series: pd.Series) -> np.ndarray:
    blank = series.isna()
    if not pd.api.types.is_numeric_dtype(series.dtype):
        blank |= series.astype("str").str.strip() == ""
    return blank.to_numpy(dtype=bool)


def _role_labels(cells: list[object], column: str, role: str) -> RoleLabels:
    series = pd.Series(cells, dtype=object, name=column).infer_objects()
    codes, levels, notices = label_codes(series, kind=role.removeprefix(FACTOR))
    by_cell = {cell: levels[code] for cell, code in zip(cells, codes, strict=True) if code >= 0}
    shown = notices if has_pseudonyms(role) else []
    return RoleLabels(column=column, by_cell=by_cell, names=levels, notices=tuple(shown))


def extended_key(key: Key, labels: Mapping[str, RoleLabels], *, rng: np.random.Generator) -> Key:
    """The key with a pseudonym for every person, cluster and level of a further grouping factor."""
    wanted = {role: found.names for role, found in labels.items() if has_pseudonyms(role)}
    return {**key, **{role: extended(key.get(role, {}), names, role, rng=rng) for role, names in wanted.items()}}
