"""Whether training by the likelihood of all rows raises it; where it does not, mini-batches go on.

The derivative of that likelihood weighs what differs between the rows of a level by the residual variance, and what all
of them share by the far larger variance of their mean. Where features all but tell the levels apart (persons by their
year of birth, schooling and home), the network can move what the rows of a level share almost freely while it fits the
rest: steps on random rows then lead away from the maximum rather than to it. Mini-batches, in which most levels have
one row, weigh both alike. The likelihood itself tells the two cases apart, from the first epochs on.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from toolkit.errors import ToolkitWarning

WATCH = "whole_watch"
# epochs in a row that end with a smaller likelihood than the mini-batches left, until they are gone back to
WORSE = 3
# how much larger the deviance of a row must be on average: around the maximum it goes up and down
MARGIN = 0.005


def new_watch() -> Tensor:
    """Deviance that the mini-batches left, for how many epochs in a row it has been larger, and whether it is known."""
    return torch.zeros(3, dtype=torch.float64)


def given_up(watch: Tensor) -> bool:
    """Whether mini-batches have been gone back to."""
    return float(watch[1]) >= WORSE


def watch_deviance(watch: Tensor, deviance: float, rows: int) -> None:
    """Take note of minus twice the log-likelihood of so many rows; the first is that which the mini-batches left."""
    if float(watch[2]) == 0.0:
        watch[0], watch[2] = deviance, 1.0
    else:
        watch[1] = float(watch[1]) + 1.0 if deviance > float(watch[0]) + MARGIN * rows else 0.0


def warn_of_giving_up(watch: Tensor | None) -> None:
    """W243 where the likelihood of all rows fell while the network was trained by it."""
    if watch is not None and given_up(watch):
        message = (
            "the likelihood of all rows fell while the network was trained by it: the features nearly tell the levels "
            "of a grouping factor apart. Training went on by mini-batches; likelihood='batch' does so from the start, "
            "and validation rows choose the best epoch"
        )
        warnings.warn(ToolkitWarning(message, code="W243"), stacklevel=4)
