"""Losses as objects: which function, of which targets, so that a batch can take some of the rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor

from toolkit.models import likelihoods

# Loss of each line from outputs (lines, rows, output), targets (lines, rows) and mask (lines, rows).
RowFunction = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowLoss:
    """Loss of each line of rows; a `toolkit.effects.problem.PersonLoss`.

    Attributes:
        function: of outputs, targets and mask; a row is worth the same in whatever line it stands.
        target: standardised values or class codes (lines, rows).
        mask: false where padded (lines, rows).
    """

    function: RowFunction
    target: Tensor
    mask: Bool[Tensor, "lines rows"]

    def __call__(self, outputs: Tensor, chain: Mapping[str, Tensor]) -> Tensor:
        """Loss of each line (lines,); rows have no chain."""
        return self.function(outputs, self.target, self.mask)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChainLoss:
    """Negative log-likelihood of each line's sequences; a `toolkit.effects.problem.PersonLoss`.

    Attributes:
        steps: place of each step among the flattened rows (batch, time); -1 where padded.
        states: observed states (batch, time).
        lines: line of each sequence (batch,).
        covariates: of the transitions of each sequence (batch, covariates).
        forbidden: transitions that cannot occur (state, state).
        weights: factor of each sequence's loss (batch,).
    """

    steps: Int[Tensor, "batch time"]
    states: Int[Tensor, "batch time"]
    lines: Int[Tensor, " batch"]
    covariates: Float[Tensor, "batch covariate"] | None = None
    forbidden: Bool[Tensor, "state state"] | None = None
    weights: Float[Tensor, " batch"] | None = None

    def __call__(self, outputs: Tensor, chain: Mapping[str, Tensor]) -> Tensor:
        """Loss of each line (lines,)."""
        return likelihoods.chain_loss(
            outputs,
            chain,
            steps=self.steps,
            states=self.states,
            lines=self.lines,
            covariates=self.covariates,
            forbidden=self.forbidden,
            weights=self.weights,
        )


ROW_FUNCTIONS: dict[str, RowFunction] = {
    "regression": likelihoods.squared_error,
    "binary": likelihoods.bernoulli,
    "multiclass": likelihoods.categorical,
}

# Summed loss and its gradient from outputs (rows, output) and targets (rows,), where they are simple.
DERIVATIVES: dict[RowFunction, Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    likelihoods.squared_error: likelihoods.squared_error_slopes,
    likelihoods.bernoulli: likelihoods.bernoulli_slopes,
}
