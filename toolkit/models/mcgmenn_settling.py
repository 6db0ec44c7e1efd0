"""After training: draws with the network held until the variances settle, then those that effects are taken from.

Variances are the stationary point of a stochastic approximation (Robbins and Monro, 1951; Delyon, Lavielle and
Moulines, 1999): whole steps until they no longer drift, then the average over the
last rounds, whose Monte Carlo error is smaller.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from scipy.stats import t as student
from torch import Tensor

from toolkit.models.mcgmenn_design import SampledFactor
from toolkit.models.mcgmenn_expectation import Expectation
from toolkit.models.mcgmenn_training import covariance_name, draws_name
from toolkit.sampling.blocks import Blocks

# rounds of draws after training: at least (of which the first still change much), and at most
FEWEST_ROUNDS, MOST_ROUNDS = 8, 40
# of which the last ones are compared and averaged: the halves of so many, or of half of all
WINDOW = 6
# a difference of log variances between the halves counts in units of its noise, or of a share of the estimate's
# standard error where that is more; they stand still up to this mean square of these (noise of so few rounds is itself
# noisy), more by so much over the root of how many there are, and up to a largest one that by chance (Student's t)
# would be passed so often
SHARE_OF_ERROR, STILL, OF_FEW, BY_CHANCE = 0.3, 1.6, 3.5, 0.15
# and only once the noise of that difference, twice that of the average, is in the mean square no more than this many
# standard errors
QUIET = 1.0
STORED = 50
# numbers that stored draws may have
MOST_NUMBERS = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Settled:
    """How the continuation went.

    Attributes:
        rounds: how many there were.
        path: variances of all effects of all factors after each round (rounds, effects).
        errors: standard errors of the logarithms of the variances (effects,), from the information that is left when
            effects are not known.
        converged: whether the variances stood still in the end.
    """

    rounds: int
    path: tuple[tuple[float, ...], ...]
    errors: tuple[float, ...]
    converged: bool


@torch.no_grad()
def settle(
    expectation: Expectation, fixed: Float[Tensor, "outputs rows"], *, progress: Callable[[int], None] | None = None
) -> tuple[Settled, Float[Tensor, "outputs rows"]]:
    """Rounds of draws and variances with the network held, until the variances of two halves of rounds are the same.

    They end as the averages over both halves, of the last rounds.

    Args:
        expectation: draws and variances where training left them; changed in place.
        fixed: outputs of the network.
        progress: called after each round with its number.

    Returns:
        How it went, and the outputs of the network, into whose level the means of the effects have moved.
    """
    own = expectation.objective.parameters
    # expected squares need one draw of everything else, and blocks hardly remember the last
    transitions = 1 if isinstance(expectation.sampler, Blocks) else expectation.config.transitions
    names = [covariance_name(place) for place in range(len(expectation.factors))]
    expectation.held = True
    recent: list[list[Tensor]] = []
    logs: list[Tensor] = []
    errors, converged = torch.zeros(0), False
    for number in range(1, MOST_ROUNDS + 1):
        draws = expectation.draw(fixed, transitions, 1)
        fixed = expectation.keep(draws, fixed)
        recent = [*recent, [own[name].clone() for name in names]][-window(number) :]
        logs.append(torch.cat([torch.log(torch.diagonal(last)) for last in recent[-1]]).double())
        if progress is not None:
            progress(number)
        errors = torch.cat([log_errors(factor, share) for factor, share in expectation.shares()])
        if number >= FEWEST_ROUNDS and _stand(torch.stack([*logs[-window(number) :]]), errors):
            converged = True
            break
    for name, parts in zip(names, zip(*recent, strict=True), strict=True):
        own[name].copy_(torch.stack(parts).mean(dim=0))
    path = tuple(tuple(torch.exp(row).tolist()) for row in logs)
    return Settled(rounds=len(logs), path=path, errors=tuple(errors.tolist()), converged=converged), fixed


def log_errors(factor: SampledFactor, share: Float[Tensor, " effects"]) -> Float[Tensor, " effects"]:
    """Standard errors of log variances: ``sqrt(2 / (Q r))`` with Q levels and the share r of the information."""
    return torch.sqrt(2.0 / (factor.clusters.levels * share.double().clamp(min=1e-12)))


def window(rounds: int) -> int:
    """How many of so many rounds are compared and averaged; even."""
    return max(WINDOW, 2 * (rounds // 4))


def _stand(logs: Float[Tensor, "rounds effects"], errors: Float[Tensor, " effects"]) -> bool:
    """Whether the halves differ by no more than their noise, or than a share of what is not known anyway."""
    half = len(logs) // 2
    before, after = logs[:half], logs[half:]
    # by differences from round to round, which a drift hardly changes
    noise = torch.sqrt(logs.diff(dim=0).square().mean(dim=0) / half)
    drift = (after.mean(dim=0) - before.mean(dim=0)) / torch.maximum(noise, SHARE_OF_ERROR * errors)
    largest = float(student.isf(0.5 * BY_CHANCE / len(drift), len(logs) - 1))
    usual = STILL + OF_FEW / math.sqrt(len(drift))
    quiet = float((noise / errors).square().mean()) <= QUIET
    return quiet and float(drift.square().mean()) <= usual and float(drift.abs().max()) <= largest


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EffectMoments:
    """Posterior of one factor's effects by draws: means (levels, effects), covariances (levels, effects, effects).

    Of many effects variances (levels, effects) in place of covariances. ``stored`` holds some of the draws (draws,
    levels, effects).
    """

    mean: Float[Tensor, "levels effects"]
    covariance: Float[Tensor, "levels effects effects"] | Float[Tensor, "levels effects"]
    stored: Float[Tensor, "draws levels effects"]


@torch.no_grad()
def final_moments(
    expectation: Expectation,
    fixed: Float[Tensor, "outputs rows"],
    draws: int,
    *,
    wide: Sequence[bool],
    progress: Callable[[int], None] | None = None,
) -> list[EffectMoments]:
    """Means and covariances over draws, the network and the variances held.

    Args:
        expectation: at the settled variances.
        fixed: outputs of the network.
        draws: how many.
        wide: of each factor, whether variances without correlations are kept.
        progress: called after each draw with its number.
    """
    sizes = [expectation.objective.parameters[draws_name(place)][0] for place in range(len(expectation.factors))]
    total = [torch.zeros(own.T.shape, dtype=torch.float64, device=own.device) for own in sizes]
    squares = [
        torch.zeros_like(mean) if flat else mean.new_zeros((*mean.shape, mean.shape[1]))
        for mean, flat in zip(total, wide, strict=True)
    ]
    numbers = sum(own.numel() for own in sizes)
    stored = max(min(STORED, draws, MOST_NUMBERS // max(numbers, 1)), 2)
    every, kept, seen = max(draws // stored, 1), [[] for _ in sizes], 0

    def keep(draw: tuple[Tensor, ...]) -> None:
        nonlocal seen
        seen += 1
        for place, own in enumerate(draw):
            values = own.T.double()
            total[place] += values
            squares[place] += values.square() if wide[place] else values[:, :, None] * values[:, None]
            if seen % every == 0 and len(kept[place]) < stored:
                kept[place].append(values.float())
        if progress is not None:
            progress(seen)

    expectation.advance(fixed, draws, keep)
    return [_moments(*parts, draws) for parts in zip(total, squares, kept, strict=True)]


def _moments(total: Tensor, squares: Tensor, kept: Sequence[Tensor], draws: int) -> EffectMoments:
    """Mean and unbiased covariance from sums."""
    mean = total / draws
    outer = mean.square() if squares.dim() == 2 else mean[:, :, None] * mean[:, None]
    return EffectMoments(
        mean=mean, covariance=(squares / draws - outer) * draws / (draws - 1), stored=torch.stack([*kept])
    )
