"""A place as a pixel on a map that goes through a small convolutional network (section 4.3 of the LMMNN paper)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ConfigError
from toolkit.models.dropping import DroppableMlp
from toolkit.models.plain import (
    PlainConfig,
    Reading,
    Units,
    check_places,
    coordinates_of,
    read_places,
    rows_as_units,
)

FILTERS = (32, 64, 32, 16)
STRIDE = 2 ** (len(FILTERS) - 1)  # three times max pooling
SEEN = 3 * STRIDE - 1  # pixels that one place of the last map depends on, in each direction
TOUCHED = 3  # places of the last map that one pixel can reach, in each direction
WINDOW = (TOUCHED - 1) * STRIDE + SEEN


class MapCnn(PlainConfig):
    """Perceptron on the features, beside convolutions over a map that is empty but for the place of the row.

    Four convolutions of 32, 64, 32 and 16 filters with kernels of 2 by 2 and max pooling between them; what comes out
    is put beside the last hidden layer of the perceptron. A map is empty nearly everywhere, and convolutions do the
    same everywhere: what a pixel changes in the last map is found on a window about it, for each of 64 positions
    relative to the pooling. That is exact, and many times less work than whole maps.

    Attributes:
        coordinates: features that say where a row is.
        resolution: pixels of a side of the map, which spans the places of the training rows; others are at its edge.
    """

    coordinates: tuple[str, str] = ("x_coord", "y_coord")
    resolution: int = Field(default=100, ge=WINDOW)

    def model_post_init(self, context: Any, /) -> None:
        """The map's features stand beside a hidden layer."""
        super().model_post_init(context)
        if not self.hidden:
            raise ConfigError("a map needs a hidden layer beside it", code="E302", column="hidden")

    def check(self, data: GroupedDataset) -> None:
        """Refuse rows without places."""
        check_places(data, self.coordinates)

    def read(self, data: GroupedDataset, rows: np.ndarray) -> Reading:
        """Features, and the box that the map spans."""
        return read_places(self, data, rows, self.coordinates)

    def units(self, reading: Reading, data: GroupedDataset, level: str) -> Units:
        """Features and pixels."""
        assert reading.low is not None
        assert reading.high is not None
        share = (coordinates_of(data, self.coordinates) - reading.low) / (reading.high - reading.low)
        pixels = np.clip(np.floor(share * self.resolution), 0, self.resolution - 1).astype(np.int64)
        return rows_as_units(data.n_rows, reading.scaler.features(data), pixels)

    def build(self, reading: Reading) -> nn.Module:
        """The network."""
        return MapNetwork(reading.scaler.width, self.hidden, self.resolution)

    def start(self, module: nn.Module, generator: torch.Generator, reading: Reading, units: Units) -> None:
        """Convolutions start large enough that a single pixel is not lost on its way."""
        super().start(module, generator, reading, units)
        assert isinstance(module, MapNetwork)
        with torch.no_grad():
            for layer in module.convolutions.parameters():
                layer *= 6.0**0.5


class MapNetwork(nn.Module):
    """Convolutions over a map with one pixel set, beside a perceptron."""

    def __init__(self, inputs: int, hidden: Sequence[int], resolution: int) -> None:
        """Lay out the layers; parameters are set later."""
        super().__init__()
        self.perceptron = DroppableMlp(inputs, hidden[:-1], hidden[-1], spare=0)
        channels = (1, *FILTERS)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, kernel_size=2) for before, after in zip(channels[:-1], FILTERS, strict=True)
        )
        self.side = (resolution - SEEN) // STRIDE + 1
        self.last = nn.Linear(hidden[-1] + FILTERS[-1] * self.side**2, 1)

    def forward(self, rows: Tensor, pixels: Tensor) -> Tensor:
        """Output of each row."""
        beside = torch.relu(self.perceptron(rows))
        own, mapped = self.last.weight[0].split([beside.shape[1], self.last.in_features - beside.shape[1]])
        return beside @ own + self._of_maps(pixels, mapped) + self.last.bias

    def convolved(self, maps: Tensor) -> Tensor:
        """The last maps (maps, 16, side, side) of whole maps (maps, 1, pixels, pixels)."""
        for place, layer in enumerate(self.convolutions):
            maps = torch.relu(layer(maps))
            if place < len(FILTERS) - 1:
                maps = functional.max_pool2d(maps, 2)
        return maps

    def _of_maps(self, pixels: Tensor, weights: Tensor) -> Tensor:
        """Sum of the last map of each row, weighted: that of an empty map, and what the row's pixel changes in it."""
        windows, empty = self._windows(pixels)
        weights = weights.view(FILTERS[-1], self.side, self.side)
        padded = functional.pad(weights, (TOUCHED - 1, 0, TOUCHED - 1, 0))  # no place of the map lies before its edge
        first = torch.div(pixels, STRIDE, rounding_mode="floor")
        steps = torch.arange(TOUCHED, device=pixels.device)
        across, along = (first[:, place, None] + steps for place in range(2))
        # the map's far edge may cut a window too
        inside = (across < self.side + TOUCHED - 1)[:, :, None] & (along < self.side + TOUCHED - 1)[:, None, :]
        limit = self.side + TOUCHED - 2
        near = padded[:, across.clamp(max=limit)[:, :, None], along.clamp(max=limit)[:, None, :]]
        changed = (windows - empty[None, :, None, None]).permute(1, 0, 2, 3)
        everywhere = (weights * empty[:, None, None]).sum()
        return everywhere + (near * changed * inside).sum(dim=(0, 2, 3))

    def _windows(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """The part of the last map that each row's pixel can reach (rows, 16, 3, 3), and that of an empty map (16,)."""
        offset = pixels % STRIDE
        found, own = torch.unique(offset[:, 0] * STRIDE + offset[:, 1], return_inverse=True)
        maps = self.last.weight.new_zeros((len(found) + 1, 1, WINDOW, WINDOW))
        at = (TOUCHED - 1) * STRIDE
        places = torch.arange(len(found), device=pixels.device)
        maps[places, 0, at + found // STRIDE, at + found % STRIDE] = 1.0
        last = self.convolved(maps)
        return last[own], last[-1, :, 0, 0]
