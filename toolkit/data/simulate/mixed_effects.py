"""What simulated rows with random effects are made of, and the truth that is kept with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from toolkit.data.grouped import GroupedDataset
from toolkit.data.groupings import Grouping
from toolkit.results import read_only

FEATURES = 10
PER_LEVEL = 3.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MixedEffectsTruth:
    """Simulated rows, and what made them.

    Attributes:
        data: features, target, and one grouping factor for each of ``effects``.
        fixed: what the features do in each row, shape (rows,); for a binary target on the logit scale, for several
            classes the logits (rows, classes).
        random: what the effects do in each row, shape (rows,) or (rows, classes); ``target = fixed + random +
            residual``.
        effects: of each factor, its levels' effects: shape (levels,), or (levels, effects) where several vary, or
            (levels, classes). Those of ``location`` are the field.
        variances: of each factor, the variance of its effects: one number, or one an effect, or one a class. With
            linear maps it is the variance of what is mapped, and of a field its variance at a place.
        correlation: of the effects of a level, shape (effects, effects); None where one effect varies.
        error_variance: of the residual; None for classes, which have none.
        locations: coordinates of each level of ``location``, shape (levels, 2); None without one.
        squared_scale: ``s1`` of the field's covariance ``s0 exp(-d^2 / (2 s1))``; None without one.
        maps: ``W`` of each factor, shape (levels, mapped), where its effects are ``W b``; empty where they are ``b``.
    """

    data: GroupedDataset
    fixed: np.ndarray
    random: np.ndarray
    effects: tuple[np.ndarray, ...]
    variances: tuple[tuple[float, ...], ...]
    correlation: np.ndarray | None = None
    error_variance: float | None = 1.0
    locations: np.ndarray | None = None
    squared_scale: float | None = None
    maps: tuple[np.ndarray, ...] = ()

    def __post_init__(self) -> None:
        """Freeze the arrays."""
        for name in ("fixed", "random", "correlation", "locations"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, read_only(getattr(self, name)))
        for name in ("effects", "maps"):
            object.__setattr__(self, name, tuple(read_only(values) for values in getattr(self, name)))

    @property
    def covariance(self) -> np.ndarray:
        """Covariance of the first factor's effects, shape (effects, effects)."""
        spread = np.sqrt(np.asarray(self.variances[0]))
        return np.outer(spread, spread) * (np.eye(len(spread)) if self.correlation is None else self.correlation)

    @property
    def field(self) -> np.ndarray | None:
        """The field at each location, shape (levels,); None without one."""
        return None if self.locations is None else self.effects[-1]


def draw_features(rows: int, rng: np.random.Generator) -> Float[np.ndarray, "rows feature"]:
    """Ten independent features, uniform from -1 to 1."""
    return rng.uniform(-1.0, 1.0, size=(rows, FEATURES))


def fixed_part(features: Float[np.ndarray, "rows feature"]) -> Float[np.ndarray, " rows"]:
    """``s cos(s) + 2 x1 x2`` with ``s = 1 + x1 + ... + x10``: what the features do."""
    total = 1.0 + features.sum(axis=1)
    return total * np.cos(total) + 2.0 * features[:, 0] * features[:, 1]


def draw_levels(
    rows: int, levels: int, per_level: float, rng: np.random.Generator
) -> tuple[Int[np.ndarray, " rows"], int]:
    """Level of each row, level by level, and how many levels have rows.

    Shares of the levels are ``Poisson(per_level) + 1``, divided by their sum; numbers of rows are multinomial. Levels
    that get no rows are left out, so that codes have no gaps.
    """
    weights = rng.poisson(per_level, size=levels) + 1.0
    counts = rng.multinomial(rows, weights / weights.sum())
    counts = counts[counts > 0]
    return np.repeat(np.arange(len(counts)), counts), len(counts)


def draw_factors(
    rows: int, levels: Sequence[int], *, per_level: float, as_published: bool, rng: np.random.Generator
) -> tuple[list[Int[np.ndarray, " rows"]], list[int]]:
    """Codes and number of levels of several factors, independent of each other unless ``as_published``.

    As published, the rows of every factor are in the order of its levels, in parallel: factors then hang together
    nearly as closely as if one were nested in another (the correlation of their codes is .9998).
    """
    drawn = [draw_levels(rows, count, per_level, rng) for count in levels]
    codes = [found if as_published else rng.permutation(found) for found, _ in drawn]
    return codes, [count for _, count in drawn]


def draw_effects(
    levels: int, variance: float, linear_map: bool, rng: np.random.Generator
) -> tuple[Float[np.ndarray, " level"], Float[np.ndarray, "level mapped"] | None]:
    """Effects ``b``; or ``W b``, and ``W``, uniform from -1 to 1, with a tenth as many ``b`` as levels."""
    if not linear_map:
        return rng.normal(scale=np.sqrt(variance), size=levels), None
    mapping = rng.uniform(-1.0, 1.0, size=(levels, max(1, round(0.1 * levels))))
    return mapping @ rng.normal(scale=np.sqrt(variance), size=mapping.shape[1]), mapping


def labelled(name: str, codes: Int[np.ndarray, " rows"], levels: int) -> Grouping:
    """A grouping factor whose labels are its name and a number."""
    width = len(str(levels))
    return Grouping(name=name, codes=codes, levels=tuple(f"{name}-{code + 1:0{width}d}" for code in range(levels)))


def as_data(
    features: Float[np.ndarray, "rows feature"],
    target: Float[np.ndarray, " rows"],
    groupings: Sequence[Grouping],
    *,
    further: Sequence[str] = (),
    time: Float[np.ndarray, " rows"] | None = None,
    classes: tuple[str, ...] | None = None,
) -> GroupedDataset:
    """The rows as models read them; ``further`` names the features after ``x1`` to ``x10``."""
    return GroupedDataset(
        features=features,
        feature_names=(*(f"x{number + 1}" for number in range(FEATURES)), *further),
        target=target,
        target_name="y",
        classes=classes,
        groupings=tuple(groupings),
        time=time,
        row_numbers=np.arange(len(target)),
        pseudonymous=True,
    )
