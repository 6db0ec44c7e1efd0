"""Draws of the effects between epochs of Monte Carlo EM, and the variances that follow them.

Draws are recentred: what the levels of a factor have in common moves into the level of the network, which leaves every
row's predictor as it is. At the maximum of the likelihood it is zero; without the move a mean of few levels and the
network's level stand in for each other, and EM hardly moves along that line (parameter expansion; Liu, Rubin and Wu,
1998).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from toolkit.effects.random_effects import EffectLayout
from toolkit.models.mcgmenn import McGmenn
from toolkit.models.mcgmenn_conditionals import Told, conditional, what_rows_tell
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
    carried,
    data_share,
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

# share of the information from which on draws alone say how large a variance is, and that with slopes, whose
# conditionals are less exact
MOSTLY_KNOWN, OF_SLOPES = 0.9, 0.2
# share of proposals that must be accepted for them to go on
WELL_ACCEPTED = 0.5
# least share by which a step is divided while the network learns: draws then are not yet what they will be
CAREFUL = 0.03


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
        self.held = False
        self._gains: dict[int, tuple[Tensor, Tensor]] = {}
        self._centres: dict[int, Tensor] = {}
        self._asked = False
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
        """Proposals by what rows told in earlier calls, while the network is held and they are accepted.

        They are exact for any target; asking the rows anew costs more than drawing.
        """
        before = self._state
        if not isinstance(sampler, Blocks) or not self.held or before is None or before.memory is None:
            return sampler, state
        if self._asked and min(before.diagnostics.acceptance) > WELL_ACCEPTED:
            return replace(sampler, rounds=0), replace(state, memory=before.memory)
        self._asked = True
        return sampler, state

    def keep(self, draws: Sequence[Tensor], fixed: Float[Tensor, "outputs rows"]) -> Float[Tensor, "outputs rows"]:
        """Recentre draws, update the variances, and note what the draws add to each row; returns the new outputs."""
        own, recentre = self.objective.parameters, self.config.variance_update != "published"
        moved = fixed.new_zeros((len(fixed), 1))  # broadcast over rows as long as effects are multiplied with nothing
        for place, (factor, layout, drawn) in enumerate(zip(self.factors, self.layouts, draws, strict=True)):
            if recentre:
                mean = drawn.mean(dim=(0, 2))
                moved = moved + self._into_network(mean, layout, factor)
                drawn = drawn - mean[:, None]
                own[modes_name(place)].sub_(mean[:, None])
                if place in self._centres:
                    self._centres[place].sub_(mean[:, None])
            own[draws_name(place)].copy_(drawn)
        fixed = fixed + moved
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
        effects = [own[draws_name(place)][draw] for place in range(len(self.factors))]
        found = effects[0].new_empty((self.objective.module.outputs, len(self.objective.rows)))
        for rows in row_slices(found.shape[1], len(found)):  # in a processor's cache
            first, *others = (
                factor.clusters.part(rows).spread(part) for factor, part in zip(self.factors, effects, strict=True)
            )
            for part in others:
                first += part
            found[:, rows] = first
        return found

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
        if self.config.variance_update != "mean":
            for place, factor in enumerate(self.factors):
                self._plain_update(place, factor)
            return
        own = self.objective.parameters
        centres = [self._centres.get(place, own[modes_name(place)]) for place in range(len(self.factors))]
        away = [centre - own[draws_name(place)][-1] for place, centre in enumerate(centres)]
        told = what_rows_tell(self.density, self.factors, logits, away)
        for place, (factor, centre, rows) in enumerate(zip(self.factors, centres, told, strict=True)):
            self._update_by_information(place, factor, centre, rows)

    def _plain_update(self, place: int, factor: SampledFactor) -> None:
        """The next covariance by draws alone."""
        draws, present = (self.objective.parameters[name(place)] for name in (draws_name, covariance_name))
        published = self.config.variance_update == "published"
        squares = spread_of_last(draws) if published else self._drawn_squares(factor, draws, present)
        present.copy_(updated(present, squares, factor.free))

    def _drawn_squares(self, factor: SampledFactor, draws: Tensor, present: Tensor) -> Float[Tensor, "effects effects"]:
        """Mean squares of draws; of classes what is common to them is taken exactly."""
        if self.density.shift_free and factor.clusters.design is None:
            return without_shift(draws, torch.linalg.inv(present.double()))
        return mean_squares(draws)

    def _update_by_information(self, place: int, factor: SampledFactor, centre: Tensor, told: Told) -> None:
        """The next covariance by a step as long as the information about it says; the last draw goes with it."""
        draws, present = (self.objective.parameters[name(place)] for name in (draws_name, covariance_name))
        precision, before = torch.linalg.inv(present.double()), torch.diagonal(present).double().clone()
        squares = self._drawn_squares(factor, draws, present)
        found = conditional(
            draws[-1], centre, told, precision,
            quadratic=self.density.quadratic, slopes=factor.clusters.design is not None,
        )  # fmt: skip
        share = self._shares[place] = data_share(before, found.variance)
        # where the data say much, draws of a whole level are more exact than each effect given all others
        enough = MOSTLY_KNOWN if factor.clusters.design is None else OF_SLOPES
        expected = torch.where(share > enough, torch.diagonal(squares), found.square.mean(dim=1))
        length = share / self._gain(place, share)[0] if self.held else share.clamp(min=CAREFUL)
        present.copy_(updated(present, rescaled(squares, expected), factor.free, length))
        after = torch.diagonal(present).double()
        if self.held:
            self._gains[place] = next_gain(*self._gain(place, share), step=torch.log(after / before))
        change = torch.diagonal(torch.linalg.inv(present.double())) - torch.diagonal(precision)
        draws[-1].copy_(carried(draws[-1], found.mean, found.variance, change))
        if self.held:
            self._centres[place] = found.mean.to(draws)
        elif not isinstance(self.sampler, Blocks):  # which looks for modes; these are near enough for the next time
            centre.copy_(found.mean)

    def _gain(self, place: int, like: Float[Tensor, " effects"]) -> tuple[Tensor, Tensor]:
        """By how much the next step is lengthened, and the run of those before."""
        return self._gains.get(place, (torch.ones_like(like), torch.zeros_like(like)))


def row_information(
    density: RowDensity, factors: Sequence[SampledFactor], logits: Float[Tensor, "outputs rows"]
) -> list[Tensor]:
    """Fisher's information about each effect by itself (effects, levels), summed over rows, of each factor."""
    found = [logits.new_zeros((factor.size, factor.clusters.levels)) for factor in factors]
    for rows in row_slices(logits.shape[1], logits.shape[0]):
        here = density.rows(rows)
        if isinstance(density, Categorical):  # of many classes the whole matrix would be large
            p = here.slope(logits[:, rows])
            kinds = p - p.square()
        else:
            kinds = torch.diagonal(here.information(logits[:, rows]), dim1=0, dim2=1).T
        for factor, total in zip(factors, found, strict=True):
            _add_squares(total, factor.clusters.part(rows), kinds)
    return found


def _add_squares(
    total: Float[Tensor, "effects levels"], clusters: Clusters, kinds: Float[Tensor, "outputs rows"]
) -> None:
    """Add the sums over the rows of each level, times squares of what effects are multiplied with."""
    if clusters.design is None:
        total.index_add_(1, clusters.codes, kinds)
        return
    for part, column in zip(total.split(kinds.shape[0]), clusters.design, strict=True):
        part.index_add_(1, clusters.codes, kinds * column.square())
