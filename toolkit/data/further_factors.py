"""Further grouping factors of a study: columns beside the person whose levels have effects of their own."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from toolkit.data.pseudonyms import FACTOR
from toolkit.data.study_file import check_keys
from toolkit.errors import ConfigError

KEYS = {"effects": "names", "covariance": "text", "pseudonymous": "flag"}
COVARIANCES = ("diagonal", "full")
# roles whose cells are needed as they are: pseudonyms would change what the model reads
_READ = ("time", "state", "targets", "features")


@dataclass(frozen=True, slots=True, kw_only=True)
class FurtherFactor:
    """A grouping factor beside the person: families, sites, items, films.

    Attributes:
        name: the column.
        effects: which parameters vary by it, as a model's ``effects`` says it; None: those that vary by person.
        covariance: of its effects, ``diagonal`` or ``full``; None: as the persons'.
        pseudonymous: its labels are pseudonyms already, or may be shown as they are (questions, films).
    """

    name: str
    effects: str | tuple[str, ...] | None = None
    covariance: str | None = None
    pseudonymous: bool = False


def further_factors(table: Mapping[str, Any], roles: Mapping[str, Any]) -> tuple[FurtherFactor, ...]:
    """The factors of a study file's ``[groupings.COLUMN]`` tables, in their order.

    Args:
        table: ``groupings`` of the study file.
        roles: the other roles of columns.

    Raises:
        ConfigError: E302 for an unknown key or value, or a column with a role that needs its cells as they are.
    """
    return tuple(_factor(name, given, roles) for name, given in table.items())


def _factor(name: str, given: object, roles: Mapping[str, Any]) -> FurtherFactor:
    """One factor, checked."""
    if not isinstance(given, dict):
        raise ConfigError(
            f"'{name}' in [groupings] must be a table",
            code="E302",
            column=name,
            remedy=f'Write [groupings.{name}] on a line of its own; what varies by it may follow: effects = "last"',
        )
    where = f"[groupings.{name}]"
    check_keys(given, KEYS, where=where)
    if name == roles.get("person"):
        raise ConfigError(
            f"'{name}' is the person already", code="E302", column=name, remedy=f"Leave {where} out; see --effects"
        )
    others = [role for role in _READ if name == roles.get(role) or name in _listed(roles.get(role))]
    if others:
        raise ConfigError(
            f"'{name}' in [groupings] is among the {others[0]} as well",
            code="E302",
            column=name,
            remedy="Name a column of labels that has no other use, or that is the cluster, group or sequence",
        )
    if given.get("covariance", "full") not in COVARIANCES:
        raise ConfigError(f'\'covariance\' in {where} must be "diagonal" or "full"', code="E302", column="covariance")
    effects = given.get("effects")
    return FurtherFactor(
        name=name,
        effects=tuple(effects) if isinstance(effects, list) else effects,
        covariance=given.get("covariance"),
        pseudonymous=given.get("pseudonymous", False),
    )


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()


def id_columns(
    person: str, cluster: str | None, group: str | None, factors: Sequence[FurtherFactor], *, pseudonymous: bool
) -> dict[str, str | None]:
    """Role in the key -> column, of every column whose labels are to become pseudonyms.

    A factor that is the cluster column has the clusters' pseudonyms. One that is the comparison group keeps its labels,
    which figures and sentences name anyway.

    Args:
        person: the person column.
        cluster: the cluster column.
        group: the comparison group.
        factors: further grouping factors.
        pseudonymous: persons and clusters are pseudonyms already.
    """
    ids: dict[str, str | None] = {} if pseudonymous else {"person": person, "cluster": cluster}
    further = [factor for factor in factors if factor.name not in (cluster, group) and not factor.pseudonymous]
    return ids | {f"{FACTOR}{factor.name}": factor.name for factor in further}


def of_new_rows(factors: Sequence[FurtherFactor], roles: Container[str]) -> tuple[FurtherFactor, ...]:
    """The factors as new rows hold them: with labels of their own where the key of the study knows these.

    Args:
        factors: those of the study.
        roles: of the key.
    """
    return tuple(
        replace(factor, pseudonymous=factor.pseudonymous and f"{FACTOR}{factor.name}" not in roles)
        for factor in factors
    )


def effects_of_factors(
    factors: Sequence[FurtherFactor], person: str, effects: Any, covariance: Any
) -> dict[str, Mapping[str, Any]]:
    """The settings ``effects`` and ``covariance`` of a model with these factors.

    Args:
        factors: those of the study that the model is fitted with.
        person: the person column.
        effects: what varies by person. A mapping is taken as it is: it says everything.
        covariance: of the persons' effects; likewise.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for name, own, values in (
        ("effects", effects, [factor.effects for factor in factors]),
        ("covariance", covariance, [factor.covariance for factor in factors]),
    ):
        if isinstance(own, Mapping):
            found[name] = own
            continue
        named = {factor.name: own if value is None else value for factor, value in zip(factors, values, strict=True)}
        found[name] = {person: own, **named}
    return found
