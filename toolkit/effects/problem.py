"""A training set as the estimator sees it: rows grouped by person, and a loss per person."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from toolkit.effects.random_effects import EffectLayout, personal_outputs, personal_parameters
from toolkit.effects.terms import CHAIN_NAMES

# Loss of each person from the outputs (persons, rows, output) and the parameters of the chain (transitions, start,
# end), if there is one.
PersonLoss = Callable[[Tensor, Mapping[str, Tensor]], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowGroups:
    """Rows sorted into one padded line per person.

    Attributes:
        persons: person code of each line (lines,).
        index: row number (lines, longest), -1 where padded.
        line: line of each row (rows,), and place: its position in that line (rows,).
    """

    persons: np.ndarray
    index: np.ndarray
    line: np.ndarray
    place: np.ndarray


def group_rows(codes: np.ndarray) -> RowGroups:
    """Sort rows by person, keeping their order within a person."""
    persons, line = np.unique(codes, return_inverse=True)
    order = np.argsort(line, kind="stable")
    counts = np.bincount(line, minlength=len(persons))
    first = np.repeat(np.cumsum(counts) - counts, counts)
    place = np.empty(len(codes), dtype=np.int64)
    place[order] = np.arange(len(codes)) - first
    index = np.full((len(persons), int(counts.max(initial=1))), -1, dtype=np.int64)
    index[line, place] = np.arange(len(codes))
    return RowGroups(persons=persons, index=index, line=line.astype(np.int64), place=place)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Problem:
    """Inputs and loss of one set of rows.

    Attributes:
        module: the network (its structure; parameters come from outside).
        inputs: standardised features (lines, rows, feature), zero where padded.
        persons: code of each line's person (lines,) into the person effects; -1 has none.
        loss: negative log-likelihood (or squared error) of each line.
        rows: number of real rows.
    """

    module: nn.Module
    inputs: Float[Tensor, "lines rows feature"]
    persons: Int[Tensor, " lines"]
    loss: PersonLoss
    rows: int

    def lines_of(self, eta: Float[Tensor, "persons d"]) -> Float[Tensor, "lines d"]:
        """Person effects of each line; zero for a person without any."""
        known = self.persons >= 0
        return torch.where(known[:, None], eta[self.persons.clamp(min=0)], 0.0)

    def outputs(
        self, shared: Mapping[str, Tensor], layout: EffectLayout, eta: Float[Tensor, "lines d"]
    ) -> tuple[Float[Tensor, "lines rows output"], dict[str, Tensor]]:
        """Network outputs of each line and the parameters of its chain, shared or per line."""
        personal = personal_parameters(shared, layout, eta)
        network = {name: value for name, value in shared.items() if name not in CHAIN_NAMES}
        rows = personal_outputs(self.module, network, personal, self.inputs)
        chain = {name: personal.get(name, shared[name]) for name in CHAIN_NAMES if name in shared}
        return rows, chain

    def losses(
        self, shared: Mapping[str, Tensor], layout: EffectLayout, eta: Float[Tensor, "lines d"]
    ) -> Float[Tensor, " lines"]:
        """Loss of each line at the given shared parameters and effects."""
        return self.loss(*self.outputs(shared, layout, eta))
