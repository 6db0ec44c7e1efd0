"""Person parameters of any module: shared value plus person-specific part, applied without touching the module.

The network of person i has the parameters ``theta_bar + eta_i`` (Woertwein et al., 2023, section 4):
`personal_outputs` evaluates all persons' networks at once with ``torch.func.functional_call`` under ``vmap``, so that
a person's layer is a slice of a batched product.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, vmap


@runtime_checkable
class Layout(Protocol):
    """Where the effects of a line belong: those of one grouping factor (`EffectLayout`) or several (`JointLayout`)."""

    @property
    def names(self) -> tuple[str, ...]:
        """Parameters that vary, in the network's order."""
        ...

    @property
    def size(self) -> int:
        """Number of effects of a line."""
        ...

    def unflatten(self, eta: Float[Tensor, "lines d"]) -> dict[str, Tensor]:
        """Deviations of each varying parameter, (lines, *shape)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EffectLayout:
    """Where each varying parameter sits in a person's vector.

    Attributes:
        names: varying parameters, in the network's order.
        shapes: their shapes.
        labels: one readable label per coordinate, ``layers.1.weight[2]`` or ``transitions[positive,other]``.
        mixing: turns effects into deviations of the network's parameters (parameters, d), where the two are on
            different scales or some parameters have no effect (forbidden transitions); None where they are the same.
        units: what one unit of each effect is in the units of the data, where that is known beforehand.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    labels: tuple[str, ...]
    mixing: Float[Tensor, "parameters d"] | None = None
    units: tuple[float, ...] | None = None

    @property
    def size(self) -> int:
        """Number of person-specific parameters of one person, ``dim(eta_i)``."""
        return len(self.labels)

    def coordinates(self, name: str) -> list[int]:
        """Places of a parameter's effects in a person's vector; fewer than its values where some have no effect."""
        return [place for place, label in enumerate(self.labels) if label.partition("[")[0] == name]

    def unflatten(self, eta: Float[Tensor, "persons d"]) -> dict[str, Tensor]:
        """Deviations of each varying parameter, (persons, *shape)."""
        eta = eta if self.mixing is None else eta @ self.mixing.T
        sizes = [int(torch.Size(shape).numel()) for shape in self.shapes]
        # split, not slices: the backward pass of a slice zero-fills the whole vector once per parameter
        parts = torch.split(eta, sizes, dim=1)
        return {
            name: part.reshape(part.shape[0], *shape)
            for name, shape, part in zip(self.names, self.shapes, parts, strict=True)
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JointLayout:
    """Effects of several grouping factors, side by side; where two vary the same parameter their effects add up.

    Attributes:
        parts: layout of each factor.
    """

    parts: tuple[EffectLayout, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Parameters that vary by any factor."""
        return tuple(dict.fromkeys(name for part in self.parts for name in part.names))

    @property
    def size(self) -> int:
        """Effects of a line: one level of each factor."""
        return sum(part.size for part in self.parts)

    def unflatten(self, eta: Float[Tensor, "lines d"]) -> dict[str, Tensor]:
        """Deviations of each varying parameter, (lines, *shape), summed over the factors."""
        found: dict[str, Tensor] = {}
        for part, own in zip(self.parts, torch.split(eta, [part.size for part in self.parts], dim=1), strict=True):
            for name, value in part.unflatten(own).items():
                found[name] = found[name] + value if name in found else value
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RandomEffects:
    """Person effects and their distribution.

    Attributes:
        layout: what the coordinates are.
        eta: person-specific parts (persons, d); a person's parameters are the shared ones plus these.
        covariance: their covariance matrix (d, d); of very many effects, which are independent, their variances (d,).
    """

    layout: EffectLayout
    eta: Float[Tensor, "persons d"]
    covariance: Float[Tensor, "d d"] | Float[Tensor, " d"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FactorEffects:
    """Effects of a further grouping factor, beside the person.

    Attributes:
        grouping: name of the factor.
        levels: its levels, in the order of ``effects.eta``.
        effects: their effects.
    """

    grouping: str
    levels: tuple[str, ...]
    effects: RandomEffects


def personal_parameters(
    shared: Mapping[str, Tensor], layout: Layout, eta: Float[Tensor, "persons d"]
) -> dict[str, Tensor]:
    """``theta_bar + eta_i`` of every varying parameter, (persons, *shape)."""
    return {name: shared[name] + part for name, part in layout.unflatten(eta).items()}


def personal_outputs(
    module: nn.Module,
    shared: Mapping[str, Tensor],
    personal: Mapping[str, Tensor],
    inputs: Float[Tensor, "persons rows feature"],
) -> Float[Tensor, "persons rows output"]:
    """Outputs of every person's own network on that person's rows.

    Args:
        module: the network; its own parameter values are not used.
        shared: value of every parameter.
        personal: values (persons, *shape) of those that vary.
        inputs: rows grouped by person and padded.
    """
    varying = {name: value for name, value in personal.items() if name in shared}

    def one_person(own: dict[str, Tensor], rows: Tensor) -> Tensor:
        return network_outputs(module, {**shared, **own}, rows)

    if not varying:
        return network_outputs(module, shared, inputs)
    if not side_by_side(module):
        lines = range(len(inputs))
        return torch.stack(
            [one_person({name: value[line] for name, value in varying.items()}, inputs[line]) for line in lines]
        )
    return vmap(one_person)(varying, inputs)


def network_outputs(module: nn.Module, parameters: Mapping[str, Tensor], rows: Tensor) -> Tensor:
    """Outputs of a network with parameters from outside; those of a module of one's own go by its names there."""
    prefix = getattr(module, "prefix", "")
    named = {prefix + name: value for name, value in parameters.items()} if prefix is not None else {}
    return functional_call(module, named, (rows,))


def side_by_side(module: nn.Module) -> bool:
    """Whether many persons' networks can be evaluated at once: always, except for some modules of one's own."""
    return bool(getattr(module, "side_by_side", True))


def coordinate_labels(
    name: str, shape: Sequence[int], outputs: Sequence[str] | None, inputs: Sequence[str] | None
) -> list[str]:
    """Readable labels of one parameter's coordinates, in the order of its flattened values.

    Dimensions of size one are left out; ``outputs`` and ``inputs`` name rows and columns where a name exists.
    """
    axes = [_axis(size, outputs if axis == 0 else inputs) for axis, size in enumerate(shape)]
    shown = [axis for axis in axes if len(axis) != 1 or axis[0] in (inputs or ())]
    places = [""]
    for axis in shown:
        places = [f"{place},{entry}" if place else entry for place in places for entry in axis]
    return [f"{name}[{place}]" if place else name for place in places]


def _axis(size: int, names: Sequence[str] | None) -> list[str]:
    """Entries of one dimension: their names if known, else their numbers."""
    return list(names) if names is not None and len(names) == size else [str(place) for place in range(size)]
