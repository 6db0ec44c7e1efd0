"""Feature extractors: what turns the features of a row into what heads, experts and gate are linear in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from toolkit.errors import ConfigError
from toolkit.models.modules import fingerprint
from toolkit.models.networks import Mlp, initial_parameters

ROWS_AT_ONCE = 4096
PREFIX = "extractor."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Extractor:
    """A feature extractor of your own, such as a ResNet without its last layer.

    Attributes:
        module: maps (rows, *shape) to (rows, outputs). Its features come as they are, not standardised.
        shape: shape of one row's features, (3, 64, 64) for images; None for a plain vector.
        frozen: its parameters stay as they are; else they are trained with the shared head (step 1 of the paper) and
            frozen afterwards. Layers that keep statistics (batch normalisation) run in evaluation mode throughout.
    """

    module: nn.Module
    shape: tuple[int, ...] | None = None
    frozen: bool = True

    def describe(self) -> dict[str, Any]:
        """What can be written down: the class, the number of parameters, and a hash of all its tensors."""
        shape = list(self.shape) if self.shape is not None else None
        return {**fingerprint(self.module), "shape": shape, "frozen": self.frozen}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureMap:
    """An extractor ready for use; its parameters come from outside.

    Attributes:
        module: the network; None takes the features as they are.
        shape: shape of one row's features.
        own: the user's module, which sees features as they are.
        trained: names of the parameters that are trained with the shared head.
        size: number of outputs, D_z.
    """

    module: nn.Module | None
    shape: tuple[int, ...] | None
    own: bool
    trained: tuple[str, ...]
    size: int

    def outputs(self, parameters: Mapping[str, Tensor], rows: Float[Tensor, "rows feature"]) -> Float[Tensor, "rows z"]:
        """Extracted features of a batch of rows."""
        if self.module is None:
            return rows
        shaped = rows if self.shape is None else rows.reshape(len(rows), *self.shape)
        own = {name.removeprefix(PREFIX): value for name, value in parameters.items() if name.startswith(PREFIX)}
        return functional_call(self.module, own, (shaped,)).reshape(len(rows), -1)

    @torch.no_grad()
    def all_outputs(
        self, parameters: Mapping[str, Tensor], rows: Float[Tensor, "rows feature"]
    ) -> Float[Tensor, "rows z"]:
        """Extracted features of any number of rows, some thousand at a time."""
        if self.module is None or not len(rows):
            return rows if self.module is None else rows.new_zeros((0, self.size))
        return torch.cat([self.outputs(parameters, part) for part in rows.split(ROWS_AT_ONCE)])


class _HiddenLayers(nn.Module):
    """The hidden layers of a perceptron, with ReLU after each."""

    def __init__(self, inputs: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.network = Mlp(inputs, hidden[:-1], hidden[-1])

    def forward(self, rows: Tensor) -> Tensor:
        return torch.relu(self.network(rows))


def feature_map(hidden: tuple[int, ...], extractor: Extractor | None, features: int) -> FeatureMap:
    """The extractor of a configuration for data with so many features.

    Raises:
        ConfigError: E302 if a module of your own does not take the rows, or gives something else than one vector each.
    """
    if extractor is not None:
        names = () if extractor.frozen else tuple(PREFIX + name for name, _ in extractor.module.named_parameters())
        module = extractor.module.eval()
        return FeatureMap(
            module=module, shape=extractor.shape, own=True, trained=names, size=_outputs(extractor, features)
        )
    if not hidden:
        return FeatureMap(module=None, shape=None, own=False, trained=(), size=features)
    module = _HiddenLayers(features, hidden)
    names = tuple(PREFIX + name for name, _ in module.named_parameters())
    return FeatureMap(module=module, shape=None, own=False, trained=names, size=hidden[-1])


def extractor_parameters(
    features: FeatureMap, *, generator: torch.Generator, dtype: torch.dtype, device: torch.device
) -> dict[str, Tensor]:
    """Start values of the extractor's parameters: drawn for hidden layers, as they are for a module of one's own."""
    if features.module is None:
        return {}
    if isinstance(features.module, _HiddenLayers):
        found = initial_parameters(features.module.network, generator=generator, dtype=dtype, device=device)
        return {f"{PREFIX}network.{name}": value for name, value in found.items()}
    tensors = features.module.state_dict()
    return {
        PREFIX + name: value.detach().clone().to(device=device, dtype=dtype if value.is_floating_point() else None)
        for name, value in tensors.items()
    }


@torch.no_grad()
def _outputs(extractor: Extractor, features: int) -> int:
    """Number of outputs of a module, found by trying two rows of zeros."""
    shape = extractor.shape or (features,)
    if int(np.prod(shape)) != features:
        raise ConfigError(
            f"the extractor takes {int(np.prod(shape))} values a row and the data have {features} features",
            code="E302",
            column="extractor",
            remedy="set the shape of one row, such as shape=(3, 64, 64)",
        )
    like = next(iter(extractor.module.parameters()), torch.zeros(()))
    try:
        found = extractor.module.eval()(torch.zeros((2, *shape), dtype=like.dtype, device=like.device))
    except (RuntimeError, ValueError, TypeError):
        raise ConfigError(
            "the extractor does not take rows of this shape",
            code="E302",
            column="extractor",
            remedy="set the shape of one row, such as shape=(3, 64, 64)",
        ) from None
    return int(found.reshape(2, -1).shape[1])
