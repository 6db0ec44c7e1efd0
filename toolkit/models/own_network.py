"""A module of the user's in training and prediction: what is tried out before, and how it is evaluated."""

from __future__ import annotations

import copy
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import jvp, vmap

from toolkit.data.grouped import GroupedDataset
from toolkit.effects.random_effects import EffectLayout, network_outputs, personal_outputs, personal_parameters
from toolkit.effects.terms import CHAIN_NAMES
from toolkit.errors import ConfigError, DataError
from toolkit.models.modules import Module
from toolkit.models.prepare import Scaler
from toolkit.numerics.recurrence import plain_layers


class OwnNetwork(nn.Module):
    """A module of the user's, ready to be evaluated with parameters from outside on rows of any number.

    Attributes:
        prefix: what the names of its tensors start with in this wrapper.
        features: number of features of a row.
        names: every name of every parameter, in the module's order.
        fixed: names of tensors that are never trained: frozen parameters and buffers.
        tied: names of parameters that have several (tied weights).
        side_by_side: whether many persons' networks can be evaluated at once (``torch.func.vmap``).
    """

    prefix = "network."

    def __init__(self, own: Module, features: int) -> None:
        """Copy the module; in evaluation mode, in double precision or what else it is asked to be later."""
        super().__init__()
        self.network = copy.deepcopy(own.module).eval()
        self.shape, self.features = own.shape, features
        named = list(self.network.named_parameters(remove_duplicate=False))
        self.names = tuple(name for name, _ in named)
        uses = Counter(id(value) for _, value in named)
        self.tied = frozenset(name for name, value in named if uses[id(value)] > 1)
        frozen = [name for name, value in named if not value.requires_grad]
        self.fixed = frozenset([*frozen, *(name for name, _ in self.network.named_buffers())])
        self.side_by_side = True
        for value in self.network.parameters():
            value.requires_grad_(False)

    def forward(self, rows: Tensor) -> Tensor:
        """Outputs (..., outputs) of rows (..., features)."""
        shape = self.shape or rows.shape[-1:]
        with plain_layers():
            outputs = self.network(rows.reshape(-1, *shape))
        return outputs.reshape(*rows.shape[:-1], -1)

    def start(self, *, dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
        """Start values of every tensor: parameters in the module's order, then buffers."""
        self.network.to(device)
        tensors = [*self.network.named_parameters(), *self.network.named_buffers()]
        found = {}
        for name, value in tensors:
            kind = dtype if value.is_floating_point() else value.dtype
            found[name] = value.detach().clone().to(device=device, dtype=kind)
        return found


def own_network(
    own: Any, features: int, outputs: int | None, *, dtype: torch.dtype, device: torch.device
) -> OwnNetwork:
    """The module of a configuration, checked against the data; its outputs only where their number is given.

    Raises:
        ConfigError: E302 if the module has no parameters, does not take the rows, or gives another number of outputs.
    """
    if not isinstance(own, Module):
        raise ConfigError(
            "the network of this configuration is one of your own, which is not here",
            code="E302",
            column="module",
            remedy="give it: module=Module(module=..., shape=...)",
        )
    if not any(value.requires_grad for value in own.module.parameters()):
        raise ConfigError(
            "the module has no parameters that can be trained",
            code="E302",
            column="module",
            remedy="set requires_grad of some of them",
        )
    network = OwnNetwork(own, features)
    taken = [name for name in network.names if name in CHAIN_NAMES]
    if taken:
        raise ConfigError(
            f"a parameter of a module of your own cannot be called {taken[0]}: chains have one of that name",
            code="E302",
            column="module",
        )
    tensors = network.start(dtype=dtype, device=device)
    _check_outputs(network, features, outputs, tensors)
    network.side_by_side = _derivable(network, features, tensors)
    if not network.side_by_side and not _derivable(network, features, tensors):
        raise ConfigError(
            "torch cannot derive this module with respect to its parameters in forward direction",
            code="E302",
            column="module",
            remedy="leave out packed sequences and operations of your own without a derivative",
        )
    return network


@torch.no_grad()
def _check_outputs(network: OwnNetwork, features: int, outputs: int | None, tensors: dict[str, Tensor]) -> None:
    """Try two rows of zeros."""
    shape = network.shape or (features,)
    remedy = "set the shape of one row, such as shape=(3, 64, 64)"
    if int(np.prod(shape)) != features:
        raise ConfigError(
            f"the module takes {int(np.prod(shape))} values a row and the data have {features} features",
            code="E302",
            column="module",
            remedy=remedy,
        )
    like = next(iter(tensors.values()))
    rows = torch.zeros((2, features), dtype=like.dtype, device=like.device)
    try:
        found = network_outputs(network, tensors, rows)
    except (RuntimeError, ValueError, TypeError, IndexError):
        raise ConfigError(
            "the module does not take rows of this shape", code="E302", column="module", remedy=remedy
        ) from None
    if outputs is not None and found.shape[-1] != outputs:
        raise ConfigError(
            f"the module gives {found.shape[-1]} values a row and the outcome needs {outputs}",
            code="E302",
            column="module",
            remedy="a number or two classes need one output, several numbers, classes or states one each",
        )


def _derivable(network: OwnNetwork, features: int, tensors: dict[str, Tensor]) -> bool:
    """Whether outputs and forward derivatives of two persons' networks come out: at once, or one after the other."""
    trained = {name: value for name, value in tensors.items() if name not in network.fixed}
    like = next(iter(trained.values()))
    rows = torch.zeros((2, 2, features), dtype=like.dtype, device=like.device)
    several = {name: torch.stack([value, value]) for name, value in trained.items()}

    def derivative(size: Tensor) -> Tensor:
        change = {name: size * value for name, value in several.items()}
        return jvp(lambda values: personal_outputs(network, tensors, values, rows), (several,), (change,))[1]

    sizes = torch.ones(2, dtype=like.dtype, device=like.device)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            # torch would loop over the persons inside, which is slower than doing so outside
            warnings.filterwarnings("error", message=".*batching rule", category=UserWarning)
            _ = vmap(derivative)(sizes) if network.side_by_side else [derivative(size) for size in sizes]
    except (RuntimeError, NotImplementedError, TypeError, ValueError, UserWarning):
        return False
    return True


def check_varying(chosen: Sequence[str], network: OwnNetwork) -> None:
    """Refuse effects on parameters that are frozen or have several names.

    Raises:
        ConfigError: E302 with the names.
    """
    free = [name for name in network.names if name not in network.fixed | network.tied]
    for names, words in (
        ([name for name in chosen if name in network.fixed], "frozen (requires_grad is False)"),
        ([name for name in chosen if name in network.tied], "shared between several layers (tied weights)"),
    ):
        if names:
            raise ConfigError(
                f"effects: {', '.join(names)} cannot vary by person, being {words}",
                code="E302",
                column="effects",
                remedy=f"name some of: {', '.join(free)}",
            )


class AbsentNetwork(nn.Module):
    """Stands for a module of the user's that is not at hand: whatever needs it says so."""

    prefix = None
    side_by_side = False

    def forward(self, rows: Tensor) -> Tensor:
        """Say what is missing.

        Raises:
            DataError: E405.
        """
        raise DataError(
            "the run was fitted with a network of your own, which is not in the run folder",
            code="E405",
            column="module",
            remedy="do this in Python and give it: restore_network(run, module=Module(...)), or adapt(..., module=...)",
        )


def scaled_for(own: Module, data: GroupedDataset, rows: np.ndarray, scaler: Scaler) -> Scaler:
    """The standardisation of features that a module of one's own gets: all of them, as they are if not asked otherwise.

    Args:
        own: the module.
        data: the whole data set.
        rows: numbers of the training rows.
        scaler: what a perceptron would get; its target is kept.
    """
    values = np.asarray(data.features)[rows]
    spread = values.std(axis=0)
    count = data.n_features
    return replace(
        scaler,
        names=data.feature_names,
        dropped=(),
        mean=values.mean(axis=0) if own.standardise else np.zeros(count),
        scale=np.where(spread > 0, spread, 1.0) if own.standardise else np.ones(count),
    )


def effects_enter_linearly(module: OwnNetwork, shared: Mapping[str, Tensor], layout: EffectLayout) -> bool:
    """Whether outputs are linear in the effects, so that Newton steps and posteriors are exact.

    Tried out rather than believed: ``f(a + b) - f(a) - f(b) + f(0) = 0`` for random effects ``a`` and ``b`` of three
    sizes, on random rows.
    """
    like = next(iter(shared.values()))
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(like)

    rows = drawn(1, 16, module.features).expand(4, -1, -1)
    tolerance = 1e3 * torch.finfo(like.dtype).eps
    for size in (0.1, 1.0, 10.0):
        a, b = size * drawn(layout.size), size * drawn(layout.size)
        tried = torch.stack([a + b, a, b, torch.zeros_like(a)])
        with torch.no_grad():
            outputs = personal_outputs(module, shared, personal_parameters(shared, layout, tried), rows)
        bent = outputs[0] - outputs[1] - outputs[2] + outputs[3]
        if float(bent.abs().max()) > tolerance * max(float(outputs.abs().max()), 1.0):
            return False
    return True
