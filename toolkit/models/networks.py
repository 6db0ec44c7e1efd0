"""The two network shapes: a multilayer perceptron, and one whose outputs are the emissions of a chain."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Mlp(nn.Module):
    """Multilayer perceptron with ReLU between its linear layers; ``layers.0`` is the first, ``layers.K`` the last."""

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int) -> None:
        """Lay out the layers; parameters are set by `initial_parameters`."""
        super().__init__()
        widths = [inputs, *hidden, outputs]
        with warnings.catch_warnings():  # torch warns of the empty weight of a model of intercepts only
            warnings.filterwarnings("ignore", message="Initializing zero-element tensors")
            self.layers = nn.ModuleList(nn.utils.skip_init(nn.Linear, a, b) for a, b in itertools.pairwise(widths))

    def forward(self, rows: Float[Tensor, "*rows feature"]) -> Float[Tensor, "*rows output"]:
        """Outputs of each row."""
        for layer in self.layers[:-1]:
            rows = torch.relu(layer(rows))
        return self.layers[-1](rows)


def initial_parameters(
    module: Mlp, *, generator: torch.Generator, dtype: torch.dtype, device: torch.device
) -> dict[str, Tensor]:
    """Weights from U(-1, 1) / sqrt(fan in), biases zero; drawn on the CPU, so that every device starts alike."""
    parameters: dict[str, Tensor] = {}
    for name, value in module.named_parameters():
        start = torch.zeros(value.shape, dtype=torch.float64)
        if value.dim() == 2 and value.numel() > 0:
            bound = 1.0 / math.sqrt(value.shape[1])
            start = (2.0 * torch.rand(value.shape, generator=generator, dtype=torch.float64) - 1.0) * bound
        parameters[name] = start.to(device=device, dtype=dtype)
    return parameters


def chain_parameters(
    states: int, *, learn_ends: bool, covariates: int = 0, dtype: torch.dtype, device: torch.device
) -> dict[str, Tensor]:
    """Transition scores (if there are any: their slopes on covariates, start and end scores), all zero."""
    shapes: dict[str, tuple[int, ...]] = {"transitions": (states, states)}
    if covariates:
        shapes["slopes"] = (covariates, states, states)
    if learn_ends:
        shapes |= {"start": (states,), "end": (states,)}
    return {name: torch.zeros(shape, dtype=dtype, device=device) for name, shape in shapes.items()}
