"""Draws of the effects between epochs of Monte Carlo EM, and the variances that follow them.

Draws are recentred: what the levels of a factor have in common moves into the level of the network, which leaves every
row's predictor as it is. At the maximum of the likelihood it is zero; without the move a mean of few levels and the
network's level stand in for each other, and EM hardly moves along that line (parameter expansion; Liu, Rubin and Wu,
1998).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from toolkit.effects.random_effects import EffectLayout
from toolkit.models.mcgmenn import McGmenn
from toolkit.models.mcgmenn_design import SIGMA2, SampledFactor, row_density
from toolkit.models.mcgmenn_training import (
    OFFSETS,
    STEP,
    MonteCarloObjective,
    covariance_name,
    draws_name,
    modes_name,
)
from toolkit.models.mcgmenn_variances import (
    correction_weight,
    data_share,
    expected_squares,
    mean_squares,
    next_gain,
    rescaled,
    spread_of_last,
    updated,
    without_shift,
)
from toolkit.numerics.covariance import VARIANCE_FLOOR
from toolkit.sampling.blocks import Blocks
from toolkit.sampling.densities import Categorical, RowDensity
from toolkit.sampling.joint_sampler import JointSampler
from toolkit.sampling.pieces import row_slices
from toolkit.sampling.protocol import Diagnostics, Keep, Sampler, State
from toolkit.sampling.target import Clusters, Draw, Target, not_finite

# share of the information from which on draws alone say how large a variance is
MOSTLY_KNOWN = 0.5
# rounds over which the difference of mean squares of draws and expected ones is averaged
MEMORY = 10
# change of the logarithm of a variance from round to round up to which such a difference counts
STANDING = 0.1
# and from which on differences of earlier rounds are forgotten
MOVING = 0.5
# change of the logarithm of a variance up to which proposals are not made anew
HARDLY = 0.3
# least share by which a step is divided while the network learns: draws then are not yet what they will be
CAREFUL = 0.25


class Expectation:
    """Draws the effects given the network, and lets the variances follow: the E-step, and the M-step of variances."""

    def __init__(
        self,
        config: McGmenn,
        objective: MonteCarloObjective,
        factors: Sequence[SampledFactor],
        layouts: Sequence[EffectLayout],
        sampler: Sampler,
        generator: torch.Generator,
        numbers: np.ndarray,
    ) -> None:
        """What stays the same over epochs.

        Args:
            config: settings.
            objective: network, rows, and the tensors that are changed in place.
            factors: levels and rows of each grouping factor.
            layouts: where the effects of each factor belong in the network.
            sampler: draws effects.
            generator: of the draws.
            numbers: of the training rows in the study (rows,), counted from 0.

        Attributes:
            held: whether the network no longer changes.
        """
        self.config, self.objective, self.factors, self.layouts = config, objective, factors, layouts
        self.sampler, self.generator, self.numbers = sampler, generator, numbers
        self._state: State | None = None
        self._shares: dict[int, Tensor] = {}
        self._corrections: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
        self.held = False
        self._gains: dict[int, tuple[Tensor, Tensor]] = {}
        self._found_at: Tensor | None = None
        self._density: RowDensity | None = None

    @torch.no_grad()
    def __call__(self) -> None:
        """One E-step with the network as it is; draws, offsets and variances are changed in place."""
        fixed = self.objective.fixed_of_all()
        draws = self.draw(fixed, self.config.transitions, self.config.kept)
        self.keep(draws, fixed)

    @property
    def diagnostics(self) -> Diagnostics | None:
        """How the sampler fared in its last call."""
        return None if self._state is None else self._state.diagnostics

    def shares(self) -> list[tuple[SampledFactor, Float[Tensor, " effects"]]]:
        """The share of the information about each variance that the data hold; all of it where it was not asked for."""
        ones = [factor.clusters.codes.new_ones(factor.size).double() for factor in self.factors]
        return [(factor, self._shares.get(place, ones[place])) for place, factor in enumerate(self.factors)]

    def target(self, fixed: Float[Tensor, "outputs rows"]) -> Target:
        """What is drawn from.

        Raises:
            DataError: E170 names the rows of the study in which the network gave no finite number.
        """
        own = self.objective.parameters
        if not bool(torch.isfinite(fixed.sum())):
            lost = (~torch.isfinite(fixed)).any(dim=0).cpu().numpy()
            if lost.any():
                raise not_finite((np.sort(self.numbers[lost]) + 2).tolist())
        return Target(
            fixed=fixed,
            density=self.density,
            clusters=tuple(factor.clusters for factor in self.factors),
            covariances=tuple(own[covariance_name(place)].clone() for place in range(len(self.factors))),
        )

    @property
    def density(self) -> RowDensity:
        """Of the outcomes; the same object as long as nothing in it changes, since sums over rows are kept with it."""
        objective = self.objective
        if self._density is None or objective.task in ("regression", "ordinal"):
            rows = objective.rows
            self._density = row_density(objective.task, rows.target, objective.parameters, objective.module)
        return self._density

    def draw(self, fixed: Float[Tensor, "outputs rows"], transitions: int, kept: int) -> list[Tensor]:
        """The last draws of some transitions, one tensor (kept, effects, levels) for each factor."""
        found: list[Draw] = []

        def keep(draw: Draw) -> None:
            found.append(tuple(part.clone() for part in draw))
            del found[:-kept]

        self.advance(fixed, transitions, keep)
        return [torch.stack(parts) for parts in zip(*found, strict=True)]

    def advance(self, fixed: Float[Tensor, "outputs rows"], transitions: int, keep: Keep) -> None:
        """So many transitions from where the draws are; ``keep`` sees each."""
        target, own = self.target(fixed), self.objective.parameters
        start = tuple(own[draws_name(place)][-1].clone() for place in range(len(self.factors)))
        sampler = self.sampler
        if isinstance(sampler, JointSampler):
            sampler = replace(sampler, step=float(own[STEP]))
        state = sampler.begin(target, start=start, generator=self.generator)
        # what goes on from call to call is among the parameters, so that an interrupted fit can go on as well
        state = replace(state, modes=tuple(own[modes_name(place)].clone() for place in range(len(self.factors))))
        sampler, state = self._frozen(sampler, state)
        self._state = sampler.advance(target, state, transitions=transitions, generator=self.generator, keep=keep)
        for place, mode in enumerate(self._state.modes or ()):
            own[modes_name(place)].copy_(mode)
        if self._state.diagnostics.stopped:
            own[STEP].mul_(0.5)

    def _frozen(self, sampler: Sampler, state: State) -> tuple[Sampler, State]:
        """Proposals of earlier calls, while the network is held and the variances have hardly changed since then.

        They are exact for any target; finding modes and curvatures anew costs more than drawing.
        """
        if not isinstance(sampler, Blocks) or not self.held:
            return sampler, state
        v = torch.cat([torch.diagonal(covariance) for covariance in state.target.covariances])
        before = self._found_at
        if self._state is not None and before is not None and float(torch.log(v / before).abs().max()) < HARDLY:
            return replace(sampler, rounds=0), replace(state, memory=self._state.memory)
        self._found_at = v
        return sampler, state

    def keep(self, draws: Sequence[Tensor], fixed: Float[Tensor, "outputs rows"]) -> Float[Tensor, "outputs rows"]:
        """Recentre draws, update the variances, and note what the draws add to each row; returns the new outputs."""
        own, recentre = self.objective.parameters, self.config.variance_update != "published"
        for place, (factor, layout, drawn) in enumerate(zip(self.factors, self.layouts, draws, strict=True)):
            if recentre:
                mean = drawn.mean(dim=(0, 2))
                fixed = fixed + self._into_network(mean, layout, factor)
                drawn = drawn - mean[:, None]
                own[modes_name(place)].sub_(mean[:, None])
            own[draws_name(place)].copy_(drawn)
        kept, regression = draws[0].shape[0], self.objective.task == "regression"
        # offsets are for training; of a network that is held the last draw is enough
        first = 0 if regression or not self.held else kept - 1
        added = torch.stack([self.added(draw) for draw in range(first, kept)])
        if not self.held:
            own[OFFSETS].copy_(added.transpose(1, 2))
        self._update_covariances(fixed + added[-1])
        if regression:
            squares = (self.objective.rows.target - fixed[0] - added[:, 0]).square().mean()
            own[SIGMA2].copy_(squares.clamp(min=VARIANCE_FLOOR))
        return fixed

    def added(self, draw: int = -1) -> Float[Tensor, "outputs rows"]:
        """What one of the kept draws adds to each row."""
        own = self.objective.parameters
        first, *others = (
            factor.clusters.spread(own[draws_name(place)][draw]) for place, factor in enumerate(self.factors)
        )
        for part in others:
            first += part
        return first

    def _into_network(self, mean: Tensor, layout: EffectLayout, factor: SampledFactor) -> Float[Tensor, "outputs rows"]:
        """Move a mean of the effects into the network; what that adds to each row (broadcast over them)."""
        own, outputs = self.objective.parameters, self.objective.module.outputs
        for name, part in layout.unflatten(mean[None]).items():
            own[name].add_(part[0].reshape(own[name].shape))
        design = factor.clusters.design
        by_kind = mean.reshape(-1, outputs)
        return by_kind[0][:, None] if design is None else by_kind.T @ design

    def _update_covariances(self, logits: Float[Tensor, "outputs rows"]) -> None:
        """The next covariances; logits are those of the last draw."""
        told: Sequence[Told | None] = [None] * len(self.factors)
        if self.config.variance_update == "mean":
            told = what_rows_tell(self.density, self.factors, logits)
        for place, (factor, rows) in enumerate(zip(self.factors, told, strict=True)):
            self._update_covariance(place, factor, rows)

    def _update_covariance(self, place: int, factor: SampledFactor, told: Told | None) -> None:
        """The next covariance of a factor, by what its rows tell about each effect if that is asked for."""
        draws, present = (self.objective.parameters[name(place)] for name in (draws_name, covariance_name))
        if self.config.variance_update == "published":
            present.copy_(updated(present, spread_of_last(draws), factor.free))
            return
        precision = torch.linalg.inv(present.double())
        squares = mean_squares(draws)
        if self.density.shift_free and factor.clusters.design is None:
            squares = without_shift(draws, precision)
        share = None
        if told is not None:
            v = torch.diagonal(present)
            share = self._shares[place] = data_share(v, 1.0 / (told.information + 1.0 / v[:, None]))
            expected = expected_squares(draws[-1], told.score, told.information, precision)
            squares = rescaled(squares, self._corrected(place, squares, expected, share))
        if share is not None and not self.held:
            share = share.clamp(min=CAREFUL)
        if share is None or not self.held:
            present.copy_(updated(present, squares, factor.free, share))
            return
        gain, run = self._gains.get(place, (torch.ones_like(share), torch.zeros_like(share)))
        before = torch.diagonal(present).double().clone()
        present.copy_(updated(present, squares, factor.free, share / gain))
        step = torch.log(torch.diagonal(present) / before)
        self._gains[place] = next_gain(gain, step, run)

    def _corrected(
        self,
        place: int,
        squares: Float[Tensor, "effects effects"],
        expected: Float[Tensor, " effects"],
        share: Float[Tensor, " effects"],
    ) -> Float[Tensor, " effects"]:
        """Mean squares of draws where the data say much; else expected ones, corrected once the network is held.

        The correction is what draws were larger by in the last rounds, in units of the variances. While the network
        learns it would follow the changes of the variances with a delay, and be divided by a small share.
        """
        own = self.objective.parameters
        drawn, v = torch.diagonal(squares), torch.diagonal(own[covariance_name(place)]).double()
        found = expected
        if self.held:
            nothing = torch.zeros_like(expected)
            mean, rounds, before = self._corrections.get(place, (nothing, nothing, nothing))
            change = torch.log(v / before).abs()  # infinite at first
            stands = (change < STANDING).double()  # else draws are still of the variance before
            mean, rounds = (torch.where(change < MOVING, kept, nothing) for kept in (mean, rounds))
            rounds = torch.minimum(rounds + stands, nothing + MEMORY)
            mean = mean + stands * ((drawn - expected) / v - mean) / rounds.clamp(min=1.0)
            self._corrections[place] = mean, rounds, v.clone()
            draws = own[draws_name(place)]
            weight = correction_weight(share, count=draws.shape[0] * draws.shape[2] * rounds)
            found = torch.maximum(expected + weight * v * mean, 0.1 * expected)
        return torch.where(share > MOSTLY_KNOWN, drawn, found)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Told:
    """What the rows of each level say about each of its effects (effects, levels): score, and Fisher's information."""

    score: Float[Tensor, "effects levels"]
    information: Float[Tensor, "effects levels"]


