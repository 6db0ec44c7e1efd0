"""Networks to which random effects are added: ``f(x) + sum_k z_k b_k``, the structure and its fitted form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from toolkit.data.grouped import GroupedDataset
from toolkit.effects.random_effects import EffectLayout
from toolkit.effects.terms import GAPS
from toolkit.models.fitted import FittedNetwork, Level
from toolkit.models.networks import Mlp, initial_parameters
from toolkit.models.outcome_networks import thresholds

ADDED = "added"
ROWS_AT_ONCE = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class SlopeColumn:
    """A feature, or a power of one, whose coefficient varies.

    Attributes:
        name: of the feature.
        place: among the network's inputs.
        power: 1 for the feature itself.
        mean, sd: standardisation of the feature, which the network sees.
        unit: SD of the column in the training rows, by which it is divided; it is counted from the feature's zero.
    """

    name: str
    place: int
    power: int
    mean: float
    sd: float
    unit: float

    @property
    def label(self) -> str:
        """What the coefficient is called."""
        return f"slopes[{self.name}]" if self.power == 1 else f"slopes[{self.name}^{self.power}]"

    def values(self, standardised: Float[Tensor, "*rows feature"]) -> Float[Tensor, "*rows"]:
        """The column from the network's inputs."""
        return (standardised[..., self.place] * self.sd + self.mean) ** self.power / self.unit


class AdditiveMlp(Mlp):
    """Perceptron to whose outputs slopes are added: what they have in common, to which those of the levels come."""

    def __init__(
        self, inputs: int, hidden: Sequence[int], columns: Sequence[SlopeColumn] = (), *, outputs: int = 1
    ) -> None:
        """Lay out the layers and one slope for each column (columns,), of several outputs (columns, outputs)."""
        super().__init__(inputs, hidden, outputs)
        self.columns, self.outputs = tuple(columns), outputs
        if self.columns:
            self.added = nn.Parameter(torch.zeros(len(self.columns), *([outputs] if outputs > 1 else [])))

    @property
    def level_name(self) -> str:
        """Name of the parameter that is the level of the output."""
        return f"layers.{len(self.layers) - 1}.bias"

    def forward(self, rows: Float[Tensor, "*rows feature"]) -> Float[Tensor, "*rows output"]:
        """Outputs of each row."""
        outputs = super().forward(rows)
        if not self.columns:
            return outputs
        return outputs + self.design(rows) @ self.added.reshape(len(self.columns), self.outputs)

    def design(self, rows: Float[Tensor, "*rows feature"]) -> Float[Tensor, "*rows column"]:
        """What the slopes are multiplied with."""
        return torch.stack([column.values(rows) for column in self.columns], dim=-1)

    def effect_design(self, rows: Float[Tensor, "rows feature"]) -> Float[np.ndarray, "rows column"]:
        """The same as an array, with ones for the level behind."""
        ones = np.ones((len(rows), 1))
        return np.column_stack([self.design(rows).double().cpu().numpy(), ones]) if self.columns else ones

    def layout(
        self,
        slopes: Sequence[str | None],
        names: Sequence[str],
        *,
        scale: float,
        like: Tensor,
        classes: Sequence[str] | None = None,
    ) -> EffectLayout:
        """Where the effects of a grouping factor belong: those of all outputs for the first that varies, and so on.

        Args:
            slopes: what varies, None standing for the level and others for columns by their name.
            names: of the columns, in their order.
            scale: SD of the target.
            like: whose type and device the mixing has.
            classes: names of the outputs, where there are several.
        """
        size, outputs = len(self.columns), self.outputs
        assert outputs == len(classes or " ")
        level = _labels("output.bias", classes)
        if not size:
            units = (scale,) * outputs
            return EffectLayout(names=(self.level_name,), shapes=((outputs,),), labels=level, units=units)
        mixing = like.new_zeros(((size + 1) * outputs, len(slopes) * outputs))
        labels, units = list[str](), list[float]()
        for effect, name in enumerate(slopes):
            row = size if name is None else names.index(name)
            mixing[row * outputs : (row + 1) * outputs, effect * outputs : (effect + 1) * outputs] = torch.eye(
                outputs, dtype=mixing.dtype, device=mixing.device
            )
            labels += level if name is None else _labels(self.columns[row].label, classes)
            units += [scale if name is None else scale / self.columns[row].unit] * outputs
        return EffectLayout(
            names=(ADDED, self.level_name), shapes=(tuple(self.added.shape), (outputs,)), labels=tuple(labels),
            mixing=mixing, units=tuple(units),
        )  # fmt: skip


