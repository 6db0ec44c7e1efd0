"""Several numeric targets of one network: a residual variance for each, and rows in which some are not known.

Target k of row j is ``y_jk = f_k(x_j; theta_bar + eta_i) + e_jk`` with residuals ``e_jk ~ N(0, s_k)``, independent of
each other given the effects. The loss of a row is

    sum over the known targets k of (y_jk - f_jk)^2 / s_k,

a negative log-likelihood after division by two. So a target that is missing in a row leaves the others of that row as
they are, and targets that are predicted badly pull less on what all of them share. What is common to the targets beyond
that (a person's deviations in one going along with those in another) is for the covariance of the effects to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from toolkit.effects.problem import Problem, ProblemParts
from toolkit.models.likelihoods import Weight


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SquaredErrors:
    """The loss of lines of rows with several targets; a `toolkit.models.row_losses.RowFunction`.

    Attributes:
        variances: residual variance of each target, changed in place while training.
        only: number of the one target that counts, without its variance; None: all do.
    """

    variances: Float[Tensor, " targets"]
    only: int | None = None

    def __call__(
        self, outputs: Float[Tensor, "lines rows target"], target: Float[Tensor, "lines rows target"], weight: Weight
    ) -> Float[Tensor, " lines"]:
        """``sum_j sum_k (y_jk - f_jk)^2 / s_k`` over the known targets."""
        error, inverse = self._errors(outputs, target)
        return ((torch.square(error) * inverse).sum(dim=2) * weight).sum(dim=1)

    def slopes(
        self, outputs: Float[Tensor, "rows target"], target: Float[Tensor, "rows target"]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, "rows target"]]:
        """Sum of the loss over rows and its derivative with respect to the outputs, ``2 (f - y) / s``."""
        error, inverse = self._errors(outputs, target)
        return (torch.square(error) * inverse).sum(), error * (2.0 * inverse)

    def _errors(self, outputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Errors, zero where a target is not known, and the factor of their squares."""
        error = torch.where(torch.isnan(target), 0.0, outputs - target)
        if self.only is None:
            return error, 1.0 / self.variances
        return error, torch.eye(len(self.variances), dtype=error.dtype, device=error.device)[self.only]

    def alone(self, place: int) -> SquaredErrors:
        """The squared errors of one target."""
        return replace(self, only=place)


def by_target(problem: ProblemParts, targets: int) -> Iterator[ProblemParts]:
    """The same rows with the squared errors of one target as their loss, for each target."""
    for place in range(targets):
        yield replace(problem, loss=problem.loss.alone(place))  # type: ignore[attr-defined, type-var]


def known_values(problem: ProblemParts) -> Int[Tensor, " targets"]:
    """In how many rows each target is known."""
    counts = [_known(piece) for piece in problem.pieces()]
    return torch.stack(counts).sum(dim=0)


def _known(piece: Problem) -> Tensor:
    loss = piece.loss
    known = ~torch.isnan(loss.target) & loss.mask[..., None]  # type: ignore[attr-defined]
    return known.sum(dim=(0, 1))