def what_rows_tell(
    density: RowDensity, factors: Sequence[SampledFactor], logits: Float[Tensor, "outputs rows"]
) -> list[Told]:
    """Score and information of each effect by itself, summed over the rows of its level, of each factor."""
    slopes = [logits.new_zeros((factor.size, factor.clusters.levels)) for factor in factors]
    information = [torch.zeros_like(slope) for slope in slopes]
    for rows in row_slices(logits.shape[1], logits.shape[0]):
        here = density.rows(rows)
        slope = here.slope(logits[:, rows])
        if isinstance(density, Categorical):  # of many classes the whole matrix would be large
            kinds = slope - slope.square()
        else:
            kinds = torch.diagonal(here.information(logits[:, rows]), dim1=0, dim2=1).T
        for factor, total, squares in zip(factors, slopes, information, strict=True):
            clusters = factor.clusters.part(rows)
            clusters.gather_into(total, slope)
            _add_squares(squares, clusters, kinds)
    return [
        Told(score=factor.clusters.statistic(density, logits) - slope, information=squares)
        for factor, slope, squares in zip(factors, slopes, information, strict=True)
    ]


def _add_squares(
    total: Float[Tensor, "effects levels"], clusters: Clusters, kinds: Float[Tensor, "outputs rows"]
) -> None:
    """Add the sums over the rows of each level, times squares of what effects are multiplied with."""
    if clusters.design is None:
        total.index_add_(1, clusters.codes, kinds)
        return
    for part, column in zip(total.split(kinds.shape[0]), clusters.design, strict=True):
        part.index_add_(1, clusters.codes, kinds * column.square())
