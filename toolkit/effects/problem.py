"""A training set as the estimator sees it: rows in lines, one a person (or combination of levels), and their losses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from toolkit.effects.random_effects import Layout, personal_outputs, personal_parameters
from toolkit.effects.terms import CHAIN_NAMES

# Loss of each person from the outputs (persons, rows, output) and the parameters of the chain (transitions, start,
# end), if there is one.
PersonLoss = Callable[[Tensor, Mapping[str, Tensor]], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowGroups:
    """Rows sorted into one padded line per person.

    Attributes:
        persons: person code of each line (lines,).
        further: codes of the levels of further grouping factors (lines, factors - 1).
        index: row number (lines, longest), -1 where padded.
        line: line of each row (rows,), and place: its position in that line (rows,).
    """

    persons: np.ndarray
    further: np.ndarray
    index: np.ndarray
    line: np.ndarray
    place: np.ndarray


def group_rows(codes: np.ndarray) -> RowGroups:
    """Sort rows by person, keeping their order within a person.

    Args:
        codes: person of each row (rows,), or the levels of several grouping factors (rows, factors), the person first:
            one line then holds the rows that agree in all of them.
    """
    if codes.ndim == 1:
        levels, line = np.unique(codes, return_inverse=True)
        levels = levels[:, None]
    else:
        levels, line = np.unique(codes, axis=0, return_inverse=True)
        line = line.reshape(-1)
    order = np.argsort(line, kind="stable")
    counts = np.bincount(line, minlength=len(levels))
    first = np.repeat(np.cumsum(counts) - counts, counts)
    place = np.empty(len(codes), dtype=np.int64)
    place[order] = np.arange(len(codes)) - first
    index = np.full((len(levels), int(counts.max(initial=1))), -1, dtype=np.int64)
    index[line, place] = np.arange(len(codes))
    return RowGroups(persons=levels[:, 0], further=levels[:, 1:], index=index, line=line.astype(np.int64), place=place)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Problem:
    """Inputs and loss of one set of rows.

    Attributes:
        module: the network (its structure; parameters come from outside).
        inputs: standardised features (lines, rows, feature), zero where padded.
        persons: code of each line's person (lines,) into the person effects; -1 has none.
        loss: negative log-likelihood (or squared error) of each line.
        rows: number of real rows.
        further: codes of each line's levels of further grouping factors (lines, factors - 1); -1 has no effects.
        held: effects of each line that are known already and stay (lines, d); None where there are none.
        curved: loss whose curvature stands in for that of ``loss``, where that has none; None: its own.
    """

    module: nn.Module
    inputs: Float[Tensor, "lines rows feature"]
    persons: Int[Tensor, " lines"]
    loss: PersonLoss
    rows: int
    further: Int[Tensor, "lines factors"] | None = None
    held: Float[Tensor, "lines d"] | None = None
    curved: PersonLoss | None = None

    def pieces(self) -> Iterator[Problem]:
        """The lines, some at a time: all of them."""
        yield self

    def codes(self, factor: int) -> Int[Tensor, " lines"]:
        """Level of each line in one grouping factor; 0 is the person."""
        if factor == 0:
            return self.persons
        assert self.further is not None
        return self.further[:, factor - 1]

    def lines_of(self, *etas: Tensor) -> Float[Tensor, "lines d"]:
        """Effects of each line, those of several grouping factors side by side; zero for a level without any."""
        parts = []
        for factor, eta in enumerate(etas):
            codes = self.codes(factor)
            parts.append(torch.where((codes >= 0)[:, None], eta[codes.clamp(min=0)], 0.0))
        lines = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        return lines if self.held is None else lines + self.held

    def outputs(
        self, shared: Mapping[str, Tensor], layout: Layout, eta: Float[Tensor, "lines d"]
    ) -> tuple[Float[Tensor, "lines rows output"], dict[str, Tensor]]:
        """Network outputs of each line and the parameters of its chain, shared or per line."""
        personal = personal_parameters(shared, layout, eta)
        network = {name: value for name, value in shared.items() if name not in CHAIN_NAMES}
        rows = personal_outputs(self.module, network, personal, self.inputs)
        chain = {name: personal.get(name, shared[name]) for name in CHAIN_NAMES if name in shared}
        return rows, chain

    def losses(
        self, shared: Mapping[str, Tensor], layout: Layout, eta: Float[Tensor, "lines d"]
    ) -> Float[Tensor, " lines"]:
        """Loss of each line at the given shared parameters and effects."""
        return self.loss(*self.outputs(shared, layout, eta))


@runtime_checkable
class ProblemParts(Protocol):
    """Rows whose sums are taken over one piece after the other.

    No person is in two pieces; with several grouping factors, no combination of their levels.
    """

    @property
    def rows(self) -> int:
        """Number of real rows."""
        ...

    @property
    def persons(self) -> Tensor:
        """Code of each line's person."""
        ...

    def codes(self, factor: int) -> Tensor:
        """Level of each line in one grouping factor; 0 is the person."""
        ...

    def pieces(self) -> Iterator[Problem]:
        """The rows, some persons at a time."""
        ...
