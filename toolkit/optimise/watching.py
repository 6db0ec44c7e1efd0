"""What a training loop watches to know when to stop and which state to keep."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Watch:
    """A metric beside the validation loss.

    Attributes:
        loss: the validation loss; training breaks off where it is no finite number.
        metric: what decides; a value that is not defined is the worst there is.
        larger: whether more of it is better (it is 1 at best).
        name: of the metric, in words.
    """

    loss: Callable[[], float]
    metric: Callable[[], float]
    larger: bool
    name: str

    def __call__(self) -> float:
        """The validation loss."""
        return self.loss()

    def judged(self, value: float) -> float:
        """The metric as a number of which less is better and nothing is below 0."""
        if math.isnan(value):
            return math.inf
        return 1.0 - value if self.larger else value


def judged(row: Mapping[str, float], validate: Callable[[], float] | None) -> float:
    """The number of a row of the trace that decides; less is better."""
    if isinstance(validate, Watch):
        return validate.judged(row["monitor"])
    return row["loss"] if validate is None else row["validation"]
