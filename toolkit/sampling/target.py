"""What is sampled: the posterior of every level's effects, given the network's logits, the density and covariances.

    log p(b | y) = Σ_i log p(y_i | η_i) − ½ Σ_l Σ_q b_lqᵀ Σ_l⁻¹ b_lq + const,
    η_ci = fixed_ci + Σ_l Σ_k design_lki · b_l[k C + c, codes_li]

Tensors are class-first: logits (outputs, rows), the effects of one factor (effects · outputs, levels), ordered
effect-major (all outputs of effect 0 first). A draw is a tuple with one such tensor per factor.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from toolkit.errors import DataError
from toolkit.sampling.densities.density import RowDensity

Draw = tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class Clusters:
    """One grouping factor: the level of each row, and what its effects multiply.

    Attributes:
        codes: level of each row, 0 to `levels` - 1.
        levels: number of levels; some may have no row.
        design: (effects, rows); None stands for an intercept alone.
    """

    codes: Int[Tensor, " rows"]
    levels: int
    design: Float[Tensor, "effects rows"] | None = None

    @property
    def effects(self) -> int:
        """Effects of a level for each output."""
        return 1 if self.design is None else int(self.design.shape[0])

    @cached_property
    def counts(self) -> Int[Tensor, " levels"]:
        """Rows of each level."""
        return torch.bincount(self.codes, minlength=self.levels)

    @cached_property
    def occupied(self) -> Tensor:
        """Which levels have rows."""
        return self.counts > 0

    @cached_property
    def shares(self) -> Float[Tensor, " levels"]:
        """Share of the rows in each level."""
        return self.counts.double() / max(1, len(self.codes))

    @cached_property
    def n_occupied(self) -> int:
        """How many levels have rows."""
        return int(self.occupied.sum())

    def spread(self, effects: Float[Tensor, "stacked levels"]) -> Float[Tensor, "outputs rows"]:
        """What the effects of the levels add to the logits of their rows."""
        if self.design is None:
            return effects.index_select(1, self.codes)
        outputs = effects.shape[0] // self.effects
        parts = effects.split(outputs)
        total = parts[0].index_select(1, self.codes).mul_(self.design[0])
        for part, column in zip(parts[1:], self.design[1:], strict=True):
            total.addcmul_(part.index_select(1, self.codes), column)
        return total

    def part(self, rows: slice) -> Clusters:
        """The same factor for some of the rows."""
        return Clusters(self.codes[rows], self.levels, None if self.design is None else self.design[:, rows])

    def gathered(self, rows: Float[Tensor, "outputs rows"]) -> Float[Tensor, "stacked levels"]:
        """The transpose of `spread`: sums over the rows of each level, one block of outputs per effect."""
        return self.gather_into(rows.new_zeros((self.effects * rows.shape[0], self.levels)), rows)

    def gather_into(self, total: Float[Tensor, "stacked levels"], rows: Float[Tensor, "outputs rows"]) -> Tensor:
        """`gathered`, added to `total` in place."""
        if self.design is None:
            return total.index_add_(1, self.codes, rows)
        for part, column in zip(total.split(rows.shape[0]), self.design, strict=True):
            part.index_add_(1, self.codes, rows * column)
        return total

    def statistic(self, density: RowDensity, like: Float[Tensor, "outputs rows"]) -> Float[Tensor, "stacked levels"]:
        """Sums of the linear part of the log density by level, kept until another density comes."""
        kept = self.__dict__.get("_statistic")
        if kept is None or kept[0] is not density or kept[1].dtype != like.dtype:
            kept = self.__dict__["_statistic"] = (density, density.statistic(self.gathered, like))
        return kept[1]


@dataclass(frozen=True, eq=False)
class Target:
    """The posterior to draw from; see the head of this file.

    Attributes:
        fixed: logits of the network, (outputs, rows).
        density: log density of each row's target given its logits.
        clusters: the grouping factors.
        covariances: prior covariance of the effects of one level, (effects · outputs, effects · outputs) per factor.

    Raises:
        DataError: E170 logits that are not finite; E171 a covariance that is not positive definite; E172 sizes that
            do not fit each other.
    """

    fixed: Float[Tensor, "outputs rows"]
    density: RowDensity
    clusters: tuple[Clusters, ...]
    covariances: tuple[Tensor, ...]

    def __post_init__(self) -> None:
        """Refuse what cannot be sampled."""
        _check_sizes(self)
        if not bool(torch.isfinite(self.fixed.sum())) and not bool(torch.isfinite(self.fixed).all()):
            raise not_finite(((~torch.isfinite(self.fixed)).any(0).nonzero().flatten() + 2).tolist())

    @cached_property
    def precisions(self) -> tuple[Tensor, ...]:
        """Inverse prior covariances, in float64 turned into the dtype of the logits."""
        return tuple(torch.cholesky_inverse(root).to(self.fixed) for root in self._roots)

    @cached_property
    def roots(self) -> tuple[Tensor, ...]:
        """Lower Cholesky factors of the prior covariances."""
        return tuple(root.to(self.fixed) for root in self._roots)

    @cached_property
    def _roots(self) -> tuple[Tensor, ...]:
        return tuple(_cholesky(covariance, place) for place, covariance in enumerate(self.covariances))

    def null_direction(self, factor: int) -> tuple[Float[Tensor, "effects stacked"], Float[Tensor, "effects effects"]]:
        """What all outputs of an effect have in common, given the rest: its mean by effects, a root of its variance.

        With N = I_effects ⊗ 1_outputs and the precision P: −(NᵀPN)⁻¹ NᵀP, and a with a aᵀ = (NᵀPN)⁻¹.
        """
        kept = self.__dict__.setdefault("_null_directions", {})
        if factor not in kept:
            precision, size = self.precisions[factor].double(), self.clusters[factor].effects
            along = precision.reshape(size, self.outputs, len(precision)).sum(1)
            lower = torch.linalg.cholesky(along.reshape(size, size, self.outputs).sum(2))
            onto, root = -torch.cholesky_solve(along, lower), torch.linalg.inv(lower).mT
            kept[factor] = onto.to(self.fixed), root.to(self.fixed)
        return kept[factor]

    @cached_property
    def statistics(self) -> tuple[Tensor, ...]:
        """Per factor, the sums of the density's linear part over each level's rows, (effects · outputs, levels)."""
        return tuple(clusters.statistic(self.density, self.fixed) for clusters in self.clusters)

    @cached_property
    def order(self) -> tuple[int, ...]:
        """In which order factors are gone through: few levels first.

        Effects of many levels that begin at zero would take what those of few levels, in which they are nested, should
        say, and give it back slowly.
        """
        return tuple(sorted(range(len(self.clusters)), key=lambda place: self.clusters[place].levels))

    @property
    def outputs(self) -> int:
        """Logits of a row."""
        return int(self.fixed.shape[0])

    def prior_draw(self, generator: torch.Generator) -> Draw:
        """One draw of every factor's effects from N(0, Σ_l)."""
        return tuple(
            root @ torch.randn((len(root), c.levels), generator=generator, dtype=root.dtype, device=root.device)
            for root, c in zip(self.roots, self.clusters, strict=True)
        )

    def added(self, draw: Draw) -> Float[Tensor, "outputs rows"]:
        """What a draw adds to the logits."""
        total = torch.zeros_like(self.fixed)
        for clusters, effects in zip(self.clusters, draw, strict=True):
            total += clusters.spread(effects)
        return total


