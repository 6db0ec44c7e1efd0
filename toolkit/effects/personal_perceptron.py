"""A perceptron whose layers can be a person's own, forward and backward by hand.

Autograd spends most of a small step on its own bookkeeping. Here a step of a batch gathers the parameters of its
persons once, as rows of one matrix (persons, d), evaluates all their layers by batched products, and writes the
gradient of each person's parameters straight into another such matrix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from toolkit.effects.flat_rows import Batch
from toolkit.effects.random_effects import EffectLayout


@runtime_checkable
class PersonalNetwork(Protocol):
    """A network with person effects: outputs of a batch, and gradients from the gradient of the outputs."""

    def forward(
        self, shared: Mapping[str, Tensor], delta: Float[Tensor, "persons d"], inputs: Tensor, batch: Batch
    ) -> Float[Tensor, "rows output"]:
        """Outputs of the rows of a batch; ``delta`` holds the deviations of its persons' parameters."""
        ...

    def backward(self, gradient: Float[Tensor, "rows output"]) -> tuple[dict[str, Tensor], Float[Tensor, "persons d"]]:
        """Gradients of the shared parameters by name and of the deviations; belongs to the `forward` before."""
        ...


@dataclass(slots=True, kw_only=True, eq=False)
class PersonalPerceptron:
    """Linear layers with ReLU between them.

    Attributes:
        layers: names of each layer's weight and bias.
        layout: which of them vary.
    """

    layers: Sequence[tuple[str, str]]
    layout: EffectLayout
    first: int = field(init=False)
    _sizes: list[int] = field(init=False)
    _tape: list[Tensor] = field(default_factory=list, init=False)
    _kept: tuple[Mapping[str, Tensor], dict[str, Tensor], Batch] | None = field(default=None, init=False)
    _buffers: dict[str, Tensor] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """The first layer of which something varies (the number of layers where nothing does), and sizes."""
        varying = [place for place, names in enumerate(self.layers) if set(names) & set(self.layout.names)]
        self.first = min(varying, default=len(self.layers))
        self._sizes = [int(torch.Size(shape).numel()) for shape in self.layout.shapes]

    @torch.no_grad()
    def forward(
        self, shared: Mapping[str, Tensor], delta: Float[Tensor, "persons d"], inputs: Tensor, batch: Batch
    ) -> Float[Tensor, "rows output"]:
        """Outputs of the rows of a batch; keeps what `backward` needs."""
        own = self._own(shared, delta, batch)
        self._kept = (shared, own, batch)
        rows, first, self._tape = inputs, self.first, []
        for place, (weight, bias) in enumerate(self.layers):
            rows = batch.padded(rows) if place == first else rows
            self._tape.append(rows)
            if weight in own:
                offset = own[bias] if bias in own else shared[bias].expand(len(rows), -1)
                rows = torch.baddbmm(offset[:, None], rows, own[weight].transpose(1, 2))
            else:
                rows = torch.nn.functional.linear(rows, shared[weight], None if bias in own else shared[bias])
                rows = rows.add_(own[bias][:, None]) if bias in own else rows
            rows = rows.relu_() if place < len(self.layers) - 1 else rows
        return batch.flat(rows) if first < len(self.layers) else rows

    @torch.no_grad()
    def backward(self, gradient: Float[Tensor, "rows output"]) -> tuple[dict[str, Tensor], Float[Tensor, "persons d"]]:
        """Gradients of the shared parameters by name and of the deviations (persons, d)."""
        assert self._kept is not None
        shared, own, batch = self._kept
        first = self.first
        lines = self._buffer("gradient", batch.lines, gradient)
        into = self._parts(lines)
        found: dict[str, Tensor] = {}
        rows = batch.padded(gradient) if first < len(self.layers) else gradient
        for place in reversed(range(len(self.layers))):
            weight, bias = self.layers[place]
            before = self._tape[place]
            if place < first:
                found[weight], found[bias] = rows.T @ before, rows.sum(dim=0)
            else:
                self._gradients(place, rows, before, into, found)
            if place == 0:
                break
            rows = torch.bmm(rows, own[weight]) if weight in own else rows @ shared[weight]
            rows = rows.mul_(before > 0)
            rows = batch.flat(rows) if place == first else rows
        for name, shape, part in zip(
            self.layout.names, self.layout.shapes, lines.sum(dim=0).split(self._sizes), strict=True
        ):
            found[name] = part.view(shape)
        self._tape, self._kept = [], None
        return found, self._of_persons(lines, batch)

    def _gradients(
        self, place: int, rows: Tensor, before: Tensor, into: dict[str, Tensor], found: dict[str, Tensor]
    ) -> None:
        """Gradients of one layer from those of its outputs (lines, longest, output)."""
        weight, bias = self.layers[place]
        if weight in into:
            torch.bmm(rows.transpose(1, 2), before, out=into[weight])
        else:
            flat = rows.reshape(-1, rows.shape[2])
            found[weight] = flat.T @ before.reshape(len(flat), -1)
        if bias in into:
            torch.sum(rows, dim=1, out=into[bias])
        else:
            found[bias] = rows.sum(dim=(0, 1))

    def _own(self, shared: Mapping[str, Tensor], delta: Float[Tensor, "persons d"], batch: Batch) -> dict[str, Tensor]:
        """The parameters that vary, of each line: shared value plus deviation."""
        if not self.layout.names:
            return {}
        base = torch.cat([shared[name].reshape(-1) for name in self.layout.names])
        lines = delta if batch.owner is None else delta.index_select(0, batch.owner)
        return self._parts(torch.add(lines, base, out=self._buffer("own", batch.lines, lines)))

    def _of_persons(self, lines: Tensor, batch: Batch) -> Tensor:
        """Sums of the lines of each person."""
        if batch.owner is None:
            return lines
        return lines.new_zeros((len(batch.persons), lines.shape[1])).index_add_(0, batch.owner, lines)

    def _parts(self, lines: Float[Tensor, "lines d"]) -> dict[str, Tensor]:
        """Views of each parameter (lines, *shape)."""
        parts = torch.split(lines, self._sizes, dim=1)
        return {
            name: part if len(shape) == 1 else part.unflatten(1, shape)
            for name, shape, part in zip(self.layout.names, self.layout.shapes, parts, strict=True)
        }

    def _buffer(self, name: str, lines: int, like: Tensor) -> Tensor:
        """Memory for a matrix (lines, d), used again by every batch: fresh memory is slow where it is much."""
        held = self._buffers.get(name)
        if held is None or len(held) < lines:
            held = like.new_empty((lines, sum(self._sizes)))
            self._buffers[name] = held
        return held[:lines]
