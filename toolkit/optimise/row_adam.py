"""Adam, and Adam for a matrix of which a step touches a few rows: the persons of a batch.

Row-lazy Adam is not Adam: a row that a batch does not touch stays as it is, momentum and all, and its bias correction
counts its own steps. Ordinary (dense) Adam goes on moving such a row by its momentum and forgets its second moment at
every step of any batch. Where all rows are touched by every step the two are the same. A dense step costs as much as
there are persons, a lazy one as much as there are persons in the batch.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

FIRST, SECOND, TINY = 0.9, 0.999, 1e-8  # Adam's usual settings
# Rows of so many numbers are worth a call each of torch's fused kernel; shorter ones are updated together.
WIDE = 512


# Bias corrections of more steps than this are 1 to the last digit that matters.
CORRECTED = 40_000


class Adam:
    """Adam (Kingma and Ba, 2015) of one tensor, in place; as `torch.optim.Adam`, without what that does beside.

    Args:
        values: what moves.
        decay: weight of the L2 penalty, whose gradient is added.
    """

    def __init__(self, values: Tensor, decay: float = 0.0) -> None:
        self._values, self._decay = values, decay
        self._mean, self._square = torch.zeros_like(values), torch.zeros_like(values)
        self._steps = torch.zeros((), dtype=torch.int64)

    @property
    def moments(self) -> dict[str, Tensor]:
        """What the next step depends on, by name."""
        return {"mean": self._mean, "square": self._square, "steps": self._steps}

    @torch.no_grad()
    def step(self, gradient: Tensor, lr: float) -> None:
        """One step of everything."""
        steps = int(self._steps.add_(1))
        gradient = gradient.add(self._values, alpha=self._decay) if self._decay else gradient
        self._mean.lerp_(gradient, 1.0 - FIRST)
        self._square.mul_(SECOND).addcmul_(gradient, gradient, value=1.0 - SECOND)
        spread = self._square.sqrt().div_(math.sqrt(1.0 - SECOND**steps)).add_(TINY)
        self._values.addcdiv_(self._mean, spread, value=-lr / (1.0 - FIRST**steps))


class RowAdam:
    """Row-lazy Adam (Kingma and Ba, 2015) over the rows of a matrix, in place.

    Args:
        values: the matrix (persons, d).
    """

    def __init__(self, values: Float[Tensor, "persons d"]) -> None:
        self._values = values
        self._size = values.shape[1]
        # one row holds the means, the mean squares and the number of steps: one gather and one scatter a step
        self._moments = values.new_zeros((len(values), 2 * self._size + 1))
        steps = torch.arange(CORRECTED + 1, dtype=torch.float64).clamp(min=1)
        corrections = torch.stack([1.0 / (1.0 - FIRST**steps), 1.0 / torch.sqrt(1.0 - SECOND**steps)], dim=1)
        self._corrections = corrections.to(values)
        self._fused = hasattr(torch, "_fused_adam_") and values.device.type == "cpu" and self._size >= WIDE

    @property
    def moments(self) -> dict[str, Tensor]:
        """What the next step depends on, by name."""
        return {"rows": self._moments}

    @torch.no_grad()
    def step(self, rows: Int[Tensor, " rows"], gradient: Float[Tensor, "rows d"], lr: float) -> None:
        """One step of some rows, each given once."""
        if self._fused:
            self._fused_step(rows, gradient, lr)
        else:
            self._joint_step(rows, gradient, lr)

    def _joint_step(self, rows: Tensor, gradient: Tensor, lr: float) -> None:
        """The rows together: few operations, several passes over the memory."""
        held = self._moments.index_select(0, rows)
        mean, square, steps = held.split([self._size, self._size, 1], dim=1)
        steps.add_(1.0).clamp_(max=CORRECTED)
        mean.lerp_(gradient, 1.0 - FIRST)
        square.mul_(SECOND).addcmul_(gradient, gradient, value=1.0 - SECOND)
        self._moments.index_copy_(0, rows, held)
        corrections = self._corrections.index_select(0, steps.squeeze(1).to(torch.int64))
        spread = square.sqrt().mul_(corrections[:, 1:]).add_(TINY)
        self._values.index_add_(0, rows, mean.mul(corrections[:, :1]).div_(spread), alpha=-lr)

    def _fused_step(self, rows: Tensor, gradient: Tensor, lr: float) -> None:
        """Each row on its own, in one pass and in place."""
        places = cast(list[int], rows.tolist())
        values, held = self._values.detach(), [self._moments[place] for place in places]
        taken = self._moments[:, -1].index_select(0, rows).add_(1.0).clamp_(max=CORRECTED)
        self._moments[:, -1].index_copy_(0, rows, taken)
        step = torch._fused_adam_  # pyright: ignore[reportPrivateImportUsage, reportAttributeAccessIssue]
        step(
            [values[place] for place in places],
            list(gradient.unbind(0)),
            [row[: self._size] for row in held],
            [row[self._size : -1] for row in held],
            [],
            list(taken.to(torch.float32).unbind(0)),
            lr=lr, beta1=FIRST, beta2=SECOND, weight_decay=0.0, eps=TINY, amsgrad=False, maximize=False,
        )  # fmt: skip
