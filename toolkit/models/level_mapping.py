"""Levels whose effects are a learned map of fewer effects: ``Z W u`` in place of ``Z b``, with W learned."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from toolkit.numerics.batch_likelihood import BatchDesign, BatchFactor, batch_nll

MAP, LOG_VARIANCE = "level_map", "log_map_variance"
START = 0.5
_unique = cast(Any, torch.unique)  # pyright: ignore[reportUnknownMemberType]


@runtime_checkable
class BatchEffect(Protocol):
    """An effect in the likelihood of a batch, beside those of grouping factors."""

    @property
    def variances(self) -> tuple[str, ...]:
        """Names of the parameters that weight decay leaves alone."""
        ...

    def batch_nll(
        self,
        residual: Float[Tensor, " rows"],
        sigma2: Tensor,
        factors: Sequence[BatchFactor],
        codes: Int[Tensor, " rows"],
        parameters: Mapping[str, Tensor],
    ) -> Tensor:
        """Negative log-likelihood of a batch, ``codes`` telling the place or level of each row."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LevelMapping:
    """A table with a row for every level, and layers behind it if there are any.

    Attributes:
        layers: linear layers after the table.
    """

    layers: int

    @property
    def variances(self) -> tuple[str, ...]:
        """Names of the parameters that weight decay leaves alone."""
        return (LOG_VARIANCE,)

    def batch_nll(
        self,
        residual: Float[Tensor, " rows"],
        sigma2: Tensor,
        factors: Sequence[BatchFactor],
        codes: Int[Tensor, " rows"],
        parameters: Mapping[str, Tensor],
    ) -> Tensor:
        """Negative log-likelihood of a batch."""
        found, inverse = _unique(codes, return_inverse=True)
        columns = self.columns(parameters, found)[inverse]
        sd = torch.exp(0.5 * parameters[LOG_VARIANCE])
        return batch_nll(residual, sigma2, factors, [BatchDesign(columns=columns, sd=sd)])

    def columns(
        self, parameters: Mapping[str, Tensor], levels: Int[Tensor, " levels"]
    ) -> Float[Tensor, "levels columns"]:
        """What the effects are multiplied with, for some levels."""
        values = parameters[f"{MAP}.table"][levels]
        for layer in range(self.layers):
            values = torch.relu(values)
            values = functional.linear(values, parameters[f"{MAP}.{layer}.weight"], parameters[f"{MAP}.{layer}.bias"])
        return values


def level_mapping(
    levels: int, widths: Sequence[int], columns: int, *, generator: torch.Generator, like: Tensor
) -> tuple[LevelMapping, dict[str, Tensor]]:
    """The map and where its parameters start: squares of a level's entries in the table add up to about one.

    Args:
        levels: how many there are.
        widths: of the layers between the level's indicator and the columns; none makes the map linear.
        columns: effects that are mapped.
        generator: start values.
        like: whose type and device parameters have.
    """
    sizes = [*widths, columns]

    def drawn(rows: int, inputs: int, bound: float) -> Tensor:
        return (bound * (2.0 * torch.rand((rows, inputs), generator=generator, dtype=torch.float64) - 1.0)).to(like)

    start = {LOG_VARIANCE: torch.log(like.new_tensor(START))}
    start[f"{MAP}.table"] = drawn(levels, sizes[0], (3.0 / sizes[0]) ** 0.5)
    for layer, (inputs, width) in enumerate(itertools.pairwise(sizes)):
        start[f"{MAP}.{layer}.weight"] = drawn(width, inputs, (6.0 / inputs) ** 0.5)
        start[f"{MAP}.{layer}.bias"] = like.new_zeros(width)
    return LevelMapping(layers=len(sizes) - 1), start
