"""Proposals for what each column is for, from its name and its contents; a person decides."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
import pandas as pd

from toolkit.data import column_facts
from toolkit.data.column_facts import ColumnFacts, WithinPerson, codes_of, facts_of, within_persons
from toolkit.data.columns import require_columns
from toolkit.errors import ConfigError

SINGLE = ("person", "cluster", "group", "time", "sequence", "state")
SEVERAL = ("targets", "features", "groupings")
NONE = "-"
MOST_STATES = 12
MOST_GROUPS = 6
# parts of names that speak for a role; in the order in which they are believed
_WORDS = {
    "person": r"(^|_|\.|\b)(id|pid|person|participant|subject|subj|patient|proband|vpn?|respondent|user|who|idcode)"
    r"(_?(id|nr|no|num|number|code))?($|_|\.|\b)",
    "cluster": r"famil|couple|dyad|clinic|hospital|site|school|cent(er|re)|therapist|ward|household|team|region",
    "group": r"group|(^|_)arm($|_)|condition|treat|diagnos|depress|cohort|intervention|control|gender|(^|_)sex($|_)",
    "time": r"timestamp|datetime|(^|_)time|prompt|beep|occasion|wave|trial|interval|segment|measurement|"
    r"(^|_)t($|_)|(^|_)obs|year|month|date|day",
    "sequence": r"session|(^|_)day|date|visit|block|week|night|episode",
    "state": r"state|status|behaviou?r|activity|(^|_)code|emotion|label|category",
    "targets": r"target|outcome|(^|_)y($|_)|mood|affect|happy|valence|depress|score|rating|wage|danceability",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """What the columns of a table are for; names of columns, as in study.toml."""

    person: str | None = None
    cluster: str | None = None
    group: str | None = None
    time: str | None = None
    sequence: str | None = None
    state: str | None = None
    targets: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    groupings: tuple[str, ...] = ()

    def columns(self) -> list[str]:
        """All columns with a role, each once."""
        single = [name for role in SINGLE if (name := getattr(self, role)) is not None]
        return list(dict.fromkeys([*single, *self.targets, *self.features, *self.groupings]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Proposal:
    """Roles with the reason for each, and what was left out.

    Attributes:
        roles: the proposal.
        reasons: role -> why, a plain phrase.
        with_gaps: columns of numbers that could be features but have empty cells.
    """

    roles: Roles
    reasons: Mapping[str, str] = field(default_factory=dict)
    with_gaps: tuple[str, ...] = ()

    def table(self) -> pd.DataFrame:
        """Role, column and reason, one row per role."""
        rows = []
        for role in fields(self.roles):
            value = getattr(self.roles, role.name)
            shown = ", ".join(value) if isinstance(value, tuple) else value
            rows.append((role.name, shown or NONE, self.reasons.get(role.name, "" if shown else _none(role.name))))
        return pd.DataFrame(rows, columns=["role", "column", "reason"])


def _none(role: str) -> str:
    """Why a role has no column: further grouping factors are never proposed."""
    return "none named" if role == "groupings" else "none found"


def propose_roles(frame: pd.DataFrame, *, said: Mapping[str, object] | None = None) -> Proposal:
    """What each column may be for.

    Args:
        frame: the table, or its first rows.
        said: roles the user named; they are taken as they are, ``"-"`` or an empty list means none.

    Raises:
        DataError: E103 if a named column is not in the table.
        ConfigError: E302 if no person column was named and none can be found.
    """
    given = _given(frame, said or {})
    facts = facts_of(frame)
    person, why = (given["person"], "as you said") if "person" in given else _person(frame, facts)
    if not isinstance(person, str):
        raise ConfigError(
            "no column looks like a person's id",
            code="E302",
            column="person",
            remedy="Say which column says whose row it is (--person)",
        )
    further = given.get("groupings", ())
    groupings = further if isinstance(further, tuple) else ()
    finder = _Finder(frame=frame, facts=facts, person=codes_of(frame[person]), taken=[person, *groupings], given=given)
    reasons = {"person": why, "groupings": "as you said" if groupings else ""}
    found: dict[str, str | None] = {"person": person}
    for role in ("state", "group", "cluster", "sequence", "time"):
        found[role], reasons[role] = finder.find(role)
    targets, reasons["targets"] = finder.targets(found["state"])
    features, gaps, reasons["features"] = finder.features(targets)
    return Proposal(
        roles=Roles(**found, targets=targets, features=features, groupings=groupings),
        reasons={role: reason for role, reason in reasons.items() if reason},
        with_gaps=gaps,
    )


def with_changes(proposal: Proposal, role: str, columns: Sequence[str]) -> Proposal:
    """The proposal with another column (or columns) for one role."""
    value: object = tuple(columns) if role in SEVERAL else (columns[0] if columns else None)
    return replace(
        proposal, roles=replace(proposal.roles, **{role: value}), reasons={**proposal.reasons, role: "as you said"}
    )


def _given(frame: pd.DataFrame, said: Mapping[str, object]) -> dict[str, object]:
    """The roles that were named, checked; none is ``None`` or an empty tuple."""
    given: dict[str, object] = {}
    for role, value in said.items():
        if role in SEVERAL:
            given[role] = tuple(name for name in value if name != NONE) if isinstance(value, list | tuple) else ()
        else:
            given[role] = None if value == NONE else value
    require_columns(frame, {role: value for role, value in given.items() if isinstance(value, str | tuple)})
    return given


def names_an_id(name: str) -> bool:
    """Whether a column's name says that it holds ids."""
    return _named("person", name)


