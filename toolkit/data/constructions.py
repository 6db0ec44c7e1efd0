"""How columns of a study are made from others: said in study.toml, applied on reading, told in reports."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from toolkit.errors import ConfigError

STANDARDISE = ("all", "person", "none")
CENTRE = ("before", "all")
TABLES = ("composites", "cut_offs", "state_rule", "categories", "centred", "lagged")


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOff:
    """States by the height of one item: below the first cut, from the first to below the second, ..."""

    item: str
    cuts: tuple[float, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateRule:
    """The state whose items are highest, if they exceed a threshold.

    Attributes:
        column: name of the new column.
        scores: state -> items whose mean is its score.
        standardise: z-scores over "all" rows, within each "person", or "none".
        threshold: the largest score has to exceed it.
        otherwise: the state where no score does.
    """

    column: str
    scores: Mapping[str, tuple[str, ...]]
    standardise: str = "all"
    threshold: float = 0.0
    otherwise: str = "other"

    @property
    def items(self) -> tuple[str, ...]:
        """All items, each once."""
        return tuple(dict.fromkeys(item for items in self.scores.values() for item in items))


@dataclass(frozen=True, slots=True, kw_only=True)
class Constructions:
    """Everything a study makes. Built by :meth:`from_settings`.

    Attributes:
        composites: new column -> items whose mean it is.
        cut_offs: new column -> how it is cut.
        state_rule: states from several items.
        categories: column of words -> its levels; every level but the first, the reference, becomes a column
            ``<column>_<level>`` of 0 and 1.
        centred: columns given as deviations from the person's mean, ``<column>_within``.
        centre: the mean of the rows "before" (nothing of the future is known) or of "all" rows.
        lagged: columns of the previous row of the same person and sequence, ``<column>_before``.
    """

    composites: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cut_offs: Mapping[str, CutOff] = field(default_factory=dict)
    state_rule: StateRule | None = None
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    centred: tuple[str, ...] = ()
    centre: str = "before"
    lagged: tuple[str, ...] = ()

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Constructions:
        """The constructions of the tables of a study file.

        Raises:
            ConfigError: E302 for an unknown key, a value of the wrong kind, or a rule that makes no sense.
        """
        composites = {name: _names(items, name, "composites") for name, items in settings.get("composites", {}).items()}
        cut_offs = {name: _cut_off(name, cut) for name, cut in settings.get("cut_offs", {}).items()}
        centred = _only(settings.get("centred", {}), ("columns", "mean"), "centred")
        lagged = _only(settings.get("lagged", {}), ("columns",), "lagged")
        centre = centred.get("mean", "before")
        if centre not in CENTRE:
            raise ConfigError('\'mean\' in [centred] must be "before" or "all"', code="E302", column="mean")
        return cls(
            composites=composites,
            cut_offs=cut_offs,
            state_rule=_state_rule(settings["state_rule"]) if "state_rule" in settings else None,
            categories={name: _levels(levels, name) for name, levels in settings.get("categories", {}).items()},
            centred=_names(centred.get("columns", []), "columns", "centred"),
            centre=centre,
            lagged=_names(lagged.get("columns", []), "columns", "lagged"),
        )

    @property
    def is_empty(self) -> bool:
        """Whether nothing is made."""
        parts = (self.composites, self.cut_offs, self.state_rule, self.categories, self.centred, self.lagged)
        return not any(parts)

    def indicators(self, column: str) -> dict[str, str]:
        """The 0/1 columns of a column of words: name -> level, without the reference level."""
        return {f"{column}_{level}": level for level in self.categories.get(column, ())[1:]}

    def expanded(self, features: Sequence[str]) -> tuple[str, ...]:
        """Features with the 0/1 columns in place of a column of words."""
        return tuple(made for name in features for made in self.indicators(name) or [name])

    def same_row_sources(self, column: str) -> frozenset[str]:
        """The columns of the same row that a column is made from, itself included; lagged columns have none."""
        if column.endswith("_within") and column.removesuffix("_within") in self.centred:
            return self.same_row_sources(column.removesuffix("_within"))
        items: Sequence[str] = self.composites.get(column, ())
        items = [name for name in self.categories if column in self.indicators(name)] or items
        if column in self.cut_offs:
            items = (self.cut_offs[column].item,)
        elif self.state_rule is not None and column == self.state_rule.column:
            items = self.state_rule.items
        return frozenset([column]).union(*(self.same_row_sources(item) for item in items if item != column))

    def refuse_giveaways(self, targets: Sequence[str], features: Sequence[str]) -> None:
        """Refuse features made from the same row's items as a target (E132): the model would be given the answer.

        Raises:
            ConfigError: E132, naming feature, target and the items they share.
        """
        if self.is_empty:
            return
        for target in targets:
            sources = self.same_row_sources(target)
            for feature in features:
                shared = sorted(sources & self.same_row_sources(feature))
                if shared:
                    raise ConfigError(
                        f"feature '{feature}' is made from the same answers as target '{target}' ({', '.join(shared)})",
                        code="E132",
                        column=feature,
                        remedy="Use what was known before: name the column in [lagged] and the feature with _before",
                    )

    def sentences(self) -> list[str]:
        """The definitions for a report."""
        told = [f"{name} is the mean of {_listed(items)}." for name, items in self.composites.items()]
        told += [f"{name} is {_cut_words(cut)}." for name, cut in self.cut_offs.items()]
        if self.state_rule is not None:
            told.append(_rule_words(self.state_rule))
        told += [_category_words(name, levels) for name, levels in self.categories.items()]
        if self.centred:
            mean = "of the person's earlier rows" if self.centre == "before" else "of all rows of the person"
            told.append(f"{_listed(self.centred)} also as deviation from the mean {mean}.")
        if self.lagged:
            told.append(f"{_listed(self.lagged)} also as of the previous answered row of the same person and sequence.")
        return told


def _state_rule(table: Mapping[str, Any]) -> StateRule:
    table = _only(table, ("column", "scores", "standardise", "threshold", "otherwise"), "state_rule")
    scores = table.get("scores")
    if not isinstance(scores, dict) or not scores:
        raise ConfigError("[state_rule.scores] names the items of each state", code="E302", column="scores")
    rule = StateRule(
        column=_word(table.get("column", "state"), "column"),
        scores={name: _names(items, name, "state_rule.scores") for name, items in scores.items()},
        standardise=_word(table.get("standardise", "all"), "standardise"),
        threshold=_number(table.get("threshold", 0.0), "threshold"),
        otherwise=_word(table.get("otherwise", "other"), "otherwise"),
    )
    if rule.standardise not in STANDARDISE:
        known = ", ".join(STANDARDISE)
        raise ConfigError(f"'standardise' must be one of {known}", code="E302", column="standardise")
    if rule.otherwise in rule.scores or not all(rule.scores.values()):
        raise ConfigError(
            "every state needs items, and 'otherwise' is no state of its own", code="E302", column="scores"
        )
    return rule


def _levels(levels: Any, name: str) -> tuple[str, ...]:
    """The levels of a column of words, written as labels are compared."""
    found = tuple(unicodedata.normalize("NFC", level.strip()) for level in _names(levels, name, "categories"))
    if len(found) < 2 or len(set(found)) < len(found) or not all(found):
        raise ConfigError(
            f"'{name}' in [categories] needs two or more levels, all different",
            code="E302",
            column=name,
            remedy='Such as place = ["home", "work", "elsewhere"]; the first is the reference',
        )
    return found


def _cut_off(name: str, table: Any) -> CutOff:
    table = _only(table, ("item", "cuts", "names"), f"cut_offs.{name}")
    cuts = table.get("cuts", [])
    if not isinstance(cuts, list) or not cuts:
        raise ConfigError(f"'cuts' of [cut_offs.{name}] is a list of numbers", code="E302", column=name)
    cut = CutOff(
        item=_word(table.get("item"), "item"),
        cuts=tuple(_number(value, name) for value in cuts),
        names=_names(table.get("names", []), "names", f"cut_offs.{name}"),
    )
    if list(cut.cuts) != sorted(set(cut.cuts)) or len(set(cut.names)) != len(cut.cuts) + 1:
        raise ConfigError(
            f"[cut_offs.{name}] needs rising cuts and one name more than cuts, all different", code="E302", column=name
        )
    return cut


def _only(table: Any, known: Sequence[str], where: str) -> Mapping[str, Any]:
    if not isinstance(table, dict):
        raise ConfigError(f"[{where}] must be a table", code="E302", column=where)
    for key in table:
        if key not in known:
            raise ConfigError(
                f"unknown key '{key}' in [{where}]", code="E302", column=key, remedy=f"Known are {', '.join(known)}"
            )
    return table


def _names(items: Any, name: str, where: str) -> tuple[str, ...]:
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise ConfigError(f"'{name}' in [{where}] must be a list of texts", code="E302", column=name)
    return tuple(items)


def _word(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"'{name}' must be text in quotes", code="E302", column=name)
    return value


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"'{name}' must be a number", code="E302", column=name)
    return float(value)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _category_words(name: str, levels: Sequence[str]) -> str:
    return f"{name} is coded 0/1 for {_listed(levels[1:])}; the reference is {levels[0]}."


def _cut_words(cut: CutOff) -> str:
    parts = [f"{cut.names[0]} where {cut.item} is below {cut.cuts[0]:g}"]
    parts += [f"{name} from {low:g}" for name, low in zip(cut.names[1:], cut.cuts, strict=True)]
    return ", ".join(parts)


def _rule_words(rule: StateRule) -> str:
    scale = {"all": "z-scores over all rows", "person": "z-scores within each person", "none": "raw items"}
    scores = ", ".join(
        f"{name} ({items[0] if len(items) == 1 else 'mean of ' + _listed(items)})"
        for name, items in rule.scores.items()
    )
    return (
        f"{rule.column} is the largest of {scores}, from {scale[rule.standardise]}, if it exceeds {rule.threshold:g}, "
        f"otherwise {rule.otherwise}."
    )
