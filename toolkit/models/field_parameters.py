"""A spatial effect while a network is trained: its parameters, and its part in the likelihood of a mini-batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from toolkit.models.spatial_settings import Kernel
from toolkit.numerics.batch_likelihood import BatchDesign, BatchFactor, batch_nll
from toolkit.numerics.spatial.batch import BatchField, field_batch_nll
from toolkit.numerics.spatial.kernels import reach_of

LOG_VARIANCE, LOG_REACH = "log_field_variance", "log_field_range"
EMBEDDING = "embedding"
# where variance and range start: half of the outcome's variance, this share of the diagonal of the places
START = 0.5
SHARE = 0.05
# the embedding's layers are kept in units of this, so that a step moves them by this share of the learning rate: they
# are many and wide, and with whole steps their outputs grow without bounds
UNIT = 0.03
_unique = cast(Any, torch.unique)  # pyright: ignore[reportUnknownMemberType]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FieldParameters:
    """A random field or an embedding over places.

    Attributes:
        kernel: of the field, or ``embedded``.
        places: coordinates of all places, standardised for an embedding.
        layers: of the embedding.
    """

    kernel: Kernel
    places: Float[Tensor, "places axes"]
    layers: int

    @property
    def variances(self) -> tuple[str, ...]:
        """Names of the parameters that weight decay leaves alone."""
        return (LOG_VARIANCE,) if self.kernel == "embedded" else (LOG_VARIANCE, LOG_REACH)

    def batch_nll(
        self,
        residual: Float[Tensor, " rows"],
        sigma2: Tensor,
        factors: Sequence[BatchFactor],
        codes: Int[Tensor, " rows"],
        parameters: Mapping[str, Tensor],
    ) -> Tensor:
        """Negative log-likelihood of a batch, see `toolkit.numerics.spatial.batch`."""
        variance = torch.exp(parameters[LOG_VARIANCE])
        if self.kernel == "embedded":
            found, inverse = _unique(codes, return_inverse=True)
            columns = embedded(self.places[found], parameters, self.layers)[inverse]
            return batch_nll(residual, sigma2, factors, [BatchDesign(columns=columns, sd=torch.sqrt(variance))])
        field = BatchField(
            codes=codes, places=self.places, kernel=self.kernel, variance=variance,
            reach=torch.exp(parameters[LOG_REACH]),
        )  # fmt: skip
        return field_batch_nll(residual, sigma2, field, factors)


def embedded(
    places: Float[Tensor, "places axes"], parameters: Mapping[str, Tensor], layers: int
) -> Float[Tensor, "places columns"]:
    """Outputs of the embedding, in units in which their squares add up to about one."""
    values = places
    for layer in range(layers):
        weight, bias = (UNIT * parameters[f"{EMBEDDING}.{layer}.{name}"] for name in ("weight", "bias"))
        values = functional.linear(values, weight, bias)
        if layer < layers - 1:
            values = torch.relu(values)
    return values / values.shape[1] ** 0.5


def field_parameters(
    kernel: Kernel,
    places: Float[np.ndarray, "places axes"],
    widths: Sequence[int],
    *,
    generator: torch.Generator,
    like: Tensor,
) -> tuple[FieldParameters, dict[str, Tensor]]:
    """The effect and where its parameters start.

    Args:
        kernel: of the field, or ``embedded``.
        places: coordinates; standardised for an embedding.
        widths: of the embedding's layers.
        generator: its start values.
        like: whose type and device parameters have.
    """
    start = {LOG_VARIANCE: torch.log(like.new_tensor(START))}
    if kernel != "embedded":
        length = SHARE * float(np.linalg.norm(np.ptp(places, axis=0)))
        start[LOG_REACH] = torch.log(like.new_tensor(reach_of(kernel, length)))
        own = torch.as_tensor(places, device=like.device)
        return FieldParameters(kernel=kernel, places=own, layers=0), start
    inputs = places.shape[1]
    for layer, width in enumerate(widths):
        bound = 1.0 / inputs**0.5
        shapes = {"weight": (width, inputs), "bias": (width,)}
        for name, shape in shapes.items():
            drawn = 2.0 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1.0
            scale = bound * 6.0**0.5 if name == "weight" else bound
            start[f"{EMBEDDING}.{layer}.{name}"] = (scale / UNIT * drawn).to(like)
        inputs = width
    own = torch.as_tensor(places).to(like)
    return FieldParameters(kernel=kernel, places=own, layers=len(widths)), start