def _named(role: str, name: str) -> bool:
    """Whether a column's name speaks for a role; writtenLikeThis counts as written_like_this."""
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    return re.search(_WORDS[role], plain) is not None


def _person(frame: pd.DataFrame, facts: Mapping[str, ColumnFacts]) -> tuple[str | None, str]:
    """The column of ids: repeated values, by name first, then the leftmost that could be one."""
    fits = [
        fact
        for fact in facts.values()
        if fact.kind in ("whole", "text") and fact.empty == 0 and 2 <= fact.distinct <= max(fact.rows // 2, 2)
    ]
    for fact in fits:
        if _named("person", fact.name):
            return fact.name, f"its name, and {fact.distinct} values in {fact.rows} rows"
    once = [f for f in facts.values() if f.kind in ("whole", "text") and f.empty == 0 and _named("person", f.name)]
    if once:
        return once[0].name, f"its name; {once[0].distinct} values in {once[0].rows} rows"
    for fact in fits:
        if fact.distinct > MOST_GROUPS and facts[fact.name].kind == "text":
            return fact.name, f"text, and {fact.distinct} values in {fact.rows} rows"
    return None, ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Finder:
    """Looks for one role after the other; a column gets one role only."""

    frame: pd.DataFrame
    facts: Mapping[str, ColumnFacts]
    person: np.ndarray
    taken: list[str]
    given: Mapping[str, object]

    def find(self, role: str) -> tuple[str | None, str]:
        """Column and reason of a role held by one column."""
        if role in self.given:
            value = self.given[role]
            if isinstance(value, str):
                self.taken.append(value)
                return value, "as you said"
            return None, ""
        further = self.given.get("groupings", ())
        shared = set(further) if role == "cluster" and isinstance(further, tuple) else set()
        for fact in self.facts.values():
            if fact.name in set(self.taken) - shared or not _named(role, fact.name) or fact.filled == 0:
                continue
            reason = self._reason(role, fact, within_persons(self.frame[fact.name], self.person))
            if reason:
                self.taken.append(fact.name)
                return fact.name, f"its name; {reason}"
        return None, ""

    def _reason(self, role: str, fact: ColumnFacts, within: WithinPerson) -> str:
        """Why the contents fit the role too; empty if they do not."""
        persons = len(np.unique(self.person))
        if role == "group" and 2 <= fact.distinct <= MOST_GROUPS and within.constant == 1.0:
            smallest = column_facts.smallest_group(self.frame[fact.name], self.person)
            return f"{fact.distinct} values, the same in all rows of a person" if smallest >= 2 else ""
        if role == "cluster" and 2 <= fact.distinct < persons and within.constant == 1.0:
            return f"{fact.distinct} values for {persons} persons, the same in all rows of a person"
        if role == "state" and 2 <= fact.distinct <= MOST_STATES and fact.kind in ("text", "whole", "truth"):
            return f"{fact.distinct} values that change within persons" if within.constant < 0.5 else ""
        ordered = fact.kind in ("whole", "number", "date") and within.rising > 0.95 and within.constant < 1.0
        if role == "sequence" and ordered and within.repeats >= 0.3:
            return "it stays the same for some rows and then rises"
        if role == "time" and ordered and fact.empty == 0 and within.unique > 0.95:
            return "it rises from row to row of a person"
        return ""

    def targets(self, state: str | None) -> tuple[tuple[str, ...], str]:
        """The columns to predict: the states, and the first number whose name speaks for it."""
        given = self.given.get("targets")
        if isinstance(given, tuple):
            self.taken.extend(given)
            return given, "as you said"
        numbers = [fact.name for fact in self.facts.values() if self._is_measure(fact)]
        spoken = [name for name in numbers if _named("targets", name)]
        chosen = [name for name in (state, *spoken[:1]) if name is not None]
        if chosen:
            self.taken.extend(chosen)
            return tuple(dict.fromkeys(chosen)), "the states, or a name that speaks for an outcome"
        self.taken.extend(numbers[:1])
        return tuple(numbers[:1]), "the first number that changes within persons" if numbers else ""

    def features(self, targets: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...], str]:
        """The other numbers: those without gaps, and those with some."""
        given = self.given.get("features")
        if isinstance(given, tuple):
            return given, (), "as you said"
        taken = {*self.taken, *targets}
        numbers = [fact for fact in self.facts.values() if fact.is_number and fact.name not in taken]
        numbers = [fact for fact in numbers if fact.distinct > 1 and not _named("person", fact.name)]
        full = tuple(fact.name for fact in numbers if fact.empty == 0)
        return (
            full,
            tuple(fact.name for fact in numbers if fact.empty),
            "other numbers without empty cells" if full else "",
        )

    def _is_measure(self, fact: ColumnFacts) -> bool:
        """Whether a column is a number that differs within persons and has no other role."""
        if fact.name in self.taken or fact.kind not in ("whole", "number") or fact.distinct < 3:
            return False
        return within_persons(self.frame[fact.name], self.person).constant < 0.5
