"""Perceptrons whose outputs are more than their last layer says: cumulative logits, and counts with an exposure."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from toolkit.effects.terms import GAPS
from toolkit.models.networks import Mlp


class CumulativeMlp(Mlp):
    """Perceptron of an ordered outcome: one latent score a row, and thresholds that everybody shares.

    The outputs are the cumulative logits ``f - tau_k``, ``k = 1 .. classes - 1``: ``P(y > k) = sigmoid(f - tau_k)``
    (proportional odds; McCullagh, 1980). The first threshold is zero, as the bias of the last layer already says where
    the score lies; each further one is the one before plus ``exp(gaps_k)``, so that they stay in order. With two
    classes this is the logistic model.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], classes: int) -> None:
        """Lay out the layers and ``gaps``, the logarithms of the distances between thresholds (classes - 2,)."""
        super().__init__(inputs, hidden, 1)
        self.register_parameter(GAPS, nn.Parameter(torch.zeros(classes - 2)))

    def forward(self, rows: Float[Tensor, "*rows feature"]) -> Float[Tensor, "*rows threshold"]:
        """Cumulative logits of each row."""
        return super().forward(rows) - thresholds(getattr(self, GAPS))


class ExposedMlp(Mlp):
    """Perceptron of a count: the last input is the logarithm of the exposure, and is added to the log of the mean."""

    def forward(self, rows: Float[Tensor, "*rows feature"]) -> Float[Tensor, "*rows 1"]:
        """Logarithm of each row's mean."""
        return super().forward(rows[..., :-1]) + rows[..., -1:]


def thresholds(gaps: Float[Tensor, " gaps"]) -> Float[Tensor, " thresholds"]:
    """Ordered thresholds of the latent score: 0, then the running sum of ``exp(gaps)``."""
    return torch.cat([gaps.new_zeros(1), torch.cumsum(torch.exp(gaps), dim=0)])


def outcome_network(
    task: str, inputs: int, hidden: Sequence[int], *, classes: int, exposure: bool, targets: int = 1
) -> Mlp:
    """The perceptron of a task.

    Args:
        task: kind of outcome.
        inputs: number of features.
        hidden: widths of the hidden layers.
        classes: number of classes or states; 0 for numbers.
        exposure: whether a last input is the logarithm of the exposure.
        targets: how many numbers are predicted.
    """
    if task == "ordinal":
        return CumulativeMlp(inputs, hidden, classes)
    if exposure:
        return ExposedMlp(inputs, hidden, 1)
    return Mlp(inputs, hidden, outputs_of(task, classes, targets))


def outputs_of(task: str, classes: int, targets: int = 1) -> int:
    """Number of outputs of a network: one for each class, state or number, and one for two classes."""
    return classes if task in {"multiclass", "sequence"} else targets if task == "regression" else 1
