"""Networks of your own: any PyTorch module whose parameters, or some of them, vary from person to person."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import field_serializer, field_validator
from torch import nn

from toolkit.errors import ConfigError
from toolkit.models.config import Config, Configuration


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Module:
    """A network of your own, such as an LSTM, a small convolutional network, or a transformer block.

    Attributes:
        module: maps (rows, *shape) to (rows, outputs): one output for a number or two classes, one for each class or
            state otherwise. Its parameters are the start values; the module itself is left as it is.
        shape: shape of one row's features, such as (3, 64, 64) for images or (7, 5) for seven days of five readings;
            None for a plain vector. Features fill it in the order of the data's columns, the last dimension fastest.
        standardise: standardise every feature by the training rows; otherwise they come as they are.

    Layers run as they do in evaluation mode throughout: no dropout, and statistics of batch normalisation stay.
    """

    module: nn.Module
    shape: tuple[int, ...] | None = None
    standardise: bool = False

    def describe(self) -> dict[str, Any]:
        """What can be written down: the class, the number of parameters, and a hash of all its tensors."""
        shape = list(self.shape) if self.shape is not None else None
        return {**fingerprint(self.module), "shape": shape, "standardise": self.standardise}


def fingerprint(module: nn.Module) -> dict[str, Any]:
    """Class, number of parameters, and a hash of all tensors of a module."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(value.detach().cpu().numpy()).tobytes())
    return {
        "class": type(module).__name__,
        "parameters": sum(value.numel() for value in module.parameters()),
        "sha256": digest.hexdigest(),
    }


class NetworkConfig(Config):
    """Settings of a network that is a perceptron (``hidden``) or one of your own (``module``).

    Attributes:
        module: a network of your own, `Module`; it takes the place of the hidden layers.
    """

    module: Any = None

    def model_post_init(self, context: Any, /) -> None:
        """A network of one's own takes the place of hidden layers."""
        if self.module is not None:
            if "hidden" in self.model_fields_set and self.hidden:
                raise ConfigError(
                    "a network of your own and hidden layers do not go together",
                    code="E302",
                    column="module",
                    remedy="put the layers into the module, or leave it out",
                )
            object.__setattr__(self, "hidden", ())
        super().model_post_init(context)

    @field_validator("module")
    @classmethod
    def _known_module(cls, value: Any) -> Any:
        """A `Module`, or the description of one from a manifest."""
        if value is None or isinstance(value, Module | dict):
            return value
        raise ValueError("wrap the network: Module(module=..., shape=...)")

    @field_serializer("module")
    def _described_module(self, value: Any) -> Any:
        """What a manifest can hold of a module: its description."""
        return value.describe() if isinstance(value, Module) else value


def is_linear(config: Configuration) -> bool:
    """Whether the network is a linear layer and nothing else."""
    return not getattr(config, "hidden", ()) and own_module(config) is None


def own_module(config: Configuration) -> Any:
    """The network of one's own, or its description where it is not at hand; None for a perceptron."""
    return getattr(config, "module", None)
