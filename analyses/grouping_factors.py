"""Grouping factors of a run in words, and what share of the differences each of them holds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analyses import wording
from toolkit.errors import DataError
from toolkit.runs.reading import further_groupings

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.runs.folder import SavedRun

RESIDUAL = "residual"
CROSSED = (
    "Intervals leave out whole {units}: that the {others} are a sample too is not counted in them, and the shares of "
    "the fitted variances have none."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """A grouping factor whose levels have effects: the persons, families, items.

    Attributes:
        term: its column, as tables of a run name it.
        noun: one of its levels in words, such as ``family``.
        is_person: whether these are the persons.
    """

    term: str
    noun: str
    is_person: bool

    @property
    def nouns(self) -> str:
        """Several of its levels in words, such as ``families``."""
        return wording.plural(self.noun)


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorShare:
    """What a grouping factor holds of what the shared part of a model leaves over.

    Attributes:
        factor: the factor.
        share: of the variance that the shared part leaves, 0 to 1; for states of what effects change.
        icc: correlation of two answers of the same level, given the predictors: the factor's share with those of the
            factors its levels lie in (a person's answers are of one family too); NaN for states.
        within: the factors its levels lie in.
        parameters: number of parameters that vary by it.
        at_boundary: how many of them at the boundary of zero.
        rest: share of the residual, the same for every factor; NaN for states.
        correlated: whether its effects are correlated; their covariances are in no share.
    """

    factor: Factor
    share: float
    icc: float
    within: tuple[Factor, ...]
    parameters: int
    at_boundary: int
    rest: float
    correlated: bool

    def summary(self) -> dict[str, Any]:
        """The numbers as plain Python values."""
        return {"term": self.factor.term, "share": self.share, "icc": self.icc}


def factors_of(components: pd.DataFrame) -> tuple[Factor, ...]:
    """The grouping factors of a table of effects or variance components, the persons first."""
    terms = [str(term) for term in dict.fromkeys(components["term"]) if term != RESIDUAL]
    return tuple(
        Factor(term=term, noun="person" if place == 0 else noun_of(term), is_person=place == 0)
        for place, term in enumerate(terms)
    )


def noun_of(column: str) -> str:
    """What a column of labels is about: ``family`` for ``family_id``."""
    words = re.sub(r"[\s_.\-]+", " ", column).strip()
    return re.sub(r"\s(id|nr|no|number|code|label)$", "", words, flags=re.IGNORECASE) or words


def cluster_nouns(manifest: Mapping[str, Any]) -> str:
    """What is resampled or shuffled as a whole, in the plural: ``families`` where the column is ``family_id``."""
    noun = noun_of(str(manifest["study"].get("cluster_name") or "cluster"))
    return noun if noun.endswith("s") else wording.plural(noun)


def factor_shares(components: pd.DataFrame, groupings: Sequence[Mapping[str, Any]]) -> tuple[FactorShare, ...]:
    """Shares of every factor from a run's variance components; empty for persons alone.

    Args:
        components: term, parameter, share, at_boundary; with a residual row for a numeric outcome.
        groupings: of the manifest's data: which factors lie within which others.
    """
    factors = factors_of(components)
    if len(factors) < 2:
        return ()
    shares = components.groupby("term", sort=False)["share"].sum()
    rest = float(shares.get(RESIDUAL, float("nan")))
    inside = {str(one["name"]): [str(name) for name in one.get("within", ())] for one in groupings}
    found = []
    for factor in factors:
        within = tuple(other for other in factors if other.term in inside.get(factor.term, []))
        own = components[components["term"] == factor.term]
        together = sum(float(shares[other.term]) for other in (factor, *within))
        found.append(
            FactorShare(
                factor=factor,
                share=float(shares[factor.term]),
                icc=together if rest == rest else float("nan"),
                within=within,
                parameters=len(own),
                at_boundary=int(own["at_boundary"].sum()),
                rest=rest,
                correlated=bool(own["correlation"].notna().any()) if "correlation" in own else False,
            )
        )
    return tuple(found)


def shares_text(shares: Sequence[FactorShare]) -> str:
    """Shares and intraclass correlations of several factors as sentences; empty for persons alone."""
    if not shares:
        return ""
    rest = shares[0].rest
    left_out = " Covariances of correlated effects are in no share." if any(one.correlated for one in shares) else ""
    parts = [f"{_percent(one.share)} lies {between(one)}" for one in shares]
    if rest != rest:
        parts = [f"{_percent(one.share)} is {between(one)}" for one in shares]
        return f"Of what the effects of {named(shares)} change in the model, {_listed(parts)}.{left_out}"
    together = [f"of one {one.factor.noun} {wording.bounded(one.icc)}{_both(one)}" for one in shares]
    return (
        f"Of the variance that the shared part of the model leaves, {_listed([*parts, f'{_percent(rest)} is left'])}. "
        f"Given the predictors, two answers correlate (intraclass correlation): {_listed(together)}.{left_out}"
    )


def factor_of(run: SavedRun, term: str | None) -> Factor:
    """A grouping factor of a run by its column; the persons if none is named.

    Raises:
        DataError: E302 for a factor that has no effects in the run.
    """
    factors = factors_of(run.variance_components())
    if not factors:
        return Factor(term=term or "person", noun="person", is_person=True)
    found = next((factor for factor in factors if factor.term == term), None)
    if term in (None, "person") and found is None:
        return factors[0]
    if found is None:
        raise DataError(
            f"the run has no effects of '{term}'",
            code="E302",
            column="term",
            remedy=f"known: {', '.join(factor.term for factor in factors)}",
        )
    return found


def levels_of(run: SavedRun, factor: Factor) -> pd.DataFrame:
    """One row per level of a factor, as the table of persons has one per person.

    Returns:
        person (the level's label), group (of clusters whose persons are all in one; missing otherwise), rows_train
        (missing where the run does not say), persons (how many; 1 for a person).
    """
    persons = run.persons()
    if factor.is_person:
        return persons.assign(persons=1)
    levels = run.random_effects(factor.term)["level"].drop_duplicates().astype(str).tolist()
    if factor.term != run.manifest["study"].get("cluster_name"):
        return _plain_levels(levels)
    by_level = persons.dropna(subset=["cluster"]).groupby("cluster")
    one_group = by_level["group"].agg(lambda groups: groups.iloc[0] if groups.nunique(dropna=False) == 1 else None)
    found = _plain_levels(levels).set_index("person", drop=False)
    found["group"] = one_group.reindex(levels).astype("object")
    found["rows_train"] = by_level["rows_train"].sum().reindex(levels).astype("float64")
    found["persons"] = by_level.size().reindex(levels).astype("Int64")
    return found.reset_index(drop=True)


def _plain_levels(levels: list[str]) -> pd.DataFrame:
    """Levels of which nothing further is known."""
    import pandas as pd

    table = pd.DataFrame({"person": levels, "group": None, "rows_train": float("nan")})
    return table.assign(persons=pd.array([None] * len(levels), dtype="Int64"))


def all_effects(run: SavedRun) -> pd.DataFrame:
    """The effects of every grouping factor, one below the other."""
    import pandas as pd

    factors = factors_of(run.variance_components())
    if len(factors) < 2:
        return run.random_effects()
    return pd.concat([run.random_effects(factor.term) for factor in factors], ignore_index=True)


def named(shares: Sequence[FactorShare]) -> str:
    """``persons, families and items``."""
    return _listed([one.factor.nouns for one in shares])


def beside_persons(manifest: Mapping[str, Any]) -> str:
    """``families and items``: what has effects beside the persons in a run; empty for persons alone."""
    found = [wording.plural(noun_of(name)) for name in further_groupings(manifest)]
    return _listed(found) if found else ""


def crossed_note(shares: Sequence[FactorShare], units: str) -> str:
    """What intervals over persons or clusters leave uncounted."""
    others = [one.factor.nouns for one in shares if one.factor.nouns != units and not one.factor.is_person]
    return CROSSED.format(units=units, others=_listed(others)) if others else ""


def between(one: FactorShare) -> str:
    """``between persons of one family``."""
    of = "".join(f" of one {other.noun}" for other in one.within[:1])
    return f"between {one.factor.nouns}{of}"


def _both(one: FactorShare) -> str:
    """That a person's answers are of one family too."""
    return f" (their {_listed([other.noun for other in one.within])} included)" if one.within else ""


def _percent(share: float) -> str:
    return f"{wording.number(100 * share, 0)}%" if share == share else "an undefined share"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
