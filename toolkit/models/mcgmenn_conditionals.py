"""Each effect by itself, everything else as drawn: moments of its conditional, without a draw of it.

Averages of such moments over draws of everything else are those of the posterior, with far less noise than averages of
the draws (Rao and Blackwell; Gelfand and Smith, 1990), and they follow a change of the variances at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.polynomial.hermite_e import hermegauss
from torch import Tensor

from toolkit.models.mcgmenn_design import SampledFactor
from toolkit.sampling.densities import RowDensity
from toolkit.sampling.pieces import row_slices
from toolkit.sampling.target import Clusters

# of the search for a mode: how many, and how long in SDs of the prior
NEWTON_STEPS, LONGEST_STEP = 3, 3.0
# logarithm of odds or means up to which rows are known so far from where they were asked
NEAR = 4.0
NODES_USED = 5
# of the quadrature: nodes, and logarithms of their weights over the standard normal density there
NODES = (hermegauss(NODES_USED)[0], np.log(hermegauss(NODES_USED)[1]) + 0.5 * hermegauss(NODES_USED)[0] ** 2)
Pair = tuple[Tensor, Tensor]
# least information, square of a scale, and twice a chance: below, a match is nearly Poisson's, or a normal density
LEAST, LEAST_SCALE, LEAST_CHANCE = 1e-6, 0.05, 1e-5
# largest logarithm
FARTHEST = 40.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Told:
    """What the rows of each level say about each of its effects by itself (effects, levels).

    Derivatives of their log density in the effect at some centre, all others as drawn: the first, and the second to
    fourth with the sign turned.
    """

    score: Float[Tensor, "effects levels"]
    information: Float[Tensor, "effects levels"]
    third: Float[Tensor, "effects levels"]
    fourth: Float[Tensor, "effects levels"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conditional:
    """Means and variances of each effect given everything else, and its expected square (effects, levels).

    Where the mean is too far from where the rows were asked, mean and square are those of the draw. Whether it is does
    not depend on the draw, so that averages stay those of the posterior.
    """

    mean: Float[Tensor, "effects levels"]
    variance: Float[Tensor, "effects levels"]
    square: Float[Tensor, "effects levels"]


def what_rows_tell(
    density: RowDensity,
    factors: Sequence[SampledFactor],
    logits: Float[Tensor, "outputs rows"],
    away: Sequence[Tensor],
) -> list[Told]:
    """Derivatives in each effect by itself, summed over the rows of its level, of each factor.

    Args:
        density: of the outcomes.
        factors: levels of the rows.
        logits: as drawn.
        away: of each factor, how far the centres are from the effects as drawn (effects, levels).
    """
    sums = [[torch.zeros_like(part) for _ in range(4)] for part in away]
    shifts = [
        density.growth(part) if factor.clusters.design is None else part
        for factor, part in zip(factors, away, strict=True)
    ]
    for rows in row_slices(logits.shape[1], logits.shape[0]):
        here = density.rows(rows)
        prepared = here.prepared(logits[:, rows])
        for factor, total, shift in zip(factors, sums, shifts, strict=True):
            _add_cumulants(total, factor.clusters.part(rows), here, prepared, shift)
    return [
        Told(
            score=factor.clusters.statistic(density, logits) - first,
            information=second,
            third=third,
            fourth=fourth,
        )
        for factor, (first, second, third, fourth) in zip(factors, sums, strict=True)
    ]


def _add_cumulants(
    total: Sequence[Tensor],
    clusters: Clusters,
    density: RowDensity,
    prepared: Float[Tensor, "outputs rows"],
    shift: Float[Tensor, "effects levels"],
) -> None:
    """Add the sums over some rows of each level, times powers of what the effects are multiplied with."""
    if clusters.design is None:
        along = clusters.spread(shift)  # by `growth` already, of each level
        for own, values in zip(total, density.cumulants(prepared, along), strict=True):
            own.index_add_(1, clusters.codes, values)
        return
    outputs = len(prepared)
    for kind, column in enumerate(clusters.design):
        those = slice(kind * outputs, (kind + 1) * outputs)
        power = column
        along = density.growth(shift[those].index_select(1, clusters.codes) * column)
        for own, values in zip(total, density.cumulants(prepared, along), strict=True):
            own[those].index_add_(1, clusters.codes, values * power)
            power = power * column


def conditional(
    draw: Float[Tensor, "effects levels"],
    centre: Float[Tensor, "effects levels"],
    told: Told,
    precision: Float[Tensor, "effects effects"],
    *,
    quadratic: bool = False,
    slopes: bool = True,
) -> Conditional:
    """Moments of every effect given all others, by quadrature about the mode.

    With P the inverse covariance, and the rows of a level told by a simple function with their derivatives (`matched`),
    which is what they are when they are alike:

        log p(b | rest) = b sum_i t_i - sum_i cumulant_i(b) - P_ee b^2 / 2 - b sum_{f != e} P_ef b_f + const

    Args:
        draw: effects as drawn.
        centre: where the derivatives are taken.
        told: derivatives of the data.
        precision: inverse covariance of the effects of a level.
        quadratic: the density is normal in the logits, and conditionals are normal.
        slopes: effects are multiplied with something, and rows of a level may pull both ways.
    """
    own = torch.diagonal(precision).to(centre)[:, None]
    others = (precision.to(centre) @ draw).addcmul_(own, draw, value=-1.0)
    slope = (told.score - others).addcmul_(own, centre, value=-1.0)
    if quadratic:
        variance = 1.0 / (told.information + own).double()
        mean = centre + variance * slope
        return Conditional(mean=mean, variance=variance, square=mean.square() + variance)
    mean, variance, near = torch.empty_like(centre), torch.empty_like(centre), torch.ones_like(centre).bool()
    for part in row_slices(centre.shape[1], len(centre) * len(NODES[0])):  # in a processor's cache
        rows = matched(told.information[:, part], told.third[:, part], told.fourth[:, part], slopes=slopes)
        mean[:, part], variance[:, part] = _moments(rows, slope[:, part], own)
        near[:, part] = (rows.scale * mean[:, part]).abs() < NEAR
    mean = torch.where(near, mean + centre, draw).double()
    square = torch.where(near, mean.square() + variance, mean.square())
    return Conditional(mean=mean, variance=variance.double(), square=square)


def _moments(rows: Likeness, slope: Float[Tensor, "effects levels"], own: Float[Tensor, "effects 1"]) -> Pair:
    """Mean and variance of d with the log density ``slope d - excess(d) - own d^2 / 2``."""
    mode = _mode(rows, slope, own)
    spread = torch.rsqrt(rows.slopes(mode)[1] + own)
    nodes, logs = (torch.as_tensor(part).to(slope)[:, None, None] for part in NODES)
    away = torch.addcmul(mode, spread, nodes)
    shares = torch.softmax((slope - 0.5 * own * away).mul_(away).sub_(rows.excess(away)).add_(logs), dim=0)
    mean = (shares * away).sum(dim=0)
    return mean, shares.mul_(away.sub_(mean).square_()).sum(dim=0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Likeness:
    """The rows of a level as a function of a step d from the centre (effects, levels).

    Those with a ``chance`` are a binomial cumulant, ``n log(1 + p (exp(s d) - 1))``, which is theirs exactly where they
    are alike. Where they pull both ways (slopes, or rows that are very unlike each other) there is none; they are
    ``n (p (exp(s d) - 1) + (1 - p) (exp(-s d) - 1))``.
    """

    count: Float[Tensor, "effects levels"]
    chance: Float[Tensor, "effects levels"]
    scale: Float[Tensor, "effects levels"]
    both_ways: Bool[Tensor, "*which"]

    def excess(self, step: Tensor) -> Tensor:
        """Its value less the tangent in the centre."""
        p, along = self.chance, self._along(step)
        grown = torch.expm1(along)
        found = torch.log1p(p * grown).sub_(p * along)
        if bool(self.both_ways.any()):
            apart = p * grown + (1.0 - p) * torch.expm1(-along) - (2.0 * p - 1.0) * along
            found = torch.where(self.both_ways, apart, found)
        return found.mul_(self.count)

    def slopes(self, step: Tensor) -> Pair:
        """First two derivatives of `excess`."""
        p, grown = self.chance, self._along(step).exp_()
        up = p * grown
        now = up / (1.0 - p + up)
        first, second = now - p, now * (1.0 - now)
        if bool(self.both_ways.any()):
            down = (1.0 - p) / grown
            first = torch.where(self.both_ways, up - down - (2.0 * p - 1.0), first)
            second = torch.where(self.both_ways, up + down, second)
        return first.mul_(self.count).mul_(self.scale), second.mul_(self.count).mul_(self.scale.square())

    def _along(self, step: Tensor) -> Tensor:
        return (self.scale * step).clamp(-FARTHEST, FARTHEST)


def matched(information: Tensor, third: Tensor, fourth: Tensor, *, slopes: bool = True) -> Likeness:
    """What has these second to fourth derivatives in the centre.

    With a and b the third and the fourth over the second: a binomial cumulant where b <= a^2, with
    ``s^2 = 3 a^2 - 2 b`` and ``1 - 2 p = a / s``; Poisson's is its limit ``b = a^2``, a normal density that of both
    zero. Beyond, both ways, ``s^2 = b`` and ``2 p - 1 = a / s``; without ``slopes`` the limit is taken there.
    """
    information = information.clamp(min=LEAST)
    lean, flat = third / information, fourth / information
    both_ways = (flat > lean.square()) if slopes else torch.zeros((), dtype=torch.bool, device=lean.device)
    flat = flat if slopes else torch.minimum(flat, lean.square())
    size = torch.where(both_ways, flat, 3.0 * lean.square() - 2.0 * flat).clamp(min=LEAST_SCALE)
    scale = torch.sqrt(size)
    share = lean / scale
    count = information / size
    # of p and 1 - p the less, turned round: digits are lost next to 1
    less = 0.5 * (1.0 - share.abs()).clamp(min=LEAST_CHANCE)
    return Likeness(
        count=torch.where(both_ways, count, count / (less * (1.0 - less))),
        chance=torch.where(both_ways, 0.5 * (1.0 + share.clamp(-1.0, 1.0)), less),
        scale=torch.where(both_ways | (share >= 0.0), scale, -scale),
        both_ways=both_ways,
    )


def _mode(rows: Likeness, slope: Tensor, own: Tensor) -> Tensor:
    """Largest of ``slope d - excess(d) - own d^2 / 2``."""
    step, longest = torch.zeros_like(slope), LONGEST_STEP * torch.rsqrt(own)
    for _ in range(NEWTON_STEPS):
        pull, curvature = rows.slopes(step)
        step = step + ((slope - pull - own * step) / (curvature + own)).clamp(-longest, longest)
    return step