class AdditiveCumulativeMlp(AdditiveMlp):
    """The same for ordered classes: one latent score, and the thresholds of `toolkit.models.outcome_networks`."""

    def __init__(
        self, inputs: int, hidden: Sequence[int], columns: Sequence[SlopeColumn] = (), *, classes: int
    ) -> None:
        """Lay out the layers, the slopes, and the logarithms of the distances between thresholds (classes - 2,)."""
        super().__init__(inputs, hidden, columns)
        self.register_parameter(GAPS, nn.Parameter(torch.zeros(classes - 2)))

    def forward(self, rows: Float[Tensor, "*rows feature"]) -> Float[Tensor, "*rows threshold"]:
        """Cumulative logits of each row."""
        return super().forward(rows) - thresholds(getattr(self, GAPS))


def additive_network(
    task: str, inputs: int, hidden: Sequence[int], columns: Sequence[SlopeColumn], *, classes: int
) -> AdditiveMlp:
    """The network of a task: as many outputs as classes where they have no order, else one."""
    if task == "ordinal":
        return AdditiveCumulativeMlp(inputs, hidden, columns, classes=classes)
    return AdditiveMlp(inputs, hidden, columns, outputs=classes if task == "multiclass" else 1)


def _labels(name: str, classes: Sequence[str] | None) -> tuple[str, ...]:
    """Labels of an effect on each output."""
    if classes is None:
        return (name,)
    if not name.endswith("]"):
        return tuple(f"{name}[{entry}]" for entry in classes)
    return tuple(f"{name[:-1]},{entry}]" for entry in classes)


def start_parameters(
    module: AdditiveMlp, *, generator: torch.Generator, dtype: torch.dtype, device: torch.device
) -> dict[str, Tensor]:
    """Weights and biases from U(-1, 1) / sqrt(fan in): short trainings end lower than from biases of zero.

    The last bias and the slopes, which are there for what varies, start at zero.
    """
    shared = initial_parameters(module, generator=generator, dtype=dtype, device=device)
    for place in range(len(module.layers) - 1):
        weight = shared[f"layers.{place}.weight"]
        drawn = 2.0 * torch.rand(len(weight), generator=generator, dtype=torch.float64) - 1.0
        bound = 1.0 / math.sqrt(max(weight.shape[1], 1))
        shared[f"layers.{place}.bias"] = (bound * drawn).to(device=device, dtype=dtype)
    return shared


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AdditiveNetwork(FittedNetwork):
    """A fitted network with added effects: they need no network of each level's own, a sum does."""

    def _row_outputs(self, data: GroupedDataset, codes: np.ndarray, level: Level) -> np.ndarray:
        """Outputs of each row (rows, outputs), some rows at a time."""
        like = next(iter(self.shared.values()))
        codes = codes[:, None] if codes.ndim == 1 else codes
        features = self.scaler.features(data)
        found = list[np.ndarray]()
        for start in range(0, max(data.n_rows, 1), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            rows = torch.as_tensor(features[part]).to(like)
            with torch.no_grad():
                fixed = torch.func.functional_call(self.module, self.shared, (rows,))
            found.append(fixed.double().cpu().numpy() + self.added(rows, codes[part]))
        return np.concatenate(found)

    def added(self, rows: Float[Tensor, "rows feature"], codes: np.ndarray) -> Float[np.ndarray, "rows output"]:
        """What the effects of each row's levels add to each output; nothing for unknown ones (-1).

        Args:
            rows: standardised features.
            codes: level of each grouping factor (rows, factors).
        """
        module = self.module
        assert isinstance(module, AdditiveMlp)
        design = module.effect_design(rows)
        layouts = (self.effects.layout, *(factor.effects.layout for factor in self.further))
        total = np.zeros((len(rows), module.outputs))
        for own, eta, layout in zip(codes.T, self.etas, layouts, strict=True):
            if layout.size:
                total += added_by(eta.double().cpu().numpy(), layout, own, design, module.outputs)
        return total


def added_by(
    values: np.ndarray, layout: EffectLayout, codes: np.ndarray, design: np.ndarray, outputs: int
) -> Float[np.ndarray, "rows output"]:
    """What the levels of one grouping factor add: their effects (levels, d) times what they are multiplied with."""
    if layout.mixing is not None:
        values = values @ layout.mixing.double().cpu().numpy().T
    columns = design if layout.mixing is not None else design[:, -1:]
    chosen = np.where((codes >= 0)[:, None], values[np.maximum(codes, 0)], 0.0)
    return np.einsum("rk,rkc->rc", columns, chosen.reshape(len(codes), -1, outputs))
