"""Losses as objects: which function, of which targets, so that a batch can take some of the rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from jaxtyping import Bool, Float, Int
from torch import Tensor

from toolkit.models import likelihoods
from toolkit.models.noise import Noise
from toolkit.models.several_targets import SquaredErrors

# Loss of each line from outputs (lines, rows, output), targets (lines, rows) and mask (lines, rows).
RowFunction = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowLoss:
    """Loss of each line of rows; a `toolkit.effects.problem.PersonLoss`.

    Attributes:
        function: of outputs, targets and mask; a row is worth the same in whatever line it stands.
        target: standardised values or class codes (lines, rows); of several targets (lines, rows, targets), NaN where
            one is not known.
        mask: false where padded (lines, rows).
    """

    function: RowFunction
    target: Tensor
    mask: Bool[Tensor, "lines rows"]

    def __call__(self, outputs: Tensor, chain: Mapping[str, Tensor]) -> Tensor:
        """Loss of each line (lines,); rows have no chain."""
        return self.function(outputs, self.target, self.mask)

    def alone(self, place: int) -> RowLoss:
        """The squared errors of one of several targets."""
        assert isinstance(self.function, SquaredErrors)
        return replace(self, function=self.function.alone(place))


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Criterion:
    """How an outcome is judged.

    Attributes:
        class_weights: how much a row of each class counts; None: all the same.
        noise: density of the residuals of a numeric outcome.
        scale: of a Laplace density, where it is known.
        residuals: residual variance of each of several targets, changed in place while training; None for one.
    """

    class_weights: tuple[float, ...] | None = None
    noise: Noise = field(default_factory=Noise)
    scale: float | None = None
    residuals: Float[Tensor, " targets"] | None = None


def row_function(task: str, criterion: Criterion) -> RowFunction:
    """The loss of lines of rows of a task."""
    function = ROW_FUNCTIONS[task]
    if criterion.residuals is not None:
        return SquaredErrors(variances=criterion.residuals)
    if task == "regression" and criterion.noise.density == "laplace":
        return likelihoods.absolute_error
    if task == "regression" and criterion.noise.density == "huber":
        return partial(likelihoods.huber, delta=criterion.noise.delta)
    if criterion.class_weights is not None:
        return partial(_weighted, function=function, weights=criterion.class_weights)
    return function


def row_loss(task: str, criterion: Criterion, target: Tensor, mask: Bool[Tensor, "lines rows"]) -> RowLoss:
    """The loss of rows of a task; see `RowLoss` for the tensors."""
    return RowLoss(function=row_function(task, criterion), target=target, mask=mask)


def curved_loss(task: str, criterion: Criterion, target: Tensor, mask: Bool[Tensor, "lines rows"]) -> RowLoss | None:
    """The loss whose Hessian stands in for that of absolute errors, which is zero; None for all others."""
    if task != "regression" or criterion.noise.density != "laplace":
        return None
    return RowLoss(function=partial(likelihoods.absolute_curved, scale=criterion.scale), target=target, mask=mask)


def _weighted(
    outputs: Tensor, target: Tensor, mask: Tensor, *, function: RowFunction, weights: Sequence[float]
) -> Tensor:
    """A loss in which the rows of each class count as much as its weight says."""
    each = outputs.new_tensor(weights)
    return function(outputs, target, each[target.long()] * mask)


ROW_FUNCTIONS: dict[str, RowFunction] = {
    "regression": likelihoods.squared_error,
    "binary": likelihoods.bernoulli,
    "multiclass": likelihoods.categorical,
    "ordinal": likelihoods.cumulative,
    "count": likelihoods.poisson,
}


def derivative_of(function: RowFunction) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None:
    """Summed loss and its gradient from outputs (rows, output) and targets, where that is written down."""
    return function.slopes if isinstance(function, SquaredErrors) else DERIVATIVES.get(function)


# Summed loss and its gradient from outputs (rows, output) and targets (rows,), where they are simple.
DERIVATIVES: dict[RowFunction, Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    likelihoods.squared_error: likelihoods.squared_error_slopes,
    likelihoods.bernoulli: likelihoods.bernoulli_slopes,
}