def not_finite(rows: Iterable[int]) -> DataError:
    """E170 for these rows, numbered as a spreadsheet shows them."""
    return DataError(
        "the network gave logits that are not finite numbers",
        code="E170",
        rows=rows,
        remedy="lower the learning rate, standardise the features, or look for extreme values in these rows",
    )


def _cholesky(covariance: Tensor, place: int) -> Tensor:
    root, failed = torch.linalg.cholesky_ex(covariance.double())
    if bool(failed.any()) or not bool(torch.isfinite(root).all()):
        raise DataError(
            f"the covariance of the effects of factor {place + 1} is not positive definite",
            code="E171",
            remedy="give every variance a floor above zero, or leave the factor out",
        )
    return root


def _check_sizes(target: Target) -> None:
    outputs, rows = target.fixed.shape
    complaint = ""
    if target.density.outputs != outputs:
        complaint = f"the density has {target.density.outputs} outputs, the logits have {outputs}"
    if len(target.clusters) != len(target.covariances) or not target.clusters:
        complaint = f"{len(target.clusters)} grouping factors come with {len(target.covariances)} covariances"
    for place, (clusters, covariance) in enumerate(zip(target.clusters, target.covariances, strict=False), start=1):
        size = clusters.effects * outputs
        if tuple(covariance.shape) != (size, size):
            complaint = f"the covariance of factor {place} should be {size} x {size}"
        if len(clusters.codes) != rows or (clusters.design is not None and clusters.design.shape[1] != rows):
            complaint = f"factor {place} has another number of rows than the logits"
    if complaint:
        raise DataError(
            complaint, code="E172", remedy="give the sampler one value per row and one covariance per factor"
        )
