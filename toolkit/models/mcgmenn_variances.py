"""Variances of random effects from draws: the M-step of Monte Carlo EM, and a faster one with the same fixed point."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from toolkit.numerics.covariance import VARIANCE_FLOOR

# how far the logarithm of a variance moves at once
LARGEST_STEP = 1.5
# least share of information: below it a step would be mostly noise
LEAST = 1e-4
# how steps of a held network grow while they keep their direction, shrink where they turn, and their least and most
GROWTH, SHRINK, LEAST_GAIN, MOST_GAIN, RUN = 1.3, 0.7, 0.1, 5.0, 3


def without_shift(
    draws: Float[Tensor, "draws effects levels"], precision: Float[Tensor, "effects effects"]
) -> Float[Tensor, "effects effects"]:
    """Mean squares of effects on all classes, the part that is common to the classes taken exactly.

    The same number t added to all effects of a level changes no probability: given what it is added to, t is normal
    with mean ``-1'P b / 1'P 1`` and variance ``1 / 1'P 1``, P the inverse covariance. Its share of the mean squares
    needs no draw.
    """
    own = draws.double()
    weights = precision.double().sum(dim=0)
    total = weights.sum()
    shifted = own - torch.einsum("e,del->dl", weights, own)[:, None] / total
    return mean_squares(shifted) + torch.ones_like(precision, dtype=torch.float64) / total


def mean_squares(draws: Float[Tensor, "draws effects levels"]) -> Float[Tensor, "effects effects"]:
    """``mean_kq b_kq b_kq'``: the covariance that maximises the expected log density of the effects."""
    flat = draws.transpose(0, 1).flatten(1).double()
    return flat @ flat.T / flat.shape[1]


def spread_of_last(draws: Float[Tensor, "draws effects levels"]) -> Float[Tensor, "effects effects"]:
    """The published rule: variance of the levels in the last draw, its mean taken off, every effect by itself."""
    last = draws[-1].double()
    return torch.diag((last - last.mean(dim=1, keepdim=True)).square().mean(dim=1))


def updated(
    covariance: Float[Tensor, "effects effects"],
    squares: Float[Tensor, "effects effects"],
    free: Bool[Tensor, "effects effects"],
    share: Float[Tensor, " effects"] | None = None,
) -> Float[Tensor, "effects effects"]:
    """The next covariance.

    With the mean squares s and the present variances v, EM sets v to s, which creeps where the data say little: the
    error shrinks by one minus the share of the information that the data hold. With that share r, the mean over levels
    of ``(1 - V / v)^2`` where V is the posterior variance (the expected information about log v over that of known
    effects), the step ``log v <- log v + (s / v - 1) / r`` is Fisher's scoring. It ends where s = v, as EM does.

    Args:
        covariance: present.
        squares: mean squares of the draws.
        free: which elements are estimated.
        share: r of every effect; None is EM.

    Returns:
        A covariance with no variance below the floor.
    """
    present, squares = covariance.double(), torch.where(free, squares.double(), 0.0)
    if share is None:
        found = squares
    else:
        v = torch.diagonal(present)
        ratio = torch.diagonal(squares) / v
        step = ((ratio - 1.0) / share.double().clamp(min=LEAST)).clamp(-LARGEST_STEP, LARGEST_STEP)
        # correlations are those of the mean squares, variances go further
        stretch = torch.sqrt(torch.exp(step) / ratio.clamp(min=1e-12))
        found = squares * stretch[:, None] * stretch[None]
    low = (VARIANCE_FLOOR - torch.diagonal(found)).clamp(min=0.0)
    return (found + torch.diag(low)).to(covariance)


def data_share(
    variances: Float[Tensor, " effects"], posterior: Float[Tensor, "effects levels"]
) -> Float[Tensor, " effects"]:
    """``mean_q (1 - V_q / v)^2``: the share of the information about a variance that the data hold.

    Args:
        variances: v, of each effect.
        posterior: V, of each effect of each level.
    """
    return (1.0 - (posterior / variances[:, None]).clamp(max=1.0)).square().mean(dim=1)


def carried(
    draw: Float[Tensor, "effects levels"],
    mean: Float[Tensor, "effects levels"],
    variance: Float[Tensor, "effects levels"],
    change: Float[Tensor, " effects"],
) -> Float[Tensor, "effects levels"]:
    """A draw as it would have been with another variance: the conditional's mean and SD changed with it.

    Draws that begin where those of a larger variance were take several sweeps to come nearer to zero; without data
    about a level this is all there is to it, with much data nothing happens.

    Args:
        draw: under the variance as it was.
        mean: of the conditional of each effect.
        variance: V of the conditional of each effect.
        change: of each effect, by how much the inverse of its variance has grown.
    """
    ratio = 1.0 / (1.0 + variance * change[:, None]).clamp(min=1e-6)
    return (mean * ratio + (draw.double() - mean) * torch.sqrt(ratio)).to(draw)


def next_gain(
    gain: Float[Tensor, " effects"], run: Float[Tensor, " effects"], *, step: Float[Tensor, " effects"]
) -> tuple[Float[Tensor, " effects"], Float[Tensor, " effects"]]:
    """By how much to lengthen the next step: more where steps keep their direction, less where they turn.

    After Kesten (1958). The share of information counts what the rows tell about an effect if all others were known.
    Where factors are nested they hardly tell one from the other, and steps by that share are too short. Where the data
    say little steps are mostly noise, and the less a variance is the more so: at full length they linger where it is
    large (a class with one row in two levels had twice its variance). Two steps the same way are no sign of a drift.

    Args:
        gain: of the step just made.
        run: how many steps before it went the same way, with their sign.
        step: of the logarithm of each variance.

    Returns:
        The gain, and the run with this step.
    """
    way = torch.sign(step)
    run = torch.where(way * run > 0, run + way, way)
    grown = torch.where(run.abs() >= RUN, gain * GROWTH, gain)
    return torch.where(run.abs() <= 1, gain * SHRINK, grown).clamp(LEAST_GAIN, MOST_GAIN), run


def rescaled(
    squares: Float[Tensor, "effects effects"], diagonal: Float[Tensor, " effects"]
) -> Float[Tensor, "effects effects"]:
    """The same correlations with other mean squares."""
    stretch = torch.sqrt(diagonal / torch.diagonal(squares))
    return squares * stretch[:, None] * stretch[None]
